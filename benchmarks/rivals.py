"""The same activations through Variscope's kernels and through other libraries.

Every method takes the star's table ``(block, row, unit)`` in Saltelli's row order, float32. What a
library wants in another layout or precision is rearranged before the clock starts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numba import njit
from numpy.typing import NDArray
from variscope.designs import Design
from variscope.estimators import Layout, Moments
from variscope.indices.sums import sum_activations
from variscope.stores.activations import ActivationsReader, ActivationsWriter

VARIABLES = 8

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Method:
    """A way to sum or estimate, and how it is measured.

    Attributes:
        name: of the tables.
        gives: the indices that it gives.
        prepare: rearranges activations; gives a call without arguments.
        threads: it releases Python's lock, so that two threads run side by side.
        share: of the units that it is timed on, since some take minutes for all.
    """

    name: str
    gives: str
    prepare: Callable[[Floats], Callable[[], object]]
    threads: bool = False
    share: float = 1.0


def activations(blocks: int, units: int, seed: int = 1) -> Floats:
    """Return outputs of rectified random features of the star's points, ``(block, row, unit)``."""
    design = Design("star", tuple((i,) for i in range(VARIABLES)), blocks, 2, seed)
    points = np.concatenate([design.replicate(r).points for r in range(2)])
    random = np.random.default_rng(seed)
    weights = random.normal(size=(VARIABLES, 64)).astype(np.float32)
    features = np.sin(2 * points.astype(np.float32) @ weights)
    mixing = random.normal(size=(64, units)).astype(np.float32)
    outputs = np.empty((*points.shape[:2], units), np.float32)
    for block in range(blocks):
        np.maximum(features[block] @ mixing, 0, out=outputs[block])
    return outputs


def methods() -> list[Method]:
    """Return all methods; a library that is not installed is left out."""
    found = [
        Method("read", "nothing: the sum of all values", _read, threads=True),
        Method("memcpy", "nothing: a copy", _memcpy, threads=True),
        *(
            Method(
                f"variscope cycle, {size} block{'s' if size > 1 else ''} per call",
                "S1, ST, S2, Shapley, variance",
                partial(_variscope, design="cycle", at_once=size),
                threads=True,
            )
            for size in (1, 8, 64)
        ),
        Method(
            "variscope star, 64 blocks per call",
            "S1, ST, S2, variance",
            partial(_variscope, design="star", at_once=64),
            threads=True,
        ),
        Method(
            "Zarr, read alone",
            "nothing: decompressed and checked",
            partial(_stored, summed=False),
            threads=True,
        ),
        Method(
            "Zarr, variscope cycle, 64 blocks per call",
            "S1, ST, S2, Shapley, variance",
            partial(_stored, summed=True),
            threads=True,
        ),
        Method("scipy saltelli_2010", "S1, ST", _scipy, share=0.02),
    ]
    for make in (_salib_methods, _openturns_methods, _iterative_methods):
        try:
            found += make()
        except ImportError as error:
            print(f"left out: {error.name} is not installed")
    return found


@njit(cache=True, nogil=True, fastmath=True)
def _sum(values: Floats) -> float:
    total = np.float32(0)
    for i in range(values.size):
        total += values[i]
    return float(total)


def _read(outputs: Floats) -> Callable[[], object]:
    return partial(_sum, np.ascontiguousarray(outputs).reshape(-1))


def _memcpy(outputs: Floats) -> Callable[[], object]:
    source = np.ascontiguousarray(outputs)
    return partial(np.copyto, np.empty_like(source), source)


def _cycle_table(outputs: Floats, layout: Layout) -> tuple[Floats, NDArray[np.int64]]:
    """Take the values as blocks of a layout, with permutations of the cycle."""
    # The cycle has two rows less: as many blocks more give it as many values.
    blocks, rows, units = outputs.shape
    blocks = blocks * rows // layout.rows
    table = np.ascontiguousarray(outputs).reshape(-1)[: blocks * layout.rows * units]
    order = np.random.default_rng(0).permuted(np.tile(np.arange(VARIABLES), (blocks, 1)), axis=1)
    return table.reshape(blocks, layout.rows, units), order


def _variscope(outputs: Floats, design: str, at_once: int) -> Callable[[], object]:
    layout = Layout(design, VARIABLES)
    table, order = _cycle_table(outputs, layout)

    def run() -> Moments:
        moments = Moments.zeros(layout, [0], (table.shape[-1],))
        for start in range(0, len(table), at_once):
            part = slice(start, start + at_once)
            moments.update(0, table[part], order[part])
        return moments

    return run


