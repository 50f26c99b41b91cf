"""Correlations across channels from two halves: truth is found where the naive way fails."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from variscope.estimators.halves import (
    CrossHalf,
    Maps,
    Method,
    correlations,
    cross_half,
    mean_correlations,
    reliabilities,
    resampled,
)

NAN = np.nan


def halves_of(truth: np.ndarray, own: float, shared: float = 0.0, seed: int = 0) -> np.ndarray:
    """Maps (half, series, pixel, channel): truth and noise of the halves.

    Variances: `own` of the noise of each map, `shared` of that which the maps of a half share.
    """
    rng = np.random.default_rng(seed)
    noise = np.sqrt(own) * rng.normal(size=(2, *truth.shape))
    return truth + noise + np.sqrt(shared) * rng.normal(size=(2, 1, *truth.shape[1:]))


def found_of(halves: np.ndarray, method: Method = "spearman") -> CrossHalf:
    scores = Maps(np.concatenate(halves), method).scores()
    return cross_half(scores[: halves.shape[1]], scores[halves.shape[1] :])


def test_a_truth_is_found_that_noise_hides() -> None:
    rng = np.random.default_rng(1)
    common, other = rng.normal(size=(2, 20, 400))
    truth = np.stack([common, 0.6 * common + 0.8 * other])  # correlation 0.6
    halves = halves_of(truth, own=1.0)  # reliability 0.5
    naive = Maps(halves[0], "pearson").scores()
    found = found_of(halves, "pearson")
    assert found.corrected[0, 1] == pytest.approx(0.6, abs=0.05)
    assert found.reliability == pytest.approx([0.5, 0.5], abs=0.05)
    assert mean_correlations(naive, naive)[0, 1] == pytest.approx(0.3, abs=0.05)
    np.testing.assert_allclose(np.diagonal(found.corrected), 1)


def test_noise_of_the_same_rows_is_no_correlation_of_the_maps() -> None:
    truth = np.random.default_rng(2).normal(size=(2, 20, 400))
    halves = halves_of(truth, own=0.5, shared=0.8)
    naive = Maps(halves.mean(axis=0)).scores()
    assert mean_correlations(naive, naive)[0, 1] > 0.2
    assert found_of(halves).cross[0, 1] == pytest.approx(0, abs=0.05)


def test_below_a_reliability_nothing_is_corrected() -> None:
    rng = np.random.default_rng(3)
    truth = np.stack([rng.normal(size=(4, 300)), 0 * rng.normal(size=(4, 300))])
    halves = halves_of(truth, own=0.1)
    found = found_of(halves)
    assert found.reliability[0] > 0.8
    assert abs(found.reliability[1]) < 0.1
    assert np.isfinite(found.cross).all()
    assert np.isnan(found.corrected[:, 1]).all()
    np.testing.assert_array_equal(reliabilities(halves[0], halves[1]), found.reliability)


@pytest.mark.parametrize("method", ["spearman", "pearson"])
def test_correlations_are_scipys_pixel_by_pixel(method: Method) -> None:
    rng = np.random.default_rng(4)
    values = rng.integers(0, 6, size=(3, 5, 12)).astype(float)  # ties
    values[1, 2, 3:5] = NAN  # then left out in all series
    values[2, 4] = 7.0  # the same everywhere
    values = np.concatenate([values, np.full((1, 5, 12), NAN)])  # takes no channel away
    scores = Maps(values, method).scores()
    found = correlations(scores, scores)
    oracle = stats.spearmanr if method == "spearman" else stats.pearsonr
    for pixel in range(4):
        kept = np.isfinite(values[:3, pixel]).all(axis=0)
        for one, other in ((0, 1), (0, 2), (1, 2)):
            expected = oracle(values[one, pixel, kept], values[other, pixel, kept]).statistic
            assert found[pixel, one, other] == pytest.approx(expected)
    assert np.isnan(found[4, 2]).all()
    assert np.isnan(found[:, 3]).all()
    assert np.isfinite(found[4, :2, :2]).all()
    over_pixels = mean_correlations(scores, scores)
    assert over_pixels[0, 2] == pytest.approx(found[:4, 0, 2].mean())
    assert over_pixels[0, 1] == pytest.approx(found[:, 0, 1].mean())


def test_a_resample_is_ranked_anew() -> None:
    rng = np.random.default_rng(5)
    values = rng.integers(0, 5, size=(2, 3, 9)).astype(float)
    weights = np.array([0, 3, 1, 0, 2, 1, 1, 0, 1])
    repeated = np.repeat(values, weights, axis=-1)
    maps = Maps(values)
    np.testing.assert_array_equal(
        np.repeat(maps.ranks(weights), weights, axis=-1), stats.rankdata(repeated, axis=-1)
    )
    scores, plain = maps.scores(weights), Maps(repeated).scores()
    np.testing.assert_allclose(correlations(scores, scores), correlations(plain, plain))


def test_an_interval_over_channels_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(6)
    held = []
    for _ in range(120):
        common, other = rng.normal(size=(2, 1, 60))
        # Pixels that are copies of each other: they are no more than one.
        truth = np.repeat(np.stack([common, 0.6 * common + 0.8 * other]), 4, axis=1)
        noise = np.repeat(0.5 * rng.normal(size=(2, 2, 1, 60)), 4, axis=2)
        halves = Maps(np.concatenate(truth + noise), "pearson")
        scores = halves.scores()
        estimate = cross_half(scores[:2], scores[2:]).corrected[0, 1]
        low, high = np.quantile(resampled(halves, 200, rng)[:, 0, 1], (0.025, 0.975))
        held.append(estimate + low <= 0.6 <= estimate + high)
    assert 0.88 <= np.mean(held) <= 0.99


@pytest.mark.parametrize(
    "values",
    [
        np.full((4, 2, 5), NAN),
        np.zeros((4, 2, 5)),
        np.arange(8.0).reshape(4, 2, 1),
        np.arange(16.0).reshape(4, 2, 2),
    ],
    ids=["undefined", "constant", "one channel", "two channels"],
)
def test_what_has_no_correlation_is_undefined(values: np.ndarray) -> None:
    scores = Maps(values).scores()
    found = cross_half(scores[:2], scores[2:])
    assert all(np.isnan(part).all() for part in found)
    assert np.isnan(resampled(Maps(values), 3, np.random.default_rng(0))).all()
