"""Scores of folds: intervals that allow for shared rows, and how many features are enough.

Scores of the folds of a cross-validation are no independent sample: any two folds are trained on
mostly the same rows. The variance of their mean is larger than s^2 / J by what they share, and a t
interval of J independent scores too short, the more so the more often the folds are drawn anew. No
unbiased estimate exists (Bengio, Grandvalet 2004, J. Mach. Learn. Res. 5: 1089-1105). With the
correlation n_test / (n_test + n_train) of any two scores

    mean +- t(J - 1) s sqrt(1 / J + n_test / n_train)

(Nadeau and Bengio 2003, Mach. Learn. 52: 239-281, the corrected resampled t test; for repeated
cross-validation Bouckaert and Frank 2004, PAKDD, LNCS 3056: 3-12).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Array = NDArray[np.float64]


class Mean(NamedTuple):
    """A mean over folds with its confidence bounds, and over how many folds it is."""

    value: float
    low: float
    high: float
    n: int


def corrected_mean(scores: Array, test_over_train: float, level: float) -> Mean:
    """Return the mean of folds' scores, or of their differences, with the corrected interval.

    Args:
        scores: one a fold, ``(fold,)``; NaN are left out.
        test_over_train: rows of a fold that are tested over those that are trained on.
        level: of confidence.

    Returns:
        Bounds are NaN with fewer than two folds.

    Example:
        >>> found = corrected_mean(np.array([0.9, 0.92, 0.88, 0.95, 0.9]), 0.25, 0.95)
        >>> [round(bound, 3) for bound in found[:3]]
        [0.91, 0.861, 0.959]
    """
    known = np.asarray(scores, dtype=np.float64)
    known = known[~np.isnan(known)]
    count = len(known)
    if not count:
        return Mean(np.nan, np.nan, np.nan, 0)
    value = float(known.mean())
    if count < 2:
        return Mean(value, np.nan, np.nan, count)
    t = float(stdtrit(count - 1, (1 + level) / 2))
    half = t * float(known.std(ddof=1)) * float(np.sqrt(1 / count + test_over_train))
    return Mean(value, value - half, value + half, count)


def corrected_jackknife(
    statistic: Callable[[NDArray[np.int64]], float],
    folds: int,
    test_over_train: float,
    level: float,
) -> Mean:
    """Return a statistic of several folds together, with the corrected interval.

    That of the jackknife's pseudo-values J theta - (J - 1) theta without fold j (Tukey 1958, Ann.
    Math. Stat. 29: 614); of a mean it is `corrected_mean`.

    Args:
        statistic: from numbers of folds its value.
        folds: how many there are.
        test_over_train, level: as of `corrected_mean`.

    Returns:
        The statistic of all folds; bounds are NaN with fewer than three folds.
    """
    every = np.arange(folds)
    whole = statistic(every)
    if folds < 3:
        return Mean(whole, np.nan, np.nan, folds)
    without = np.array([statistic(np.delete(every, fold)) for fold in every])
    found = corrected_mean(folds * whole - (folds - 1) * without, test_over_train, level)
    shift = whole - found.value  # the interval is about the statistic, not its jackknife estimate
    return Mean(whole, found.low + shift, found.high + shift, folds)


def one_standard_error(scores: Array) -> int:
    """Return the first number whose mean is within one standard error of the best mean.

    Breiman, Friedman, Olshen and Stone (1984, Classification and Regression Trees, section 3.4.3):
    the smallest model of those that cannot be told from the best.

    Args:
        scores: of the folds for each number of features, ascending, ``(fold, number)``.

    Returns:
        The place of the number; the last one where no mean is known.

    Example:
        >>> one_standard_error(np.array([[0.5, 0.92, 0.91], [0.6, 0.93, 0.96], [0.5, 0.91, 0.92]]))
        1
    """
    means = np.where(np.isnan(scores).all(axis=0), -np.inf, _mean(scores))
    best = int(means.argmax())
    if not np.isfinite(means[best]):
        return scores.shape[1] - 1
    known = scores[~np.isnan(scores[:, best]), best]
    error = known.std(ddof=1) / np.sqrt(len(known)) if len(known) > 1 else 0.0
    return int(np.flatnonzero(means >= means[best] - error)[0])


def smallest_not_worse(
    scores: Array, margin: float, test_over_train: float, level: float
) -> tuple[int, list[Mean]]:
    """Return the smallest number of features that is not worse than all by more than a margin.

    Numbers are tested from the largest down, each by whether the interval of the paired difference
    to all features lies above -margin, and the first that fails ends it: in a fixed sequence each
    test may have the whole error (Maurer, Hothorn and Lehmacher 1995, Biometrie in der
    chemisch-pharmazeutischen Industrie 6: 3-18; Westfall and Krishen 2001, J. Stat. Plan. Inference
    99: 25-40). A smaller number that passes by luck beyond one that does not is not taken.

    Args:
        scores: of the folds for each number of features, ascending, the last all of them,
            ``(fold, number)``.
        margin: above 0.
        test_over_train, level: as of `corrected_mean`; the error is (1 - level) / 2, one-sided.

    Returns:
        The place of the number, and the difference of each number to all with its interval.
    """
    last = scores.shape[1] - 1
    differences = [
        corrected_mean(scores[:, number] - scores[:, last], test_over_train, level)
        for number in range(last + 1)
    ]
    smallest = last
    while smallest > 0 and differences[smallest - 1].low > -margin:
        smallest -= 1
    return smallest, differences


def _mean(scores: Array) -> Array:
    """Return means over folds, without NaN and its warning."""
    known = ~np.isnan(scores)
    return np.where(known, scores, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)


def rank_agreement(
    first: Sequence[int] | NDArray[Any], second: Sequence[int] | NDArray[Any]
) -> tuple[float, float]:
    """Return Spearman's and Kendall's correlation of two rankings of the same things, without ties.

    Spearman (1904): 1 - 6 sum d^2 / (n (n^2 - 1)); Kendall (1938, Biometrika 30: 81-93): pairs in
    the same order less those in the other, over all pairs.

    Args:
        first, second: the place of each thing, ``(n,)``.

    Returns:
        Both NaN for a single thing.

    Example:
        >>> rank_agreement([0, 1, 2, 3], [0, 1, 3, 2])
        (0.8, 0.6666666666666666)
    """
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    count = len(one)
    if count < 2:
        return np.nan, np.nan
    spearman = 1 - 6 * float(((one - other) ** 2).sum()) / (count * (count**2 - 1))
    signs = [np.sign(np.subtract.outer(places, places)) for places in (one, other)]
    return spearman, float((signs[0] * signs[1]).sum()) / (count * (count - 1))
