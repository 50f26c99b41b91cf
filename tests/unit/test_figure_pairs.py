"""Triangles of maps: every cell holds its pair's numbers, on one scale."""

from typing import Any

import numpy as np
import pytest
import synthetic
import xarray as xr
from artists import DrawnCell, cells, pixels, segments
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from variscope import figures
from variscope.analyses.pair_maps.figures import draw_pair_maps, strip_limits
from variscope.figures import grids
from variscope.indices.pairs import pair_map_over_channels, pair_places, separated_pairs

NAMES = ("erasing", "rolling", "class", "image")
PAIRS = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]


def maps(size: tuple[int, ...] = (5, 3, 4), **more: Any) -> xr.Dataset:
    return synthetic.dataset(variables=NAMES, size=size, star=True, **more)


def vectors(count: int = 6) -> xr.Dataset:
    return synthetic.dataset("fc", dims="vector", variables=NAMES, size=(count,), star=True)


def by_pair(figure: Figure) -> dict[tuple[int, int], DrawnCell]:
    """The cells of the pairs, found by where they stand: row by row from the top."""
    return dict(zip(PAIRS, cells(figure), strict=True))


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
    for k, cell in enumerate(by_pair(figure).values()):
        np.testing.assert_array_equal(pixels(cell.images[0]).filled(np.nan), expected[k])


def test_rows_and_columns_are_named_at_the_diagonal_and_above():
    found = by_pair(figures.pair_maps(maps()))
    labels = {pair: cell.label for pair, cell in found.items()}
    assert (labels[0, 1], labels[1, 2], labels[2, 3]) == ("erasing", "rolling", "class")
    titles = {pair: cell.title for pair, cell in found.items()}
    assert (titles[0, 1], titles[0, 2], titles[0, 3]) == ("rolling", "class", "image")
    assert {titles[pair] for pair in ((1, 2), (1, 3), (2, 3))} == {""}
    left = {pair: round(cell.left, 6) for pair, cell in found.items()}
    assert left[0, 2] == left[1, 2] < left[0, 3] == left[1, 3] == left[2, 3]


@pytest.mark.parametrize(("factor", "top"), [(40.0, None), (1e-3, 0.05), (0.0, 0.05)])
def test_one_scale_from_0_to_the_largest_serves_all_cells(factor: float, top: float | None):
    data = maps()
    data["S2"] = factor * data["S2"]
    figure = figures.pair_maps(data)
    largest = float(np.nanmax(pair_map_over_channels(data))) if top is None else top
    for cell in by_pair(figure).values():
        norm = cell.images[0].norm
        assert isinstance(norm, PowerNorm) and norm.gamma == 0.5
        assert (norm.vmin, norm.vmax) == (0.0, pytest.approx(largest))
    bar = figure.axes[1]
    assert bar.get_xlim() == pytest.approx((0.0, largest))
    assert (bar.get_xticks()[0], bar.get_xticks()[-1]) == pytest.approx((0.0, largest))


def test_undefined_pixels_and_pairs_that_the_design_does_not_give_are_hatched():
    data = maps(constant=False)
    data["S2"][3] = np.nan
    data["S2"][:, :, 2, 1] = np.nan
    for pair, cell in by_pair(figures.pair_maps(data)).items():
        mask = np.ma.getmaskarray(pixels(cell.images[0]))
        assert mask.all() if pair == (1, 2) else mask.sum() == 1 and mask[2, 1]
        assert cell.hatched
        assert cell.images[0].cmap.get_bad()[3] == 0  # transparent: the hatching shows


