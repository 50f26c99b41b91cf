"""What maps of one image have in common beyond maps of two images, and means over images.

Maps of different images agree as well: objects stand in the middle, and a method has its habits.
What is about the image is the agreement with its own less that with other images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from variscope.estimators.resampling import (
    MIN_CLUSTERS,
    Array,
    Labels,
    cluster_bootstrap,
    cluster_numbers,
    permutation_p,
)


class Interval(NamedTuple):
    """Values with their bounds, ``(*statistic)`` each."""

    value: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class OwnImages:
    """What maps of one image have in common beyond maps of two images.

    Attributes:
        own: mean score of an image's two maps.
        others: the same of maps of two images: own less difference, which is the mean over pairs
            where clusters are equally large.
        difference: own less others, paired.
        p: that the second maps could be of any image; NaN with fewer than `MIN_CLUSTERS` clusters.
    """

    own: Interval
    others: Interval
    difference: Interval
    p: Array


def of_own_images(
    scores: Array,
    cluster: Labels,
    *,
    rng: np.random.Generator,
    level: float,
    among: NDArray[np.bool_] | None = None,
    resamples: int = 2000,
) -> OwnImages:
    """Hold the agreement of an image's maps against that of maps of two images.

    The difference is the mean of h(i, j) = (S_ii + S_jj - S_ij - S_ji) / 2 over pairs of images
    of different clusters: a U statistic of order 2 (Hoeffding 1948, Ann. Math. Stat. 19: 293-325,
    section 5). It is exactly 0 where a score is a sum of a part of either image, as it is where one
    of the maps is the same for all. Clusters are resampled, and a pair counts as often as both its
    images do: an interval over the images' own differences would take their means over the others
    for independent, which share these others.

    Args:
        scores: ``(n, n, *statistic)``, finite.
        cluster: of each image, ``(n,)``.
        rng: what draws, `variscope.estimators.resampling.generator`.
        level: of confidence.
        among: pairs that count, ``(n, n)``, such as those of one class; all by default.
        resamples: how many.

    Returns:
        Means and intervals, ``(*statistic)``; NaN where there is no pair.
    """
    shape = scores.shape[2:]
    flat = np.asarray(scores, dtype=np.float64).reshape(*scores.shape[:2], -1)
    number, count = cluster_numbers(cluster)
    pairs = (number[:, None] != number).astype(np.float64)
    if among is not None:
        pairs *= among & among.T
    own = flat[np.arange(len(flat)), np.arange(len(flat))]
    # In this order a sum of parts of either image gives 0 to the last bit.
    kernel = ((own[:, None] - flat) + (own - flat.transpose(1, 0, 2))) / 2

    def over_pairs(values: Array, weights: Array) -> Array:
        total = ((weights @ pairs) * weights).sum(axis=1)
        sums = [
            ((weights @ (pairs * values[..., k])) * weights).sum(axis=1)
            for k in range(values.shape[-1])
        ]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.stack(sums, axis=1) / total[:, None])

    def statistic(weights: Array) -> Array:
        mean = weights @ own / weights.sum(axis=1, keepdims=True)
        return np.stack([mean, over_pairs(flat, weights), over_pairs(kernel, weights)], axis=1)

    value = statistic(np.ones((1, len(own))))[0]
    low, high = cluster_bootstrap(statistic, cluster, rng=rng, resamples=resamples, level=level)
    # Where clusters differ in size, pairs weight images otherwise than the mean over images does.
    shift = value[0] - value[2] - value[1]
    for bound in (value, low, high):
        bound[1] += shift
    value[1] = value[0] - value[2]
    own_mean, others, difference = (
        Interval(*(bound[k].reshape(shape) for bound in (value, low, high))) for k in range(3)
    )
    p = np.full(shape, np.nan)
    if among is None and count >= MIN_CLUSTERS:
        p = pairing_p(flat, cluster, rng=rng).reshape(shape)
    return OwnImages(own_mean, others, difference, p)


def mean_interval(
    values: Array, cluster: Labels, *, rng: np.random.Generator, level: float, resamples: int = 2000
) -> Interval:
    """Return the mean over images of values ``(n, *statistic)``, with its interval over clusters.

    Args:
        values: finite; of no image at all the mean is NaN.
        cluster: of each image, ``(n,)``.
        rng: what draws; the same for values that are compared.
        level: of confidence.
        resamples: how many.
    """
    shape = np.shape(values)[1:]
    flat = np.asarray(values, dtype=np.float64).reshape(len(values), math.prod(shape))
    if not len(flat):
        return Interval(*(np.full(shape, np.nan) for _ in range(3)))
    low, high = cluster_bootstrap(
        lambda weights: weights @ flat / weights.sum(axis=1, keepdims=True),
        cluster,
        rng=rng,
        resamples=resamples,
        level=level,
    )
    return Interval(flat.mean(axis=0).reshape(shape), low.reshape(shape), high.reshape(shape))


def pairing_p(
    scores: Array, cluster: Labels, *, rng: np.random.Generator, resamples: int = 1999
) -> Array:
    """Return two-sided p-values that the second maps could be of any image.

    Whole clusters of second maps are given to other clusters at random, image by image in their
    order; a smaller cluster's images are taken again where the other one has more. What is compared
    is the mean score, from its mean over all assignments. Signs of differences cannot be flipped
    instead: they share the other images' maps.

    Args:
        scores: ``(n, n, statistic)``.
        cluster: of each image, ``(n,)``.
        rng: what draws.
        resamples: how many assignments beside that of the images themselves.
    """
    number, count = cluster_numbers(cluster)
    order = np.argsort(number, kind="stable")
    sizes = np.bincount(number, minlength=count)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    within = np.empty(len(number), dtype=np.int64)
    within[order] = np.arange(len(number)) - np.repeat(starts, sizes)
    rows = np.arange(len(number))
    found = np.empty((resamples + 1, scores.shape[-1]))
    for k in range(resamples + 1):
        given = rng.permutation(count) if k else np.arange(count)
        partner = given[number]
        found[k] = scores[rows, order[starts[partner] + within % sizes[partner]]].mean(axis=0)
    apart = found - found.mean(axis=0)
    apart[np.abs(apart) < 1e-12] = 0.0  # the same terms, summed in another order
    return permutation_p(apart[0], apart[1:], "two-sided")


def area_under(fractions: Array, scores: Array) -> Array:
    """Return the area under curves ``(..., fraction)`` over [0, 1], by trapezoids."""
    return np.asarray(np.trapezoid(scores, fractions, axis=-1))
