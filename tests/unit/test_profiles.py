"""Profiles: correlations, trees and the stability of clusters, held against known answers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from variscope.estimators import profiles
from variscope.estimators.resampling import generator


def test_rank_correlations_are_those_of_scipy_with_ties_and_in_stacks():
    rng = np.random.default_rng(1)
    values = rng.integers(5, size=(3, 6, 17)).astype(float)
    for stack, found in zip(values, profiles.rank_correlations(values), strict=True):
        np.testing.assert_allclose(found, spearmanr(stack, axis=1).statistic, atol=1e-12)


def test_settings_that_are_missing_are_left_out_of_the_ranks():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(4, 9))
    values[:, [2, 7]] = np.nan
    kept = np.delete(values, [2, 7], axis=1)
    np.testing.assert_allclose(
        profiles.rank_correlations(values), spearmanr(kept, axis=1).statistic, atol=1e-12
    )


def test_a_constant_profile_has_no_correlation():
    found = profiles.rank_correlations(np.array([[1.0, 1.0, 1.0], [1.0, 2.0, 3.0]]))
    assert np.isnan(found[0]).all() and found[1, 1] == pytest.approx(1.0)


def test_the_published_distance_takes_a_mirror_image_for_the_same():
    rho = np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert profiles.distances(rho)[0, 1] == 2.0
    assert profiles.distances(rho, unsigned=True)[0, 1] == 0.0


def resamples(truth: np.ndarray, noise: float, draws: int, seed: int) -> tuple[np.ndarray, ...]:
    """Estimated profiles, and resamples whose noise is added to that of the estimate."""
    rng = np.random.default_rng(seed)
    found = truth + noise * rng.normal(size=truth.shape)
    return found, found + noise * rng.normal(size=(draws, *truth.shape))


def distances(found: np.ndarray) -> np.ndarray:
    return profiles.distances(profiles.rank_correlations(found))


def clusters(found: np.ndarray, drawn: np.ndarray) -> tuple[profiles.Tree, profiles.Stability]:
    made = profiles.tree(distances(found))
    again = np.stack([profiles.tree(distances(one)).members for one in drawn])
    return made, profiles.stability(made.members, again, generator(1, "stability"))


def test_built_clusters_return_and_are_stable():
    rng = np.random.default_rng(4)
    group = np.repeat([0, 1, 2], 4)
    estimate, drawn = resamples(rng.normal(size=(3, 17))[group], 0.3, 100, seed=5)
    made, found = clusters(estimate, drawn)
    assert profiles.cophenetic(made, distances(estimate)) > 0.9
    for number in range(3):
        (place,) = np.flatnonzero((made.members == (group == number)).all(axis=1))
        assert found.stable[place] and found.jaccard[place] > 0.9 > 0.5 > found.chance[place]


def test_noise_has_clusters_but_no_stable_ones_though_resamples_share_the_estimates_noise():
    stable, named = 0, 0
    for seed in range(10):
        made, found = clusters(*resamples(np.zeros((12, 17)), 1.0, 60, seed=seed))
        stable += int(found.stable.sum())
        named += len(made.members)
    # Naively each of the tree's clusters would be a finding.
    assert stable == 0 and named == 100


def test_chance_is_what_a_clusters_size_alone_gives():
    # Of 8 items 7, in resamples with another one left out: 6 of 8 are in both, whatever it means.
    first, second = np.ones((2, 1, 8), dtype=bool)
    first[0, 0] = second[0, 1] = False
    found = profiles.stability(first, second[None], generator(2))
    assert found.jaccard[0] == 0.75 and not found.stable[0]
    assert found.chance[0] == pytest.approx(1 / 8 + 7 / 8 * 6 / 8, abs=0.04)


def test_the_trees_distances_are_those_of_scipy():
    rng = np.random.default_rng(6)
    distance = distances(rng.normal(size=(9, 17)))
    made = profiles.tree(distance)
    heights, members = made.linkage[:, 2], [*made.members, np.ones(9, dtype=bool)]
    along = np.zeros((9, 9))
    for height, inside in zip(heights[::-1], members[::-1], strict=True):  # the closest last
        along[np.ix_(inside, inside)] = height
    upper = np.triu_indices(9, 1)
    expected = np.corrcoef(distance[upper], along[upper])[0, 1]
    assert profiles.cophenetic(made, distance) == pytest.approx(expected)


def test_two_items_have_a_tree_without_clusters():
    made = profiles.tree(np.array([[0.0, 0.4], [0.4, 0.0]]))
    assert made.members.shape == (0, 2) and np.isnan(
        profiles.cophenetic(made, distances(np.eye(2, 3)))
    )
    found = profiles.stability(made.members, np.zeros((3, 0, 2), dtype=bool), generator(1))
    assert found.jaccard.shape == (0,)
