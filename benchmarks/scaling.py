"""How the time and memory of the sums and of the indices grow.

Run it by ``python -m benchmarks.scaling``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from variscope.estimators import Layout, Moments, unit_indices

from benchmarks.measuring import Row, arguments, exponent, peak_bytes, seconds, write

BASE = {"units": 4096, "blocks": 256, "variables": 8, "replicates": 8}
STEPS = {
    "units": (4096, 8192, 16384, 32768),
    "blocks": (128, 256, 512, 1024),
    "variables": (4, 8, 16, 32),
    "replicates": (4, 8, 16, 32),
}

NOTES = """
The cycle, float32 activations in memory; one size is changed, the others stay at {base}. `sums`
is `Moments.update` on all blocks of all replicates, 16 blocks per call, `indices` is `unit_indices`
with intervals. Bytes are the rise of the process's resident memory at its peak, beyond the
activations of one call (for `sums`) and beyond the moments (for `indices`). `exponent` is the
slope in log-log coordinates over the four sizes: 1 is in proportion. Over variables, the rows of
a block grow by 1 and the sums of pairs by 2. Medians of {repeats} after a warm-up, one thread.
"""

COSTS = ("sums, ms", "sums, MB", "indices, ms", "indices, MB")


def main(given: Sequence[str] | None = None) -> list[Row]:
    """Run the benchmark and return its table."""
    options = arguments(__doc__ or "", given)
    base, repeats = dict(BASE), 5
    steps: dict[str, tuple[int, ...]] = dict(STEPS)
    if options.quick:
        base, repeats = {"units": 64, "blocks": 8, "variables": 3, "replicates": 2}, 1
        steps = {"units": (64, 256), "replicates": (2, 4)}
    _measure(1, **{**base, "units": 8, "blocks": base["replicates"]})  # compiles
    rows: list[Row] = []
    for name, values in steps.items():
        found: list[Row] = [{"grows": name, **(sizes := {**base, name: value}),
                  **_measure(repeats, **sizes)} for value in values]  # fmt: skip
        for cost in COSTS:
            slope = exponent(values, [max(row[cost], 1e-9) for row in found])
            for row in found:
                row[f"exponent of {cost}"] = slope
        rows += found
    notes = NOTES.format(base=base, repeats=repeats)
    write("scaling", "Growth of time and memory", notes, rows, options)
    return rows


def _measure(
    repeats: int, units: int, blocks: int, variables: int, replicates: int
) -> dict[str, float]:
    layout = Layout("cycle", variables)
    random = np.random.default_rng(0)
    at_once = min(16, blocks // replicates)
    outputs = random.normal(size=(at_once, layout.rows, units)).astype(np.float32)
    order = random.permuted(np.tile(np.arange(variables), (at_once, 1)), axis=1)

    def add() -> Moments:
        moments = Moments.zeros(layout, range(replicates), (units,))
        for replicate in range(replicates):
            for _ in range(blocks // replicates // at_once):
                moments.update(replicate, outputs, order)
        return moments

    moments = add()

    def estimate() -> None:
        unit_indices(moments, 0.95)

    return {
        "sums, ms": 1e3 * seconds(add, repeats),
        "sums, MB": peak_bytes(add) / 1e6,
        "indices, ms": 1e3 * seconds(estimate, repeats),
        "indices, MB": peak_bytes(estimate) / 1e6,
    }


if __name__ == "__main__":
    main()
