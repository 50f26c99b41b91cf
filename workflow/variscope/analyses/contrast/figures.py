"""How many units each augmentation moves, layer by layer, and which way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from variscope.analyses.contrast import BEYOND
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
from variscope.figures.panels import legend
from variscope.figures.style import (
    GUIDE,
    SMALL,
    change_colormap,
    labels,
    new_figure,
    nothing_to_show,
    plain_axes,
    set_title,
    variable_styles,
)
from variscope.indices.maps import by_channel
from variscope.stores.results import read_dataset

_LARGEST = 0.8  # inches of a cell
_FEWEST = 6  # bars that a panel has room for, where there are fewer
_NOTHING = "Augmentations alone", "The variable sets of this model have no augmentation."


def draw_beyond(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``beyond``."""
    found = tables["layers"]
    if found.empty:
        return nothing_to_show(*_NOTHING)
    return beyond(found[found["part"] == found["part"].iloc[-1]])


def beyond(
    rows: pd.DataFrame, *, figsize: tuple[float, float] | None = None, title: str | None = None
) -> Figure:
    """Show the share of units that each augmentation moves, one panel for each layer.

    Args:
        rows: of the table ``layers``, of one part.
        figsize: width and height, inches; without it the width of a page, and what is needed.
        title: of the picture, in the place of what it is named after.
    """
    names = list(dict.fromkeys(rows["layer"]))
    variables = list(dict.fromkeys(rows["variable"]))
    written = max(map(width_of, labels(variables)))
    figure = new_figure(0.72 * len(names) + 0.75 * written + 0.8, figsize=figsize)
    grid = figure.subplots(len(names), 1, squeeze=False, sharex=True, sharey=True)
    for ax, layer in zip(grid[:, 0], names, strict=True):
        _bars(ax, rows[rows["layer"] == layer].set_index("variable").loc[variables])
        ax.set_title(layer, fontsize=SMALL, loc="left", pad=2)
    last = grid[-1, 0]
    last.set_ylim(0, 1)
    last.set_xlim(-0.6, max(len(variables), _FEWEST) - 0.4)
    last.set_xticks(range(len(variables)), labels(variables), fontsize=SMALL)
    for label in last.get_xticklabels():
        label.set(rotation=35, ha="right", rotation_mode="anchor")
    figure.supylabel("share of the layer's units", fontsize=SMALL)
    marks: dict[str, dict[str, Any]] = {
        "trained": {"marker": "s", "color": "0.35"},
        "untrained twin": {"marker": "o", "color": "black", "markerfacecolor": "white"},
        "random signs": {"marker": "x", "color": "black"},
    }
    shown = [name for name in marks if name != "untrained twin" or rows["twin"].notna().any()]
    handles = [Line2D([], [], ls="", markersize=4, **marks[name]) for name in shown]
    legend(figure, handles, shown, columns=3)
    part = rows["part"].iloc[0]
    what = f"Units that an augmentation alone moves beyond \N{PLUS-MINUS SIGN}{BEYOND:g}"
    heading = f"{what}, {part} images"
    set_title(figure, heading if title is None else title)
    return figure


def _bars(ax: Axes, rows: pd.DataFrame) -> None:
    place = np.arange(len(rows))
    share, low, high = (rows[key].to_numpy(float) for key in ("share", "low", "high"))
    styles = variable_styles(list(rows.index))
    ax.bar(
        place,
        share,
        width=0.7,
        color=[styles[name].color for name in rows.index],
        yerr=np.maximum([share - low, high - share], 0),
        error_kw={"elinewidth": 0.8, "capsize": 1.5, "capthick": 0.8, "ecolor": GUIDE},
    )
    marks: dict[str, Any] = {"ls": "", "color": "black", "mew": 0.8, "clip_on": False}
    # Beside the interval's line, which they would hide.
    ax.plot(place - 0.2, rows["twin"], marker="o", markersize=3.5, mfc="white", **marks)
    ax.plot(place + 0.2, rows["shuffled"], marker="x", markersize=3.5, **marks)
    plain_axes(ax)


def draw_maps(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``maps``."""
    shown = {name: read_dataset(path) for name, path in source.layer_datasets.items()}
    if tables["layers"].empty:
        return nothing_to_show(*_NOTHING)
    return maps({name: data["rank_biserial"].isel(part=-1) for name, data in shown.items()})


def maps(
    effects: Mapping[str, xr.DataArray],
    *,
    figsize: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Show which way each augmentation moves the units of each layer, a row for each.

    Args:
        effects: rank-biserial correlations ``(variable, *unit)`` by layer.
        figsize: width and height, inches; without it the width of a page, and what is needed.
        title: of the picture, in the place of what it is named after.
    """
    variables = [str(name) for name in next(iter(effects.values()))["variable"].values]
    names = labels(variables)
    cells = [_cells(data) for data in effects.values()]
    left, top, foot = max(map(width_of, effects)) + 0.15, 0.3 + title_room(names), 0.5
    right = max(0.2, width_of(names[-1]) * 0.85 - 0.2)
    size, figsize = grid_size(
        len(effects),
        len(names),
        1.0,
        margins=(left, right, top, foot),
        largest=_LARGEST,
        figsize=figsize,
    )
    figure = new_figure(0, figsize=figsize, constrained=False)
    grid = Grid(plane(figure), size, left=left, top=top)
    image = None
    for column, name in enumerate(names):
        column_title(grid.ax, grid[0, column], name)
    for row, layer in enumerate(effects):
        row_label(grid.ax, grid[row, 0], layer)
        for column in range(len(names)):
            image = draw_map(
                grid.ax, grid[row, column], cells[row][column], norm=_SCALE, cmap=change_colormap()
            )
    if image is not None:
        label = "rank-biserial correlation, treated against plain"
        share_bar(figure, image, bottom=0.2, label=label, ticks=(-1, -0.5, 0, 0.5, 1))
    heading = "Which way each augmentation alone moves the units"
    set_title(figure, heading if title is None else title, height=0.06)
    return figure


_SCALE = Normalize(-1, 1, clip=True)


def _cells(data: xr.DataArray) -> NDArray[np.float64]:
    """Return what each variable's cell shows, ``(variable, y, x)``.

    Of maps the mean over channels; else the units' effects, or their means over features, sorted.
    """
    values = by_channel(data)  # (variable, pixel, channel)
    if {"channel", "y", "x"} <= set(data.dims):
        sides = data.sizes["y"], data.sizes["x"]
        return _mean(values, axis=2).reshape(len(values), *sides)
    if "feature" in data.dims:
        return _mean(values, axis=2)[:, None]
    return np.sort(values.reshape(len(values), 1, -1), axis=2)


def _mean(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    defined = np.isfinite(values)
    count = defined.sum(axis=axis)
    total = np.where(defined, values, 0).sum(axis=axis)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
