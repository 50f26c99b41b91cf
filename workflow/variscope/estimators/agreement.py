"""Agreement of maps of images: on one grid, by rank and by their tops, against other images' maps.

Two maps of one image are brought to the coarser of both grids by area means (`pooled`) and compared
cell by cell: by Spearman's rank correlation (`rank_correlations`) and by the intersection over
union of their top shares (`top_overlaps`). Both give the scores S of all pairs of images: ``S[i,
j]`` holds the first map of image i against the second map of image j, so that the diagonal is of
own images and the rest of others'.

Maps of different images agree as well: objects stand in the middle, and a method has its habits.
What is about the image is the agreement with its own less that with other images (`of_own_images`).

Values of a map that differ by less than a millionth of its largest magnitude are equal: sums in
another order would tell them apart. A map that is constant in this sense has no agreement: NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from variscope.estimators.resampling import (
    MIN_CLUSTERS,
    Array,
    Labels,
    cluster_bootstrap,
    cluster_numbers,
    permutation_p,
)
from variscope.estimators.sampling import count_of

# Of a map's largest magnitude: smaller differences are rounding.
ROUNDING = 1e-6

Size = tuple[int, int]


def pooling_matrix(cells: int, to: int) -> Array:
    """Return the matrix of area means along an axis, ``(to, cells)``.

    Both divide [0, 1] evenly. Entry (i, j) is the share of the new cell i that the old cell j
    covers, whether or not one number divides the other; towards more cells it repeats values, and
    mixes them where an old border cuts a new cell.

    Example:
        >>> pooling_matrix(3, 2).round(3)
        array([[0.667, 0.333, 0.   ],
               [0.   , 0.333, 0.667]])
    """
    old = np.arange(cells + 1) / cells
    new = np.arange(to + 1) / to
    overlap = np.minimum(new[1:, None], old[1:]) - np.maximum(new[:-1, None], old[:-1])
    return np.asarray(np.clip(overlap, 0.0, None) * to)


def pooled(maps: ArrayLike, size: Size) -> Array:
    """Return maps ``(..., y, x)`` on another grid, ``(..., *size)``: means over the new cells."""
    found = np.asarray(maps, dtype=np.float64)
    if found.shape[-2:] == size:
        return found
    rows = pooling_matrix(found.shape[-2], size[0])
    columns = pooling_matrix(found.shape[-1], size[1])
    return np.asarray(rows @ found @ columns.T)


def coarser(first: Size, second: Size) -> Size:
    """Return the grid that both can be brought to: the fewer cells along each axis."""
    return min(first[0], second[0]), min(first[1], second[1])


def levels(maps: ArrayLike) -> Array:
    """Return the values of maps ``(n, ...)`` as whole numbers of `ROUNDING`, ``(n, cell)``.

    Of a map that is constant, or not finite, all are NaN.
    """
    found = np.asarray(maps, dtype=np.float64)
    found = found.reshape(len(found), -1)
    largest = np.abs(found).max(axis=1, keepdims=True, initial=0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        whole = np.round(found / largest / ROUNDING)
    spread = whole.max(axis=1, initial=-np.inf) - whole.min(axis=1, initial=np.inf)
    return np.where((spread > 0)[:, None], whole, np.nan)


def rank_correlations(first: Array, second: Array, *, each: bool = False) -> Array:
    """Return Spearman's correlations of all pairs of maps, ``(n, m)``; ties take average ranks.

    Args:
        first, second: `levels` of maps on one grid, ``(n, cell)`` and ``(m, cell)``.
        each: of maps at the same place alone, ``(n,)``.
    """
    return np.clip(_products(_standard_ranks, first, second, each)[0], -1.0, 1.0)


def _products(
    of: Callable[[Array], Array], first: Array, second: Array, each: bool
) -> tuple[Array, Array, Array]:
    """Return products of what is made of maps, ``(n, m)`` or ``(n,)``, and the sums of both.

    Maps that are equal have equal products, to the last bit: each is worked out once.
    """
    if each:
        one, two = of(first), of(second)
        return (one * two).sum(axis=1), one.sum(axis=1), two.sum(axis=1)
    distinct, back = zip(*(_distinct(values) for values in (first, second)), strict=True)
    one, two = (of(values) for values in distinct)
    return (
        (one @ two.T)[back[0]][:, back[1]],
        one.sum(axis=1)[back[0]][:, None],
        two.sum(axis=1)[back[1]],
    )


def _distinct(values: Array) -> tuple[Array, NDArray[np.int64]]:
    """Return maps without their repeats, and the place of each map among them."""
    first: dict[bytes, int] = {}
    at = [first.setdefault(row.tobytes(), k) for k, row in enumerate(values)]
    kept, back = np.unique(np.asarray(at, dtype=np.int64), return_inverse=True)
    return values[kept], back.reshape(-1)


def _standard_ranks(values: Array) -> Array:
    """Return ranks less their mean, of unit length; NaN where they are not defined."""
    from scipy.stats import rankdata  # costly to import

    ranks = rankdata(values, axis=1) - (values.shape[1] + 1) / 2
    length = np.sqrt((ranks**2).sum(axis=1, keepdims=True))
    defined = np.isfinite(values).all(axis=1, keepdims=True) & (length > 0)
    return np.divide(ranks, length, out=np.full_like(ranks, np.nan), where=defined)


def top_membership(values: Array, share: float) -> Array:
    """Return how far each cell is in the top share of its map, ``(n, cell)``, 0 to 1.

    The top are `variscope.estimators.sampling.count_of` cells. Where ties cross its border, the
    places that are left are shared equally among them, as random tie breaking does on average. The
    lowest value of a map is in no top, so that a map that is 0 but in a few cells has a smaller
    top, and not one that is filled up at random.

    Args:
        values: `levels` of maps, ``(n, cell)``.
        share: of the cells.
    """
    count = count_of(share, values.shape[1])
    border = -np.partition(-values, count - 1, axis=1)[:, count - 1 : count]
    above, tied = values > border, values == border
    left = count - above.sum(axis=1, keepdims=True)
    among = np.maximum(tied.sum(axis=1, keepdims=True), 1)
    members = above + tied * (border > values.min(axis=1, keepdims=True)) * left / among
    return np.where(np.isfinite(values).all(axis=1, keepdims=True), members, np.nan)


def top_overlaps(first: Array, second: Array, share: float, *, each: bool = False) -> Array:
    """Return intersection over union of the top shares of all pairs of maps, ``(n, m)``.

    Where ties cross a top's border, of the expected intersection under independent random tie
    breaking. Of two unrelated maps without ties it is q / (2 - q) for a share q, about.

    Args:
        first, second: `levels` of maps on one grid, ``(n, cell)`` and ``(m, cell)``.
        share: q, of the cells.
        each: of maps at the same place alone, ``(n,)``.
    """
    common, one, two = _products(lambda values: top_membership(values, share), first, second, each)
    return np.asarray(common / (one + two - common))


def chance_overlap(cells: int, share: float) -> float:
    """Return what `top_overlaps` is on average of unrelated maps without ties.

    The mean of I / (2k - I), where I of k cells are common: hypergeometric; about q / (2 - q).

    Example:
        >>> round(chance_overlap(64, 0.2), 3), chance_overlap(4, 0.1)
        (0.116, 0.25)
    """
    count = count_of(share, cells)
    ways = [math.comb(count, k) * math.comb(cells - count, count - k) for k in range(count + 1)]
    mean = sum(way * k / (2 * count - k) for k, way in enumerate(ways))
    return mean / math.comb(cells, count)


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
        others: the same of maps of two images: own less difference.
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

    def statistic(weights: Array) -> Array:
        mean = weights @ own / weights.sum(axis=1, keepdims=True)
        total = ((weights @ pairs) * weights).sum(axis=1)
        sums = [
            ((weights @ (pairs * kernel[..., k])) * weights).sum(axis=1)
            for k in range(kernel.shape[-1])
        ]
        with np.errstate(invalid="ignore", divide="ignore"):
            difference = np.stack(sums, axis=1) / total[:, None]
        return np.stack([mean, mean - difference, difference], axis=1)

    value = statistic(np.ones((1, len(own))))[0]
    low, high = cluster_bootstrap(statistic, cluster, rng=rng, resamples=resamples, level=level)
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
