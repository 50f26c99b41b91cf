"""Variables that never moved are not varied; those that moved and changed nothing are exactly 0."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from variscope.designs import Design, kinds
from variscope.estimators import Layout, Moments, unit_indices
from variscope.indices.layer import layer_dataset

BLOCKS, REPLICATES, VARIABLES = 256, 4, 3


def evaluated(design: str) -> tuple[Moments, np.ndarray]:
    """Sum y = x0 > 1/2; x1 changes the stimulus and not the output, x2 is fixed at one level."""
    table = Design(design, ((0,), (1,), (2,)), BLOCKS, REPLICATES, seed=3)
    moments = Moments.zeros(Layout(design, VARIABLES), range(REPLICATES), (1,))
    counted = np.zeros(VARIABLES, np.int64)
    for number in range(REPLICATES):
        blocks = table.replicate(number)
        stimulus = (blocks.points >= 0.5)[..., :2]
        code = stimulus @ np.array([1, 2])
        first = np.array([[list(row).index(c) for c in row] for row in code])
        rows = first + table.rows * np.arange(len(code))[:, None]
        outputs = stimulus[..., :1].reshape(-1, 1).astype(np.float32)
        moments.update(number, outputs, blocks.order, rows)
        for block, points in enumerate(stimulus):  # the slow, obvious count
            for k in range(1, 2 * VARIABLES + 1):
                if design == "cycle":
                    variable = blocks.order[block, (k - 1) % VARIABLES]
                    before, after = points[k - 1], points[k % (2 * VARIABLES)]
                else:
                    variable = (k - 1) % VARIABLES
                    before, after = points[0 if k <= VARIABLES else -1], points[k]
                counted[variable] += (before != after).any()
    return moments, counted


@pytest.mark.parametrize("design", ["cycle", "star"])
def test_steps_that_change_the_stimulus_are_counted(design: str):
    moments, counted = evaluated(design)
    assert_array_equal(moments.moved.sum(axis=0), counted)
    assert counted[0] > 50 and counted[1] > 50 and counted[2] == 0
    rows = np.arange(8).reshape(1, -1)
    order = np.array([[2, 0, 1]])
    layout = Layout(design, 3)
    assert_array_equal(kinds.get(design).moved(rows[:, : layout.rows], order), [2, 2, 2])


@pytest.mark.parametrize("design", ["cycle", "star"])
def test_what_never_moved_has_no_indices_and_what_changed_nothing_is_exactly_zero(design: str):
    moments, counted = evaluated(design)
    data = layer_dataset([moments], ["a", "b", "c"], ("neuron",), 0.95, {})
    assert_array_equal(data.moved, counted)
    for name in moments.layout.indices:
        for of in ("", "_layer"):
            for end in ("", "_low", "_high"):
                found = data[f"{name}{of}{end}"].values.reshape(3)
                assert np.isnan(found[2]) and found[1] == 0 and 0.8 < found[0] < 1.2
    assert np.isnan(data.S2_layer.sel(pair=["a:c", "b:c"])).all()
    assert data.S2_layer.sel(pair="a:b") == 0
    assert (
        not np.isnan(data.shapley_layer_by_replicates.values[:, :2]).any()
        if (design == "cycle")
        else True
    )
    # A closed form of the rest: y depends on a alone.
    assert unit_indices(moments, 0.95).estimates["ST"].value[0, 0] == pytest.approx(1, abs=0.2)
