r"""Effects of a treatment on units, from pairs of outputs: each image as it is, and treated.

Image i of n has the outputs x_i and y_i, and the difference d_i = y_i - x_i; where it was treated
several times, y_i is the mean, since the draws of one image are no independent sample. Differences
no larger than 8 * 2^-24 of the unit's root mean square are 0: they are the rounding of float32, and
would get ranks all the same. With R_i the rank of abs(d_i), ties sharing their mean rank,

    T = sum_i sign(d_i) R_i           (Wilcoxon 1945, Biometrics Bulletin 1: 80-83)
    r = 2 T / (n (n + 1))             matched-pairs rank-biserial (Kerby 2014, Compr. Psychol. 3: 1)

in which zeros split (half of their ranks on either side) as they cancel in T and count in n.

*Error of r.* T is half the sum over all pairs (i, j) of h_ij, the sign of the larger of the two in
magnitude (Hoeffding 1948, Ann. Math. Stat. 19: 293-325), whose row sums are

    c_i = sign(d_i) (R_i - 1/2) + sum of the signs of the differences larger than d_i
                                + half of that of the equally large ones
    se^2 = (2 / (n (n + 1)))^2 G / (G - 1) sum_g (sum of c_i - mean c over the images of g)^2

with the images of one source summed first, as their errors go together; G is the number of such
clusters, n where every image is its own.

*Interval.* r is 2 p - 1 of a share p. Wald's interval r -+ t se shrinks to nothing near -1 and 1,
where no pair disagrees; Wilson's (1927, J. Am. Stat. Assoc. 22: 209-212) does not. It is taken with
t of G - 1 degrees of freedom for a number of pairs m that has the error found,

    1 / m = (1 - w) max(se^2 / (1 - r^2), 1 / n) + w / G,     w = r^8

since near -1 and 1 nothing says how far the images of a cluster depend, and clusters are counted
(Korn and Graubard 1998, Survey Methodology 24: 193-201, have the first term). Simulated coverage of
95 % intervals was at least 95 % for 5 to 60 clusters of 1 to 6 images that share 0 to 95 % of their
variance, at any size of the effect, where Wald's was down to 5 %.

*p-values.* Where every image is a cluster: z = T / (2 s), s^2 = (n (n + 1) (2 n + 1) - t / 2) / 24
and t the sum of k^3 - k over ties of k, zeros among them, as in `scipy.stats.wilcoxon` with
``zero_method="zsplit", method="asymptotic"``. Where images share clusters, with T_g the sum of the
signed ranks of a cluster (Rosner, Glynn and Lee 2006, Biometrics 62: 185-192),

    z = T / sqrt(sum_g T_g^2),    z sqrt((G - 1) / (G - z^2)) by Student's t of G - 1 degrees

the second since z is a sum over its own root mean square, of G terms.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtr, stdtrit

from variscope.estimators.resampling import MIN_CLUSTERS, cluster_numbers
from variscope.vocabulary import CONSTANT, FINE, NOT_FINITE

Array = NDArray[np.float64]

# Of the root mean square of a unit's outputs: what float32 rounds in a sum of a few terms.
ROUNDING = 8 * 2.0**-24

# Differences of one chunk of units: its arrays then stay in the cache.
_CHUNK_BYTES = 2**20


class Effects(NamedTuple):
    """Effects of a treatment on each unit, ``(unit,)``; NaN where the status is not fine."""

    rank_biserial: Array
    low: Array
    high: Array
    p_value: Array
    point_biserial: Array
    status: NDArray[np.int8]


class SignedRanks(NamedTuple):
    """Differences of units sorted by magnitude, ``(unit, image)`` each but for the last.

    Attributes:
        image: which one stands at each place.
        sign: of its difference, -1, 0 or 1.
        rank: of its magnitude from 1 on, the mean rank of equal ones.
        up_to: sum of the signs of smaller magnitudes, and half of those of equal ones.
        ties: sum of k^3 - k over groups of k equal magnitudes, ``(unit,)``.
    """

    image: NDArray[np.int64]
    sign: Array
    rank: Array
    up_to: Array
    ties: Array


def paired_effects(
    plain: NDArray[np.floating[Any]],
    difference: NDArray[np.floating[Any]],
    cluster: NDArray[np.integer[Any]],
    level: float = 0.95,
) -> Effects:
    """Estimate the effect of a treatment on each unit.

    Args:
        plain: outputs of the images as they are, ``(image, unit)``.
        difference: mean output of the treated image less that, ``(image, unit)``; ranked in
            float32, in which networks compute, and summed in float64.
        cluster: which source each image comes from, ``(image,)``.
        level: of the intervals.

    Returns:
        The effects. Of a constant unit, which is always the same, treated or not, nothing is
        estimated; a unit that the treatment does not change has the effect 0, and p = 1. With fewer
        than `MIN_CLUSTERS` clusters all p-values are NaN, and with fewer than two the bounds.
    """
    n, units = plain.shape
    number, clusters = cluster_numbers(cluster)
    parts = [
        _effects(
            plain[:, start : start + chunk], difference[:, start : start + chunk], number, clusters
        )
        for chunk in [max(1, _CHUNK_BYTES // (8 * n))]
        for start in range(0, units, chunk)
    ]
    r, variance, p, point, status = (
        np.concatenate([part[k] for part in parts]) if parts else np.empty(0) for k in range(5)
    )
    low, high = rank_biserial_interval(r, variance, n, clusters, level)
    return Effects(r, low, high, p, point, status.astype(np.int8))


def rank_biserial_interval(
    r: Array, variance: Array, n: int, clusters: int, level: float
) -> tuple[Array, Array]:
    """Return the bounds of rank-biserial correlations, as the module says.

    Args:
        r: ``(unit,)``.
        variance: of r, its squared error, ``(unit,)``.
        n: images.
        clusters: of the images.
        level: of confidence.
    """
    if clusters < 2:
        return np.full_like(r, np.nan), np.full_like(r, np.nan)
    t = float(stdtrit(clusters - 1, (1 + level) / 2))
    rest = 1 - r**2
    spread = np.divide(variance, rest, out=np.zeros_like(r), where=rest > 0)
    near_one = r**8
    a = t**2 * ((1 - near_one) * np.maximum(spread, 1 / n) + near_one / clusters)
    half = np.sqrt(a * rest + a**2)
    return (r - half) / (1 + a), (r + half) / (1 + a)


def signed_ranks(difference: NDArray[np.float32]) -> SignedRanks:
    """Rank differences ``(unit, image)`` by magnitude, those of each unit among themselves.

    One integer holds a difference's magnitude, image and sign, the first in its upper half: as bit
    patterns, positive floats sort as numbers do. So one sort without indices is enough.
    """
    units, n = difference.shape
    key = np.abs(difference).view(np.uint32).astype(np.uint64)
    key <<= np.uint64(32)
    key |= (np.arange(n, dtype=np.uint64) << np.uint64(1)) | (difference < 0)
    key.sort(axis=1)
    size = (key >> np.uint64(32)).astype(np.uint32)
    low_half = key.astype(np.uint32)
    sign = 1 - 2 * (low_half & np.uint32(1)).astype(np.float64)
    sign[size == 0] = 0
    through = np.cumsum(sign, axis=1)
    zeros = n - np.count_nonzero(size, axis=1).astype(np.float64)
    ranked = SignedRanks(
        (low_half >> np.uint32(1)).astype(np.int64),
        sign,
        np.broadcast_to(np.arange(1, n + 1, dtype=np.float64), (units, n)),
        through - sign / 2,
        zeros**3 - zeros,
    )
    tied = ((size[:, 1:] == size[:, :-1]) & (size[:, 1:] > 0)).any(axis=1)
    if tied.any():
        ranked = ranked._replace(rank=ranked.rank.copy())
        _share_ranks(ranked, np.flatnonzero(tied), size, through)
    return ranked


def _share_ranks(
    ranked: SignedRanks, rows: NDArray[np.int64], size: NDArray[np.uint32], through: Array
) -> None:
    """Give equal magnitudes their mean rank in some rows, in place."""
    size, through = size[rows], through[rows]
    place = np.arange(size.shape[1])
    differs = size[:, 1:] != size[:, :-1]
    edge = np.ones((len(rows), 1), dtype=bool)
    first = np.where(np.concatenate([edge, differs], axis=1), place, 0)
    first = np.maximum.accumulate(first, axis=1)
    last = np.where(np.concatenate([differs, edge], axis=1), place, place[-1])
    last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    before = np.take_along_axis(through - ranked.sign[rows], first, axis=1)
    ranked.rank[rows] = (first + last) / 2 + 1
    ranked.up_to[rows] = (before + np.take_along_axis(through, last, axis=1)) / 2
    ranked.ties[rows] = ((last - first + 1.0) ** 2 - 1).sum(axis=1)


def _effects(
    plain: NDArray[np.floating[Any]],
    difference: NDArray[np.floating[Any]],
    number: NDArray[np.int64],
    clusters: int,
) -> tuple[Array, Array, Array, Array, NDArray[np.int64]]:
    """Return r, its variance, p, point-biserial and status of a chunk of units, ``(unit,)``."""
    n = len(plain)
    x = np.array(plain.T, dtype=np.float64, order="C")  # copies, which are written into
    d = np.array(difference.T, dtype=np.float64, order="C")
    xx, xd, dd = (np.einsum("ui,ui->u", *pair) for pair in ((x, x), (x, d), (d, d)))
    finite = np.isfinite(xx + dd)  # float32 is too small for its squares to overflow in float64
    x[~finite], d[~finite], xx[~finite], xd[~finite], dd[~finite] = 0, 0, 0, 0, 0
    square = (xx + xd + dd / 2) / n  # mean of x^2 and y^2
    d[np.abs(d) <= ROUNDING * np.sqrt(np.maximum(square, 0))[:, None]] = 0
    changed = np.asarray(d.any(axis=1))
    constant = ~changed
    constant[~changed] = np.ptp(x[~changed], axis=1) == 0
    point = _point_biserial(x, d)

    ranked = signed_ranks(d.astype(np.float32))
    signed = ranked.sign * ranked.rank
    total = signed.sum(axis=1)
    rows = signed - ranked.sign / 2 + ranked.sign.sum(axis=1, keepdims=True) - ranked.up_to
    rows -= rows.mean(axis=1, keepdims=True)
    scale = 2 / (n * (n + 1))
    variance = np.full(len(x), np.nan)
    if clusters > 1:
        sums = _by_cluster(rows, ranked.image, number, clusters)
        variance = scale**2 * clusters / (clusters - 1) * (sums**2).sum(axis=1)
    p = np.full(len(x), np.nan)
    if clusters >= MIN_CLUSTERS:
        if clusters == n:
            p = _wilcoxon_p(total, ranked.ties, n)
        else:
            p = _clustered_p(total, _by_cluster(signed, ranked.image, number, clusters))

    status = np.where(finite, np.where(constant, CONSTANT, FINE), NOT_FINITE)
    fine = status == FINE
    r, variance, p, point = (np.where(fine, a, np.nan) for a in (scale * total, variance, p, point))
    return r, variance, p, point, status


def _point_biserial(x: Array, d: Array) -> Array:
    """Correlate outputs ``(unit, image)`` with whether the image is treated.

    Both conditions have as many images, so that r = (mean y - mean x) / (2 s), s the standard
    deviation of all 2 n outputs (Tate 1954, Ann. Math. Stat. 25: 603-607).
    """
    mean = d.mean(axis=1)
    # The variance of all 2 n outputs, from those of x, which may lie far from 0, without it.
    x = x - x.mean(axis=1, keepdims=True)
    n = x.shape[1]
    xx, xd, dd = (np.einsum("ui,ui->u", *pair) / n for pair in ((x, x), (x, d), (d, d)))
    s = np.sqrt(np.maximum(xx + xd + dd / 2 - mean**2 / 4, 0))
    return np.divide(mean, 2 * s, out=np.zeros_like(mean), where=s > 0)


def _by_cluster(
    values: Array, image: NDArray[np.int64], number: NDArray[np.int64], clusters: int
) -> Array:
    """Sum sorted values ``(unit, image)`` over the images of each cluster, ``(unit, cluster)``."""
    if clusters == len(number):
        return values  # in another order, which no sum over clusters sees
    units = len(values)
    place = number[image] + clusters * np.arange(units)[:, None]
    sums = np.bincount(place.reshape(-1), values.reshape(-1), units * clusters)
    return sums.reshape(units, clusters).astype(np.float64, copy=False)


def _wilcoxon_p(total: Array, ties: Array, n: int) -> Array:
    s = np.sqrt((n * (n + 1) * (2 * n + 1) - ties / 2) / 24)
    return 2 * ndtr(-np.abs(total) / (2 * s))


def _clustered_p(total: Array, sums: Array) -> Array:
    clusters = sums.shape[1]
    square = (sums**2).sum(axis=1)
    z2 = np.divide(total**2, square, out=np.zeros_like(total), where=square > 0)
    rest = np.maximum(clusters - z2, 0)
    with np.errstate(divide="ignore"):
        t = np.sqrt(z2 * (clusters - 1) / rest)
    return 2 * stdtr(clusters - 1, -t)
