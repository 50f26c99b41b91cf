"""Scores of predictions on tables have intervals that hold, also where all or none is right."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score
from variscope.analyses.tabular.scoring import (
    CONSTANT,
    DIFFERENCE,
    NETWORK,
    area,
    area_interval,
    paired_interval,
    scores,
)


def found(target, predicted, constant, classification, level=0.95):
    """The scores by predictor and metric."""
    rng = np.random.default_rng(0)
    made = scores(target, predicted, constant, level, rng, classification)
    return {(one.predictor, one.metric): one for one in made}


def test_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    target = rng.integers(2, size=80)
    chance = np.round(np.clip(0.3 * target + 0.7 * rng.random(80), 0, 1), 1)  # with ties
    made = found(target, np.column_stack([1 - chance, chance]), 1, True)
    answer = (chance > 0.5).astype(int)
    assert made[NETWORK, "accuracy"].score == pytest.approx(accuracy_score(target, answer))
    assert made[NETWORK, "auc"].score == pytest.approx(roc_auc_score(target, chance))
    assert made[CONSTANT, "accuracy"].score == pytest.approx(target.mean())
    assert made[DIFFERENCE, "accuracy"].score == pytest.approx(
        accuracy_score(target, answer) - target.mean()
    )
    values = rng.normal(size=60)
    guess = values + rng.normal(size=60)
    made = found(values, guess[:, None], 0.3, False)
    assert made[NETWORK, "r2"].score == pytest.approx(r2_score(values, guess))
    assert made[CONSTANT, "r2"].score == pytest.approx(r2_score(values, np.full(60, 0.3)))
    difference = made[DIFFERENCE, "r2"]
    assert difference.score == pytest.approx(
        r2_score(values, guess) - r2_score(values, np.full(60, 0.3))
    )
    assert difference.low < difference.score < difference.high


def test_of_several_classes_there_is_accuracy_alone():
    rng = np.random.default_rng(2)
    target = rng.integers(3, size=50)
    made = found(target, np.eye(3)[target], 0, True)
    assert {metric for _, metric in made} == {"accuracy"}
    assert made[NETWORK, "accuracy"].score == 1 and made[NETWORK, "accuracy"].low < 0.95


def test_the_paired_interval_holds_its_level_and_has_a_length_where_nothing_differs():
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(2000):
        # of each row: both right, the first alone, the second alone, neither
        counts = rng.multinomial(60, [0.6, 0.25, 0.05, 0.1])
        low, high = paired_interval(int(counts[1]), int(counts[2]), 60, 0.95)
        hits += low <= 0.2 <= high
    assert 0.93 < hits / 2000 < 0.98
    low, high = paired_interval(0, 0, 60, 0.95)
    assert -0.06 < low < 0 < high < 0.06
    assert paired_interval(60, 0, 60, 0.95)[1] == 1


def test_the_interval_of_an_area_holds_its_level_where_the_naive_one_fails():
    """Scores of normal distributions whose area under the curve is known."""
    rng = np.random.default_rng(4)
    for truth in (0.5, 0.8, 0.97):
        shift = np.sqrt(2) * norm.ppf(truth)
        hits, naive = 0, 0
        for _ in range(600):
            positive = np.arange(60) < 20
            score = rng.normal(size=60) + shift * positive
            value = area(positive, score)
            low, high = area_interval(value, 20, 40, 0.95)
            hits += low <= truth <= high
            # Wald's interval (DeLong, DeLong and Clarke-Pearson 1988)
            wins = (score[positive][:, None] > score[~positive]).astype(float)
            error = np.sqrt(wins.mean(axis=1).var(ddof=1) / 20 + wins.mean(axis=0).var(ddof=1) / 40)
            naive += abs(value - truth) <= 1.96 * error
        assert hits / 600 > 0.93, truth
        if truth == 0.97:
            assert naive / 600 < 0.91
    assert area_interval(1.0, 20, 40, 0.95)[0] < 0.96
    assert area_interval(1.0, 20, 40, 0.95)[1] == 1
    assert area_interval(0.0, 20, 40, 0.95)[0] == 0
    assert np.isnan(area(np.ones(5, bool), np.arange(5.0)))
    assert np.isnan(area_interval(np.nan, 5, 0, 0.95)).all()


def test_the_interval_of_r2_holds_its_level():
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(200):
        target = rng.normal(size=80)
        guess = 0.8 * target + 0.6 * rng.normal(size=80)
        # E (y - g)^2 = 0.04 + 0.36 and Var y = 1
        one = found(target, guess[:, None], 0.0, False)[NETWORK, "r2"]
        hits += one.low <= 0.6 <= one.high
    assert hits / 200 > 0.89
