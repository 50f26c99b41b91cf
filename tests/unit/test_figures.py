"""The pictures hold the numbers that they are given."""

import re
import warnings
from unittest.mock import Mock

import dense
import matplotlib
import numpy as np
import pytest
import synthetic
import xarray as xr
from artists import heights, segments
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.text import Text
from variscope import figures
from variscope.analyses.convergence.figures import draw_half_widths
from variscope.analyses.pairs.figures import pair_matrix
from variscope.analyses.specialised.compute import specialised_units
from variscope.figures import grids, style
from variscope.indices.reading import layers
from variscope.indices.wording import share_text
from variscope.space import augmentations

VARIABLES = synthetic.SPATIAL + synthetic.AUXILIARY
TREE_FIGURES = ("summary", "comparison", "convergence", "depth", "pairs")


@pytest.fixture(scope="module")
def tree() -> xr.DataTree:
    return small_study()


def images(figure: Figure) -> list[AxesImage]:
    """The images of a figure, colour bars left out."""
    return [image for ax in figure.axes for image in ax.images]


def smallest_type(figure: Figure) -> float:
    """The size in points of the smallest text that is shown."""
    found = figure.findobj(Text)
    return min(
        float(text.get_fontsize()) for text in found if text.get_text() and text.get_visible()
    )


def small_study(variables: tuple[str, ...] = VARIABLES) -> xr.DataTree:
    """Two layers: maps and a vector."""
    return synthetic.study(
        {
            "conv1": synthetic.dataset("conv1", size=(5, 4, 4), variables=variables),
            "scores": synthetic.dataset("scores", dims="vector", size=(5,), variables=variables),
        }
    )


def every_figure(tree: xr.DataTree, channels: int = 2) -> dict[str, Figure]:
    """Every kind of figure of a study, drawn."""
    table = specialised_units(tree)
    made = {name: getattr(figures, name)(tree) for name in TREE_FIGURES}
    for layer, data in layers(tree).items():
        made[f"maps {layer}"] = figures.maps(data, channels=channels)
        made[f"pair maps {layer}"] = figures.pair_maps(data)
        made[f"moments {layer}"] = figures.moments(data, channels=channels)
        made[f"specialised {layer}"] = figures.specialised(data, table)
    made["pairs of a layer"] = figures.pairs(data)
    for figure in made.values():
        FigureCanvasAgg(figure).draw()
    return made


def texts_cut_off(figure: Figure) -> list[str]:
    """The texts that reach beyond the edge of a drawn figure."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    width, height = figure.get_size_inches() * figure.dpi
    hidden = [text for ax in figure.axes if not ax.get_visible() for text in ax.findobj(Text)]
    ticks = [label for ax in figure.axes for axis in (ax.xaxis, ax.yaxis) for label in beyond(axis)]
    cut = []
    for text in figure.findobj(Text):
        if text in hidden or text in ticks or not text.get_text().strip():
            continue
        box = text.get_window_extent(renderer)
        if box.x0 < -1 or box.x1 > width + 1 or box.y0 < -1 or box.y1 > height + 1:
            cut.append(text.get_text())
    return cut


def beyond(axis) -> list[Text]:
    """The labels of ticks outside of an axis's limits, which are never drawn."""
    low, high = sorted(axis.get_view_interval())
    ticks = [t for t in axis.get_major_ticks() if not low <= t.get_loc() <= high]
    return [label for tick in ticks for label in (tick.label1, tick.label2)]


@pytest.mark.parametrize("variables", [VARIABLES, synthetic.COLOR + synthetic.AUXILIARY])
def test_figures_are_legible_at_the_width_of_a_page(variables):
    for name, figure in every_figure(small_study(variables)).items():
        assert figure.get_size_inches()[0] == 7.0, name
        assert smallest_type(figure) >= 7.0, name
        assert texts_cut_off(figure) == [], name


def test_a_study_of_one_variable_can_be_drawn():
    for name, figure in every_figure(small_study(("erasing",))).items():
        assert texts_cut_off(figure) == [], name


def test_drawing_leaves_the_settings_of_matplotlib_alone(tree, tmp_path):
    before = dict(matplotlib.rcParams)
    figures.save(figures.summary(tree), tmp_path / "summary")
    assert dict(matplotlib.rcParams) == before


def test_no_figure_is_left_with_pyplot(tree):
    from matplotlib import pyplot

    figures.depth(tree)
    assert pyplot.get_fignums() == []


