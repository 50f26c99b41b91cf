"""Throughput of the estimators on activations in memory, beside other libraries and the machine.

Run it by ``python -m benchmarks.estimators``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

import numpy as np

from benchmarks.measuring import Row, arguments, in_processes, seconds, side_by_side, write
from benchmarks.rivals import VARIABLES, Floats, Method, activations, methods

NOTES = """
All methods read the same float32 activations of a star, D = {variables}, {blocks} blocks; the
cycle reads them as blocks of its own. `us per unit` is for all of a unit's {values:,} values, GB/s
counts them as float32, and `of read` divides by the rate of `read` with as many workers. `times
the star` divides `us per unit` by that of the star. Two workers are threads where the code releases
Python's lock and forked processes elsewhere, each with half of the units. Slow methods are timed
on fewer units. All is run in turn, medians over {repeats} turns after one that warms up. The
others give no Shapley effects; scipy, OpenTURNS and iterative-stats were given the D + 2 of the 2
D + 2 rows that they use, their time is counted on all. `read` and `memcpy` run over the same
values. `Zarr` reads them as the workflow stores them, from files that the system has in memory:
decompression and checksums bound what sums of stored activations take.
"""


def main(given: Sequence[str] | None = None) -> list[Row]:
    """Run the benchmark and return its table."""
    options = arguments(__doc__ or "", given)
    blocks, units, repeats = (16, 256, 1) if options.quick else (1024, 8192, 3)
    outputs = activations(blocks, units)
    values = outputs.shape[0] * outputs.shape[1]
    halves = [np.ascontiguousarray(half) for half in np.array_split(outputs, 2, axis=-1)]
    runs = {
        (method, workers): _run(method, [outputs] if workers == 1 else halves)
        for method in methods()
        for workers in (1, 2)
    }
    # In turn, so that what else the machine does falls on all alike; the first turn warms up.
    turns: dict[tuple[Method, int], list[float]] = {key: [] for key in runs}
    for turn in range(repeats + 1):
        for key, run in runs.items():
            taken = seconds(run, repeats=1, warm_up=0)
            if turn:
                turns[key].append(taken)
    rows: list[Row] = []
    for (method, workers), times in turns.items():
        count = workers * _units(method, units // workers)
        rows.append(
            {
                "method": method.name,
                "gives": method.gives,
                "workers": workers,
                "units": count,
                "us per unit": 1e6 * median(times) / count,
                "GB/s": 4e-9 * values * count / median(times),
            }
        )
    for row in rows:
        for name, quantity, reference in (
            ("of read", "GB/s", "read"),
            ("of memcpy", "GB/s", "memcpy"),
            ("times the star", "us per unit", "variscope star, 64 blocks per call"),
        ):
            row[name] = row[quantity] / next(
                r[quantity]
                for r in rows
                if (r["method"], r["workers"]) == (reference, row["workers"])
            )
    notes = NOTES.format(variables=VARIABLES, blocks=blocks, values=values, repeats=repeats)
    write("estimators", "Throughput of the estimators", notes, rows, options)
    return rows


def _units(method: Method, units: int) -> int:
    return max(2, int(units * method.share))


def _run(method: Method, parts: Sequence[Floats]) -> Callable[[], object]:
    """Return a call that runs a method on each part by a worker of its own."""
    tasks = [
        method.prepare(
            part
            if method.share == 1
            else np.ascontiguousarray(part[..., : _units(method, part.shape[-1])])
        )
        for part in parts
    ]
    together = side_by_side if method.threads else in_processes
    return lambda: together(tasks)


if __name__ == "__main__":
    main()
