"""The overlap of sensitive and predicted classes, and the sets that it is held against."""

from __future__ import annotations

import numpy as np
import pytest
from variscope.estimators import overlap
from variscope.estimators.resampling import generator, permutation_p


def member(classes: int, chosen: list[int]) -> np.ndarray:
    found = np.zeros(classes, dtype=bool)
    found[chosen] = True
    return found


def test_the_overlap_is_that_of_pythons_sets():
    rng = np.random.default_rng(1)
    chosen = sorted(rng.choice(30, 5, replace=False))
    predicted = np.stack([rng.choice(30, 5, replace=False) for _ in range(40)])
    found = overlap.overlaps(member(30, chosen), predicted)
    for row, value in zip(predicted, found, strict=True):
        first, second = set(map(int, chosen)), set(map(int, row))
        assert value == pytest.approx(len(first & second) / len(first | second))


def test_the_most_sensitive_classes_are_no_undefined_ones_and_ties_go_to_the_lower_number():
    index = np.array([np.nan, 0.2, 0.5, 0.5, np.nan, 0.1])
    assert list(overlap.most_sensitive(index, 2)) == [2, 3]
    assert list(overlap.most_sensitive(index, 6)) == [2, 3, 1, 5]


@pytest.mark.parametrize(("classes", "count", "parts"), [(10, 1, 1), (100, 5, 10), (1000, 5, 10)])
def test_strata_are_of_like_mean_activation_and_large_enough(classes: int, count: int, parts: int):
    mean = np.random.default_rng(2).normal(size=classes)
    found = overlap.strata(mean, count)
    assert list(np.unique(found)) == list(range(parts))
    assert np.bincount(found).min() >= min(classes, 10)
    assert (np.diff(found[np.argsort(mean)]) >= 0).all()


def test_drawn_sets_have_as_many_classes_of_each_stratum():
    stratum = np.repeat([0, 1, 2], 20)
    allowed = np.arange(60) != 45
    chosen = np.array([1, 2, 50])
    sets = overlap.like_sets(chosen, stratum, allowed, 500, generator(1))
    for part, count in enumerate((2, 0, 1)):
        assert (sets[:, stratum == part].sum(axis=1) == count).all()
    assert not sets[:, 45].any()
    drawn = sets.mean(axis=0)
    assert drawn[:20] == pytest.approx(np.full(20, 2 / 20), abs=0.05)
    assert drawn[40:][allowed[40:]] == pytest.approx(np.full(19, 1 / 19), abs=0.05)


def test_a_constant_prediction_has_a_p_of_about_one_half_where_naively_it_is_a_finding():
    # The five predicted classes are among the ten with the largest mean, and so is one of the five
    # that are most sensitive.
    classes, draws = 100, 999
    mean = np.arange(classes, dtype=float)
    predicted = np.tile([99, 98, 97, 96, 95], (50, 1))
    chosen = np.array([99, 3, 25, 41, 60])
    observed = overlap.overlaps(member(classes, list(chosen)), predicted).mean()
    assert observed == pytest.approx(1 / 9)
    p = {}
    for name, stratum in {"any": np.zeros(classes, int), "like": overlap.strata(mean, 5)}.items():
        sets = overlap.like_sets(chosen, stratum, np.ones(classes, bool), draws, generator(1))
        null = overlap.overlaps(sets, predicted).mean(axis=1)
        p[name] = float(permutation_p(observed, null))
    assert p["like"] == pytest.approx(0.5, abs=0.05) and p["any"] == pytest.approx(0.23, abs=0.05)
    # Against independent predictions of each image the same overlap would be beyond doubt.
    rng = np.random.default_rng(3)
    independent = [
        overlap.overlaps(
            member(classes, list(chosen)),
            np.argsort(rng.random((50, classes)), axis=1)[:, :5],
        ).mean()
        for _ in range(200)
    ]
    assert float(permutation_p(observed, np.array(independent))) < 0.01


def test_a_class_is_ranked_among_its_like():
    values = np.array([0.9, 0.1, 0.1, 0.0, 0.95, 0.96, 0.97, 0.98])
    stratum = np.repeat([0, 1], 4)
    found = overlap.rank_p(values, np.array([0, 2, 4]), stratum, np.ones(8, dtype=bool))
    np.testing.assert_allclose(found, [1 / 4, 3 / 4, 1.0])