# Comparison, convergence, depth


def error_containers(ax: Axes) -> list[ErrorbarContainer]:
    return [c for c in ax.containers if isinstance(c, ErrorbarContainer)]


def error_bars(ax: Axes) -> list[np.ndarray]:
    return [np.array([s[:, 0] for s in segments(c.lines[2][0])]) for c in error_containers(ax)]


def test_comparison_shows_estimates_with_their_bounds(tree):
    figure = figures.comparison(tree)
    for ax, (layer, data) in zip(figure.axes, layers(tree).items(), strict=False):
        assert ax.get_title("left") == layer
        for index, container, bars in zip(
            ("S1", "shapley", "ST"), error_containers(ax), error_bars(ax), strict=True
        ):
            np.testing.assert_array_equal(container.lines[0].get_xdata(), data[f"{index}_layer"])
            np.testing.assert_allclose(bars[:, 0], data[f"{index}_layer_low"])
            np.testing.assert_allclose(bars[:, 1], data[f"{index}_layer_high"])


def test_comparison_of_a_star_has_no_shapley_effects():
    figure = figures.comparison(synthetic.tree(star=True))
    assert len(figure.axes[0].containers) == 2
    assert "Shapley effect" not in [t.get_text() for t in figure.legends[0].get_texts()]


def test_convergence_draws_half_widths_and_a_guide_of_slope_minus_one_half(tree):
    figure = figures.convergence(tree)
    data = layers(tree)["conv1"]
    drawn = figure.axes[0].lines
    half = (data["shapley_layer_by_replicates_high"] - data["shapley_layer_by_replicates_low"]) / 2
    for k in range(len(VARIABLES)):
        np.testing.assert_allclose(heights(drawn[k]), half[:, k])
    x, y = np.asarray(drawn[-1].get_data())
    slope = np.polyfit(np.log(x), np.log(y), 1)[0]
    assert slope == pytest.approx(-0.5)
    assert y[-1] == pytest.approx(float(np.median(half[-1])))


def test_widths_of_zero_have_no_place_on_a_logarithmic_scale():
    ax = style.new_figure(2).subplots()
    steps = np.array([2.0, 3.0, 4.0])
    widths = np.array([[0.4, 0.0], [0.3, 0.0], [0.2, 0.0]])
    drawn = draw_half_widths(ax, steps, widths, ["erasing", "part"])
    assert np.isnan(heights(drawn[1])).all()
    assert heights(drawn[-1])[-1] == pytest.approx(0.2)


def test_depth_draws_shares_over_layers_with_bands(tree):
    figure = figures.depth(tree)
    ax = figure.axes[0]
    found = list(layers(tree).values())
    for k in range(len(VARIABLES)):
        expected = [float(data["shapley_layer"][k]) for data in found]
        np.testing.assert_array_equal(heights(ax.lines[k]), expected)
        band = np.asarray(ax.collections[k].get_paths()[0].vertices)[:, 1]
        assert band.min() == pytest.approx(min(float(d["shapley_layer_low"][k]) for d in found))
        assert band.max() == pytest.approx(max(float(d["shapley_layer_high"][k]) for d in found))
    assert [label.get_text() for label in ax.get_xticklabels()] == list(layers(tree))


def test_depth_of_one_layer_has_error_bars():
    study = synthetic.study({"conv1": synthetic.dataset()})
    figure = figures.depth(study)
    assert len(figure.axes[0].containers) == len(VARIABLES)


def test_a_layer_without_any_index_leaves_gaps_and_no_error():
    data = synthetic.dataset("dead", size=(3, 2, 2))
    for name in data.data_vars:
        if str(name).startswith(("S1", "S2", "ST", "shapley")):
            data[name][:] = np.nan
    data["status"][:] = 1
    data["variance"][:] = 0
    study = synthetic.study({"dead": data, "conv1": synthetic.dataset(size=(3, 2, 2))})
    assert len(every_figure(study)) == len(TREE_FIGURES) + 9


# Pairs


def test_pairs_fill_the_upper_triangle_whatever_the_order_of_names():
    data = synthetic.dataset(variables=("erasing", "rolling", "class"))
    data = data.assign_coords(pair=["rolling:erasing", "erasing:class", "class:rolling"])
    value, low, _ = pair_matrix(data)
    expected = data["S2_layer"].values
    np.testing.assert_array_equal(value[[0, 0, 1], [1, 2, 2]], expected)
    np.testing.assert_array_equal(low[[0, 0, 1], [1, 2, 2]], data["S2_layer_low"])
    assert np.isnan(value[np.tril_indices(3)]).all()


