"""Resampling: permutation p-values, bootstraps and sign flips of clusters, many tests at once.

Images that come from one source are no independent sample: what is resampled, or flipped, is a
whole cluster of them. With fewer than `MIN_CLUSTERS` clusters no p-value over images is given.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

Array = NDArray[np.float64]
Labels = NDArray[np.integer[Any]]

# With fewer clusters of images there are effects and intervals, and no p-values over images.
MIN_CLUSTERS = 20

# Statistics that are equal but for rounding count as ties.
_ROUNDING = 1e-12


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """Return a generator of its own for each purpose, whatever else was drawn before.

    Args:
        seed: of the study.
        purpose: texts and numbers that say what is drawn, such as the analysis, layer and variable.
    """
    numbers = [part if isinstance(part, int) else zlib.crc32(part.encode()) for part in purpose]
    return np.random.default_rng([seed, *numbers])


def cluster_numbers(cluster: Labels) -> tuple[NDArray[np.int64], int]:
    """Return each image's cluster, numbered from 0, ``(n,)``, and how many there are."""
    distinct, number = np.unique(cluster, return_inverse=True)
    return number.reshape(-1).astype(np.int64), len(distinct)


def permutation_p(
    observed: Array, null: Array, side: Literal["greater", "two-sided"] = "greater"
) -> Array:
    """Return p = (b + 1) / (B + 1), b of B permutations at least as extreme as what was observed.

    Never 0 (Phipson and Smyth 2010, Stat. Appl. Genet. Mol. Biol. 9: 39, eq. 2).

    Args:
        observed: the statistic, ``(*unit)``.
        null: the same under each permutation, ``(permutation, *unit)``.
        side: whether large values speak against the null, or values far from 0.

    Returns:
        ``(*unit)``; NaN where the observed value, or one of the null, is.
    """
    observed, null = np.asarray(observed, dtype=float), np.asarray(null, dtype=float)
    if side == "two-sided":
        observed, null = np.abs(observed), np.abs(null)
    b = (null >= observed - _ROUNDING * np.abs(observed)).sum(axis=0)
    p = (b + 1) / (len(null) + 1)
    return np.where(np.isnan(observed) | np.isnan(null).any(axis=0), np.nan, p)


def cluster_weights(cluster: Labels, resamples: int, rng: np.random.Generator) -> Array:
    """Draw as many clusters as there are, with replacement, again and again.

    Args:
        cluster: of each image, ``(n,)``.
        resamples: how many times.
        rng: what draws.

    Returns:
        How often each image is in each resample, ``(resample, n)``: images of one cluster equally.
    """
    number, count = cluster_numbers(cluster)
    drawn = rng.integers(count, size=(resamples, count))
    places = drawn + count * np.arange(resamples)[:, None]
    times = np.bincount(places.reshape(-1), minlength=resamples * count)
    return times.reshape(resamples, count)[:, number].astype(np.float64)


def cluster_bootstrap(
    statistic: Callable[[Array], Array],
    cluster: Labels,
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
    level: float = 0.95,
) -> tuple[Array, Array]:
    """Return the bounds of an interval of a statistic over images, by resampling clusters.

    The interval is the percentile one, with its percentiles moved out as a t interval of that few
    clusters is wider than a normal one (Hesterberg 2015, Am. Stat. 69: 371-386, "expanded
    percentile"): with G clusters the percentiles are Phi(-+ sqrt(G / (G - 1)) t), t of G - 1
    degrees of freedom.

    Args:
        statistic: from how often each image counts ``(resample, n)`` the statistic of each
            resample, ``(resample, *unit)``. The mean of values ``(n, *unit)`` is
            ``lambda w: w @ values / w.sum(axis=1, keepdims=True)``.
        cluster: of each image, ``(n,)``.
        rng: what draws, `generator`.
        resamples: how many.
        level: of confidence.

    Returns:
        Lower and upper bound, ``(*unit)`` each; NaN where there are fewer than two clusters.
        Resamples whose statistic is NaN are left out.
    """
    _, count = cluster_numbers(cluster)
    found = np.asarray(statistic(cluster_weights(cluster, resamples, rng)), dtype=float)
    if count < 2:
        return np.full(found.shape[1:], np.nan), np.full(found.shape[1:], np.nan)
    t = float(stdtrit(count - 1, (1 + level) / 2))
    tail = float(ndtr(-np.sqrt(count / (count - 1)) * t))
    defined = ~np.isnan(found).all(axis=0)
    low, high = np.full(found.shape[1:], np.nan), np.full(found.shape[1:], np.nan)
    if defined.any():
        # The one that passes over NaN goes from unit to unit, and takes twenty times as long.
        quantile = np.nanquantile if np.isnan(found[:, defined]).any() else np.quantile
        low[defined], high[defined] = quantile(found[:, defined], [tail, 1 - tail], axis=0)
    return low, high


def sign_flip_p(
    values: Array, cluster: Labels, *, rng: np.random.Generator, resamples: int = 9999
) -> Array:
    """Return two-sided p-values of a mean of 0, by flipping the signs of whole clusters.

    Args:
        values: paired differences, ``(n, *unit)``.
        cluster: of each image, ``(n,)``.
        rng: what draws the signs, `generator`.
        resamples: how many flips; the p-value is at least 1 / (resamples + 1).

    Returns:
        ``(*unit)``; NaN with fewer than `MIN_CLUSTERS` clusters, and where values are NaN.
    """
    number, count = cluster_numbers(cluster)
    values = np.asarray(values, dtype=float)
    if count < MIN_CLUSTERS:
        return np.full(values.shape[1:], np.nan)
    sums = np.zeros((count, *values.shape[1:]))
    np.add.at(sums, number, values)
    signs = rng.integers(2, size=(resamples, count)) * 2.0 - 1
    null = np.tensordot(signs, sums, axes=1)
    return permutation_p(sums.sum(axis=0), null, "two-sided")


def benjamini_hochberg(p: Array) -> Array:
    """Adjust p-values of any shape for the false discovery rate of independent tests.

    Benjamini and Hochberg (1995, J. R. Statist. Soc. B 57: 289-300). NaN are no tests: they stay
    NaN, and are not counted.
    """
    return _adjusted(p, "bh")


def benjamini_yekutieli(p: Array) -> Array:
    """Adjust p-values of any shape for the false discovery rate, however the tests depend.

    Benjamini and Yekutieli (2001, Ann. Stat. 29: 1165-1188, theorem 1.3). NaN are no tests: they
    stay NaN, and are not counted.
    """
    return _adjusted(p, "by")


def _adjusted(p: Array, method: Literal["bh", "by"]) -> Array:
    adjusted = np.asarray(p, dtype=float).copy()
    tested = ~np.isnan(adjusted)
    if tested.any():
        from scipy.stats import false_discovery_control  # costly to import

        adjusted[tested] = false_discovery_control(adjusted[tested], method=method)
    return adjusted