@pytest.mark.parametrize("data", [maps(), vectors()], ids=["maps", "vectors"])
def test_pairs_whose_interval_leaves_out_0_are_framed(data: xr.Dataset):
    data = data.copy(deep=True)
    data["S2_layer_low"][:] = [-0.1, 0.1, -0.1, -0.1, np.nan, -0.1]
    data["S2_layer_high"][:] = [0.2, 0.2, 0.2, 0.2, np.nan, -0.05]
    figure = figures.pair_maps(data)
    assert [pair for pair, cell in by_pair(figure).items() if cell.framed] == [(0, 2), (2, 3)]
    assert "framed: pairs whose 95 % interval" in figure.get_suptitle()
    data["S2_layer_low"][:] = -0.1
    data["S2_layer_high"][:] = 0.1
    figure = figures.pair_maps(data)
    assert not any(cell.framed for cell in by_pair(figure).values())
    assert "no pair's 95 % interval" in figure.get_suptitle()


def test_the_page_shows_the_pairs_whose_interval_leaves_out_0_and_no_others():
    data = maps()
    data["S2_layer_low"][:] = [-0.1, 0.1, -0.1, -0.1, -0.1, -0.1]
    data["S2_layer_high"][:] = [0.2, 0.2, 0.2, 0.2, 0.2, -0.05]
    source = synthetic.source(synthetic.study({"a": data}))
    figure = draw_pair_maps(data, source, {})
    assert figure is not None
    expected = pair_map_over_channels(data).values[[1, 5]]
    found = [pixels(image).filled(np.nan) for image in figure.axes[0].images]
    np.testing.assert_array_equal(found, expected)
    data["S2_layer_low"][:] = -0.1
    data["S2_layer_high"][:] = 0.1
    assert draw_pair_maps(data, source, {}) is None


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
    for k, cell in enumerate(by_pair(figure).values()):
        values = data["S2"].values[k]
        expected = np.sort(values[np.isfinite(values)])[::-1]
        shapes, lines, _ = cell.collections
        if count == 6:
            lengths = [np.ptp(s[:, 1]) for s in segments(lines)]
            np.testing.assert_allclose(lengths, 0.02)
            tops = [np.asarray(path.vertices)[1, 1] for path in shapes.get_paths()]
            np.testing.assert_allclose(tops, expected)
        else:
            np.testing.assert_allclose(segments(lines)[0][:, 1], expected)
            band = np.asarray(shapes.get_paths()[0].vertices)[: 2 * len(expected), 1]
            np.testing.assert_allclose(band[: len(expected)], expected - 0.01)
            np.testing.assert_allclose(band[len(expected) :][::-1], expected + 0.01)
    assert "left out: 2 constant" in figure.get_suptitle()


def test_one_scale_serves_all_strips_and_its_numbers_stand_on_the_right():
    data = vectors()
    data["S2"][:] = 0.02
    data["S2"][0, 0], data["S2_low"][:], data["S2_high"][:] = 0.4, 0.0, 0.41
    found = by_pair(figure := figures.pair_maps(data))
    texts = [t for t in figure.axes[0].texts if t.get_text() in ("0", "0.2")]
    assert len(texts) == 6  # two in each row
    last = max(cell.left + cell.width for cell in found.values())
    assert all(t.get_position()[0] > last for t in texts)
    # The scale reaches from 0 to the upper bound: a number stands at its height.
    for cell in (found[0, 3], found[1, 3], found[2, 3]):
        assert {
            round((t.get_position()[1] - cell.bottom) / cell.height * 0.41, 9)
            for t in texts
            if cell.bottom <= t.get_position()[1] <= cell.bottom + cell.height
        } == {0.0, 0.2}
        bar = cell.collections[0]
        assert bar.get_transform().transform((0, 0.41))[1] / figure.dpi == pytest.approx(
            cell.bottom + cell.height
        )


def test_a_pair_of_vectors_that_the_design_does_not_give_is_hatched():
    data = vectors()
    data["S2"][5] = np.nan
    hatched = [p for p, cell in by_pair(figures.pair_maps(data)).items() if cell.hatched]
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
    assert not any(ax.images for ax in figure.axes) and len(by_pair(figure)) == len(PAIRS)


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
