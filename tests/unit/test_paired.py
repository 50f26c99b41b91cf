"""Paired effects: known answers, scipy's numbers, and levels that the naive version misses."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm, pointbiserialr, rankdata, wilcoxon
from variscope.estimators.paired import ROUNDING, Effects, _effects, paired_effects, signed_ranks
from variscope.vocabulary import CONSTANT, FINE, NOT_FINITE


def alone(images: int) -> np.ndarray:
    return np.arange(images)


def arrays(found: Effects) -> list[np.ndarray]:
    return [np.asarray(values) for values in found]


def clustered(units: int, clusters: int, each: int, within: float, shift: float, seed: int):
    """Differences (image, unit) of variance 1, of which `within` is that of the cluster."""
    rng = np.random.default_rng(seed)
    cluster = np.repeat(np.arange(clusters), each)
    shared = np.sqrt(within) * rng.standard_normal((clusters, units))[cluster]
    rest = np.sqrt(1 - within) * rng.standard_normal((len(cluster), units))
    return (shift + shared + rest).astype(np.float32), cluster


def mixed(images: int = 61, units: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Plain outputs and differences, of which some are tied, some 0, and some units shifted."""
    rng = np.random.default_rng(3)
    d = rng.standard_normal((images, units)) + np.linspace(-1, 1, units)
    d[:, ::2] = np.round(d[:, ::2], 1)  # ties and zeros
    d[rng.random(d.shape) < 0.2] = 0
    return rng.standard_normal((images, units)).astype("f4"), d.astype("f4")


def test_a_constant_added_gives_one_and_nothing_gives_zero():
    x = np.random.default_rng(0).standard_normal((60, 3)).astype("f4")
    d = np.tile(np.array([0.5, 0, -0.5], "f4"), (60, 1))
    found = paired_effects(x, d, alone(60))
    assert_array_equal(found.rank_biserial, [1, 0, -1])
    assert found.p_value[1] == 1 and (found.p_value[[0, 2]] < 1e-10).all()
    assert_array_equal(found.status, FINE)
    assert found.low[0] > 0.8 and found.high[2] < -0.8
    assert found.low[1] < -0.1 < 0.1 < found.high[1]


def test_a_hand_made_table_with_ties_and_zeros():
    # Magnitudes 0 0 1 1 2 3 have the ranks 1.5 1.5 3.5 3.5 5 6: T = 3.5 - 3.5 + 5 - 6 = -1.
    d = np.array([[0], [0], [1], [-1], [2], [-3]], "f4")
    found = paired_effects(np.arange(6.0)[:, None], d, alone(6))
    assert_allclose(found.rank_biserial, -1 / 21)
    ranked = signed_ranks(d.T)
    assert_array_equal(ranked.rank[0, 2:], [3.5, 3.5, 5, 6])
    assert_array_equal(ranked.up_to[0], [0, 0, 0, 0, 0.5, 0.5])
    assert ranked.ties[0] == 12


def test_ranks_with_ties_are_scipys():
    _, d = mixed()
    ranked = signed_ranks(np.ascontiguousarray(d.T))
    assert_array_equal(np.sort(ranked.image, axis=1)[0], np.arange(len(d)))
    expected = np.take_along_axis(rankdata(np.abs(d.T), axis=1), ranked.image, axis=1)
    nonzero = ranked.sign != 0
    assert_array_equal(ranked.rank[nonzero], expected[nonzero])
    assert_array_equal(ranked.sign, np.sign(np.take_along_axis(d.T, ranked.image, axis=1)))


def test_p_values_are_scipys_whatever_the_ties_and_zeros_and_in_any_chunks(monkeypatch):
    x, d = mixed()
    expected = wilcoxon(d.astype(float), axis=0, zero_method="zsplit", method="asymptotic").pvalue
    whole = paired_effects(x, d, alone(len(d)))
    assert_allclose(whole.p_value, expected, rtol=1e-9)
    monkeypatch.setattr("variscope.estimators.paired._CHUNK_BYTES", 8 * len(d) * 3)
    again = paired_effects(x, d, alone(len(d)))
    for one, other in zip(arrays(whole), arrays(again), strict=True):
        assert_array_equal(one, other)


