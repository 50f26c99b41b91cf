"""A layer's indices unit by unit: maps of channels, or strips of sorted neurons."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from variscope.analyses.source import Source
from variscope.figures.grids import (
    GAP,
    Cell,
    Grid,
    column_title,
    draw_map,
    grid_size,
    hatch_pixels,
    plane,
    row_label,
    share_bar,
    share_scale,
    title_room,
)
from variscope.figures.style import (
    GUIDE,
    SMALL,
    labels,
    new_figure,
    plain_axes,
    set_title,
    share_colormap,
    study_name,
    text_color,
    titled,
    variable_styles,
)
from variscope.figures.units import MOST_BARS, draw_sorted, undefined_note
from variscope.indices.maps import (
    as_maps,
    channel_variance_share,
    leading_channels,
    map_over_channels,
)
from variscope.indices.reading import (
    Estimate,
    confidence_percent,
    estimate,
    is_map,
    unit_labels,
    unit_name,
    variables,
)
from variscope.indices.wording import share_text, variable_label
from variscope.vocabulary import INDEX_NAMES

MOST_OTHER_TOKENS = 8
TOKEN_CELL = 0.16  # inches


def maps(
    dataset: xr.Dataset,
    index: str = "shapley",
    *,
    channels: int | Sequence[int] = 6,
    floor: float = 0.0,
    figsize: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Show a layer's index unit by unit, for every variable, on one scale from 0 to 1.

    Maps: the variance-weighted mean over all channels, then some channels, as rows; the variables
    as columns. Slanted lines lie over units whose interval does not lie above `floor`; the mean has
    no interval. Of tokens the patches are maps, features stand for channels, and the aggregates of
    class and register tokens follow as cells of their own. Undefined pixels are gray and hatched.
    Other layers: for each variable the units sorted by their share, with their intervals.

    Args:
        dataset: of the layer.
        index: ``"S1"``, ``"ST"`` or ``"shapley"``.
        channels: how many (those that carry most of the layer's variance) or which.
        floor: what a unit's lower bound must exceed.
        figsize: width and height, inches; without it the width of a page, and what is needed.
        title: of the picture, in the place of what it is named after.

    Raises:
        ValueError: the layer does not hold the index.
    """
    if is_map(dataset):
        return _unit_maps(dataset, index, channels, floor, figsize, title)
    return _sorted_units(dataset, index, figsize, title)


def _unit_maps(
    layer: xr.Dataset,
    index: str,
    channels: int | Sequence[int],
    floor: float,
    figsize: tuple[float, float] | None,
    title: str | None,
) -> Figure:
    dataset, noun = as_maps(layer), unit_name(layer)
    others = other_tokens(layer)
    value, low, _ = (
        part.transpose("variable", "channel", "y", "x") for part in estimate(dataset, index)
    )
    names = labels(variables(dataset))
    chosen = (
        leading_channels(dataset, channels) if isinstance(channels, int) else [*map(int, channels)]
    )
    share = channel_variance_share(dataset)
    top, foot = 0.36 + title_room(names), 0.5 + len(others) * (TOKEN_CELL + GAP)
    size, figsize = grid_size(
        1 + len(chosen),
        len(names),
        value.sizes["y"] / value.sizes["x"],
        margins=(0.78, 0.3, top, foot),
        largest=0.9,
        figsize=figsize,
    )
    figure = new_figure(0, figsize=figsize, constrained=False)
    grid = Grid(plane(figure), size, left=0.78, top=top)
    mean = np.asarray(map_over_channels(dataset, index))
    rows = [mean, *(np.asarray(value[:, channel]) for channel in chosen)]
    notes = [f"all {value.sizes['channel']}\n{noun}s"]
    notes += [f"{noun} {k}\n({100 * float(share[k]):.1f} %)" for k in chosen]
    for row, (maps_of_row, note) in enumerate(zip(rows, notes, strict=True)):
        row_label(grid.ax, grid[row, 0], note)
        for column in range(len(names)):
            image = draw_map(grid.ax, grid[row, column], maps_of_row[column])
            if row:
                lowest = np.asarray(low[column, chosen[row - 1]])
                hatch_pixels(grid.ax, grid[row, column], lowest <= floor)
    for column, name in enumerate(names):
        column_title(grid.ax, grid[0, column], name)
    for row, token in enumerate(others, start=1):
        shares = estimate(layer, f"{index}_token").value.transpose("token", ...)[token]
        for column, number in enumerate(np.asarray(shares, dtype=float)):
            left, bottom, width, _ = grid[len(rows) - 1, column]
            cell = Cell(left, bottom - row * (TOKEN_CELL + GAP), width, TOKEN_CELL)
            draw_token(grid.ax, cell, number)
            if column == 0:
                row_label(grid.ax, cell, others[token])
    share_bar(figure, image, bottom=0.2, label="share of the unit's variance")
    heading = titled(INDEX_NAMES[index], study_name(layer)) if title is None else title
    lines = f"slanted lines: {confidence_percent(layer)} interval not above {floor:g}"
    set_title(figure, f"{heading}\n{undefined_note(layer)}; {lines}", height=0.06)
    return figure


