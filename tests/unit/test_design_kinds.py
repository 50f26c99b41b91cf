"""Every registered design keeps what its object says, wherever it is summed."""

from itertools import permutations, product

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from variscope import decompose
from variscope.designs import Design, kinds
from variscope.errors import UserError
from variscope.estimators import Layout, Moments
from variscope.estimators.kernels import ADD
from variscope.indices.precision import index_of
from variscope.responses.network.sums import TERMS, DeviceSums
from variscope.study.schema import config_schema

GROUPS = {1: ((0, 1),), 2: ((1,), (0, 2)), 5: ((0, 1), (2,), (), (3, 4, 5), (6,))}


def evaluations(points: np.ndarray) -> np.ndarray:
    """Which evaluation each row is, ``(block, row)``: equal points of a block are one."""
    rows = np.arange(points.shape[0] * points.shape[1]).reshape(points.shape[:2])
    for block, number in zip(points, rows, strict=True):
        _, first, inverse = np.unique(block, axis=0, return_index=True, return_inverse=True)
        number[:] = number[first[inverse.reshape(-1)]]
    return rows


@pytest.mark.parametrize("name", kinds.names())
def test_the_schema_says_of_a_design_what_its_object_says(name: str):
    setting = config_schema()["properties"]["designs"]["properties"][name]
    assert setting["description"] == kinds.get(name).title
    assert setting["properties"]["blocks"]["default"] >= 2


@pytest.mark.parametrize("variables", GROUPS)
@pytest.mark.parametrize("name", kinds.names())
def test_a_row_takes_each_variable_whole_from_one_of_two_points(name: str, variables: int):
    kind, groups = kinds.get(name), GROUPS[variables]
    table = Design(name, groups, blocks=6, replicates=2, seed=4)
    blocks = table.replicate(1)
    assert blocks.points.shape == (3, kind.rows(variables), table.factors)
    assert table.rows == kind.rows(variables)
    assert blocks.order.shape == (3, variables if kind.permuted else 0)
    if kind.permuted:
        assert_array_equal(np.sort(blocks.order, axis=1), [range(variables)] * 3)
    x, y = np.zeros((3, table.factors)), np.ones((3, table.factors))
    points = kind.points(x, y, blocks.order, groups)
    for group in groups:
        taken = points[:, :, list(group)]
        assert (taken == taken[:, :, :1]).all()
        assert not group or set(np.unique(taken)) == {0, 1}


@pytest.mark.parametrize("name", kinds.names())
def test_a_variable_moved_where_the_two_points_differ_in_it(name: str):
    kind, groups = kinds.get(name), GROUPS[5]
    blocks = Design(name, groups, blocks=40, replicates=2, seed=4).replicate(0)
    moved = kind.moved(evaluations(blocks.points), blocks.order)
    assert moved.dtype == np.int64 and moved.shape == (5,)
    assert (moved[[0, 1, 3, 4]] > 0).all() and moved[2] == 0  # the third has no factor


def test_every_design_that_is_summed_is_so_on_cpu_and_device():
    assert set(ADD) == set(TERMS) == set(kinds.summed_names())


def test_a_kernel_in_one_pass_is_of_a_design_that_is_summed():
    pytest.importorskip("triton")
    from variscope.responses.network.fused import KERNELS

    assert set(KERNELS) <= set(kinds.summed_names())


@pytest.mark.parametrize("by", ["kernel", "torch"])
@pytest.mark.parametrize("name", kinds.summed_names())
def test_two_bits_have_their_closed_form_over_all_points(name: str, by: str):
    """Both bits set: S1 1/3, ST 2/3, S2 1/3, Shapley 1/2; no Monte Carlo error is left."""
    kind, layout = kinds.get(name), Layout(name, 2)
    corners = list(product([0.25, 0.75], repeat=2))
    orders = list(permutations(range(2))) if kind.permuted else [()]
    x, y, order = (np.array(part) for part in zip(*product(corners, corners, orders), strict=True))
    order = order.astype(np.int64)
    points = kind.points(x, y, order, ((0,), (1,)))
    outputs = (points > 0.5).prod(axis=2)[:, :, None].astype(np.float64)
    if by == "kernel":
        moments = Moments.zeros(layout, [0], (1,))
        moments.update(0, outputs, order)
    else:
        sums = DeviceSums(layout, 0, (1,), torch.device("cpu"), start=64)
        flat = torch.from_numpy(outputs.reshape(-1, 1))
        sums.update(flat, np.arange(len(flat)).reshape(len(x), -1), order)
        (moments,) = sums.moments()
    assert moments.sums.shape == (1, layout.sum_rows, 1)
    variance = moments.variance[0, 0]
    assert variance / len(x) == pytest.approx(3 / 16, rel=1e-6)
    exact = {"S1": 1 / 3, "ST": 2 / 3, "shapley": 1 / 2}
    for index in layout.indices:
        assert_allclose(moments.numerator(index)[0, :, 0] / variance, exact[index], rtol=1e-6)
    per_product = moments.numerator("S2")[0, 0, 0] / moments.pair_counts[0, 0]
    assert per_product / (variance / len(x)) == pytest.approx(1 / 3, rel=1e-6)
    shares = moments.numerator(layout.main_index)[0, :, 0] / variance
    assert shares.sum() <= 1 + 1e-6  # disjoint
    assert moments.raw("total")[0, 0] == pytest.approx(outputs.sum(), rel=1e-6)


def test_a_design_without_sums_has_rows_and_no_moments(monkeypatch: pytest.MonkeyPatch):
    """A pair of rows per variable, with it from x and from y, as ranks need."""

    def points(x, y, order, groups):
        rows = np.repeat(x[:, None], 2 * len(groups), axis=1)
        for i, group in enumerate(groups):
            rows[:, 2 * i + 1, list(group)] = y[:, list(group)]
        return rows

    kind = kinds.DesignKind(
        name="one_at_a_time",
        title="Pairs of rows.",
        rows=lambda variables: 2 * variables,
        permuted=False,
        points=points,
        moved=lambda rows, order: (rows[:, ::2] != rows[:, 1::2]).sum(axis=0),
        sums=None,
    )
    monkeypatch.setitem(kinds.built_in(), kind.name, kind)
    table = Design(kind.name, GROUPS[2], blocks=4, replicates=2, seed=1)
    assert table.replicate(0).points.shape == (2, 4, 3)
    with pytest.raises(ValueError, match="'one_at_a_time'; allowed: cycle, star"):
        Layout(kind.name, 2)
    with pytest.raises(ValueError, match="'one_at_a_time'; allowed: cycle, star"):
        index_of(kind.name, "auto")
    images, half = np.zeros((4, 3, 8, 8), np.uint8), [0.5] * 3
    with pytest.raises(UserError, match="'one_at_a_time'; allowed: cycle, star"):
        decompose(
            torch.nn.Flatten(), images, variables=["hue"], auxiliary=["image"], design=kind.name,
            mean=half, std=half,
        )  # fmt: skip
