"""Intervals of ratios: Fieller's by its definition, the longer end by its formula, the guards."""

from typing import Any

import numpy as np
import pytest
from closed_forms import enumerate_exact
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from variscope.estimators import Estimate, ratio
from variscope.estimators.guards import Terms, guarded
from variscope.estimators.intervals import lengthening, relative_error

from benchmarks.hard_units import exact_indices

BLOCKS = np.array([32, 32, 31, 33, 30, 34, 32, 32])


def sums(spread: float, seed: int = 0, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Numerators and variances of eight replicates, the variance's relative spread given."""
    rng = np.random.default_rng(seed)
    variance = scale * BLOCKS * (1 + spread * rng.normal(size=8))
    return 0.3 * variance + 0.05 * scale * BLOCKS * rng.normal(size=8), variance


def t_test(theta: float, numerator: np.ndarray, variance: np.ndarray) -> float:
    """Two-sided p of the numerators less theta variances, each less its blocks' share, being 0."""
    total = numerator.sum() - theta * variance.sum()
    value = numerator - theta * variance
    error = np.sqrt(8 / 7 * ((value - total * BLOCKS / BLOCKS.sum()) ** 2).sum())
    return 2 * float(stats.t.sf(abs(total) / error, 7))


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_bounds_are_where_the_t_test_of_the_ratio_begins_to_reject(level: float):
    numerator, variance = sums(0.02)  # a variance so well known that the upper end is Fieller's
    found = ratio(numerator[:, None], variance, BLOCKS, level)
    assert lengthening(relative_error(variance, BLOCKS), BLOCKS.sum()) == 0
    assert found.value[0] == pytest.approx(numerator.sum() / variance.sum())
    for bound in (found.low[0], found.high[0]):
        assert t_test(bound, numerator, variance) == pytest.approx(1 - level, abs=1e-9)
    assert t_test(found.low[0] + 1e-3, numerator, variance) > 1 - level
    assert t_test(found.low[0] - 1e-3, numerator, variance) < 1 - level


def test_where_nothing_far_away_is_rejected_the_interval_is_everything():
    numerator, variance = sums(1.8, seed=2)
    assert t_test(1e9, numerator, variance) > 0.05
    found = ratio(numerator[:, None], variance, BLOCKS, 0.95)
    assert (found.low[0], found.high[0]) == (0, 1)


def test_an_index_that_falls_as_the_variance_rises_has_a_longer_lower_end():
    """Numerators that do not vary at all: theta is overrated where V is underrated."""
    _, variance = sums(0.4, seed=1)
    found = ratio(0.3 * BLOCKS[:, None].astype(float), variance, BLOCKS, 0.95)
    theta, relative = 0.3 * BLOCKS.sum() / variance.sum(), relative_error(variance, BLOCKS)
    w, t = lengthening(relative, BLOCKS.sum()), stats.t.ppf(0.975, 7)
    # Fieller's: (theta - x)^2 = (t x e)^2 below theta. The deviations are -theta v_r: rho = -1.
    assert w > 0 and found.value[0] == pytest.approx(theta)
    arm = theta - theta / (1 + t * relative)
    assert found.low[0] == pytest.approx(theta - arm * (1 + w**2))


def test_a_badly_known_variance_lengthens_the_upper_end_alone_where_the_index_does_not_fall():
    numerator, variance = sums(0.4, seed=1)
    numerator = numerator + 0.3 * (variance - BLOCKS * variance.sum() / BLOCKS.sum())  # it rises
    relative = relative_error(variance, BLOCKS)
    assert relative == pytest.approx(
        np.sqrt(8 / 7 * ((variance / variance.sum() - BLOCKS / BLOCKS.sum()) ** 2).sum())
    )
    assert 0 < lengthening(relative, BLOCKS.sum()) <= 1
    found = ratio(numerator[:, None], variance, BLOCKS, 0.95)
    assert t_test(found.low[0], numerator, variance) == pytest.approx(0.05, abs=1e-9)
    assert t_test(found.high[0], numerator, variance) < 0.05
    assert_array_equal(lengthening(np.array([0.0, 0.02, 1.0]), 16), [0, 0, 1])


@pytest.mark.parametrize("scale", [1e-70, 1e70])
def test_scale_changes_nothing(scale: float):
    for spread in (0.02, 0.4):
        usual, scaled = (
            ratio(p[:, None], v, BLOCKS, 0.95) for p, v in (sums(spread), sums(spread, scale=scale))
        )
        assert_allclose(np.array(scaled), np.array(usual), rtol=1e-9)


def test_one_replicate_says_nothing_of_the_spread_and_no_term_nothing_at_all():
    one = ratio(np.array([[3.0]]), np.array([4.0]), np.array([2]), 0.95)
    assert one.value[0] == 0.75 and np.isnan([one.low[0], one.high[0]]).all()
    numerator, variance = sums(0.02)
    none = ratio(0 * numerator[:, None], variance, BLOCKS, 0.95, np.zeros((8, 1), np.int64))
    assert np.isnan(np.array(none)).all()


def terms(nonzero: list[float], **changed: object) -> Terms:
    settings: dict[str, Any] = {
        "zero": np.zeros((len(nonzero), 1), bool),
        "nonzero": np.array(nonzero)[:, None],
        "relative": np.array([0.05]),
        "blocks": 512,
        "pairs": np.full(len(nonzero) * (len(nonzero) - 1) // 2, 256),
    }
    return Terms(**(settings | changed))


def estimates(variables: int) -> dict[str, Estimate]:
    """S1 of 0.1 in [0.05, 0.15], ST of 0.3 + 0.1 i within 0.05, S2 of 0.02 within 0.01."""
    i = np.arange(variables, dtype=np.float64)[:, None]
    pairs = np.full((variables * (variables - 1) // 2, 1), 0.02)
    return {
        "S1": Estimate(0.1 + 0 * i, 0.05 + 0 * i, 0.15 + 0 * i),
        "ST": Estimate(0.3 + 0.1 * i, 0.25 + 0.1 * i, 0.35 + 0.1 * i),
        "shapley": Estimate(0.2 + 0 * i, 0.15 + 0 * i, 0.25 + 0 * i),
        "S2": Estimate(pairs, pairs - 0.01, pairs + 0.01),
    }


def test_few_products_reach_to_the_total_order():
    found, spoke = guarded(estimates(3), terms([39, 40, 500]), 0.95)
    assert_array_equal(spoke["S1"][:, 0], [True, False, False])
    assert (found["S1"].low[0, 0], found["S1"].high[0, 0]) == (0, 0.35)
    assert (found["S1"].low[1, 0], found["S1"].high[1, 0]) == (0.05, 0.15)
    # Of S2, (0, 1) and (0, 2) go with S1 of 0; half of the blocks have (1, 2): 20 of 40.
    assert_array_equal(spoke["S2"][:, 0], [True, True, True])
    assert_allclose(found["S2"].high[:, 0], [0.35, 0.35, 0.45])
    enough, quiet = guarded(estimates(3), terms([500, 80, 500]), 0.95)
    assert not quiet["S2"].any() and enough["S2"].high[2, 0] == pytest.approx(0.03)


def test_exactly_zero_is_believed_of_enough_effective_blocks_only():
    zero = np.array([[True], [False], [False]])
    e = estimates(3)
    for name in ("S1", "ST", "shapley"):
        for part in e[name]:
            part[0] = 0.0
    kept, quiet = guarded(e, terms([0, 500, 500], zero=zero), 0.95)
    assert not quiet["ST"].any() and kept["ST"].high[0, 0] == 0 == kept["S1"].high[0, 0]
    relative = np.array([1 / np.sqrt(20)])
    found, spoke = guarded(e, terms([0, 500, 500], zero=zero, relative=relative), 0.95)
    assert_array_equal(spoke["ST"][:, 0], [True, False, False])
    # The rule of three: 20 blocks miss this share of blocks with probability 0.025.
    high = found["ST"].high[0, 0]
    assert (1 - high) ** 20 == pytest.approx(0.025, rel=0.6) and high == pytest.approx(
        3.689 / 20, 1e-3
    )
    assert found["shapley"].high[0, 0] == high and found["S1"].high[0, 0] == high


def test_of_two_variables_each_index_says_what_the_others_other_does():
    found, spoke = guarded(estimates(2), terms([500, 500]), 0.95)
    assert_allclose(found["S1"].high[:, 0], [1 - 0.35, 1 - 0.25])  # 1 less the other's ST
    assert_allclose(found["ST"].high[:, 0], 1 - 0.05)
    assert not spoke["S1"].any() and not spoke["ST"].any()


def test_one_variable_is_everything_whatever_is_seen():
    e = {name: Estimate(*(np.ones((1, 1)),) * 3) for name in ("S1", "ST", "shapley")}
    found, spoke = guarded(e, terms([3]), 0.95)
    assert found["S1"].low[0, 0] == 1 and not spoke["S1"].any()


def test_the_anova_of_a_grid_is_the_slow_reference():
    outputs = np.random.default_rng(0).normal(size=(2, 3, 4, 2, 5))
    levels = [[1 / n] * n for n in outputs.shape[:-1]]
    fast, slow = exact_indices(outputs), enumerate_exact(outputs, levels)
    for name in ("variance", "S1", "ST", "shapley", "S2"):
        assert_allclose(fast[name], slow[name], atol=1e-12)
