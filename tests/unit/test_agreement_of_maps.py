"""Agreement of maps: closed forms, other packages, coverage, and what a naive version would say."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from scipy.stats import spearmanr
from variscope.estimators.agreement import (
    chance_overlap,
    coarser,
    levels,
    pooled,
    pooling_matrix,
    rank_correlations,
    top_membership,
    top_overlaps,
)
from variscope.estimators.own_images import area_under, mean_interval, of_own_images, pairing_p
from variscope.estimators.resampling import generator


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("cells", "to"), [(6, 3), (7, 4), (4, 7), (5, 5), (14, 6), (3, 1)])
def test_pooling_takes_means_of_areas_whatever_divides(cells: int, to: int) -> None:
    matrix = pooling_matrix(cells, to)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-12)
    # By a grid that both divide: repeated finely, then averaged.
    fine = np.repeat(np.eye(cells), to, axis=0)
    np.testing.assert_allclose(matrix, fine.reshape(to, cells, cells).mean(axis=1), atol=1e-12)


def test_pooling_is_exact_for_what_is_linear_in_the_place() -> None:
    """The mean of x over a cell of a grid is x at its middle, on any grid."""
    x = (np.arange(15) + 0.5) / 15
    found = pooled(np.add.outer(2 * x, x)[None], (4, 6))
    rows, columns = (np.arange(4) + 0.5) / 4, (np.arange(6) + 0.5) / 6
    # Within the old cells x is a step: what is lost is at most half of one.
    np.testing.assert_allclose(found[0], np.add.outer(2 * rows, columns), atol=1.5 / 30)
    np.testing.assert_allclose(found.mean(), 1.5, rtol=1e-12)
    assert coarser((4, 9), (7, 5)) == (4, 5)


def test_rank_correlations_are_scipys_with_ties() -> None:
    first = rng().integers(0, 5, (4, 30)).astype(float)
    second = rng(1).integers(0, 3, (6, 30)) / 7
    found = rank_correlations(levels(first), levels(second))
    expected = [[spearmanr(a, b).statistic for b in second] for a in first]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    each = rank_correlations(levels(first), levels(second[:4]), each=True)
    np.testing.assert_allclose(each, np.diag(found), atol=1e-12)


def test_a_map_without_differences_has_no_agreement() -> None:
    noise = rng().normal(size=(1, 20))
    flat = np.full((1, 20), 3.0) + 1e-8 * noise  # no more than rounding
    broken = noise.copy()
    broken[0, 3] = np.nan
    for other in (np.zeros((1, 20)), flat, broken):
        assert np.isnan(levels(other)).all()
        assert np.isnan(rank_correlations(levels(noise), levels(other))).all()
        assert np.isnan(top_overlaps(levels(other), levels(noise), 0.2)).all()


def test_tops_without_ties_are_sets() -> None:
    first, second = levels(rng().normal(size=(3, 40))), levels(rng(1).normal(size=(2, 40)))
    found = top_overlaps(first, second, 0.2)
    for i, j in product(range(3), range(2)):
        one, two = (set(np.argsort(-values)[:8]) for values in (first[i], second[j]))
        assert found[i, j] == pytest.approx(len(one & two) / len(one | two))


def test_ties_at_the_border_of_a_top_count_as_random_tie_breaking_on_average() -> None:
    """Against enumeration of all ways to break the ties, of either map by itself."""
    first, second = levels([[4, 2, 2, 2, 1, 0.0]]), levels([[1, 3, 3, 0, 3, 2.0]])
    tops_first = [{0, k} for k in (1, 2, 3)]
    tops_second = [{1, 2}, {1, 4}, {2, 4}]
    common = np.mean([len(one & two) for one, two in product(tops_first, tops_second)])
    assert top_overlaps(first, second, 2 / 6)[0, 0] == pytest.approx(common / (4 - common))


def test_a_map_of_few_cells_has_a_top_of_these_alone() -> None:
    """Filled up at random, two equal maps of a patch would agree by a fifth and less."""
    patch = np.zeros((2, 100))
    patch[0, :4], patch[1, 50:54] = [1, 2, 3, 4], [4, 3, 2, 1]
    assert top_membership(levels(patch), 0.2).sum(axis=1).tolist() == [4, 4]
    found = top_overlaps(levels(patch), levels(patch), 0.2)
    np.testing.assert_array_equal(found, np.eye(2))


def test_unrelated_maps_agree_by_chance_alone() -> None:
    """In expectation: 0 by rank; by tops the mean of I / (2k - I), I hypergeometric."""
    from scipy.stats import hypergeom

    first, second = levels(rng().normal(size=(300, 64))), levels(rng(1).normal(size=(300, 64)))
    ranks = rank_correlations(first, second)
    assert abs(ranks.mean()) < 3 / np.sqrt(ranks.size * 63)
    common = np.arange(14)
    chance = (hypergeom(64, 13, 13).pmf(common) * common / (26 - common)).sum()
    assert top_overlaps(first, second, 0.2).mean() == pytest.approx(chance, abs=0.003)
    assert chance == pytest.approx(0.2 / 1.8, abs=0.01)


def test_chance_is_that_of_enumeration_and_near_its_limit_for_fine_maps() -> None:
    """All pairs of 2 of 5 cells; and q / (2 - q), to which many cells come."""
    sets = [set(pair) for pair in combinations(range(5), 2)]
    every = np.mean([len(one & two) / len(one | two) for one, two in product(sets, sets)])
    assert chance_overlap(5, 0.4) == pytest.approx(every)
    for cells in (64 * 64, 224 * 224):
        assert chance_overlap(cells, 0.1) == pytest.approx(0.1 / 1.9, rel=0.01)


def test_own_less_others_is_exactly_nothing_where_one_map_is_the_same_for_all() -> None:
    maps = levels(rng().normal(size=(9, 36)))
    cluster = np.array([0, 0, 0, 0, 1, 1, 2, 3, 4])
    for first, second in ((maps, maps[:1].repeat(9, 0)), (maps[3:4].repeat(9, 0), maps)):
        scores = rank_correlations(first, second)[..., None]
        found = of_own_images(scores, cluster, rng=rng(), level=0.95)
        assert found.difference == (0, 0, 0)
        assert found.own.value == found.others.value


def test_others_are_the_mean_over_pairs_of_different_clusters() -> None:
    scores = rng().normal(size=(6, 6, 2))
    cluster = np.arange(6) // 2
    found = of_own_images(scores, cluster, rng=rng(), level=0.95)
    apart = cluster[:, None] != cluster
    np.testing.assert_allclose(found.others.value, scores[apart].mean(axis=0))
    np.testing.assert_allclose(found.own.value, scores[np.arange(6), np.arange(6)].mean(axis=0))
    # What cannot be below 0 has no bounds there.
    overlaps = of_own_images(scores**2 * np.eye(6)[..., None] * 9, cluster, rng=rng(), level=0.9)
    np.testing.assert_array_equal(overlaps.others, 0)
    one = of_own_images(scores[:2, :2], cluster[:2], rng=rng(), level=0.95)
    assert np.isnan(one.difference.value).all()


def world(seed: int, images: int, common: float, each: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Two methods that prefer the same places, and share the image by ``common``.

    The images of a cluster share their content. Returns scores and clusters.
    """
    habit = np.random.default_rng(99).normal(size=36)
    draws, cluster = rng(seed), np.repeat(np.arange(images // each), each)
    content, one, two = draws.normal(size=(3, images // each, 36))[:, cluster]
    first, second = (
        levels(habit + common * content + own + 0.5 * draws.normal(size=(images, 36)))
        for own in (one, two)
    )
    return rank_correlations(first, second)[..., None], cluster


@pytest.mark.parametrize(("images", "each", "common"), [(10, 1, 0.0), (10, 1, 0.7), (40, 2, 0.7)])
def test_intervals_cover_and_the_naive_answer_is_misled(
    images: int, each: int, common: float
) -> None:
    """Both methods prefer the same places: held against 0 they always agree about the image."""
    draws = 150
    found = [
        of_own_images(*world(seed, images, common, each), rng=rng(seed), level=0.9, resamples=300)
        for seed in range(draws)
    ]
    truth = np.mean([one.difference.value[0] for one in found])
    assert truth == pytest.approx(0.187 if common else 0, abs=0.01)
    covered = np.mean([one.difference.low[0] <= truth <= one.difference.high[0] for one in found])
    assert 0.82 <= covered <= 0.97
    assert np.mean([one.own.low[0] > 0 for one in found]) == 1  # the naive one, also at common 0


def test_pairs_of_images_at_random_reject_as_often_as_they_should() -> None:
    p = [pairing_p(*world(seed, 24, 0.0), rng=rng(seed), resamples=99)[0] for seed in range(300)]
    assert 0.02 <= np.mean(np.array(p) <= 0.05) <= 0.09
    assert pairing_p(*world(1, 24, 0.7), rng=rng(), resamples=99)[0] == pytest.approx(0.01)
    few = of_own_images(*world(1, 10, 0.7), rng=rng(), level=0.95)
    assert np.isnan(few.p).all()


def test_means_of_no_image_are_undefined() -> None:
    none = mean_interval(np.empty((0, 3)), np.empty(0, int), rng=rng(), level=0.95)
    assert np.isnan(none).all()
    assert none.value.shape == (3,)
    one = mean_interval(np.ones((1, 2)), np.zeros(1, int), rng=rng(), level=0.95)
    assert one.value.tolist() == [1, 1]
    assert np.isnan(one.low).all()


def test_resamples_are_those_of_the_generator() -> None:
    scores, cluster = world(0, 12, 0.5)
    found = [
        of_own_images(scores, cluster, rng=generator(3, "x"), level=0.95, resamples=50)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(found[0].difference, found[1].difference)


def test_areas_are_trapezoids() -> None:
    fractions = np.array([0, 0.25, 1.0])
    np.testing.assert_allclose(area_under(fractions, np.array([[1, 1, 1.0], [1, 0, 0]])),
                               [1, 0.125])  # fmt: skip
