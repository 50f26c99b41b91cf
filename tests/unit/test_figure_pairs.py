"""Triangles of maps: every cell holds its pair's numbers, on one scale."""

from typing import Any

import numpy as np
import pytest
import synthetic
import xarray as xr
from artists import bars, heights, pixels, segments
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm, same_color
from matplotlib.figure import Figure
from variscope import figures
from variscope.figures import grids
from variscope.figures.map_triangles import strip_limits
from variscope.figures.style import VERMILLION
from variscope.indices.pairs import pair_map_over_channels, pair_places, separated_pairs

NAMES = ("erasing", "rolling", "class", "image")
PAIRS = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


def maps(size: tuple[int, ...] = (5, 3, 4), **more: Any) -> xr.Dataset:
    return synthetic.dataset(variables=NAMES, size=size, star=True, **more)


def vectors(count: int = 6) -> xr.Dataset:
    return synthetic.dataset("fc", dims="vector", variables=NAMES, size=(count,), star=True)


def cells(figure: Figure, count: int = len(PAIRS)) -> dict[tuple[int, int], Axes]:
    """The axes of the pairs, found by where they stand in the figure: row by row from the top."""
    found = sorted(
        figure.axes[:count],
        key=lambda ax: (-round(ax.get_position().y1, 6), ax.get_position().x0),
    )
    return dict(zip(PAIRS, found, strict=True))


def framed(ax: Axes) -> bool:
    return all(
        same_color(s.get_edgecolor(), VERMILLION) and s.get_linewidth() > 1
        for s in ax.spines.values()
    )


# The numbers


def test_a_pixel_is_the_ratio_of_what_its_units_sum_to():
    data = maps(seed=3)
    data["S2"][2, 0, 1, 1] = np.nan  # one pair of one unit
    found = pair_map_over_channels(data)
    assert found.dims == ("pair", "y", "x")
    for pair, y, x in np.ndindex(found.shape):
        above = below = 0.0
        for channel in range(5):
            share = float(data["S2"][pair, channel, y, x])
            if np.isfinite(share):
                above += share * float(data["variance"][channel, y, x])
                below += float(data["variance"][channel, y, x])
        assert float(found[pair, y, x]) == pytest.approx(above / below, rel=1e-12)


def test_a_pixel_without_any_defined_unit_is_undefined():
    data = maps()
    data["S2"][:, :, 0, 2] = np.nan
    data["S2"][4] = np.nan
    undefined = np.isnan(pair_map_over_channels(data).values)
    assert undefined[4].all()
    assert undefined[:, 0, 2].all() and undefined[:4].sum() == 4


def test_a_unit_that_is_not_finite_spoils_no_pixel():
    data = maps(constant=False)
    expected = pair_map_over_channels(data.isel(channel=slice(1, None)))
    data["S2"][:, 0] = np.nan
    data["variance"][0] = np.inf
    np.testing.assert_allclose(pair_map_over_channels(data), expected)


def test_pairs_stand_in_the_studys_order_whatever_the_order_of_their_names():
    data = maps().assign_coords(pair=["rolling:erasing", *map(str, maps()["pair"].values[1:])])
    assert pair_places(data) == PAIRS
    assert pair_places(synthetic.dataset(variables=("erasing",))) == []


def test_a_pair_is_separated_where_its_interval_leaves_out_0():
    data = maps()
    data["S2_layer_low"][:] = [-0.1, 0.1, -0.2, 0.0, np.nan, 0.01]
    data["S2_layer_high"][:] = [0.1, 0.2, -0.1, 0.3, np.nan, 0.02]
    np.testing.assert_array_equal(separated_pairs(data), [False, True, True, False, False, True])


# Maps


def test_every_cell_above_the_diagonal_holds_its_pairs_map():
    data = maps()
    figure = figures.pair_maps(data)
    expected = pair_map_over_channels(data).values
    for k, ax in enumerate(cells(figure).values()):
        np.testing.assert_array_equal(pixels(ax.images[0]).filled(np.nan), expected[k])


