"""Time and memory of the paired effects of many units, beside scipy's test and sorting alone.

Run it by ``python -m benchmarks.contrast``.

`paired effects` is `variscope.estimators.paired.paired_effects`: signed ranks, the rank-biserial
correlation with its interval, p-values and the point-biserial correlation. `scipy` is
`scipy.stats.wilcoxon` alone, by chunks of as many units, and `sorting` numpy's sort of the
magnitudes, which every ranking does at least.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from statistics import mean
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wilcoxon
from variscope.estimators.paired import paired_effects

from benchmarks.measuring import Row, arguments, peak_bytes, write

OURS = "paired effects"
CHUNK = 128  # units that scipy and sorting take at once: then they are fastest here

NOTES = """
{units:,} units x {images:,} images, float32 in and float64 inside, seconds of the processor on one
thread, the mean of {turns} turns in which the methods take their turns. `differences`: normal;
normal where images come from clusters of five, for which scipy has no test; rounded to one decimal,
so that nearly all are tied; and of which 40 % are 0, as of ReLUs. `peak, MB` is beyond what goes
in, {input:,.0f} MB. `largest error of p` is the largest difference from scipy's p-value.
"""

Array = NDArray[Any]


def main(given: Sequence[str] | None = None) -> list[Row]:
    """Run the benchmark and return its table."""
    options = arguments((__doc__ or "").splitlines()[0], given)
    units, images, turns = (300, 50, 1) if options.quick else (200_000, 1_000, 2)
    rng = np.random.default_rng(0)
    plain = rng.standard_normal((images, units), dtype=np.float32)
    rows: list[Row] = []
    for name, difference, cluster in cases(rng, images, units):
        methods: dict[str, Callable[[], Array]] = {
            OURS: partial(effects_p, plain, difference, cluster),
            "scipy": partial(scipy_p, difference),
            "sorting": partial(sort_alone, difference),
        }
        taken: dict[str, list[float]] = {method: [] for method in methods}
        p_values = {}
        for _ in range(turns):
            for method, function in methods.items():
                start = process_time()
                p_values[method] = function()
                taken[method].append(process_time() - start)
        seconds = {method: mean(times) for method, times in taken.items()}
        independent = len(np.unique(cluster)) == images
        for method, function in methods.items():
            error = np.abs(p_values[OURS] - p_values["scipy"]).max()
            rows.append(
                {
                    "differences": name,
                    "method": method,
                    "seconds": seconds[method],
                    "over scipy": seconds[method] / seconds["scipy"],
                    "over sorting": seconds[method] / seconds["sorting"],
                    "peak, MB": peak_bytes(function) / 1e6 if method == OURS else "",
                    "largest error of p": (float(error) if independent and method == OURS else ""),
                }
            )
    notes = NOTES.format(
        units=units, images=images, turns=turns, input=2 * 4 * units * images / 1e6
    )
    write("contrast", "Paired effects of many units", notes, rows, options)
    return rows


def cases(
    rng: np.random.Generator, images: int, units: int
) -> Iterator[tuple[str, Array, NDArray[np.int64]]]:
    """Yield differences ``(image, unit)`` with the cluster of each image ``(image,)``."""
    normal = rng.standard_normal((images, units), dtype=np.float32)
    # Those that `paired_effects` takes for rounding would be ranked by scipy all the same.
    normal[np.abs(normal) < 1e-5] = 0
    alone = np.arange(images)
    yield "normal", normal, alone
    yield "clusters of five", normal, alone // 5
    yield "tied", np.round(normal, 1), alone
    normal *= rng.random((images, units), dtype=np.float32) >= 0.4
    yield "40 % zeros", normal, alone


def effects_p(plain: Array, difference: Array, cluster: NDArray[np.int64]) -> Array:
    """Estimate all effects, and return their p-values, ``(unit,)``."""
    return paired_effects(plain, difference, cluster).p_value


def scipy_p(difference: Array) -> Array:
    """Return scipy's p-values, ``(unit,)``."""
    return np.concatenate(
        [
            wilcoxon(part, axis=1, zero_method="zsplit", method="asymptotic").pvalue
            for part in chunks(difference)
        ]
    )


def sort_alone(difference: Array) -> Array:
    """Sort the magnitudes of each unit, and return the largest."""
    return np.concatenate(
        [np.sort(np.abs(part), axis=1)[:, -1].copy() for part in chunks(difference)]
    )


def chunks(difference: Array) -> Iterator[Array]:
    """Return differences of some units at a time in float64, ``(unit, image)``."""
    return (
        np.array(difference[:, start : start + CHUNK].T, dtype=np.float64, order="C")
        for start in range(0, difference.shape[1], CHUNK)
    )


if __name__ == "__main__":
    main()
