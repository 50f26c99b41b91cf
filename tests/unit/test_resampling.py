"""Resampling holds its level on clusters, where what takes images for independent does not."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from variscope.estimators.resampling import (
    MIN_CLUSTERS,
    benjamini_hochberg,
    benjamini_yekutieli,
    cluster_bootstrap,
    cluster_weights,
    generator,
    permutation_p,
    sign_flip_p,
)


def clustered(units: int, clusters: int, each: int, within: float, seed: int):
    """Values (image, unit) of mean 0 and variance 1, of which `within` is that of the cluster."""
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(clusters), each)
    values = np.sqrt(within) * rng.standard_normal((clusters, units))[cluster]
    return values + np.sqrt(1 - within) * rng.standard_normal((len(cluster), units)), cluster


def mean_of(values):
    return lambda weights: weights @ values / weights.sum(axis=1, keepdims=True)


def test_permutation_p_counts_ties_and_is_never_zero():
    null = np.array([[0.0, 1.0], [2.0, 1.0], [1.0, 1.0]])
    assert_allclose(permutation_p(np.array([3.0, 1.0]), null), [1 / 4, 1])
    assert_allclose(permutation_p(np.array([-2.0, 0.5]), null, "two-sided"), [2 / 4, 1])
    assert_array_equal(np.isnan(permutation_p(np.array([np.nan, 1]), null)), [True, False])


def test_equal_statistics_that_differ_by_rounding_are_ties():
    assert permutation_p(np.array(0.1 + 0.2), np.array([0.3, 0.3, 0.1])) == 3 / 4


def test_images_of_a_cluster_are_drawn_together():
    cluster = np.array([7, 3, 7, 5])
    weights = cluster_weights(cluster, 200, generator(1, "test"))
    assert_array_equal(weights[:, 0], weights[:, 2])
    assert_array_equal(weights[:, :2].sum(axis=1) + weights[:, 3], np.full(200, 3))


def test_generators_follow_their_purpose_alone():
    same = generator(1, "contrast", 3).random(4)
    assert_array_equal(same, generator(1, "contrast", 3).random(4))
    for other in (generator(2, "contrast", 3), generator(1, "contrast", 4), generator(1, "mask")):
        assert (other.random(4) != same).all()


@pytest.mark.parametrize("clusters", [6, 24])
def test_bootstrap_over_clusters_holds_its_level_where_that_over_images_does_not(clusters: int):
    values, cluster = clustered(2000, clusters, 5, within=0.6, seed=1)
    covered = {}
    for name, of in (("clusters", cluster), ("images", np.arange(len(cluster)))):
        low, high = cluster_bootstrap(mean_of(values), of, rng=generator(1, "test"))
        covered[name] = ((low <= 0) & (high >= 0)).mean()
    assert 0.93 <= covered["clusters"] <= 0.97
    assert covered["images"] < 0.8


def test_a_statistic_that_is_undefined_has_no_interval_and_leaves_others_alone():
    def statistic(weights):
        mean = weights @ np.arange(5.0) / weights.sum(axis=1)
        return np.stack([mean, np.full(len(mean), np.nan)], axis=1)

    low, high = cluster_bootstrap(statistic, np.arange(5), rng=generator(1))
    assert low[0] < 2 < high[0] and np.isnan(low[1]) and np.isnan(high[1])
    none, _ = cluster_bootstrap(lambda w: np.full(len(w), np.nan), np.arange(5), rng=generator(1))
    assert np.isnan(none)


def test_one_cluster_has_no_interval():
    low, high = cluster_bootstrap(mean_of(np.ones((4, 2))), np.zeros(4, int), rng=generator(1))
    assert np.isnan(low).all() and np.isnan(high).all()


def test_sign_flips_of_clusters_hold_their_level_where_those_of_images_do_not():
    values, cluster = clustered(2000, 24, 5, within=0.6, seed=2)
    flip = {
        name: sign_flip_p(values, of, rng=generator(1, "test"), resamples=999)
        for name, of in (("clusters", cluster), ("images", np.arange(len(cluster))))
    }
    assert 0.03 <= (flip["clusters"] <= 0.05).mean() <= 0.07
    assert (flip["images"] <= 0.05).mean() > 0.2


def test_few_clusters_give_no_p_value():
    values, cluster = clustered(3, MIN_CLUSTERS - 1, 5, within=0.5, seed=3)
    assert np.isnan(sign_flip_p(values, cluster, rng=generator(1))).all()


def test_corrections_are_those_of_their_papers_and_leave_out_what_was_not_tested():
    p = np.array([[0.01, np.nan, 0.04], [0.03, 0.5, np.nan]])
    # Sorted .01 .03 .04 .5 of four tests: p m / k from the largest down, never rising.
    expected = np.array([[0.04, np.nan, 0.16 / 3], [0.16 / 3, 0.5, np.nan]])
    assert_allclose(benjamini_hochberg(p), expected)
    harmonic = 1 + 1 / 2 + 1 / 3 + 1 / 4
    assert_allclose(benjamini_yekutieli(p), np.minimum(1, harmonic * expected))
    assert np.isnan(benjamini_yekutieli(np.full(3, np.nan))).all()
