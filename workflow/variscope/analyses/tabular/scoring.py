"""Scores of predictions on test rows, with intervals, beside those of a constant predictor.

Test rows are independent draws; the interval is over them, and says nothing of other trainings.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtri
from scipy.stats import rankdata

from variscope.estimators.intervals import proportion
from variscope.estimators.resampling import cluster_bootstrap

Array = NDArray[np.float64]

NETWORK, CONSTANT, DIFFERENCE = "network", "constant", "difference"
NAN = math.nan


class Score(NamedTuple):
    """A score of a predictor, or the difference of two, with its bounds."""

    predictor: str
    metric: str
    score: float
    low: float
    high: float


def scores(
    target: NDArray[Any],
    predicted: Array,
    constant: float,
    level: float,
    rng: np.random.Generator,
    classification: bool,
) -> list[Score]:
    """Return the scores of a network and of a constant predictor, and their paired differences.

    Args:
        target: ``(n,)``, numbers of classes or values.
        predicted: ``(n, output)``, probabilities of the classes, or the value.
        constant: the class, or the value, that the constant predictor says.
        level: of confidence.
        rng: what resamples the rows of a regression.
        classification: whether targets are classes.
    """
    if not classification:
        return list(_explained(target.astype(float), predicted[:, 0], constant, level, rng))
    found = list(_accuracies(target, predicted.argmax(axis=1), constant, level))
    if predicted.shape[1] == 2:
        found += _areas(target == 1, predicted[:, 1], level)
    return found


def _accuracies(
    target: NDArray[Any], answer: NDArray[Any], constant: float, level: float
) -> Iterator[Score]:
    right, default = answer == target, target == constant
    for predictor, hits in ((NETWORK, right), (CONSTANT, default)):
        yield Score(predictor, "accuracy", *proportion(int(hits.sum()), len(hits), level))
    low, high = paired_interval(int((right & ~default).sum()), int((default & ~right).sum()),
                                len(target), level)  # fmt: skip
    yield Score(DIFFERENCE, "accuracy", right.mean() - default.mean(), low, high)


def paired_interval(gained: int, lost: int, n: int, level: float) -> tuple[float, float]:
    """Return the interval of a difference of two proportions of the same rows.

    Wald's with half a row added to each of the four counts (Agresti and Min 2005, Stat. Med. 24:
    729-740, section 3): it has a length where the two never differ.

    Args:
        gained: rows that the first has and the second has not.
        lost: rows that the second has and the first has not.
        n: all rows.
        level: of confidence.
    """
    rows, more, less = n + 2, gained + 0.5, lost + 0.5
    difference = (more - less) / rows
    error = math.sqrt(more + less - (more - less) ** 2 / rows) / rows
    reach = float(ndtri((1 + level) / 2)) * error
    return max(-1.0, difference - reach), min(1.0, difference + reach)


def _areas(positive: NDArray[np.bool_], score: Array, level: float) -> list[Score]:
    """Return the area under the curve; that of a constant is 1/2, whatever the rows are."""
    found = area(positive, score)
    low, high = area_interval(found, int(positive.sum()), int((~positive).sum()), level)
    return [
        Score(NETWORK, "auc", found, low, high),
        Score(CONSTANT, "auc", 0.5, 0.5, 0.5),
        Score(DIFFERENCE, "auc", found - 0.5, low - 0.5, high - 0.5),
    ]


def area(positive: NDArray[np.bool_], score: Array) -> float:
    """Return the area under the receiver operating characteristic, ties counted half.

    The Mann-Whitney statistic over the number of pairs; NaN where there are none.
    """
    m, n = int(positive.sum()), int((~positive).sum())
    if not m or not n:
        return NAN
    ranks = rankdata(score)
    return float((ranks[positive].sum() - m * (m + 1) / 2) / (m * n))


def area_interval(found: float, m: int, n: int, level: float) -> tuple[float, float]:
    """Return the interval of an area under the curve from m positive and n negative rows.

    All areas that the found one is no more than z standard errors from, with Hanley and McNeil's
    variance at that area and (m + n) / 2 in the place of both counts (Newcombe 2006, Stat. Med. 25:
    559-573, method 5): it has a length at 1, where the areas' own variance is 0.
    """
    if math.isnan(found):
        return NAN, NAN
    z, half = float(ndtri((1 + level) / 2)), (m + n) / 2 - 1

    def excess(theta: float) -> float:
        pairs = half * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return (found - theta) ** 2 - z**2 * theta * (1 - theta) * (1 + pairs) / (m * n)

    # The excess is below 0 at what was found, but for 0 and 1, which are roots of their own.
    inside = min(max(found, 1e-9), 1 - 1e-9)
    low = brentq(excess, 0.0, inside) if found > 0 else 0.0
    high = brentq(excess, inside, 1.0) if found < 1 else 1.0
    return float(low), float(high)


def _explained(
    target: Array, predicted: Array, constant: float, level: float, rng: np.random.Generator
) -> Iterator[Score]:
    """Yield shares of the target's variance that are predicted, by resampling the rows."""
    squares = np.column_stack([(target - predicted) ** 2, (target - constant) ** 2])

    def of(weights: Array) -> Array:
        total = weights.sum(axis=1, keepdims=True)
        mean = weights @ target[:, None] / total
        spread = weights @ (target**2)[:, None] / total - mean**2
        with np.errstate(divide="ignore", invalid="ignore"):
            left = 1 - np.where(spread > 0, weights @ squares / total / spread, np.nan)
        return np.column_stack([left, left[:, 0] - left[:, 1]])

    value = of(np.ones((1, len(target))))[0]
    low, high = cluster_bootstrap(of, np.arange(len(target)), rng=rng, level=level)
    for k, predictor in enumerate((NETWORK, CONSTANT, DIFFERENCE)):
        yield Score(predictor, "r2", float(value[k]), float(low[k]), float(high[k]))
