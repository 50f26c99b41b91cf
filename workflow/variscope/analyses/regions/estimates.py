"""From sums over masks to what is said of an image, and of several images together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from variscope.estimators.groups import group_indices
from variscope.estimators.halves import LEAST_RELIABILITY, LEAST_RESAMPLED
from variscope.estimators.indices import UnitIndices, half_indices, unit_indices
from variscope.estimators.intervals import Estimate, ratio
from variscope.estimators.moments import Moments
from variscope.estimators.resampling import cluster_bootstrap, cluster_numbers
from variscope.vocabulary import FINE

Array = NDArray[np.float64]

# What the cells that an answer is said to rest on hold at least, in the half that chooses them.
MOST = 0.5
RESAMPLES = 2000


@dataclass(frozen=True)
class Shared:
    """How the variance of scores over masks is shared out among cells.

    Attributes:
        moments: the sums, units ``(image, fill)``.
        units: indices with intervals, ``(cell, image, fill)``.
        halves: Shapley effects of the even and the odd replicates, ``(half, cell, image, fill)``.
        level: of confidence.
    """

    moments: Moments
    units: UnitIndices
    halves: Array
    level: float

    @classmethod
    def of(cls, moments: Moments, level: float) -> Shared:
        """Estimate the indices of all cells."""
        units = unit_indices(moments, level)
        halves = half_indices(moments, units.status == FINE)["shapley"]
        return cls(moments, units, halves, level)

    @property
    def shapley(self) -> Estimate:
        """Shapley effects with their intervals, ``(cell, image, fill)``."""
        return self.units.estimates["shapley"]

    def held(self, cells: Sequence[int], image: int, fill: int) -> tuple[float, float, float]:
        """Return what some cells hold together by half B, with its interval; NaN of no cells."""
        if not cells:
            return (np.nan, np.nan, np.nan)
        sums = self.moments.sums[self._odd][:, :, image : image + 1, fill]
        of = replace(self._half, sums=sums)
        status = np.full(1, FINE, dtype=np.int8)
        value, low, high = (e.item() for e in group_indices(of, [cells], status, self.level))
        return value, low, high

    def chosen(self, image: int, fill: int, count: int | None = None) -> list[int]:
        """Return the cells that hold most by half A, the largest first; none where it has none.

        Args:
            image, fill: of which.
            count: how many; by default the fewest that hold `MOST` of the variance.
        """
        held = self.halves[0, :, image, fill]
        if not np.isfinite(held).all():
            return []
        order = np.argsort(-held, kind="stable")
        if count is None:
            count = int(np.searchsorted(np.cumsum(held[order]), MOST * held.sum())) + 1
        return [int(cell) for cell in order[:count]]

    @property
    def interaction(self) -> Estimate:
        """1 less the sum of S1, what no cell holds by itself, ``(image, fill)``.

        Where a guard says that the interval of a cell's S1 is not known, it may be anything from 0
        to the upper end of its ST, and the interval here grows by as much, up to 0 and 1.
        """
        first, total = self.units.estimates["S1"], self.units.estimates["ST"]
        sums = self.moments.numerator("S1").sum(axis=1, keepdims=True)
        of = ratio(sums, self.moments.variance, self.moments.blocks, self.level)
        value, low, high = (1 - of.value[0], 1 - of.high[0], 1 - of.low[0])
        spoke = self.units.guards["S1"]
        more = np.where(spoke, np.maximum(first.value, 0), 0).sum(axis=0)
        less = np.where(spoke, np.maximum(total.high - first.value, 0), 0).sum(axis=0)
        fine = self.units.status == FINE
        low = np.minimum(low, np.maximum(low - less, 0))
        high = np.maximum(high, np.minimum(high + more, 1))
        return Estimate(*(np.where(fine, e, np.nan) for e in (value, low, high)))

    @property
    def _odd(self) -> NDArray[np.bool_]:
        return self.moments.replicates % 2 == 1

    @property
    def _half(self) -> Moments:
        of, odd = self.moments, self._odd
        names = ("replicates", "first", "blocks", "pair_counts", "moved")
        return replace(of, **{name: getattr(of, name)[odd] for name in names})


class Means(NamedTuple):
    """Means over images, with intervals that resample their clusters.

    Attributes:
        value, low, high: ``(*quantity)``; bounds are NaN with fewer than two clusters.
        n: clusters.
        inference: what intervals are over.
    """

    value: Array
    low: Array
    high: Array
    n: int
    inference: str


def means(
    values: Array, cluster: NDArray[np.int64], rng: np.random.Generator, level: float
) -> Means:
    """Return means over the images that have a value.

    Args:
        values: ``(image, *quantity)``; NaN where an image has none.
        cluster: of each image.
        rng: what resamples.
        level: of confidence.
    """
    held = np.isfinite(values).astype(float)
    known = np.where(held > 0, values, 0.0)

    def mean(weights: Array) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.tensordot(weights, known, 1) / np.tensordot(weights, held, 1)

    low, high = cluster_bootstrap(mean, cluster, rng=rng, resamples=RESAMPLES, level=level)
    value = mean(np.ones((1, len(values))))[0]
    return Means(value, low, high, *over(cluster))


def over(cluster: NDArray[np.int64]) -> tuple[int, str]:
    """Return the number of clusters, and say what intervals are over."""
    count = cluster_numbers(cluster)[1]
    what = "images" if count == len(cluster) else f"clusters of {len(cluster)} images"
    return count, f"{what}, {RESAMPLES:,} resamples"


class Agreement(NamedTuple):
    """How alike two kinds of maps of the same images rank regions.

    Attributes:
        own: rank correlation on each image, across halves, ``(image,)``.
        others: mean of those with the second map of images of other clusters, ``(image,)``.
        first, second: of each kind the correlation of its halves, ``(image,)``.
    """

    own: Array
    others: Array
    first: Array
    second: Array


def agreement(first: Array, second: Array, cluster: NDArray[np.int64]) -> Agreement:
    """Correlate the ranks of regions, of maps from halves that share no masks.

    Maps of the same masks err together, and would agree where the truths do not; the halves of each
    with the other's do not (`variscope.estimators.halves`).

    Args:
        first, second: Shapley effects, ``(half, region, image)``.
        cluster: of each image; what images have in common is told by those of other clusters.
    """
    a, b = scores(first), scores(second)
    across = (a[0] @ b[1].T + a[1] @ b[0].T) / 2  # (image of the first, image of the second)
    apart = (cluster[:, None] != cluster) & np.isfinite(across)
    count = apart.sum(axis=1)
    total = np.where(apart, across, 0.0).sum(axis=1)
    others = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return Agreement(
        np.diagonal(across).copy(), others, (a[0] * a[1]).sum(axis=1), (b[0] * b[1]).sum(axis=1)
    )


def scores(maps: Array) -> Array:
    """Return ranks whose products sum to Spearman's correlation, ``(half, image, region)``.

    Args:
        maps: ``(half, region, image)``. NaN where a map is undefined, or the same everywhere.
    """
    ranks = np.moveaxis(rankdata(maps, axis=1), 1, 2)
    ranks = ranks - ranks.mean(axis=2, keepdims=True)
    norm = np.sqrt((ranks**2).sum(axis=2, keepdims=True))
    known = np.isfinite(maps.sum(axis=1))[..., None] & (norm > 0)
    return np.asarray(np.divide(ranks, norm, out=np.full(ranks.shape, np.nan), where=known))


def summarised(
    found: Agreement, cluster: NDArray[np.int64], rng: np.random.Generator, level: float
) -> dict[str, Any]:
    """Return mean correlations over images with their intervals, the columns of ``fills``."""
    values = np.stack([found.own, found.others, found.own - found.others], axis=1)
    mean = means(values, cluster, rng, level)
    both = np.stack([found.own, found.first, found.second], axis=1)
    held: NDArray[np.bool_] = np.isfinite(np.sum(both, axis=1))
    both = np.where(held[:, None], both, 0.0)

    def corrected(weights: Array, least: float) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):
            own, *halves = (weights @ both / (weights @ held)[:, None]).T
        root = [np.sqrt(np.where(half >= least, half, np.nan)) for half in halves]
        return np.asarray(own / (root[0] * root[1]))

    def bounded(weights: Array) -> Array:
        own, *halves = (weights @ both / np.maximum(weights @ held, 1)[:, None]).T
        roots = [np.sqrt(np.maximum(half, LEAST_RESAMPLED)) for half in halves]
        return np.asarray(own / (roots[0] * roots[1]))

    everything = np.ones((1, len(both)))
    estimate = corrected(everything, LEAST_RELIABILITY)[0]
    low, high = cluster_bootstrap(bounded, cluster, rng=rng, resamples=RESAMPLES, level=level)
    known = np.isfinite(estimate)
    with np.errstate(invalid="ignore"):
        reliability = np.sqrt(np.prod(np.maximum(everything @ both / held.sum(), 0)[0, 1:]))
    return {
        "correlation": mean.value[0],
        "low": mean.low[0],
        "high": mean.high[0],
        "corrected": estimate,
        "corrected_low": low.item() if known else np.nan,
        "corrected_high": high.item() if known else np.nan,
        "reliability": reliability if held.any() else np.nan,
        "others": mean.value[1],
        "beyond": mean.value[2],
        "beyond_low": mean.low[2],
        "beyond_high": mean.high[2],
        "n": mean.n,
        "inference": mean.inference,
    }