def other_tokens(layer: xr.Dataset) -> dict[int, str]:
    """Name the tokens that are no patches by their numbers: {0: "class token"}."""
    if "token_kind" not in layer.coords:
        return {}
    kinds = [str(kind) for kind in layer["token_kind"].values]
    found = [(k, kind) for k, kind in enumerate(kinds) if kind not in ("patch", "token")]
    return {
        k: f"{kind} token" if kinds.count(kind) == 1 else f"{kind} {k - kinds.index(kind)}"
        for k, kind in found[:MOST_OTHER_TOKENS]
    }


def draw_token(ax: Axes, cell: Cell, share: float) -> Text:
    """Draw the aggregate of a token that is no patch: a cell in the colour of its share."""
    draw_map(ax, cell, np.array([[share]]))
    defined = np.isfinite(share)
    color = text_color(share_colormap()(share_scale()(share))) if defined else "black"
    return ax.text(
        cell.left + cell.width / 2,
        cell.bottom + 0.45 * cell.height,
        share_text(share, 2),
        ha="center",
        va="center",
        fontsize=SMALL,
        color=color,
    )


def _sorted_units(
    dataset: xr.Dataset, index: str, figsize: tuple[float, float] | None, title: str | None
) -> Figure:
    found: Estimate = estimate(dataset, index)
    names = variables(dataset)
    styles = variable_styles(names)
    value, low, high = (
        np.asarray(part.transpose("variable", ...), dtype=float).reshape(len(names), -1)
        for part in found
    )
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = new_figure(1.2 * rows + 0.5, figsize=figsize)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    bars, of_units = value.shape[1] <= MOST_BARS, unit_labels(dataset)
    named = "unit_name" in dataset.coords
    for k, ax in enumerate(axes.flat):
        if k >= len(names):
            ax.set_visible(False)
            continue
        draw_sorted(ax, value[k], low[k], high[k], style=styles[names[k]], names=of_units)
        plain_axes(ax)
        ax.set_title(variable_label(names[k]), fontsize=SMALL, loc="left", pad=2)
        ax.axhline(0, color=GUIDE, linewidth=0.5)
        ax.set_ylim(min(0.0, float(np.nanmin(low, initial=0.0))), 1.0)
        if bars and (named or value.shape[1] > 12):
            ax.tick_params(axis="x", rotation=90)
    order = "class" if named else "unit number"
    order = f"{order}, sorted by share" if bars else "rank of the unit"
    figure.supxlabel(order, fontsize=SMALL)
    figure.supylabel("share of the unit's variance", fontsize=SMALL)
    what = f"{INDEX_NAMES[index]} and {confidence_percent(dataset)} interval"
    heading = titled(what, study_name(dataset)) if title is None else title
    set_title(figure, f"{heading}\n{undefined_note(dataset)}")
    return figure


def draw_maps(layer: xr.Dataset, source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``maps`` of a layer."""
    return maps(layer, source.index)
