"""Errors of S1 and ST at equal evaluations: the cycle beside Saltelli 2010 and Jansen.

Run it by ``python -m benchmarks.peers``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import closed_forms
import numpy as np
from closed_forms import Array
from scipy.stats import qmc
from variscope.designs import Design
from variscope.estimators import Layout, Moments

from benchmarks.hard_units import Family
from benchmarks.measuring import Row, arguments, write

BLOCKS, REPLICATES = 512, 16

NOTES = """
Mean squares of the error, over all variables and {seeds} seeds, of S1 by Saltelli et al. (2010) and
of ST by Jansen (1999), as SALib and scipy have them, over those of the cycle at as many evaluations
({blocks} blocks of the cycle in {replicates} replicates): above 1 the cycle is better. `one long
sequence` is how these estimators are usually run: one scrambled Sobol' sequence, whose error no
replicate tells; `{replicates} sequences` gives both the same replicates. Smooth functions are in
closed form; steps and units like a network's are of eight levels a variable, exact by enumeration.
"""


@dataclass(frozen=True)
class Function:
    """A function of points in [0, 1)^D, ``(n, D) -> (n,)``, and its exact S1 and ST."""

    kind: str
    name: str
    call: Callable[[Array], Array]
    variables: int
    exact: dict[str, Array]


def main(given: Sequence[str] | None = None) -> list[Row]:
    """Run the benchmark and return its table."""
    options = arguments((__doc__ or "").splitlines()[0], given)
    seeds = 4 if options.quick else 200
    rows: list[Row] = []
    for function in functions():
        rows += _compare(function, range(seeds))
    notes = NOTES.format(seeds=seeds, blocks=BLOCKS, replicates=REPLICATES)
    write("peers", "Errors beside one long Sobol' sequence", notes, rows, options)
    return rows


def functions() -> list[Function]:
    """Return smooth functions, steps, and units like those of networks."""
    found = []
    for case in (
        closed_forms.g_function(),
        closed_forms.ishigami(),
        closed_forms.product_case((0.3, 0.2, 0.1, 0.05)),
    ):
        exact = {"S1": np.asarray(case.S1), "ST": np.asarray(case.ST)}
        found.append(Function("smooth", case.name, case.function, len(case.groups), exact))
    random = np.random.default_rng(0)
    first, second = random.normal(size=(6, 16)), random.normal(size=16)
    family = Family(
        "eight levels",
        (np.linspace(-1, 1, 8),) * 6,
        {
            "sum above a threshold": lambda x: (x.sum(axis=1) > 1) * 1.0,
            "two steps": lambda x: (x[:, 0] > 0) * (x[:, 1] > 0.3) + 0.5 * (x[:, 2] > 0),
            "rectified layer": lambda x: np.maximum(x @ first - 0.5, 0) @ second,
            "rectified twice": lambda x: np.maximum(np.maximum(x @ first - 0.5, 0) @ second - 1, 0),
        },
        (),
    )
    for k, (name, unit) in enumerate(family.units.items()):
        exact = {index: family.exact[index][:, k] for index in ("S1", "ST")}
        kind = "step" if k < 2 else "network"
        call = _decoded(family, unit)
        found.append(Function(kind, name, call, family.variables, exact))
    return found


def _decoded(family: Family, unit: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return lambda points: unit(family.decode(points))


def _compare(function: Function, seeds: Sequence[int]) -> list[Row]:
    """Return a row per index."""
    budget = BLOCKS * 2 * function.variables
    ours = _squares(function, [_cycle(function, seed) for seed in seeds])
    rivals = {
        name: _squares(function, [_saltelli(function, budget, seed, count) for seed in seeds])
        for name, count in (("one long sequence", 1), (f"{REPLICATES} sequences", REPLICATES))
    }
    return [
        {
            "kind": function.kind,
            "function": function.name,
            "index": index,
            "evaluations": budget,
            "rms error of the cycle": float(np.sqrt(ours[index])),
            **{name: squares[index] / ours[index] for name, squares in rivals.items()},
        }
        for index in ("S1", "ST")
    ]


def _squares(function: Function, found: Sequence[dict[str, Array]]) -> dict[str, float]:
    return {
        index: float(np.mean([(one[index] - function.exact[index]) ** 2 for one in found]))
        for index in ("S1", "ST")
    }


def _cycle(function: Function, seed: int) -> dict[str, Array]:
    variables = function.variables
    design = Design("cycle", closed_forms.scalars(variables), BLOCKS, REPLICATES, seed)
    moments = Moments.zeros(Layout("cycle", variables), range(REPLICATES), (1,))
    for number in range(REPLICATES):
        rows = design.replicate(number)
        outputs = function.call(rows.points.reshape(-1, variables))
        moments.update(number, outputs.reshape(-1, design.rows, 1), rows.order)
    variance = moments.variance.sum()
    return {name: moments.numerator(name).sum(axis=0)[:, 0] / variance for name in ("S1", "ST")}


def _saltelli(function: Function, budget: int, seed: int, sequences: int) -> dict[str, Array]:
    """Estimate from rows A, AB_1..AB_D, B, pooled over independently scrambled sequences."""
    variables = function.variables
    base = budget // (variables + 2) // sequences
    parts = []
    for number in range(sequences):
        rng = np.random.default_rng([seed, number])
        # A power of two, which balance needs, and then as many as the budget allows.
        engine = qmc.Sobol(2 * variables, rng=rng)
        points = engine.random_base2(int(np.ceil(np.log2(base))))[:base]
        a, b = points[:, :variables], points[:, variables:]
        mixed = np.repeat(a[:, None], variables, axis=1)
        for i in range(variables):
            mixed[:, i, i] = b[:, i]
        at_mixed = function.call(mixed.reshape(-1, variables)).reshape(-1, variables)
        parts.append((function.call(a), function.call(b), at_mixed))
    fa, fb, fab = (np.concatenate(of) for of in zip(*parts, strict=True))
    mean = np.concatenate([fa, fb]).mean()
    variance = np.concatenate([fa, fb]).var()
    return {
        "S1": ((fb - mean)[:, None] * (fab - fa[:, None])).mean(axis=0) / variance,
        "ST": ((fa[:, None] - fab) ** 2).mean(axis=0) / 2 / variance,
    }


if __name__ == "__main__":
    main()