def test_the_point_biserial_is_scipys():
    x, d = mixed()
    found = paired_effects(x, d, alone(len(d))).point_biserial
    label = np.repeat([0, 1], len(d))
    both = np.concatenate([x, x.astype(float) + d])
    expected = [pointbiserialr(label, both[:, unit]).statistic for unit in range(d.shape[1])]
    assert_allclose(found, expected, atol=1e-12)


def test_differences_of_rounding_get_no_rank():
    rng = np.random.default_rng(0)
    x = 1 + rng.random((60, 1))
    noise = 0.9 * ROUNDING * rng.random((60, 1))  # all of one sign
    found = paired_effects(x, noise, alone(60))
    assert found.rank_biserial == 0 and found.p_value == 1
    # The naive version calls it a perfect effect.
    assert wilcoxon(noise[:, 0]).pvalue < 1e-10


def test_units_that_are_constant_or_not_finite_are_named_and_leave_their_neighbours_alone():
    x, d = mixed(units=6)
    with_bad, bad = x.copy(), d.copy()
    with_bad[:, 1], bad[:, 1] = 4, 0  # never changes
    with_bad[:, 3] = 4  # changes under the treatment alone
    bad[5, 4] = np.inf
    found = paired_effects(with_bad, bad, alone(len(d)))
    assert_array_equal(found.status, [FINE, CONSTANT, FINE, FINE, NOT_FINITE, FINE])
    undefined = found.status != FINE
    for values in arrays(found)[:5]:
        assert_array_equal(np.isnan(values), undefined)
    before = paired_effects(x, d, alone(len(d)))
    same = [0, 2, 5]
    for one, other in zip(arrays(found), arrays(before), strict=True):
        assert_array_equal(one[same], other[same])


def test_clusters_of_one_image_leave_effects_and_intervals_as_they_are_in_any_order():
    x, d = mixed()
    order = np.random.default_rng(1).permutation(len(d))
    one = paired_effects(x, d, alone(len(d)))
    other = paired_effects(x[order], d[order], alone(len(d))[order] + 7)
    for first, second in zip(arrays(one), arrays(other), strict=True):
        assert_allclose(first, second, rtol=1e-12)


def test_null_units_of_clustered_images_are_rejected_at_the_level_and_far_more_often_naively():
    d, cluster = clustered(2000, 24, 5, within=0.6, shift=0, seed=1)
    x = np.zeros_like(d)
    rejected = (paired_effects(x, d, cluster).p_value <= 0.05).mean()
    naive = (paired_effects(x, d, alone(len(d))).p_value <= 0.05).mean()
    assert 0.03 <= rejected <= 0.07
    assert naive > 0.2


@pytest.mark.parametrize(("clusters", "each", "within"), [(10, 6, 0.5), (24, 5, 0.6), (60, 1, 0)])
@pytest.mark.parametrize("shift", [0, 0.8, 2.5])
def test_intervals_of_the_rank_biserial_hold_their_level(clusters, each, within, shift):
    d, cluster = clustered(2000, clusters, each, within, shift, seed=4)
    # P(d1 + d2 > 0) of two independent ones, since the larger in magnitude gives the sum's sign.
    truth = 2 * norm.cdf(np.sqrt(2) * shift) - 1
    found = paired_effects(np.zeros_like(d), d, cluster)
    covered = ((found.low <= truth) & (truth <= found.high)).mean()
    assert covered >= 0.94
    if shift == 2.5:  # Wald's, of images taken for independent, has next to no width
        r, variance, *_ = _effects(np.zeros_like(d), d, alone(len(d)), len(d))
        assert (np.abs(r - truth) <= 1.96 * np.sqrt(variance)).mean() < 0.6


def test_few_clusters_give_intervals_but_no_p_values_and_one_gives_neither():
    d, cluster = clustered(5, 19, 3, within=0.5, shift=0.5, seed=5)
    found = paired_effects(np.zeros_like(d), d, cluster)
    assert np.isnan(found.p_value).all() and np.isfinite(found.low).all()
    one = paired_effects(np.zeros_like(d), d, np.zeros(len(d), int))
    assert np.isnan(one.low).all() and np.isfinite(one.rank_biserial).all()


def test_no_units_give_empty_effects():
    found = paired_effects(np.empty((5, 0)), np.empty((5, 0)), alone(5))
    assert all(values.shape == (0,) for values in found)
