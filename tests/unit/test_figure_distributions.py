"""Histograms and sorted shares hold the numbers that they are given."""

from __future__ import annotations

import numpy as np
import pytest
import synthetic
from artists import heights
from matplotlib.axes import Axes
from matplotlib.patches import StepPatch
from variscope import figures
from variscope.indices.reading import layers

VARIABLES = synthetic.SPATIAL + synthetic.AUXILIARY


def counts(ax: Axes) -> tuple[np.ndarray, np.ndarray]:
    """What a histogram counts in each bin, and its edges."""
    (patch,) = [patch for patch in ax.patches if isinstance(patch, StepPatch)]
    values, edges, _ = patch.get_data()
    return values, edges


def test_a_histogram_counts_every_unit_that_has_a_share():
    data = synthetic.dataset(size=(8, 9, 11))
    figure = figures.histograms(data, "S1")
    defined = int((data["status"] == 0).sum())
    for k, ax in enumerate(figure.axes[: len(VARIABLES)]):
        found, edges = counts(ax)
        values = data["S1"][k].values[data["status"].values == 0]
        assert found.sum() == defined
        inside = (values >= edges[10]) & (values < edges[11])
        assert found[10] == inside.sum()
        median, whole = (line.get_xdata()[0] for line in ax.lines)
        assert median == pytest.approx(np.median(values))
        assert whole == pytest.approx(float(data["S1_layer"][k]))
    assert f"{792 - defined:,} of 792 units without a share left out" in figure.get_suptitle()


def test_shares_beyond_the_axis_count_at_its_ends():
    data = synthetic.dataset("fc", dims="vector", size=(4,), constant=False)
    data["shapley"][0] = [-3.0, -0.02, 0.5, 1.7]
    found, edges = counts(figures.histograms(data).axes[0])
    assert found.sum() == 4 and found[0] == 1 and found[-1] == 1
    assert edges[0] == pytest.approx(-0.05) and edges[-1] == 1


def test_sorted_shares_fall_from_the_leading_unit_to_the_last():
    tree = synthetic.tree()
    figure = figures.decay(tree)
    for ax, (layer, data) in zip(figure.axes, layers(tree).items(), strict=False):
        assert ax.get_title("left") == layer
        for k in range(len(VARIABLES)):
            line = ax.lines[k]
            values = np.sort(data["shapley"][k].values[data["status"].values == 0])[::-1]
            part = np.asarray(line.get_xdata())
            assert len(part) <= 150 and part[0] == 1 / len(values) and part[-1] == 1
            ranks = (part * len(values)).round().astype(int)
            np.testing.assert_allclose(heights(line), values[ranks - 1])


def test_layers_without_any_share_are_drawn_as_such():
    data = synthetic.dataset("fc", dims="vector", size=(3,), constant=False)
    data["shapley"][:] = np.nan
    texts = [text.get_text() for ax in figures.histograms(data).axes for text in ax.texts]
    assert texts == ["undefined"] * len(VARIABLES)
    figure = figures.decay(synthetic.study({"fc": data}))
    assert [len(ax.lines) for ax in figure.axes] == [1]  # the line at 0


def test_a_legend_of_long_names_stays_in_the_figure():
    names = [f"a_rather_long_name_{k}" for k in range(20)]
    figure = figures.decay(synthetic.tree(variables=names))
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1