def test_one_layer_of_pairs_has_its_intervals_written():
    data = synthetic.dataset(variables=("erasing", "rolling", "class"))
    figure = figures.pairs(data)
    texts = [text.get_text() for text in figure.axes[0].texts]
    low, high = float(data["S2_layer_low"][0]), float(data["S2_layer_high"][0])
    assert texts[0].endswith(f"[{share_text(low, 2)},\n{share_text(high, 2)}]")


def test_a_study_of_pairs_writes_only_what_differs_from_zero():
    data = synthetic.dataset(variables=("erasing", "rolling", "class"))
    data["S2_layer"][:] = [0.2, 0.1, np.nan]
    data["S2_layer_low"][:] = [0.1, -0.1, np.nan]
    data["S2_layer_high"][:] = [0.3, 0.3, np.nan]
    figure = figures.pairs(synthetic.study({"a": data, "b": data}))
    assert [text.get_text() for text in figure.axes[0].texts] == [".20", "a"]
    assert len([p for p in figure.axes[0].patches if p.get_hatch()]) == 1
    scales = {(i.norm.vmin, i.norm.vmax) for ax in figure.axes[:2] for i in ax.images}
    assert scales == {(0.0, 0.2)}


# Samples


def test_samples_show_images_with_wrapped_captions():
    image = np.linspace(0, 1, 8 * 8 * 3).reshape(8, 8, 3)
    panel = {"image": image, "title": "rolling", "caption": "shift 12 px, 7 px down and right"}
    figure = figures.samples(
        [{"title": "alone", "panels": [panel] * 8}, {"title": "together", "panels": [panel]}],
        columns=6,
    )
    shown = images(figure)
    assert len(shown) == 9
    np.testing.assert_array_equal(shown[0].get_array(), image)
    caption = figure.axes[0].texts[0].get_text()
    assert "\n" in caption and caption.replace("\n", " ") == panel["caption"]
    assert [t.get_text() for t in figure.texts][1:] == ["alone", "together"]


@pytest.mark.parametrize(("count", "first_line"), [(1, 1), (6, 6), (7, 7), (9, 5), (15, 5)])
def test_lines_of_samples_are_about_equally_long(count, first_line):
    panel = {"image": np.zeros((4, 4, 3)), "title": "elliptic_local_blur", "caption": ""}
    figure = figures.samples([{"title": "alone", "panels": [panel] * count}])
    heights = [round(ax.get_position().y0, 6) for ax in figure.axes]
    assert heights.count(heights[0]) == first_line
    assert figure.axes[0].get_title("left").replace("\n", " ") == "elliptic local blur"


@pytest.mark.parametrize("size", [(5, 3), (9, 8)])
def test_samples_fit_into_a_size(size):
    panel = {"image": np.zeros((8, 8, 3)), "title": "rolling", "caption": "shift 12 px down"}
    rows = [{"title": "alone", "panels": [panel] * 8}]
    figure = figures.samples(rows, figsize=size)
    FigureCanvasAgg(figure).draw()
    assert tuple(figure.get_size_inches()) == size
    assert texts_cut_off(figure) == []
    boxes = [ax.get_position() for ax in figure.axes]
    assert all(box.height * size[1] > 0.3 for box in boxes)
    assert boxes[0].y0 > boxes[-1].y1
    with pytest.raises(ValueError, match=r"1 inches high has no room"):
        figures.samples(rows, figsize=(5, 1))


def test_samples_without_images_are_refused():
    with pytest.raises(ValueError, match="no images to show"):
        figures.samples([{"title": "alone", "panels": []}])


# Style and files


def test_known_variables_keep_their_colours_in_any_company():
    alone = style.variable_styles(["hue"])["hue"]
    assert style.variable_styles(["mine", "hue", "yours"])["hue"] == alone


def built_in() -> list[str]:
    """Names of the package's augmentations, without those that other tests have registered."""
    found = {name: augmentations.get(name).operation.__module__ for name in augmentations.names()}
    return [name for name, module in found.items() if module.startswith("variscope.")]


