"""Correlations of maps: between variables and kinds, over depth, and over pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from variscope.analyses.correlation.estimates import with_variation
from variscope.analyses.correlation.layers import CV, RANK, by_set, main_kind
from variscope.analyses.source import Source
from variscope.figures.grids import (
    Grid,
    column_title,
    draw_map,
    grid_size,
    plane,
    row_label,
    share_bar,
    title_room,
    width_of,
)
from variscope.figures.style import (
    GUIDE,
    SMALL,
    WIDTH,
    VariableStyle,
    change_colormap,
    hatch_ground,
    labels,
    new_figure,
    nothing_to_show,
    plain_axes,
    set_title,
    titled,
    variable_styles,
)
from variscope.indices.maps import as_maps
from variscope.indices.reading import confidence_percent, is_map, layers
from variscope.indices.wording import variable_label
from variscope.vocabulary import AUXILIARY

MOST_LINES = 6
SHORT = {"shapley": "Shapley", "S1": "S1", "ST": "ST", RANK: "rank", CV: "variation"}
# Pairs of variables have no colours of their own: those of Okabe and Ito (2008).
PAIR_COLORS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
ENDS = (-1.0, -0.5, 0.0, 0.5, 1.0)
Tables = Mapping[str, pd.DataFrame]


def draw_variables(source: Source, tables: Tables) -> Figure:
    """Draw the picture ``variables``."""
    kind = main_kind(source.studies)
    pairs = tables["pairs"]
    pairs = pairs[(pairs["kind"] == kind) & (pairs["kind_second"] == kind)]
    title = _title(source, f"Correlation of the maps of two variables, {SHORT[kind]}")
    if pairs.empty:
        return nothing_to_show(title, "No layer has two maps that can be correlated.")
    names = _names(pairs)
    rate = 1 - float(_level(source).removesuffix(" %")) / 100
    found = list(pairs.groupby("layer", sort=False))
    columns = min(2, len(found))
    rows = -(-len(found) // columns)
    texts = _texts(names)
    room = max(map(width_of, texts))
    side = (WIDTH - room - 0.8) / 2 * min(1.0, max(0.4, len(names) / 10))
    figure = new_figure(rows * (side + 0.25) + room + 0.4)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    size = min(SMALL, 72 * side / len(names) * 0.85)
    for k, ax in enumerate(axes.flat):
        if k >= len(found):
            ax.set_visible(False)
            continue
        layer, of_layer = found[k]
        matrix, framed = _matrix(of_layer, names, rate)
        image = _heat(ax, matrix)
        for i, j in framed:
            ax.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, lw=0.7, ec="black"))
        ax.plot([-0.5, len(names) - 0.5], [-0.5, len(names) - 0.5], color=GUIDE, linewidth=0.5)
        ax.set_title(str(layer), fontsize=SMALL, loc="left", pad=2)
        ax.xaxis.tick_top()
        above = texts if k < columns else [""] * len(names)
        ax.set_xticks(range(len(names)), above, rotation=90, fontsize=size)
        ax.set_yticks(range(len(names)), texts, fontsize=size)
    _bar(figure, image, axes)
    set_title(figure, title)
    return figure


def draw_kinds(source: Source, tables: Tables) -> Figure:
    """Draw the picture ``kinds``."""
    pairs = tables["pairs"]
    pairs = pairs[pairs["kind"] != pairs["kind_second"]]
    title = _title(source, "Correlation of two kinds of value of one variable")
    if pairs.empty:
        return nothing_to_show(title, "No layer has two kinds of value that can be correlated.")
    names = list(dict.fromkeys(zip(pairs["set"], pairs["first"], strict=True)))
    kinds = list(dict.fromkeys(zip(pairs["kind"], pairs["kind_second"], strict=True)))
    kinds.sort(key=lambda pair: pair[1] == CV)
    found = list(pairs.groupby("layer", sort=False))
    columns = min(5, len(found))
    rows = -(-len(found) // columns)
    texts = _texts(names)
    figure = new_figure(rows * (max(0.14 * len(names), 0.8) + 1.2) + 0.4)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for k, ax in enumerate(axes.flat):
        if k >= len(found):
            ax.set_visible(False)
            axes.flat[k - columns].tick_params(labelbottom=True)
            continue
        layer, of_layer = found[k]
        matrix = np.full((len(names), len(kinds)), np.nan)
        row: Any
        for row in of_layer.itertuples():
            place = names.index((row.set, row.first)), kinds.index((row.kind, row.kind_second))
            matrix[place] = row.corrected
        image = _heat(ax, matrix)
        ax.set_title(str(layer), fontsize=SMALL, loc="left", pad=2)
        between = [f"{SHORT[one]}, {SHORT[other]}" for one, other in kinds]
        ax.set_xticks(range(len(kinds)), between, rotation=90, fontsize=SMALL)
        ax.set_yticks(range(len(names)), texts, fontsize=SMALL)
    _bar(figure, image, axes)
    set_title(figure, title)
    return figure


def draw_depth(source: Source, tables: Tables) -> Figure:
    """Draw the picture ``depth``."""
    kind = main_kind(source.studies)
    pairs = tables["pairs"]
    pairs = pairs[pairs["kind"] == kind]
    order = list(dict.fromkeys(pairs["layer"]))
    what = f"Correlations over depth with {_level(source)} bands, {SHORT[kind]}"
    if not pairs["corrected"].notna().any():
        return nothing_to_show(_title(source, what), "No two maps are reliable in any layer.")
    sets = list(dict.fromkeys(pairs["set"]))
    lines = max(MOST_LINES, *(pairs[pairs["set"] == name]["first"].nunique() for name in sets))
    figure = new_figure(2 * len(sets) * max(1.9, 0.135 * lines) + 0.4)
    axes = figure.subplots(2 * len(sets), squeeze=False, sharex=True, sharey=True).reshape(-1, 2)
    for row, name in enumerate(sets):
        of_set = pairs[pairs["set"] == name]
        varied = of_set[of_set["kind_second"] == CV]
        styles = variable_styles(list(dict.fromkeys(varied["first"])))
        for variable, line in varied.groupby("first", sort=False):
            _line(axes[row, 0], line, order, styles[str(variable)], variable_label(str(variable)))
        between = of_set[(of_set["kind_second"] == kind) & (of_set["set_second"] == name)]
        for number, (one, other) in enumerate(_largest(between)):
            line = between[(between["first"] == one) & (between["second"] == other)]
            style = VariableStyle(PAIR_COLORS[number], "os^Dv<"[number], "-")
            text = f"{variable_label(one)},\n{variable_label(other)}"
            _line(axes[row, 1], line, order, style, text)
        heads = ("with the coefficient of variation", "between two augmentations")
        for ax, head in zip(axes[row], heads, strict=True):
            plain_axes(ax)
            ax.axhline(0, color=GUIDE, linewidth=0.6)
            of = f"{name} set: " if name else ""
            ax.set_title(f"{of}{head}", fontsize=SMALL, loc="left", pad=2)
            ax.set_xticks(range(len(order)), order)
            ax.set_ylim(-1.1, 1.1)
            if len(order) > MOST_LINES:
                ax.tick_params(axis="x", rotation=35)
            if ax.lines[1:]:
                ax.legend(
                    fontsize=SMALL,
                    frameon=False,
                    loc="center left",
                    bbox_to_anchor=(1.0, 0.5),
                    handlelength=1.8,
                )
            ax.set_ylabel("correlation", fontsize=SMALL)
    set_title(figure, _title(source, what))
    return figure


def draw_spread(source: Source, tables: Tables) -> Figure:
    """Draw the picture ``spread``."""
    pairs = tables["pairs"]
    pairs = pairs[(pairs["kind"] == pairs["kind_second"]) & pairs["spread"].notna()]
    title = _title(source, "Spread of correlations over pixels")
    if pairs.empty:
        return nothing_to_show(title, "No layer of maps has two maps that can be correlated.")
    found = list(pairs.groupby("layer", sort=False))
    columns = min(3, len(found))
    rows = -(-len(found) // columns)
    figure = new_figure(1.7 * rows + 0.7)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True)
    bins = np.linspace(0, max(0.05, 1.02 * float(pairs["spread"].max())), 31)
    for k, ax in enumerate(axes.flat):
        if k >= len(found):
            ax.set_visible(False)
            axes.flat[k - columns].tick_params(labelbottom=True)
            continue
        layer, of_layer = found[k]
        for color, (kind, rows_of_kind) in zip(
            PAIR_COLORS, of_layer.groupby("kind", sort=False), strict=False
        ):
            values = rows_of_kind["spread"]
            ax.hist(values, bins, histtype="step", color=color, lw=1.2, label=SHORT[str(kind)])
        ax.axvline(1 / np.sqrt(of_layer["n"].iloc[0] - 1), color=GUIDE, linewidth=1.0)
        plain_axes(ax)
        ax.set_title(str(layer), fontsize=SMALL, loc="left", pad=2)
    axes[0, 0].legend(fontsize=SMALL, frameon=False)
    figure.supxlabel("standard deviation over pixels", fontsize=SMALL)
    figure.supylabel("pairs of variables", fontsize=SMALL)
    set_title(figure, title)
    return figure


def draw_pixels(variable_set: str, source: Source, tables: Tables) -> Figure | None:
    """Draw the picture ``pixels`` of a variable set; None where no layer is of maps."""
    studies = [study for study in by_set(source.studies) if study.variable_set == variable_set]
    found = {
        layer: as_maps(data)
        for study in studies
        for layer, data in layers(study.tree).items()
        if is_map(data)
    }
    if not found:
        return None
    kind = main_kind(source.studies)
    first = next(iter(found.values()))
    names = labels([str(name) for name in first["variable"].values])
    top, left = 0.36 + title_room(names), 0.2 + max(map(width_of, found))
    size, _ = grid_size(len(found), len(names), 1.0, margins=(left, 0.3, top, 0.5), largest=0.9)
    height = top + len(found) * (size[1] + 0.05) + 0.5
    figure = new_figure(height, constrained=False)
    grid = Grid(plane(figure), size, left=left, top=top)
    norm, cmap = Normalize(-1, 1, clip=True), change_colormap()
    for row, (layer, data) in enumerate(found.items()):
        row_label(grid.ax, grid[row, 0], layer)
        of_pixels = with_variation(data, kind, source.settings["method"])
        for column in range(len(names)):
            place = grid[row, column]
            image = draw_map(grid.ax, place, of_pixels[column], norm=norm, cmap=cmap)
    for column, name in enumerate(names):
        column_title(grid.ax, grid[0, column], name)
    share_bar(figure, image, bottom=0.2, label="correlation across channels", ticks=ENDS)
    what = f"Correlation with the coefficient of variation, {SHORT[kind]}"
    set_title(figure, _title(source, what, variable_set), height=0.06)
    return figure


def _matrix(
    pairs: pd.DataFrame, names: Sequence[tuple[str, str]], rate: float
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Return corrected values above the diagonal, raw ones below, and which cells are framed."""
    matrix, framed = np.full((len(names), len(names)), np.nan), []
    row: Any
    for row in pairs.itertuples():
        i, j = names.index((row.set, row.first)), names.index((row.set_second, row.second))
        matrix[i, j], matrix[j, i] = row.corrected, row.raw
        if row.p_adjusted <= rate and np.isfinite(row.corrected):
            framed.append((i, j))
    return matrix, framed


