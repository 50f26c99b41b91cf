"""Agreement of maps of images: on one grid, by rank and by their tops, against other images' maps.

Two maps of one image are brought to the coarser of both grids by area means (`pooled`) and compared
cell by cell: by Spearman's rank correlation (`rank_correlations`) and by the intersection over
union of their top shares (`top_overlaps`). Both give the scores S of all pairs of images: ``S[i,
j]`` holds the first map of image i against the second map of image j, so that the diagonal is of
own images and the rest of others'. What of that is about the image, and not common to all, is in
`variscope.estimators.own_images`.

Values of a map that differ by less than a millionth of its largest magnitude are equal: sums in
another order would tell them apart. A map that is constant in this sense has no agreement: NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from variscope.estimators.resampling import Array
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
        >>> round(chance_overlap(64, 0.2), 3), round(chance_overlap(4, 0.1), 3)
        (0.117, 0.25)
    """
    from scipy.stats import hypergeom  # costly to import

    count = count_of(share, cells)
    common = np.arange(count + 1)
    chances = hypergeom.pmf(common, cells, count, count)
    return float((chances * common / (2 * count - common)).sum())
