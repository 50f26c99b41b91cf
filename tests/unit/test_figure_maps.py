"""Heat maps, maps of units and strips of neurons hold the numbers that they are given."""

import numpy as np
import pandas as pd
import pytest
import synthetic
import xarray as xr
from artists import bars, cells, heights, pixels, segments
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from variscope import figures
from variscope.analyses.specialised.compute import specialised_units
from variscope.analyses.summary.figures import draw_estimates
from variscope.figures import style
from variscope.figures import units as sorted_units
from variscope.indices.maps import leading_channels, map_over_channels
from variscope.indices.reading import layers, with_unit_names
from variscope.indices.wording import interval_text, share_text

VARIABLES = synthetic.SPATIAL + synthetic.AUXILIARY


@pytest.fixture(scope="module")
def tree() -> xr.DataTree:
    return small_study()


def images(figure: Figure) -> list[AxesImage]:
    """The images of a figure, colour bars and lines over maps left out."""
    found = [image for ax in figure.axes for image in ax.images]
    return [image for image in found if image.get_gid() != "hatching"]


def small_study(variables: tuple[str, ...] = VARIABLES) -> xr.DataTree:
    """Two layers: maps and a vector."""
    return synthetic.study(
        {
            "conv1": synthetic.dataset("conv1", size=(5, 4, 4), variables=variables),
            "scores": synthetic.dataset("scores", dims="vector", size=(5,), variables=variables),
        }
    )


# Summary


def test_summary_holds_every_layers_estimates_and_intervals(tree):
    found = layers(tree)
    figure = figures.summary(tree)
    expected = np.stack([data["shapley_layer"].values for data in found.values()], axis=1)
    np.testing.assert_array_equal(images(figure)[0].get_array(), expected)
    texts = {text.get_text() for text in figure.axes[0].texts}
    for data in found.values():
        for k in range(len(VARIABLES)):
            part = [float(data[f"shapley_layer{end}"][k]) for end in ("", "_low", "_high")]
            assert share_text(part[0], 2) in texts
            assert interval_text(part[1], part[2], 2) in texts


def test_summary_of_many_layers_continues_below():
    names = [f"layer{k}" for k in range(9)]
    study = synthetic.study({n: synthetic.dataset(n, size=(3, 2, 2)) for n in names})
    figure = figures.summary(study)
    shown = [label.get_text() for ax in figure.axes[:2] for label in ax.get_xticklabels()]
    assert shown == names


def test_summary_writes_undefined_cells_and_keeps_negative_numbers():
    figure = style.new_figure(2)
    ax = figure.subplots()
    nan = float("nan")
    image, texts = draw_estimates(
        ax,
        np.array([[nan, -0.02]]),
        np.array([[nan, -0.05]]),
        np.array([[nan, 0.01]]),
        rows=["erasing"],
        columns=["a", "b"],
    )
    assert [text.get_text() for text in texts] == [
        "undefined",
        "",
        "\N{MINUS SIGN}0.02",
        "[\N{MINUS SIGN}0.05, 0.01]",
    ]
    np.testing.assert_array_equal(np.ma.getmaskarray(pixels(image)), [[True, False]])


def test_text_is_legible_on_every_colour_of_the_scale():
    def luminance(rgb):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    for value in np.linspace(0, 1, 101):
        rgba = style.share_colormap()(value)
        ink = 0.0 if style.text_color(rgba) == "black" else 1.0
        ground = luminance(rgba[:3])
        contrast = (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05)
        assert contrast >= 4.5  # WCAG 2, level AA


def test_an_index_that_is_not_there_is_refused_with_those_that_are():
    star = synthetic.tree(star=True)
    with pytest.raises(ValueError, match=r"no index 'shapley_layer' in layer 'conv1'.*S1_layer"):
        figures.summary(star)
    figures.summary(star, index="ST")


# Maps


