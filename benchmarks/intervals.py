"""Coverage and error of two ways to make one interval of all replicates.

Run it by ``python -m benchmarks.intervals``.

`ratio of sums` is what `variscope.estimators.ratio` gives: sums over all replicates, the standard
error by linearisation. `mean of ratios` takes an index of each replicate, their mean and spread.
"""

from __future__ import annotations

from collections.abc import Sequence

import closed_forms
import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit
from variscope.estimators import Moments, unit_indices

from benchmarks.measuring import Row, arguments, write

REPLICATES, LEVEL = 16, 0.95
INDICES = ("S1", "ST", "shapley")

NOTES = """
The cycle on closed forms, {replicates} replicates, each an independently scrambled Sobol'
sequence, {seeds} seeds, level 0.95. `coverage` is the share of intervals that hold the exact
index, over seeds and variables, with `low` its lowest for one variable; `rms error` is over the
same. `error ratio` divides by the ratio of sums' error. One standard error of a coverage of 0.95
of one variable is {noise:.3f}.
"""


def main(given: Sequence[str] | None = None) -> list[Row]:
    """Run the benchmark and return its table."""
    options = arguments((__doc__ or "").splitlines()[0], given)
    seeds, sizes = (20, (4,)) if options.quick else (400, (4, 16, 64))
    rows: list[Row] = []
    for case in (closed_forms.g_function(), closed_forms.ishigami()):
        exact = np.array([getattr(case, name) for name in INDICES])  # (index, variable)
        for size in sizes:
            all_moments = [
                closed_forms.sums_of(
                    case, blocks=size * REPLICATES, replicates=REPLICATES, seed=seed
                )
                for seed in range(seeds)
            ]
            found = {
                "ratio of sums": np.array([_ratio_of_sums(moments) for moments in all_moments]),
                "mean of ratios": np.array([_mean_of_ratios(moments) for moments in all_moments]),
            }
            rows += _compare(case.name, size, exact, found)
    noise = float(np.sqrt(0.95 * 0.05 / seeds))
    notes = NOTES.format(replicates=REPLICATES, seeds=seeds, noise=noise)
    write("intervals", "Intervals over replicates", notes, rows, options)
    return rows


def _ratio_of_sums(moments: Moments) -> NDArray[np.float64]:
    """Return value, low and high, ``(3, index, variable)``, of the one unit."""
    indices = unit_indices(moments, LEVEL)
    estimates = [indices.estimates[name] for name in INDICES]
    # Of an Estimate (value, low, high), each (variable, 1).
    return np.stack([np.stack(estimate)[..., 0] for estimate in estimates], axis=1)


def _mean_of_ratios(moments: Moments) -> NDArray[np.float64]:
    """Return the same from an index of each replicate."""
    # (replicate, index, variable)
    each = np.stack(
        [moments.numerator(name)[..., 0] / moments.variance for name in INDICES], axis=1
    )
    mean = each.mean(axis=0)
    reach = stdtrit(REPLICATES - 1, (1 + LEVEL) / 2) * each.std(axis=0, ddof=1) / REPLICATES**0.5
    return np.stack([mean, mean - reach, mean + reach])


def _compare(
    name: str, size: int, exact: NDArray[np.float64], found: dict[str, NDArray[np.float64]]
) -> list[Row]:
    """Return a row per index and method; ``found`` is ``(seed, 3, index, variable)``."""
    rows: list[Row] = []
    for at, index in enumerate(INDICES):
        for method, estimates in found.items():
            value, low, high = estimates[:, :, at].swapaxes(0, 1)
            inside = ((low <= exact[at]) & (exact[at] <= high)).mean(axis=0)
            rows.append(
                {
                    "function": name,
                    "blocks per replicate": size,
                    "index": index,
                    "method": method,
                    "coverage": float(inside.mean()),
                    "low": float(inside.min()),
                    "rms error": float(np.sqrt(((value - exact[at]) ** 2).mean())),
                }
            )
        for row in rows[-2:]:
            row["error ratio"] = row["rms error"] / rows[-2]["rms error"]
    return rows


if __name__ == "__main__":
    main()
