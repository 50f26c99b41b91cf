"""Intervals over folds that share training rows, and how many features are enough."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from variscope.estimators.cross_validation import (
    corrected_jackknife,
    corrected_mean,
    one_standard_error,
    rank_agreement,
    smallest_not_worse,
)


def test_an_interval_is_that_of_the_corrected_resampled_t_test() -> None:
    scores = np.array([0.81, 0.79, 0.9, 0.84, 0.86, 0.8])
    found = corrected_mean(scores, 0.25, 0.9)
    half = stats.t.ppf(0.95, 5) * np.sqrt((1 / 6 + 0.25) * scores.var(ddof=1))
    assert found[:3] == pytest.approx((scores.mean(), scores.mean() - half, scores.mean() + half))
    assert found.n == 6
    # Without shared rows it is the t interval.
    naive = stats.t.interval(0.9, 5, scores.mean(), stats.sem(scores))
    assert corrected_mean(scores, 0.0, 0.9)[1:3] == pytest.approx(naive)


def test_folds_without_a_score_are_left_out_and_counted() -> None:
    found = corrected_mean(np.array([0.8, np.nan, 0.9]), 0.5, 0.95)
    assert (found.value, found.n) == (pytest.approx(0.85), 2)
    assert np.isnan(corrected_mean(np.array([0.8]), 0.5, 0.95).low)
    assert np.isnan(corrected_mean(np.array([np.nan]), 0.5, 0.95).value)


def test_a_t_interval_of_repeated_folds_is_too_short_and_the_corrected_one_is_not() -> None:
    """Least squares on drawn data: how often intervals hold the expected score."""
    rng = np.random.default_rng(1)
    rows, folds, repeats, studies = 60, 5, 4, 400
    scores = np.empty((studies, folds * repeats))
    for study in range(studies):
        values = rng.normal(size=(rows, 3))
        target = values @ [1.0, 0.5, 0.0] + rng.normal(size=rows)
        for repeat in range(repeats):
            number = rng.permutation(np.arange(rows) % folds)
            for fold in range(folds):
                test = number == fold
                weights = np.linalg.lstsq(values[~test], target[~test], rcond=None)[0]
                errors = (target[test] - values[test] @ weights) ** 2
                scores[study, repeat * folds + fold] = errors.mean()
    truth = scores.mean()  # the expected error of training on 48 rows
    held = {}
    for name, shared in (("naive", 0.0), ("corrected", 1 / (folds - 1))):
        intervals = [corrected_mean(one, shared, 0.95) for one in scores]
        held[name] = np.mean([one.low <= truth <= one.high for one in intervals])
    assert held["naive"] < 0.8
    assert 0.93 < held["corrected"] <= 1


def test_the_jackknife_of_a_mean_is_the_mean() -> None:
    scores = np.array([0.81, 0.79, 0.9, 0.84, 0.86, 0.8])
    found = corrected_jackknife(lambda some: float(scores[some].mean()), 6, 0.25, 0.95)
    np.testing.assert_allclose(found, corrected_mean(scores, 0.25, 0.95))
    assert np.isnan(corrected_jackknife(lambda some: 1.0, 2, 0.25, 0.95).low)


def test_the_first_number_within_one_standard_error_of_the_best_is_chosen() -> None:
    scores = np.array([[0.5, 0.88, 0.91], [0.6, 0.93, 0.99], [0.5, 0.95, 0.92]])
    # Means .533, .92 and .94; the best one's standard error is .025.
    assert one_standard_error(scores) == 1
    assert one_standard_error(scores - [0, 0.01, 0]) == 2
    assert one_standard_error(np.array([[0.9, 0.9, 0.9]])) == 0
    assert one_standard_error(np.full((3, 4), np.nan)) == 3
    assert one_standard_error(np.array([[np.nan, 0.5, 0.5]] * 3)) == 1


def test_a_number_that_passes_beyond_one_that_does_not_is_not_taken() -> None:
    rng = np.random.default_rng(0)
    every = 0.9 + 0.01 * rng.normal(size=10)
    noise = 0.002 * rng.normal(size=(10, 4))
    scores = np.column_stack([every[:, None] + noise, every])
    assert smallest_not_worse(scores, 0.02, 0.25, 0.95)[0] == 0
    scores[:, 1] -= 0.05  # the second number is worse; the first passes by luck
    smallest, differences = smallest_not_worse(scores, 0.02, 0.25, 0.95)
    assert smallest == 2
    assert differences[0].low > -0.02 > differences[1].high
    assert differences[4][:3] == (0, 0, 0)


def test_numbers_that_are_worse_by_the_margin_pass_as_rarely_as_the_level_says() -> None:
    """The first of many numbers at the edge of the null: a fixed sequence keeps its error."""
    rng = np.random.default_rng(2)
    margin, passed = 0.02, 0
    for _ in range(2000):
        # Folds that share a part of their error, as training rows make them.
        common = rng.normal(size=5) * np.sqrt(0.2)
        own = rng.normal(size=(10, 5)) * np.sqrt(0.8)
        scores = np.column_stack([-margin + 0.02 * (common + own), np.zeros(10)])
        passed += smallest_not_worse(scores, margin, 0.25, 0.95)[0] < 5
    assert passed / 2000 < 0.04  # 2.5 % one-sided


def test_rank_correlations_are_those_of_scipy() -> None:
    rng = np.random.default_rng(3)
    for count in (2, 5, 30):
        one, other = rng.permutation(count), rng.permutation(count)
        found = rank_agreement(one, other)
        assert found[0] == pytest.approx(stats.spearmanr(one, other).statistic)
        assert found[1] == pytest.approx(stats.kendalltau(one, other).statistic)
    assert np.isnan(rank_agreement([0], [0])).all()
