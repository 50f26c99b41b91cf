"""Designs: rows as defined, replicates independent of how a study is split."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.stats import kstest
from variscope.designs import (
    Design,
    base_points,
    cycle_rows,
    permutations,
    replicate_sizes,
    star_rows,
)
from variscope.designs.assignment import MOST, digit_rows, dimensions, search, stalled_pairs

GROUPS = ((0, 1), (2,), (3, 4, 5), ())


def test_the_cycle_walks_from_x_to_y_and_back_one_variable_at_a_time():
    x, y = np.zeros((1, 6)), np.ones((1, 6))
    order = np.array([[2, 0, 3, 1]])
    rows = cycle_rows(x, y, order, GROUPS)[0]
    assert rows.shape == (8, 6)
    assert_array_equal(rows[0], x[0])
    assert_array_equal(rows[4], y[0])
    for k in range(1, 9):
        moved = GROUPS[order[0, (k - 1) % 4]]
        changed = np.flatnonzero(rows[k % 8] != rows[k - 1])
        assert_array_equal(changed, sorted(moved))
        assert_array_equal(rows[k % 8, list(moved)], 1.0 if k <= 4 else 0.0)
    assert_array_equal(rows[:4] + rows[4:], 1.0)  # complements


def test_the_star_has_saltellis_rows():
    x, y = np.zeros((2, 6)), np.ones((2, 6))
    rows = star_rows(x, y, np.zeros((2, 0), dtype=int), GROUPS)
    assert rows.shape == (2, 10, 6)
    assert_array_equal(rows[:, 0], x)
    assert_array_equal(rows[:, -1], y)
    for i, group in enumerate(GROUPS):
        assert_array_equal(np.flatnonzero(rows[0, 1 + i]), sorted(group))
        assert_array_equal(np.flatnonzero(rows[0, 5 + i] == 0), sorted(group))


def test_the_star_has_the_rows_of_salibs_sampler():
    """SALib's own table for two random points, row by row."""
    pytest.importorskip("SALib")
    from SALib.sample import sobol

    problem = {"num_vars": 3, "names": ["a", "b", "c"], "bounds": [[0, 1]] * 3}
    table = sobol.sample(problem, 8, calc_second_order=True, seed=1).reshape(8, 8, 3)
    x, y = table[:, 0], table[:, -1]
    rows = star_rows(x, y, np.zeros((8, 0), dtype=int), ((0,), (1,), (2,)))
    assert_array_equal(rows, table)


@pytest.mark.parametrize("kind", ["cycle", "star"])
def test_a_block_is_a_pure_function_of_seed_design_replicate_and_number(kind: str):
    few = Design(kind, GROUPS, blocks=12, replicates=4, seed=7)
    many = Design(kind, GROUPS, blocks=40, replicates=4, seed=7)
    for number in range(4):
        once, again, longer = (d.replicate(number) for d in (few, few, many))
        assert_array_equal(once.points, again.points)
        assert_array_equal(once.points, longer.points[:3])
        assert_array_equal(once.order, longer.order[:3])
    other = Design(kind, GROUPS, blocks=12, replicates=4, seed=8).replicate(0)
    assert (other.points != few.replicate(0).points).any()
    assert (few.replicate(1).points != few.replicate(0).points).any()


def test_points_are_uniform_and_balanced():
    x, y = base_points(seed=3, design="cycle", replicate=0, blocks=256, factors=5)
    for column in (*x.T, *y.T):
        assert_array_equal(np.bincount((column * 256).astype(int), minlength=256), 1)
    assert abs(np.corrcoef(x.T, y.T) - np.eye(10)).max() < 0.35