def test_maps_share_one_scale_from_0_to_1_and_hold_the_shares():
    data = synthetic.dataset(size=(8, 9, 11))
    figure = figures.maps(data, channels=[5, 1])
    shown = images(figure)
    assert len(shown) == 3 * len(VARIABLES)
    for image in shown:
        assert isinstance(image.norm, PowerNorm)
        assert (image.norm.vmin, image.norm.vmax) == (0.0, 1.0)
    by_place = {(k // len(VARIABLES), k % len(VARIABLES)): shown[k] for k in range(len(shown))}
    for k, name in enumerate(VARIABLES):
        for row, channel in ((1, 5), (2, 1)):
            expected = data["shapley"].sel(variable=name).isel(channel=channel)
            np.testing.assert_array_equal(pixels(by_place[row, k]).filled(np.nan), expected)
        mean = map_over_channels(data, "shapley").sel(variable=name)
        np.testing.assert_allclose(pixels(by_place[0, k]), mean)


def test_lines_lie_over_units_whose_interval_is_not_above_the_floor():
    data = synthetic.dataset(size=(4, 3, 5), constant=False)
    low = np.random.default_rng(1).uniform(-0.1, 0.1, data["shapley_low"].shape)
    low[0, 1], low[1, 1], low[2, 1] = 0.1, -0.1, np.nan
    data["shapley_low"][:] = low
    for floor in (0.0, 0.03):
        figure = figures.maps(data, channels=[1], floor=floor)
        mean, channel = np.array(cells(figure), dtype=object).reshape(2, len(VARIABLES))
        assert not any(cell.lines for cell in mean)
        assert not channel[0].lines and not channel[2].lines
        for cell, bound in zip(channel, low[:, 1], strict=True):
            for lines in cell.lines:
                drawn = pixels(lines).filled(0)
                fine = drawn.shape[0] // 3
                touched = drawn.reshape(3, fine, 5, fine).any(axis=(1, 3))
                np.testing.assert_array_equal(touched, bound <= floor)
        assert len(channel[1].lines) == 1
        assert f"95 % interval not above {floor:g}" in figure.get_suptitle()


def test_maps_are_cut_off_at_their_cells():
    figure = figures.maps(synthetic.dataset(size=(4, 9, 11)), channels=2)
    for cell in cells(figure):
        (image,) = cell.images
        assert image.clipbox is not None
        found = np.divide(image.clipbox.bounds, figure.dpi)
        np.testing.assert_allclose(found, (cell.left, cell.bottom, cell.width, cell.height))


def test_undefined_pixels_are_masked_over_a_hatched_ground():
    data = synthetic.dataset(size=(4, 3, 3))
    figure = figures.maps(data, channels=[1])
    cell = cells(figure)[len(VARIABLES)]
    mask = np.ma.getmaskarray(pixels(cell.images[0]))
    np.testing.assert_array_equal(mask, data["status"].isel(channel=1) == 1)
    assert mask.any() and cell.hatched
    assert cell.images[0].cmap.get_bad()[3] == 0  # transparent: the hatching shows
    assert "hatched: 4 constant and 0 not finite" in figure.get_suptitle()


def test_maps_take_the_channels_that_vary_most_and_name_them():
    data = synthetic.dataset(size=(8, 9, 11))
    best = leading_channels(data, 3)
    figure = figures.maps(data, channels=3)
    notes = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert [n.split("\n")[0] for n in notes if n.startswith("channel")] == [
        f"channel {channel}" for channel in best
    ]


def test_vectors_are_sorted_with_their_intervals_and_undefined_ones_left_out():
    data = synthetic.dataset("fc", dims="vector", size=(6,))
    figure = figures.maps(data)
    ax = figure.axes[VARIABLES.index("rolling")]
    values = data["shapley"].sel(variable="rolling").values
    drawn = bars(ax)
    np.testing.assert_allclose(drawn, np.sort(values[np.isfinite(values)])[::-1])
    units = [int(label.get_text()) for label in ax.get_xticklabels()]
    np.testing.assert_array_equal(values[units], drawn)
    lengths = [s[1, 1] - s[0, 1] for s in segments(ax.collections[0])]
    np.testing.assert_allclose(lengths, 0.04)
    assert {ax.get_ylim()[1] for ax in figure.axes} == {1.0}
    assert "left out: 2 constant" in figure.get_suptitle()


def test_many_units_are_a_line_with_a_band():
    figure = style.new_figure(2)
    ax = figure.subplots()
    value = np.linspace(0, 0.5, 200)
    drawn, units = sorted_units.draw_sorted(
        ax, value, value - 0.1, value + 0.1, style=style.VariableStyle("0", "o", "-")
    )
    np.testing.assert_array_equal(units, np.arange(200)[::-1])
    np.testing.assert_array_equal(heights(drawn[1]), value[::-1])


def test_a_variable_without_any_defined_unit_is_drawn_as_undefined():
    ax = style.new_figure(2).subplots()
    nan = np.full(5, np.nan)
    drawn, units = sorted_units.draw_sorted(
        ax, nan, nan, nan, style=style.VariableStyle("0", "o", "-")
    )
    assert drawn == [] and len(units) == 0
    assert ax.texts[0].get_text() == "undefined"


def test_layers_of_other_shapes_and_of_single_pixels_are_drawn_as_vectors():
    for data in (
        synthetic.dataset(dims="other", size=(5, 7)),
        synthetic.dataset(size=(5, 1, 1)),
    ):
        assert images(figures.maps(data)) == []
        assert images(figures.moments(data)) == []


# Moments


def test_moments_hold_mean_variance_and_coefficient_of_variation():
    data = synthetic.dataset(size=(4, 3, 3))
    data["mean"][2, 0, 0] = 0.0
    figure = figures.moments(data, channels=[2])
    mean, variance, ratio = (pixels(image) for image in images(figure)[:3])
    np.testing.assert_array_equal(mean, data["mean"][2])
    np.testing.assert_array_equal(variance, data["variance"][2])
    expected = np.sqrt(data["variance"][2].values) / np.abs(data["mean"][2].values)
    np.testing.assert_allclose(ratio.compressed(), expected.ravel()[1:])
    assert np.ma.getmaskarray(ratio)[0, 0] and np.ma.count_masked(ratio) == 1


def test_units_that_are_not_finite_have_no_moments():
    data = synthetic.dataset(size=(4, 3, 3), constant=False)
    data["status"][0, 0, 0] = 2
    data["variance"][0, 0, 0] = np.inf
    data["mean"][0, 0, 0] = np.nan
    figure = figures.moments(data, channels=[0])
    assert all(np.ma.getmaskarray(pixels(image))[0, 0] for image in images(figure)[:3])
    assert 0 in leading_channels(data, 4)


# Specialised units


def test_specialised_frames_the_variable_that_a_channel_was_chosen_for(tree):
    data = layers(tree)["conv1"]
    table = specialised_units(tree)
    rows = table[table["layer"] == "conv1"]
    figure = figures.specialised(data, table)
    grid = cells(figure)
    framed = [k for k, cell in enumerate(grid) if cell.framed]
    assert framed == [
        row * len(VARIABLES) + VARIABLES.index(name) for row, name in enumerate(rows["variable"])
    ]
    first = int(rows["unit"].iloc[0])
    for k, name in enumerate(VARIABLES):
        expected = data["shapley"].sel(variable=name).isel(channel=first)
        np.testing.assert_array_equal(pixels(grid[k].images[0]).filled(np.nan), expected)


@pytest.mark.parametrize("dims", ["vector", "other"])
def test_specialised_units_of_vectors_are_bars_over_all_variables(dims):
    data = synthetic.dataset("fc", dims=dims, size=(5, 4))
    table = specialised_units(synthetic.study({"fc": data}))
    figure = figures.specialised(data, table)
    flat = data["shapley"].values.reshape(len(VARIABLES), -1)
    shape = data["variance"].shape
    for ax, (_, row) in zip(figure.axes, table.iterrows(), strict=False):
        unit = np.ravel_multi_index(tuple(map(int, row["unit"].split(","))), shape)
        np.testing.assert_allclose(bars(ax), flat[:, unit])
        chosen = VARIABLES.index(row["variable"])
        colors = [patch.get_facecolor() for patch in ax.patches]
        assert colors.count(colors[chosen]) == 1


def test_a_layer_without_specialised_units_says_so(tree):
    data = layers(tree)["conv1"]
    empty = specialised_units(tree).iloc[:0]
    figure = figures.specialised(data, empty)
    assert any("No unit of this layer" in text.get_text() for text in figure.texts)


def test_a_table_read_back_from_csv_gives_the_same_picture(tmp_path):
    data = synthetic.dataset("6", dims="vector", size=(5,))
    table = specialised_units(synthetic.study({"6": data}))
    table.to_csv(tmp_path / "units.csv", index=False)
    again = figures.specialised(data, pd.read_csv(tmp_path / "units.csv"))
    first = figures.specialised(data, table)
    titles = [ax.get_title("left") for ax in first.axes]
    assert len(titles) > 1 and [ax.get_title("left") for ax in again.axes] == titles


def test_classes_stand_in_the_place_of_numbers_where_they_are_known():
    data = synthetic.dataset("scores", dims="vector", size=(3,), constant=False)
    data["shapley"][0] = [0.1, 0.3, 0.2]
    named = with_unit_names(synthetic.study({"scores": data}), {"scores": ["cat", "dog", "cow"]})
    figure = figures.maps(named["scores"].to_dataset())
    ticks = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert ticks == ["dog", "cow", "cat"]
    assert figure.get_supxlabel().startswith("class")
    assert figures.maps(data).axes[0].get_xticklabels()[0].get_text() == "1"
    # Names of another number of units are not these units'.
    other = with_unit_names(synthetic.study({"scores": data}), {"scores": ["cat", "dog"]})
    assert "unit_name" not in other["scores"].coords


# Mean and variance of all layers


def test_all_layers_hold_their_mean_variance_and_coefficient_over_channels():
    tree = small_study()
    figure = figures.network(tree)
    maps, vector = (layers(tree)[name] for name in ("conv1", "scores"))
    shown = [cell.images[0] for cell in cells(figure)]
    mean, variance = (maps[name].values for name in ("mean", "variance"))
    expected = [
        mean.mean(axis=0),
        variance.mean(axis=0),
        np.sqrt(variance.mean(axis=0)) / np.abs(mean).mean(axis=0),
    ]
    for k in range(3):
        np.testing.assert_allclose(pixels(shown[2 * k]), expected[k])
    for k, values in enumerate((vector["mean"].values, vector["variance"].values)):
        np.testing.assert_allclose(pixels(shown[2 * k + 1])[:, 0], np.sort(values)[::-1])
    for image in shown:
        assert image.norm.vmin == pytest.approx(pixels(image).min())


def test_units_that_are_not_finite_have_no_part_in_a_layers_picture():
    data = synthetic.dataset("conv1", size=(3, 2, 2), constant=False)
    data["status"][0] = 2
    data["status"][:, 0, 0] = 2
    data["mean"][0] = np.inf
    figure = figures.network(synthetic.study({"conv1": data}))
    found = pixels(cells(figure)[0].images[0])
    assert np.ma.getmaskarray(found)[0, 0] and np.ma.getmaskarray(found).sum() == 1
    np.testing.assert_allclose(found[1], data["mean"].values[1:, 1].mean(axis=0))


@pytest.mark.parametrize("count", [1, 8, 9, 20])
def test_any_number_of_layers_has_its_cells_within_the_figure(count: int):
    names = [f"features.{k}.block" for k in range(count)]
    made = {name: synthetic.dataset(name, size=(2, 3, 3)) for name in names}
    figure = figures.network(synthetic.study(made))
    width, height = figure.get_size_inches()
    drawn = cells(figure)
    assert len(drawn) == 3 * count
    assert all(cell.left > 0 and cell.left + cell.width < width for cell in drawn)
    assert all(cell.bottom > 0 and cell.bottom + cell.height < height for cell in drawn)


# One unit of each layer


def test_a_units_row_holds_its_indices_of_all_sets_and_its_quantities():
    first = small_study()
    second = small_study(synthetic.COLOR)
    figure = figures.unit_rows({"spatial": first, "color": second})
    columns = 2 + len(VARIABLES) + len(synthetic.COLOR)
    drawn = np.array(cells(figure), dtype=object).reshape(2, 3, columns)
    maps, vector = (layers(first)[name] for name in ("conv1", "scores"))
    (channel,) = leading_channels(maps, 1)
    neuron = int(vector["variance"].values.argmax())
    for k, name in enumerate(("mean", "variance")):
        np.testing.assert_allclose(pixels(drawn[0, k, 0].images[0]), maps[name][channel])
        assert pixels(drawn[1, k, 0].images[0])[0, 0] == pytest.approx(float(vector[name][neuron]))
    for row, index in enumerate(("S1", "shapley", "ST")):
        for k in range(len(VARIABLES)):
            found = pixels(drawn[0, row, 1 + k].images[0]).filled(np.nan)
            np.testing.assert_allclose(found, maps[index][k, channel])
            bar = pixels(drawn[1, row, 1 + k].images[0])
            assert bar[0, 0] == pytest.approx(float(vector[index][k, neuron]))
    # The same unit in the other set.
    other = layers(second)["conv1"]["shapley"][2, channel]
    found = pixels(drawn[0, 1, 2 + len(VARIABLES) + 2].images[0]).filled(np.nan)
    np.testing.assert_allclose(found, other)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert any(text.startswith(f"conv1, channel {channel} (") for text in texts)
    assert f"scores, neuron {neuron}" in texts


def test_maps_of_many_pixels_are_thinned_evenly():
    data = synthetic.dataset(size=(2, 200, 10), constant=False)
    shown = pixels(cells(figures.maps(data, channels=[1]))[len(VARIABLES)].images[0])
    rows = np.linspace(0, 199, 64).round().astype(int)
    np.testing.assert_array_equal(shown, data["shapley"][0, 1].values[rows])