def _stored(outputs: Floats, summed: bool) -> Callable[[], object]:
    layout = Layout("cycle", VARIABLES)
    table, order = _cycle_table(outputs, layout)
    folder = TemporaryDirectory()
    path = Path(folder.name) / "layer.zarr"
    writer = ActivationsWriter(
        path,
        blocks=len(table),
        rows=layout.rows,
        unit=table.shape[2:],
        dims=("neuron",),
        replicate=np.zeros(len(table), np.int64),
        number=np.arange(len(table)),
        order=order,
        attributes={"design": "cycle", "number_of_variables": VARIABLES, "blocks_at_once": 64},
    )
    writer.append(table)
    writer.close()

    def run() -> object:
        assert folder.name  # it lives as long as this call may come
        reader = ActivationsReader(path)
        return list(sum_activations(reader)) if summed else [None for _ in reader]

    return run


def _scipy(outputs: Floats) -> Callable[[], object]:
    from scipy.stats import sobol_indices

    values = np.ascontiguousarray(outputs.transpose(1, 2, 0), np.float64)  # (row, unit, block)
    func = {"f_A": values[0], "f_B": values[-1], "f_AB": values[1 : VARIABLES + 1]}
    # scipy copies the table of the evaluations, and estimates all units at once.
    return partial(sobol_indices, func=func, n=outputs.shape[0])


def _salib_methods() -> list[Method]:
    from SALib.analyze import sobol

    problem = {
        "num_vars": VARIABLES,
        "names": [f"x{i}" for i in range(VARIABLES)],
        "bounds": [[0, 1]] * VARIABLES,
    }

    def prepare(outputs: Floats, resamples: int) -> Callable[[], object]:
        rows = np.ascontiguousarray(
            outputs.reshape(-1, outputs.shape[-1]).T, np.float64
        )  # (unit, row)

        def run() -> None:
            for values in rows:
                # Two is the least that it computes its intervals from.
                sobol.analyze(problem, values, num_resamples=resamples)

        return run

    gives = "S1, ST, S2"
    return [
        Method("SALib, 100 resamples", f"{gives}, intervals", partial(prepare, resamples=100),
               share=0.0005),
        Method("SALib, 2 resamples", gives, partial(prepare, resamples=2), share=0.002),
    ]  # fmt: skip


def _openturns_methods() -> list[Method]:
    import openturns as ot

    def prepare(outputs: Floats, algorithm: str) -> Callable[[], object]:
        blocks, _, units = outputs.shape
        # Its rows stand by point: all of A, all of B, all of AB_1, ...
        rows = [0, outputs.shape[1] - 1, *range(1, VARIABLES + 1)]
        table = outputs[:, rows].transpose(1, 0, 2).reshape(-1, units).astype(np.float64)
        values = ot.Sample(table)
        design = ot.Sample(np.zeros((len(table), VARIABLES)))
        make = getattr(ot, f"{algorithm}SensitivityAlgorithm")

        def run() -> None:
            found = make(design, values, blocks)
            found.setUseAsymptoticDistribution(True)  # no bootstrap
            for unit in range(units):
                found.getFirstOrderIndices(unit)
                found.getTotalOrderIndices(unit)

        return run

    return [
        Method(f"OpenTURNS {name}", "S1, ST", partial(prepare, algorithm=name), share=0.02)
        for name in ("Saltelli", "Jansen")
    ]


def _iterative_methods() -> list[Method]:
    from iterative_stats.sensitivity.sensitivity_jansen import IterativeSensitivityJansen

    logging.getLogger().setLevel(logging.WARNING)  # the import turns debugging on

    # It formats arrays for its debug log all the same; numpy abbreviates those of over 1000 units.
    def prepare(outputs: Floats, kind: type) -> Callable[[], object]:
        # Its rows are A, B, AB_1, ..., AB_D, one block per call.
        rows = [0, outputs.shape[1] - 1, *range(1, VARIABLES + 1)]
        table = np.ascontiguousarray(outputs[:, rows], np.float64)

        def run() -> None:
            state = kind(nb_parms=VARIABLES, dim=table.shape[-1])
            for block in table:
                state.increment(block)
            state.getFirstOrderIndices()
            state.getTotalOrderIndices()

        return run

    return [
        # Its Saltelli estimator spends minutes on formatting arrays for its debug log.
        Method("iterative-stats Jansen", "S1, ST",
               partial(prepare, kind=IterativeSensitivityJansen), share=0.25)
    ]  # fmt: skip