@pytest.mark.parametrize("factors", range(1, MOST + 1))
def test_no_pair_of_two_level_variables_stalls(factors: int):
    """Products of leading digits of x_i, x_j, y_i, y_j keep one sign in no first 256 points.

    Counted on scipy's points themselves, scrambled: scrambling flips a leading digit throughout.
    With 16 replicates that is before 4,096 blocks; most are over by 32 points per replicate.
    """
    x, y = base_points(seed=5, design="cycle", replicate=0, blocks=256, factors=factors)
    sign = (1 - 2.0 * (x >= 0.5)) * (1 - 2.0 * (y >= 0.5))
    for points, most in ((32, factors**2 // 32), (64, factors**2 // 90), (256, 0)):
        mean = sign[:points].T @ sign[:points] / points
        stalled = int((abs(mean[np.triu_indices(factors, 1)]) > 0.5).sum())
        stalled += int((abs(sign[:points].mean(axis=0)) > 0.5).sum())
        assert stalled == stalled_pairs(dimensions(factors), points) <= most


def test_in_the_natural_order_a_pair_stalls_and_its_error_stays():
    """v_1 xor v_2 of nine two-level variables: S2 is 1; more blocks do not help, the table does."""

    def error(assigned: np.ndarray, points: int) -> float:
        bits = digit_rows(18)[assigned].reshape(2, 9)[:, 1:3]  # r of x_1, x_2; of y_1, y_2
        number = np.arange(points)
        parity = np.bitwise_count((number ^ (number >> 1))[:, None, None] & bits) & 1
        x, y = (1 - 2.0 * parity).swapaxes(0, 1)
        return abs((x.prod(axis=1) * y.prod(axis=1)).mean())

    natural = np.arange(18)
    assert [error(natural, n) for n in (32, 256, 512)] == [1, 1, 1]
    assert [error(dimensions(9), n) for n in (32, 256, 512)] == [0, 0, 0]


def test_the_table_is_the_searchs_and_each_line_a_permutation():
    assert_array_equal(dimensions(3), search(3))
    for factors in range(1, MOST + 1):
        assert_array_equal(np.sort(dimensions(factors)), np.arange(2 * factors))
    with pytest.raises(ValueError, match="1 to 64"):
        dimensions(65)


def test_factors_beyond_the_table_are_independent_draws_and_leave_the_others_alone():
    x, y = base_points(seed=3, design="cycle", replicate=0, blocks=4096, factors=70)
    few = base_points(seed=3, design="cycle", replicate=0, blocks=4096, factors=64)
    assert_array_equal(np.stack([x[:, :64], y[:, :64]]), np.stack(few))
    beyond = np.concatenate([x[:, 64:], y[:, 64:]], axis=1)
    assert min(kstest(column, "uniform").pvalue for column in beyond.T) > 0.001
    assert abs(np.corrcoef(beyond.T) - np.eye(12)).max() < 0.07
    longer = base_points(seed=3, design="cycle", replicate=0, blocks=5000, factors=70)[0]
    assert_array_equal(longer[:4096], x)


def test_replicates_are_independent_randomisations():
    first = np.array([base_points(0, "cycle", r, 1, 1)[0][0, 0] for r in range(600)])
    assert kstest(first, "uniform").pvalue > 0.001
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 0.13  # 3 standard errors


def test_permutations_are_uniform():
    order = permutations(seed=0, design="cycle", replicate=0, blocks=24000, variables=4)
    code = (order * 4 ** np.arange(4)).sum(1)
    _, counts = np.unique(code, return_counts=True)
    assert len(counts) == 24
    assert ((counts - 1000) ** 2 / 1000).sum() < 50  # chi square, 23 degrees of freedom: p > 0.001


def test_blocks_are_spread_over_replicates_as_evenly_as_can_be():
    assert replicate_sizes(10, 4) == (3, 3, 2, 2)
    assert replicate_sizes(512, 16) == (32,) * 16
    with pytest.raises(ValueError, match="at least 2"):
        replicate_sizes(10, 1)
    with pytest.raises(ValueError, match="at least one per replicate"):
        replicate_sizes(3, 4)


def test_a_design_of_no_factors_has_rows_all_the_same():
    design = Design("cycle", ((), ()), 4, 2, 0)
    assert design.replicate(0).points.shape == (2, 4, 0)
    with pytest.raises(ValueError, match="cycle, star"):
        Design("circle", GROUPS, 4, 2, 0)