def test_rows_and_columns_are_named_at_the_diagonal_and_above():
    found = cells(figures.pair_maps(maps()))
    texts = {pair: [t.get_text() for t in ax.texts] for pair, ax in found.items()}
    assert texts[0, 1] == ["erasing", "rolling"]
    assert (texts[0, 2], texts[0, 3]) == (["class"], ["image"])
    assert (texts[1, 2], texts[2, 3]) == (["rolling"], ["class"])
    left = {pair: round(ax.get_position().x0, 6) for pair, ax in found.items()}
    assert left[0, 2] == left[1, 2] < left[0, 3] == left[1, 3] == left[2, 3]


@pytest.mark.parametrize(("factor", "top"), [(40.0, None), (1e-3, 0.05), (0.0, 0.05)])
def test_one_scale_from_0_to_the_largest_serves_all_cells(factor: float, top: float | None):
    data = maps()
    data["S2"] = factor * data["S2"]
    figure = figures.pair_maps(data)
    largest = float(np.nanmax(pair_map_over_channels(data))) if top is None else top
    for ax in cells(figure).values():
        norm = ax.images[0].norm
        assert isinstance(norm, PowerNorm) and norm.gamma == 0.5
        assert (norm.vmin, norm.vmax) == (0.0, pytest.approx(largest))
    bar = figure.axes[len(PAIRS)]
    assert bar.get_xlim() == pytest.approx((0.0, largest))
    assert (bar.get_xticks()[0], bar.get_xticks()[-1]) == pytest.approx((0.0, largest))


def test_undefined_pixels_and_pairs_that_the_design_does_not_give_are_hatched():
    data = maps(constant=False)
    data["S2"][3] = np.nan
    data["S2"][:, :, 2, 1] = np.nan
    for pair, ax in cells(figures.pair_maps(data)).items():
        mask = np.ma.getmaskarray(pixels(ax.images[0]))
        assert mask.all() if pair == (1, 2) else mask.sum() == 1 and mask[2, 1]
        assert ax.patch.get_hatch()
        assert ax.images[0].cmap.get_bad()[3] == 0  # transparent: the hatching shows


@pytest.mark.parametrize("data", [maps(), vectors()], ids=["maps", "vectors"])
def test_pairs_whose_interval_leaves_out_0_are_framed(data: xr.Dataset):
    data = data.copy(deep=True)
    data["S2_layer_low"][:] = [-0.1, 0.1, -0.1, -0.1, np.nan, -0.1]
    data["S2_layer_high"][:] = [0.2, 0.2, 0.2, 0.2, np.nan, -0.05]
    figure = figures.pair_maps(data)
    assert [pair for pair, ax in cells(figure).items() if framed(ax)] == [(0, 2), (2, 3)]
    assert "framed: pairs whose 95 % interval" in figure.get_suptitle()
    data["S2_layer_low"][:] = -0.1
    data["S2_layer_high"][:] = 0.1
    figure = figures.pair_maps(data)
    assert not any(framed(ax) for ax in cells(figure).values())
    assert "no pair's 95 % interval" in figure.get_suptitle()


def test_the_title_counts_what_the_mean_leaves_out():
    assert "left out of the mean: 16 constant and 0 not finite of 60" in title(maps())
    assert "all 60 units defined" in title(maps(constant=False))


def title(data: xr.Dataset) -> str:
    return figures.pair_maps(data).get_suptitle()


# Vectors