def _heat(ax: Axes, matrix: np.ndarray) -> AxesImage:
    """Draw a matrix of correlations, hatched where there is none."""
    hatch_ground(ax)
    image = ax.imshow(
        np.ma.masked_invalid(matrix),
        norm=Normalize(-1, 1, clip=True),
        cmap=change_colormap(),
        interpolation="nearest",
        aspect="auto",
    )
    ax.tick_params(length=0, pad=2)
    for spine in ax.spines.values():
        spine.set_linewidth(0.4)
    return image


def _bar(figure: Figure, image: AxesImage, axes: np.ndarray) -> None:
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02, aspect=30, shrink=0.7)
    bar.ax.tick_params(labelsize=SMALL, length=2, width=0.5)
    bar.outline.set_linewidth(0.4)
    bar.set_label("correlation across channels", fontsize=SMALL)


def _line(ax: Axes, line: pd.DataFrame, order: list[str], style: VariableStyle, text: str) -> None:
    """Draw one correlation over depth, with its interval; nothing where it is nowhere known."""
    if not line["corrected"].notna().any():
        return
    known = line.set_index("layer").reindex(order)
    place = np.arange(len(order))
    ax.fill_between(place, known["low"], known["high"], color=style.color, alpha=0.12, lw=0)
    ax.plot(
        place,
        known["corrected"],
        color=style.color,
        marker=style.marker,
        linestyle=style.linestyle,
        markersize=3.5,
        linewidth=1.1,
        label=text,
    )


