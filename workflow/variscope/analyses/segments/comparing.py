"""Comparisons of a segment's maps under a plane with those of the original.

Maps are ``(half, variable, channel, pixel)``; a correlation is across the pixels of a channel, of
maps from different halves of the replicates, which share no rows and so no noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np
from numpy.typing import NDArray

from variscope.estimators.halves import LEAST_RELIABILITY, Maps, correlations
from variscope.estimators.labels import DRAWN, EXACT
from variscope.estimators.resampling import permutation_p

Array = NDArray[np.float64]

RESAMPLES = 1000

# Other channels that each channel is held against, at most.
_OTHERS = 8


@dataclass(frozen=True)
class Comparison:
    """Cross-half correlations across pixels, channel by channel.

    Attributes:
        original, fed: between variables, ``(channel, variable, variable)``.
        kept: of each variable's map under the plane with the original's, ``(channel, variable)``.
        others: the same with other channels of the original, ``(channel, variable)``.
        reliability: of the maps under the plane, ``(variable,)``.
        corrected: ``kept``, its mean over channels, over the root of both reliabilities,
            ``(variable,)``.
    """

    original: Array
    fed: Array
    kept: Array
    others: Array
    reliability: Array
    corrected: Array


def compare(original: Array, fed: Array) -> Comparison:
    """Correlate maps of the original and of what was fed.

    Args:
        original, fed: ``(half, variable, channel, pixel)``; NaN where undefined.
    """
    count = original.shape[1]
    # A pixel is what is correlated over, and a channel has a correlation of its own.
    series = np.concatenate([original, fed], axis=1)
    scores = Maps(series.reshape(-1, *series.shape[2:])).scores()
    half_a, half_b = scores[: 2 * count], scores[2 * count :]
    between = correlations(half_a, half_b)
    cross = (between + between.swapaxes(1, 2)) / 2
    reliability = mean_over(np.diagonal(between, axis1=1, axis2=2))
    usable = np.where(reliability >= LEAST_RELIABILITY, reliability, np.nan)
    kept = np.diagonal(cross[:, :count, count:], axis1=1, axis2=2)
    return Comparison(
        cross[:, :count, :count],
        cross[:, count:, count:],
        kept,
        _with_others(half_a, half_b, count),
        reliability[count:],
        mean_over(kept) / np.sqrt(usable[:count] * usable[count:]),
    )


def _with_others(half_a: Array, half_b: Array, count: int) -> Array:
    """Correlate each channel's maps under the plane with other channels' of the original."""
    channels = half_a.shape[1]
    found = []
    for shift in range(1, min(channels, _OTHERS + 1)):
        one = half_a[count:] * np.roll(half_b[:count], shift, axis=1)
        other = half_b[count:] * np.roll(half_a[:count], shift, axis=1)
        found.append((one.sum(axis=-1) + other.sum(axis=-1)).T / 2)
    return mean_over(np.stack(found)) if found else np.full((channels, count), np.nan)


def mean_over(values: Array) -> Array:
    """Return the mean over the leading dimension of what is defined; NaN where nothing is."""
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(defined, values, 0).sum(axis=0) / defined.sum(axis=0)


def spread_over(values: Array) -> Array:
    """Return the standard deviation over the leading dimension of what is defined."""
    defined = np.isfinite(values)
    squares = np.where(defined, (values - mean_over(values)) ** 2, 0).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(squares / (defined.sum(axis=0) - 1))


def bootstrap_means(values: Array, rng: np.random.Generator, resamples: int = RESAMPLES) -> Array:
    """Return means over resampled channels, ``(resample, *any)``.

    Args:
        values: ``(channel, *any)``; NaN where undefined.
        rng: draws the channels, all of a resample together.
        resamples: how many.
    """
    channels = len(values)
    weights = rng.multinomial(channels, np.full(channels, 1 / channels), size=resamples)
    flat = values.reshape(channels, -1)
    defined = np.isfinite(flat)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (weights @ np.where(defined, flat, 0)) / (weights @ defined.astype(float))
    return means.reshape(resamples, *values.shape[1:])


def bounds(resampled: Array, level: float) -> tuple[Array, Array]:
    """Return the percentile interval of resampled values ``(resample, *any)``; NaN where NaN."""
    low, high = np.full(resampled.shape[1:], np.nan), np.full(resampled.shape[1:], np.nan)
    defined = np.isfinite(resampled).any(axis=0)
    if defined.any():
        ends = [(1 - level) / 2, (1 + level) / 2]
        low[defined], high[defined] = np.nanquantile(resampled[:, defined], ends, axis=0)
    return low, high


def triangle(matrices: Array) -> Array:
    """Return the pairs above the diagonal, ``(*any, pair)``, of ``(*any, variable, variable)``."""
    rows, columns = np.triu_indices(matrices.shape[-1], 1)
    return matrices[..., rows, columns]


def triangles_together(
    first: Array, second: Array, rng: np.random.Generator
) -> tuple[float, float, int]:
    """Correlate two matrices' triangles, and test it by permuted variables (Mantel 1967).

    The entries of a matrix depend on each other, so that rows and columns are permuted together.

    Args:
        first, second: ``(variable, variable)``, symmetric. Variables without any correlation are
            left out.
        rng: draws permutations where there are more than `labels.EXACT` variables.

    Returns:
        The correlation, p = (b + 1) / (B + 1) one-sided, and B + 1 permutations; NaN, NaN and 0
        with fewer than four variables, which have three pairs or less.
    """
    known = np.isfinite(first).any(axis=1) & np.isfinite(second).any(axis=1)
    first, second = (matrix[np.ix_(known, known)] for matrix in (first, second))
    count = len(first)
    usable = count >= 4 and bool(
        np.isfinite(triangle(first)).all() and np.isfinite(triangle(second)).all()
    )
    if not usable or np.ptp(triangle(first)) == 0 or np.ptp(triangle(second)) == 0:
        return np.nan, np.nan, 0
    if count <= EXACT:
        orders = np.array(list(permutations(range(count))))[1:]  # but for the observed one
    else:
        orders = rng.permuted(np.tile(np.arange(count), (DRAWN, 1)), axis=1)
    rows, columns = np.array(list(combinations(range(count), 2))).T
    centred = triangle(second) - triangle(second).mean()

    def together(values: Array) -> Array:
        apart = values - values.mean(axis=-1, keepdims=True)
        return (apart @ centred) / np.sqrt((apart**2).sum(axis=-1) * (centred**2).sum())

    observed = together(triangle(first))
    null = together(first[orders[:, rows], orders[:, columns]])
    return float(observed), float(permutation_p(observed, null)), len(orders) + 1
