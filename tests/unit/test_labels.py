"""Labels that belong together are found, and labels that say nothing are not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from variscope.estimators.labels import DRAWN, matching


def test_a_matrix_of_two_labels_can_never_be_told_apart_better_than_one_half():
    assert matching(np.eye(2)) == (1.0, 0.5, 2)


@pytest.mark.parametrize("count", [5, 12])
def test_p_is_uniform_where_labels_say_nothing_and_least_where_they_say_all(count: int):
    rng = np.random.default_rng(3)
    p = np.array([matching(rng.normal(size=(count, count))).p for _ in range(300)])
    assert abs((p <= 0.1).mean() - 0.1) < 0.055
    assert abs(p.mean() - 0.5) < 0.06
    orders = math.factorial(count) if count <= 7 else DRAWN + 1
    assert matching(10 * np.eye(count) + rng.normal(size=(count, count)))[1:] == (
        pytest.approx(1 / orders),
        orders,
    )


def test_equal_numbers_everywhere_reach_every_permutation():
    assert matching(np.full((6, 6), 0.3)).p == 1.0


def test_what_is_not_finite_or_alone_has_no_p():
    for matrix in (np.ones((1, 1)), np.array([[1.0, np.nan], [0.0, 1.0]])):
        found = matching(matrix)
        assert math.isnan(found.p) and found.permutations == 0