def test_variables_of_one_study_are_drawn_differently():
    """All built-in variables and a user's own: no colour and no marker comes twice."""
    everything = [*built_in(), *synthetic.AUXILIARY, "mine", "yours"]
    styles = style.variable_styles(everything).values()
    assert len({s.color for s in styles}) == len({s.marker for s in styles}) == len(everything)
    own = style.variable_styles([f"mine{k}" for k in range(16)]).values()
    assert len({s.color for s in own}) == 16


def test_colours_of_built_in_variables_are_told_apart_also_by_colour_blind_readers():
    from matplotlib.colors import to_rgb
    from skimage.color import deltaE_ciede2000, rgb2lab

    # Of linear RGB: deuteranopia and protanopia of Machado, Oliveira and Fernandes (2009).
    blind = {
        "deuteranopia": [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
        "protanopia": [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
    }
    everything = [*built_in(), *synthetic.AUXILIARY]
    colors = [s.color for s in style.variable_styles(everything).values()]
    rgb = np.array([to_rgb(color) for color in colors])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    for name, matrix in {"full": np.eye(3), **blind}.items():
        seen = np.clip(linear @ np.array(matrix).T, 0, 1)
        shown = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
        lab = rgb2lab(shown[None])[0]
        difference = deltaE_ciede2000(lab[:, None], lab[None])[np.triu_indices(len(lab), 1)]
        assert difference.min() > (10 if name == "full" else 5), name


def test_saved_files_are_the_same_bytes_each_time(tree, tmp_path):
    for folder in ("a", "b"):
        figures.save(figures.depth(tree), tmp_path / folder / "depth")
    for kind in ("svg", "png", "pdf"):
        first, second = (tmp_path / f / f"depth.{kind}" for f in ("a", "b"))
        assert first.read_bytes() == second.read_bytes()
    assert b"<dc:date>" not in (tmp_path / "a" / "depth.svg").read_bytes()


def test_saving_keeps_dots_of_a_name_and_leaves_nothing_partial(tmp_path):
    written = figures.save(style.new_figure(1), tmp_path / "features.2")
    names = [f"features.2.{kind}" for kind in ("svg", "png", "pdf")]
    assert [path.name for path in written] == names
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    assert matplotlib.image.imread(written[1]).shape[:2] == (150, 1050)


def test_text_of_files_is_text(tree, tmp_path):
    svg, _, pdf = figures.save(figures.depth(tree), tmp_path / "depth")
    assert ">share of the layer&#39;s variance<" in svg.read_text().replace("'", "&#39;")
    assert b"/Type0" in pdf.read_bytes() and b"/Type3" not in pdf.read_bytes()  # fonts, not paths


def test_a_pdf_has_the_letters_of_the_font_that_was_chosen(tmp_path, caplog):
    def fonts(name: str) -> set[bytes]:
        figure = style.new_figure(1)
        figure.text(0.1, 0.2, "plain effect \N{MINUS SIGN}1 \u0431")
        figure.text(0.1, 0.6, "bold", weight="bold")
        pdf = figures.save(figure, tmp_path / name)[2]
        return set(re.findall(rb"/BaseFont /[A-Z]+\+([\w-]+)", pdf.read_bytes()))

    assert fonts("ours") == {b"DejaVuSans", b"DejaVuSans-Bold"}
    with matplotlib.rc_context({"font.sans-serif": ["DejaVu Serif"]}):
        assert fonts("theirs") == {b"DejaVuSerif", b"DejaVuSerif-Bold"}
    assert caplog.text == ""


def test_letters_that_the_light_font_lacks_come_from_the_font_itself(tmp_path):
    figure = style.new_figure(1)
    figure.text(0.1, 0.2, "\N{GEORGIAN LETTER AN}\N{ARABIC LETTER BEH}")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Glyph")
        figures.save(figure, tmp_path / "picture")


def test_saving_lays_a_figure_out_once_and_leaves_it_as_it_was(tree, tmp_path, monkeypatch):
    figure = figures.comparison(tree)
    engine = figure.get_layout_engine()
    assert engine is not None
    execute = Mock(wraps=engine.execute)
    monkeypatch.setattr(engine, "execute", execute)
    figures.save(figure, tmp_path / "picture")
    execute.assert_called_once_with(figure)
    assert figure.get_layout_engine() is engine and figure.dpi != style.DPI


def test_a_failed_save_leaves_what_was_there(tmp_path, monkeypatch):
    figure = style.new_figure(1)
    svg = figures.save(figure, tmp_path / "picture")[0]
    before = svg.read_bytes()

    def fail(canvas, path, **_):
        path.write_text("half a picture")
        raise OSError("disk full")

    monkeypatch.setattr(style.FigureCanvasSVG, "print_svg", fail)
    with pytest.raises(OSError, match="disk full"):
        figures.save(figure, tmp_path / "picture")
    assert svg.read_bytes() == before
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".pdf", ".png", ".svg"]


def test_grids_fill_a_figure_but_for_the_margins_in_inches():
    size, figsize = grids.grid_size(
        2, 3, 1.0, margins=(1, 0.5, 0.6, 0.4), largest=9, figsize=(7, 4), gap=0.1
    )
    assert figsize == (7, 4) and size == pytest.approx((1.45, 1.45))  # as high as there is room
    figure = style.new_figure(0, figsize=figsize, constrained=False)
    grid = grids.Grid(grids.plane(figure), size, left=1, top=0.6, gap=0.1)
    assert grid[0, 0] == pytest.approx((1, 1.95, 1.45, 1.45))
    assert grid[1, 2] == pytest.approx((4.1, 0.4, 1.45, 1.45))


def test_a_grid_without_a_size_is_as_wide_as_a_page_and_as_high_as_its_cells_need():
    margins = (1, 0.5, 0.6, 0.4)
    size, figsize = grids.grid_size(2, 3, 0.5, margins=margins, largest=9, gap=0.1)
    assert size == pytest.approx((5.3 / 3, 5.3 / 6))
    assert figsize == pytest.approx((7, 1.1 + 5.3 / 3))
    small, _ = grids.grid_size(2, 3, 0.5, margins=margins, largest=0.8, gap=0.1)
    assert small == pytest.approx((0.8, 0.4))


def test_a_figure_without_room_for_its_cells_is_refused():
    with pytest.raises(ValueError, match=r"1 x 0.5 inches has no room for 3 x 9 cells"):
        figures.maps(synthetic.dataset(size=(5, 4, 4)), channels=2, figsize=(1, 0.5))


@pytest.mark.parametrize("size", [(7, 6), (10, 4)])
def test_figures_of_a_layer_take_a_size_and_a_title(tree, size):
    table = specialised_units(tree)
    for layer, data in layers(tree).items():
        for figure in (
            figures.maps(data, channels=2, figsize=size, title="mine"),
            figures.pair_maps(data, figsize=size, title="mine"),
            figures.moments(data, channels=2, figsize=size, title="mine"),
            figures.specialised(data, table, figsize=size, title="mine"),
        ):
            FigureCanvasAgg(figure).draw()
            assert tuple(figure.get_size_inches()) == size
            assert figure.get_suptitle().split("\n")[0] == "mine", layer
            assert texts_cut_off(figure) == []


@pytest.mark.parametrize("size", [(7, 6), (10, 8)])
def test_figures_of_a_study_take_a_size_and_a_title(tree, size):
    for name in TREE_FIGURES:
        figure = getattr(figures, name)(tree, figsize=size, title="mine")
        FigureCanvasAgg(figure).draw()
        assert tuple(figure.get_size_inches()) == size
        assert figure.get_suptitle() == "mine", name
        assert texts_cut_off(figure) == []


def test_depth_is_drawn_on_axes_that_are_given(tree):
    figure = Figure(figsize=(4, 3))
    left, right = figure.subplots(1, 2)
    assert figures.depth(tree, ax=right) is figure
    assert not left.lines and len(right.lines) > len(VARIABLES)
    assert right.get_title("left").startswith("Shapley effect over depth")
    assert right.get_legend() is not None and not figure.legends


@pytest.mark.parametrize("data", [dense.tokens(), dense.maps()], ids=["tokens", "maps"])
def test_files_of_large_layers_are_small(data, tmp_path):
    table = specialised_units(synthetic.study({"large": data}))
    made = (
        figures.maps(data),
        figures.pair_maps(data),
        figures.moments(data),
        figures.specialised(data, table),
        figures.histograms(data),
        figures.decay(synthetic.study({"large": data})),
        figures.network(
            synthetic.study({str(k): data.assign_attrs(layer=str(k)) for k in range(8)})
        ),
        figures.unit_rows({name: synthetic.study({"large": data}) for name in ("a", "b")}),
    )
    for figure in made:
        for path in figures.save(figure, tmp_path / "picture"):
            assert path.stat().st_size < 1_000_000