def _largest(between: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the pairs of augmentations whose correlation is the largest in some layer."""
    held = between[~between["first"].isin(AUXILIARY) & ~between["second"].isin(AUXILIARY)]
    size = held["corrected"].abs().groupby([held["first"], held["second"]], sort=False).max()
    ordered = size.dropna().sort_values(ascending=False, kind="stable")
    return [(str(one), str(other)) for one, other in ordered.index[:MOST_LINES]]


def _names(pairs: pd.DataFrame) -> list[tuple[str, str]]:
    """Return set and variable of all maps, set by set in the order of the study."""
    sides = (("set", "first"), ("set_second", "second"))
    found = [pair for a, b in sides for pair in zip(pairs[a], pairs[b], strict=True)]
    names = list(dict.fromkeys(found))
    sets = list(dict.fromkeys(name for name, _ in names))
    return sorted(names, key=lambda name: sets.index(name[0]))


def _texts(names: Sequence[tuple[str, str]]) -> list[str]:
    """Write variables for a reader, with the set where two sets have one of that name."""
    variables = [name for _, name in names]
    return [
        f"{variable_label(name)} ({of})" if variables.count(name) > 1 else variable_label(name)
        for of, name in names
    ]


def _level(source: Source) -> str:
    return confidence_percent(next(iter(layers(source.studies[0].tree).values())))


def _title(source: Source, what: str, variable_set: str = "") -> str:
    of = [source.studies[0].model, f"{variable_set} set" if variable_set else ""]
    return titled(what, ", ".join(filter(None, of)))