@pytest.mark.parametrize("count", [6, 200])
def test_cells_of_vectors_are_their_units_sorted_with_intervals(count: int):
    data = vectors(count)
    figure = figures.pair_maps(data)
    found = cells(figure)
    for k, ax in enumerate(found.values()):
        values = data["S2"].values[k]
        expected = np.sort(values[np.isfinite(values)])[::-1]
        if count == 6:
            lengths = [np.ptp(s[:, 1]) for s in segments(ax.collections[0])]
            np.testing.assert_allclose(lengths, 0.02)
        drawn = bars(ax) if count == 6 else heights(ax.lines[0])
        np.testing.assert_allclose(drawn, expected)
    assert len({ax.get_ylim() for ax in found.values()}) == 1
    numbered = [p for p, ax in found.items() if any(t.get_text() for t in ax.get_yticklabels())]
    assert numbered == [(0, 3), (1, 3), (2, 3)]
    assert "left out: 2 constant" in figure.get_suptitle()


def test_a_pair_of_vectors_that_the_design_does_not_give_is_hatched():
    data = vectors()
    data["S2"][5] = np.nan
    hatched = [p for p, ax in cells(figures.pair_maps(data)).items() if ax.patch.get_hatch()]
    assert hatched == [(2, 3)]


def test_the_axis_of_strips_holds_estimates_and_cuts_wild_intervals():
    value, half = np.array([[0.4, -0.1, np.nan]]), 10.0
    assert strip_limits(value, value - half, value + half) == pytest.approx((-0.225, 0.525))
    narrow = strip_limits(value, value - 0.01, value + 0.01)
    assert narrow == pytest.approx((-0.11, 0.41))
    # S2 lies in 0..1; what is far outside is a unit of next to no variance.
    wild = np.array([[40.0, -30.0]])
    assert strip_limits(wild, wild - 1, wild + 1) == pytest.approx((-0.875, 1.375))
    nothing = np.full((1, 2), np.nan)
    assert strip_limits(nothing, nothing, nothing) == pytest.approx((0.0, 0.05))


@pytest.mark.parametrize("dims", ["other", "pixel"])
def test_layers_of_other_shapes_and_of_single_pixels_are_drawn_as_vectors(dims: str):
    size, kind = ((5, 7), "other") if dims == "other" else ((5, 1, 1), "maps")
    data = synthetic.dataset(dims=kind, variables=NAMES, size=size)
    figure = figures.pair_maps(data)
    assert not any(ax.images for ax in figure.axes) and len(figure.axes) == len(PAIRS)


# What both share


def test_a_study_of_one_variable_says_that_it_has_no_pairs():
    figure = figures.pair_maps(synthetic.dataset(variables=("erasing",)))
    assert [t.get_text() for t in figure.texts][1:] == ["A study of one variable has no pairs."]


@pytest.mark.parametrize("data", [maps(), vectors()], ids=["maps", "vectors"])
def test_a_layer_without_s2_is_refused_with_what_is_there(data: xr.Dataset):
    with pytest.raises(ValueError, match=r"no index 'S2' in layer .*S1, "):
        figures.pair_maps(data.drop_vars(["S2", "S2_low", "S2_high"]))


@pytest.mark.parametrize("top", [0.05, 0.066, 0.1, 0.21, 0.34, 0.99, 1.0, 3.7])
def test_ticks_of_a_scale_are_its_ends_and_round_numbers_apart(top: float):
    ticks = np.array(grids.scale_ticks(top))
    assert (ticks[0], ticks[-1]) == (0.0, top) and len(ticks) >= 4
    assert np.diff(np.sqrt(ticks / top)).min() >= 0.15
    assert all(f"{tick:.0e}"[0] in "125" for tick in ticks[1:-1])


def test_cells_of_a_triangle_are_of_the_size_and_place_in_inches():
    figure = Figure(figsize=(6, 5))
    found = grids.triangle_grid(figure, 4, (1.0, 0.5), left=0.7, top=0.9, gap=0.1)
    assert list(found) == PAIRS
    for (i, j), ax in found.items():
        box = ax.get_position()
        np.testing.assert_allclose([box.width * 6, box.height * 5], [1.0, 0.5])
        np.testing.assert_allclose(box.x0 * 6, 0.7 + (j - 1) * 1.1)
        np.testing.assert_allclose((1 - box.y1) * 5, 0.9 + i * 0.6)
