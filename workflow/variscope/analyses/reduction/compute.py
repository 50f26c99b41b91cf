"""From the scores of all folds to curves, choices and agreement, with their intervals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from statistics import median_low
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from variscope.analyses.reduction import (
    ANALYSIS,
    CONSTANT,
    CONTROLS,
    DESCRIBED,
    INSIDE,
    NOT_WORSE,
    PLACES,
    RANDOM,
    SCORES,
    place_of_shard,
)
from variscope.analyses.source import Source
from variscope.estimators.cross_validation import (
    Mean,
    corrected_jackknife,
    corrected_mean,
    one_standard_error,
    rank_agreement,
    smallest_not_worse,
)

Array = NDArray[np.float64]
Row = dict[str, Any]


@dataclass(frozen=True)
class Folds:
    """What came of all outer folds of a table.

    Attributes:
        name: of the table.
        described: its features, their players, the score's name and the number of rows.
        scores, places: rows of `variscope.analyses.reduction.nested.Scored` and ``Placed``.
        level: of confidence.
        margin: of the analysis.
    """

    name: str
    described: Mapping[str, Any]
    scores: pd.DataFrame
    places: pd.DataFrame
    level: float
    margin: float

    @cached_property
    def outer(self) -> pd.DataFrame:
        """Scores on test rows: a row for each outer fold, a column for each ranking and k.

        Random orders have the mean of theirs.
        """
        own = self.scores[self.scores["inner"] == 0]
        return own.pivot_table(
            index=["repeat", "fold"],
            columns=["ranking", "k"],
            values="score",
            aggfunc=_mean_of_orders,
            dropna=False,
        ).sort_index()

    @property
    def rankings(self) -> list[str]:
        """Names of the rankings, in the order of the analysis, without the constant."""
        names = dict.fromkeys(self.scores["ranking"])
        return [name for name in names if name != CONSTANT]

    @cached_property
    def numbers(self) -> list[int]:
        """Numbers of features that were tried, ascending."""
        tried = self.scores.loc[self.scores["ranking"] != CONSTANT, "k"]
        return sorted(map(int, tried.unique()))

    @cached_property
    def test_over_train(self) -> float:
        """Rows of a fold that are tested, over those that are trained on."""
        own = self.scores[self.scores["inner"] == 0]
        return float(own["tested"].mean() / own["trained"].mean())

    def of(self, ranking: str, k: int) -> Array:
        """Return the scores of the outer folds, ``(fold,)``."""
        return self.outer[ranking, k].to_numpy(np.float64)

    def curve(self, ranking: str) -> Array:
        """Return the scores of the outer folds by the number of features, ``(fold, number)``."""
        return np.column_stack([self.of(ranking, k) for k in self.numbers])

    def mean(self, values: Array) -> Mean:
        """Return the mean over outer folds with its interval."""
        return corrected_mean(values, self.test_over_train, self.level)

    def score(self, values: Array) -> Mean:
        """Return the mean score over outer folds, its interval within what scores can be."""
        least = -np.inf if self.described["score"] == "R2" else 0.0
        return _within(self.mean(values), least, 1.0)

    @cached_property
    def chosen(self) -> dict[str, list[int]]:
        """What the inner folds of each outer fold choose, by ranking; nothing of controls."""
        found = {}
        for ranking in self.rankings:
            if ranking not in CONTROLS:
                own = self.scores[(self.scores["inner"] > 0) & (self.scores["ranking"] == ranking)]
                table = own.pivot_table(
                    index=["repeat", "fold", "inner"], columns="k", values="score", dropna=False
                )
                found[ranking] = [
                    self.numbers[one_standard_error(table.loc[key].to_numpy(np.float64))]
                    for key in self.outer.index
                ]
        return found

    @cached_property
    def common(self) -> Row:
        """What stands in every row."""
        return {"table": self.name, "inference": f"{100 * self.level:g} % interval, {_OVER}"}


_OVER = "outer folds, corrected for shared training rows"


def compute(source: Source) -> dict[str, pd.DataFrame]:
    """Return the tables."""
    rows: dict[str, list[Row]] = {table.name: [] for table in ANALYSIS.tables}
    for folds in folds_of(source):
        rows["choice"] += _choices(folds)
        rows["curve"] += _curve(folds)
        rows["against"] += _against(folds)
        rows["rankings"] += _rankings(folds)
        rows["agreement"] += _agreement(folds)
        rows["folds"] += _folds(folds)
    return {
        name: pd.DataFrame(found, columns=ANALYSIS.columns(name)) for name, found in rows.items()
    }


def folds_of(source: Source) -> list[Folds]:
    """Read what the shards wrote, table by table."""
    by_table: dict[str, list[Path]] = {}
    for name, folder in source.shards.items():
        by_table.setdefault(place_of_shard(name)[0], []).append(folder)
    found = []
    for name, folders in by_table.items():
        parts = {
            file: pd.concat([pd.read_csv(folder / file) for folder in folders], ignore_index=True)
            for file in (SCORES, PLACES)
        }
        described = json.loads((folders[0] / DESCRIBED).read_text())
        level, margin = source.confidence_level, source.settings["margin"]
        found.append(Folds(name, described, parts[SCORES], parts[PLACES], level, margin))
    return found


def _bounds(name: str, mean: Mean) -> Row:
    """Return an estimate and its bounds as columns ``name``, ``name_low`` and ``name_high``."""
    return {name: mean.value, f"{name}_low": mean.low, f"{name}_high": mean.high}


def _estimate(name: str, mean: Mean) -> Row:
    """Return an estimate and its bounds as columns ``name``, ``low`` and ``high``, with n."""
    return {name: mean.value, "low": mean.low, "high": mean.high, "n": mean.n}


def _mean_of_orders(scores: pd.Series) -> float:
    """Return a mean that is exactly the score where all are the same, as with all features."""
    first = float(scores.iloc[0])
    return first + float((scores - first).mean())


def _within(mean: Mean, least: float, most: float) -> Mean:
    """Cut an interval where the estimate cannot be."""
    low, high = np.clip([mean.low, mean.high], least, most)
    return mean._replace(low=float(low), high=float(high))


def _curve(folds: Folds) -> list[Row]:
    """Return the score of each ranking at each number of features, and of no feature."""
    every = folds.numbers[-1]
    keys = [(ranking, k) for ranking in folds.rankings for k in folds.numbers]
    return [
        {
            **folds.common,
            "ranking": ranking,
            "k": k,
            "measure": folds.described["score"],
            "chosen": folds.chosen.get(ranking, []).count(k),
            **_estimate("score", folds.score(folds.of(ranking, k))),
            **_bounds("difference", folds.mean(folds.of(ranking, k) - _of_all(folds, every))),
        }
        for ranking, k in [*keys, (CONSTANT, 0)]
    ]


def _of_all(folds: Folds, every: int) -> Array:
    """Return the scores of the networks with all features, which are those of every ranking."""
    return folds.of(folds.rankings[0], every)


def _choices(folds: Folds) -> list[Row]:
    """Return how many features are enough: over the outer folds, and as inner folds choose."""
    every = _of_all(folds, folds.numbers[-1])
    found = []
    for ranking in folds.rankings:
        curve = folds.curve(ranking)
        smallest, differences = smallest_not_worse(
            curve, folds.margin, folds.test_over_train, folds.level
        )
        k = folds.numbers[smallest]
        found.append(
            _choice(folds, ranking, NOT_WORSE, [k] * len(every))
            | _bounds("difference", differences[smallest])
        )
        if ranking in folds.chosen:
            found.append(_choice(folds, ranking, INSIDE, folds.chosen[ranking]))
    return found


def _choice(folds: Folds, ranking: str, rule: str, numbers: Sequence[int]) -> Row:
    """Return the score where each outer fold has its number of features."""
    scores = _at(folds, ranking, numbers)
    over = Mean(np.nan, np.nan, np.nan, 0)
    if RANDOM in folds.rankings and ranking != RANDOM:
        over = folds.mean(scores - _at(folds, RANDOM, numbers))
    return {
        **folds.common,
        "ranking": ranking,
        "rule": rule,
        "k": median_low(numbers),
        "least": min(numbers),
        "most": max(numbers),
        "of": folds.numbers[-1],
        "measure": folds.described["score"],
        "margin": folds.margin,
        **_estimate("score", folds.score(scores)),
        **_bounds("difference", folds.mean(scores - _of_all(folds, folds.numbers[-1]))),
        **_bounds("over_random", over),
    }


def _at(folds: Folds, ranking: str, numbers: Sequence[int]) -> Array:
    """Return the score of each outer fold with its own number of features, ``(fold,)``."""
    curve = folds.curve(ranking)
    places = [folds.numbers.index(k) for k in numbers]
    return curve[np.arange(len(curve)), places]


def _against(folds: Folds) -> list[Row]:
    """Return the paired differences of each two rankings, but where both have all features."""
    return [
        {
            **folds.common,
            "k": k,
            "first": first,
            "second": second,
            **_estimate("difference", folds.mean(folds.of(first, k) - folds.of(second, k))),
        }
        for k in folds.numbers[:-1]
        for first, second in combinations(folds.rankings, 2)
    ]


def _placed(folds: Folds, ranking: str) -> Array:
    """Return the places of a ranking, ``(fold, order, feature)``."""
    own = folds.places[folds.places["ranking"] == ranking]
    table = own.pivot_table(index=["repeat", "fold", "order"], columns="feature", values="place")
    found = table[folds.described["features"]].to_numpy(np.float64)
    return found.reshape(len(folds.outer), -1, found.shape[1])


def _rankings(folds: Folds) -> list[Row]:
    """Return the mean place of each feature, and how much it changes from fold to fold."""
    found = []
    for ranking in folds.rankings:
        placed = _placed(folds, ranking)
        features = placed.shape[2]
        for number, feature in enumerate(folds.described["features"]):
            places = placed[:, :, number]
            found.append(
                {
                    **folds.common,
                    "ranking": ranking,
                    "feature": feature,
                    "player": folds.described["players"][feature],
                    "spread": float(places.std(ddof=1)) if places.size > 1 else np.nan,
                    **_estimate("place", _within(folds.mean(places.mean(axis=1)), 1, features)),
                }
            )
    return found


def _agreement(folds: Folds) -> list[Row]:
    """Return the agreement of two rankings of one fold, and of one ranking of two folds."""
    placed = {ranking: _placed(folds, ranking) for ranking in folds.rankings}
    found = []
    for first, second in combinations(folds.rankings, 2):
        both = [_of_fold(*pair) for pair in zip(placed[first], placed[second], strict=True)]
        spearman, kendall = (folds.mean(np.array(values)) for values in zip(*both, strict=True))
        found.append(_agreeing(folds, first, second, spearman, kendall))
    for ranking, own in placed.items():
        pairs = np.array([[_of_fold(one, other) for other in own] for one in own])
        spearman, kendall = (_between(folds, pairs[:, :, kind]) for kind in range(2))
        found.append(_agreeing(folds, ranking, ranking, spearman, kendall))
    return found


def _agreeing(folds: Folds, first: str, second: str, spearman: Mean, kendall: Mean) -> Row:
    return {
        **folds.common,
        "first": first,
        "second": second,
        **_estimate("spearman", _within(spearman, -1, 1)),
        **_bounds("kendall", _within(kendall, -1, 1)),
    }


def _of_fold(first: Array, second: Array) -> tuple[float, float]:
    """Return the mean agreement of all orders of one with all of another, ``(order, feature)``."""
    found = [rank_agreement(one, other) for one in first for other in second]
    return float(np.mean([pair[0] for pair in found])), float(np.mean([pair[1] for pair in found]))


def _between(folds: Folds, pairs: Array) -> Mean:
    """Return the mean of a quantity of two different folds, ``(fold, fold)``."""

    def mean(some: NDArray[np.int64]) -> float:
        own = pairs[np.ix_(some, some)]
        return float(own[~np.eye(len(some), dtype=bool)].mean()) if len(some) > 1 else np.nan

    return corrected_jackknife(mean, len(pairs), folds.test_over_train, folds.level)


def _folds(folds: Folds) -> list[Row]:
    """Return what the inner folds of each outer fold chose, and what came of it."""
    counted = folds.scores[folds.scores["inner"] == 0].groupby(["repeat", "fold"])
    rows = counted[["trained", "tested"]].first().loc[folds.outer.index]
    every = _of_all(folds, folds.numbers[-1])
    return [
        {
            "table": folds.name,
            "ranking": ranking,
            "repeat": key[0],
            "fold": key[1],
            "k": k,
            "score": score,
            "every": of_all,
            "trained": int(trained),
            "tested": int(tested),
        }
        for ranking, numbers in folds.chosen.items()
        for key, k, score, of_all, (trained, tested) in zip(
            folds.outer.index, numbers, _at(folds, ranking, numbers), every, rows.to_numpy(),
            strict=True,
        )
    ]  # fmt: skip
