"""Nested cross-validation of feature reduction: everything that learns is inside the outer fold.

    outer fold
      inner folds of its training rows   rank, train with the k best, score: choose k
      all its training rows              rank, train with the k best, score on the test rows

Ranking, scaling, early stopping and the choice of k see no test row. To rank on all rows and to
cross-validate what comes after shows them: of noise alone that makes a prediction (Ambroise and
McLachlan 2002, PNAS 99: 6562-6566; Varma and Simon 2006, BMC Bioinformatics 7: 91).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variscope.analyses.reduction import CONSTANT, CONTROLS, RANDOM, SHUFFLED
from variscope.analyses.reduction.rankings import RANKINGS, Ranked, places, sobol
from variscope.analyses.reduction.scores import constant_answers, score_name, score_of
from variscope.estimators.resampling import generator
from variscope.inputs.tables.network import fit, fit_subsets, table_seed
from variscope.inputs.tables.splits import fold_numbers, strata
from variscope.inputs.tables.table import Table

Rows = NDArray[np.int64]

# Numbers of features that are tried: each of these up to all.
_NUMBERS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)


@dataclass(frozen=True)
class Fold:
    """An outer fold: its numbers, and its rows."""

    repeat: int
    number: int
    train: Rows
    test: Rows


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The score of one network.

    Attributes:
        repeat, fold: of the outer fold, from 1.
        inner: number of the inner fold, from 1; 0: the outer fold's own test rows.
        ranking: whose best features it was given.
        order: number of the random order, from 1; else 1.
        k: how many features.
        score: on rows that it was not trained on.
        trained, tested: how many rows.
    """

    repeat: int
    fold: int
    inner: int
    ranking: str
    order: int
    k: int
    score: float
    trained: int
    tested: int


@dataclass(frozen=True, kw_only=True)
class Placed:
    """The place of a feature in a ranking of an outer fold, from 1."""

    repeat: int
    fold: int
    ranking: str
    order: int
    feature: str
    place: int


def numbers_of(wanted: Sequence[int] | None, features: int) -> list[int]:
    """Return the numbers of features that are tried, ascending; all of them are the last.

    Example:
        >>> numbers_of(None, 10)
        [1, 2, 3, 4, 6, 8, 10]
    """
    below = {number for number in wanted or _NUMBERS if number < features}
    return [*sorted(below), features]


def outer_folds(table: Table, outer: int, repeats: int, seed: int) -> list[Fold]:
    """Return the outer folds of all repeats, each class alike."""
    found = []
    for repeat in range(1, repeats + 1):
        rng = generator(seed, "reduction", table.name, "folds", repeat)
        numbers = fold_numbers(strata(table), outer, rng)
        found += [
            Fold(repeat, k + 1, np.flatnonzero(numbers != k), np.flatnonzero(numbers == k))
            for k in range(outer)
        ]
    return found


def nested_fold(
    table: Table,
    of_table: Mapping[str, Any],
    settings: Mapping[str, Any],
    seed: int,
    fold: Fold,
) -> tuple[list[Scored], list[Placed]]:
    """Return all scores of an outer fold, its own and its inner folds', and its rankings.

    Args:
        table: of all rows.
        of_table: the table's settings, completed.
        settings: of the analysis, completed.
        seed: of the study.
        fold: of `outer_folds`.
    """
    train, test = table.rows(fold.train), table.rows(fold.test)
    purpose = ("reduction", table.name, fold.repeat, fold.number)
    own = table_seed(seed, *purpose, 0)
    scores, placed = _scores(train, test, of_table, settings, own, settings["rankings"])
    found = [_row(fold, 0, key, score, train, test) for key, score in scores.items()]
    chosen = [name for name in settings["rankings"] if name not in CONTROLS]
    if chosen:
        rng = generator(seed, *purpose, "inner")
        numbers = fold_numbers(strata(train), settings["inner"], rng)
        for inner in range(settings["inner"]):
            learned = train.rows(np.flatnonzero(numbers != inner))
            judged = train.rows(np.flatnonzero(numbers == inner))
            of_inner = table_seed(seed, *purpose, inner + 1)
            scores, _ = _scores(learned, judged, of_table, settings, of_inner, chosen)
            found += [
                _row(fold, inner + 1, key, score, learned, judged) for key, score in scores.items()
            ]
    names = [feature.name for feature in table.features]
    return found, [
        Placed(repeat=fold.repeat, fold=fold.number, ranking=ranking, order=order, feature=name,
               place=int(place) + 1)
        for (ranking, order), places_ in placed.items()
        for name, place in zip(names, places_, strict=True)
    ]  # fmt: skip


def _row(
    fold: Fold, inner: int, key: tuple[str, int, int], score: float, train: Table, test: Table
) -> Scored:
    ranking, order, k = key
    return Scored(
        repeat=fold.repeat, fold=fold.number, inner=inner, ranking=ranking, order=order, k=k,
        score=score, trained=len(train), tested=len(test),
    )  # fmt: skip


Scores = dict[tuple[str, int, int], float]
Places = dict[tuple[str, int], Rows]


def _scores(
    train: Table,
    test: Table,
    of_table: Mapping[str, Any],
    settings: Mapping[str, Any],
    seed: int,
    rankings: Sequence[str],
) -> tuple[Scores, Places]:
    """Rank on some rows, train on them with the best features, and score on others.

    Returns:
        The score by ranking, order and number of features, and the places by ranking and order.
    """
    whole = fit(train, of_table, seed)
    given = Ranked(
        table=train, network=whole, settings=of_table, blocks=settings["blocks"],
        replicates=settings["replicates"], seed=seed,
    )  # fmt: skip
    placed: Places = {}
    for name in rankings:
        if name == RANDOM:
            rng = generator(seed, "random orders")
            for order in range(1, settings["orders"] + 1):
                placed[name, order] = rng.permutation(len(train.features))
        elif name == SHUFFLED:
            placed[name, 1] = places(_shuffled(given, of_table), seed, name)
        else:
            placed[name, 1] = places(RANKINGS[name](given), seed, name)
    best = {
        (name, order, k): tuple(np.flatnonzero(place < k).tolist())
        for (name, order), place in placed.items()
        for k in numbers_of(settings["numbers"], len(train.features))
    }
    every = tuple(range(len(train.features)))
    # Rankings that agree ask for the same network.
    subsets = [subset for subset in dict.fromkeys(best.values()) if subset != every]
    networks = fit_subsets(train, subsets, of_table, seed) if subsets else []
    fitted = dict(zip(subsets, networks, strict=True)) | {every: whole}
    name = score_name(train, settings["score"])
    by_subset = {
        subset: score_of(name, test.target, network.predict(test.select(subset).values))
        for subset, network in fitted.items()
    }
    scores: Scores = {
        (CONSTANT, 1, 0): score_of(name, test.target, constant_answers(train, len(test)))
    }
    return scores | {key: by_subset[subset] for key, subset in best.items()}, placed


def _shuffled(given: Ranked, of_table: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return the importance of features for a network that learned from shuffled targets."""
    order = generator(given.seed, "shuffled").permutation(len(given.table))
    shuffled = replace(given.table, target=given.table.target[order])
    network = fit(shuffled, of_table, given.seed)
    return sobol(replace(given, table=shuffled, network=network))
