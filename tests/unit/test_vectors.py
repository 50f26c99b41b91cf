"""Vectors in compiled code do what numpy does."""

from typing import Any

import numpy as np
import pytest
from numba import njit
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from variscope.estimators.vectors import (
    LANES,
    any_nonzero,
    every,
    fetch,
    is_nonzero,
    join_bits,
    less,
    load,
    store,
    where_zero,
)


@njit
def _operate(a, b, out, like):
    fetch(a, len(a) + 10**6)
    x, y = load(a, 3, like), load(b, 0, like)
    store(out, 0, x + y)
    store(out, LANES, x - y)
    store(out, 2 * LANES, x * every(like))
    store(out, 3 * LANES, is_nonzero(x))
    store(out, 4 * LANES, join_bits(x, y, y))
    store(out, 5 * LANES, less(x, y))
    store(out, 6 * LANES, where_zero(x, y))


@pytest.mark.parametrize("held", [np.float32, np.float64])
@pytest.mark.parametrize("works_in", [np.float32, np.float64])
def test_operations_are_those_of_numpy(held: Any, works_in: Any):
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(LANES + 5).astype(held) for _ in range(2))
    a[3:8], b[:5] = [0, -0.0, np.nan, 1, 0], [0, 0, 1, np.inf, 1]
    out = np.zeros(7 * LANES, works_in)
    _operate(a, b, out, works_in(3))
    x, y = (v.astype(works_in) for v in (a[3 : 3 + LANES], b[:LANES]))
    bits = np.uint32 if works_in == np.float32 else np.uint64
    joined = (x.view(bits) | y.view(bits)).view(works_in)
    kept = np.where(x == 0, y, 0)
    assert_array_equal(out, np.concatenate([x + y, x - y, x * 3, x != 0, joined, x < y, kept]))
    assert (joined[:2] == 0).all()


@pytest.mark.parametrize("held", [np.float32, np.float64])
def test_one_lane_that_is_not_zero_is_found(held: type):
    @njit
    def found(a: Any, like: Any) -> Any:
        return any_nonzero(load(a, 0, like))

    values: NDArray[Any] = np.zeros(LANES, held)
    values[1] = -0.0
    assert not found(values, held(0))
    for number in (1e-30, -1, np.nan, np.inf):
        for lane in (0, LANES - 1):
            assert found(np.where(np.arange(LANES) == lane, held(number), values), held(0))


def test_what_is_no_vector_of_the_array_is_refused():
    @njit
    def of_integers(a):
        store(a, 0, every(1.0))

    with pytest.raises(Exception, match="store"):
        of_integers(np.zeros(LANES, np.int64))
