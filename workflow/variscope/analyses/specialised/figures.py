"""The most specialised units of a layer, each over all variables."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from variscope.analyses.source import Source
from variscope.analyses.specialised.compute import by_unit
from variscope.figures.grids import (
    Grid,
    column_title,
    draw_map,
    frame_cell,
    grid_size,
    plane,
    row_label,
    share_bar,
    title_room,
)
from variscope.figures.style import (
    SMALL,
    VERMILLION,
    labels,
    new_figure,
    plain_axes,
    set_title,
    study_name,
    titled,
)
from variscope.figures.units import undefined_note
from variscope.indices.maps import as_maps
from variscope.indices.reading import (
    confidence_percent,
    estimate,
    is_map,
    judged_dim,
    unit_name,
    variables,
)
from variscope.indices.wording import share_text, variable_label
from variscope.vocabulary import INDEX_NAMES

OTHERS = "0.72"


def specialised(
    dataset: xr.Dataset,
    table: pd.DataFrame,
    *,
    figsize: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Show the units that a table of `specialised_units` names in this layer, over all variables.

    Maps: one row per chosen channel, or feature of tokens, one column per variable, on one scale
    from 0 to 1, the variable that the channel was chosen for framed. Other layers: one panel per
    chosen unit with a bar and an interval for each variable. Rows of other layers are passed over;
    a layer without a specialised unit gives a picture that says so. `figsize` is in inches, and
    `title` stands in the place of what the picture is named after.
    """
    layer = dataset.attrs.get("layer")
    # Layers named by numbers, as those of nn.Sequential, come back from a file as numbers.
    rows = table[table["layer"].astype(str) == str(layer)] if layer is not None else table
    if rows.empty:
        return _nothing(dataset, figsize, title)
    index = str(rows["index"].iloc[0])
    if is_map(dataset):
        return _chosen_maps(dataset, rows, index, figsize, title)
    return _chosen_bars(dataset, rows, index, figsize, title)


def _nothing(dataset: xr.Dataset, figsize: tuple[float, float] | None, title: str | None) -> Figure:
    figure = new_figure(0.9, figsize=figsize, constrained=False)
    if title is None:
        title = titled("Most specialised units", study_name(dataset))
    set_title(figure, title, height=0.06)
    text = "No unit of this layer has a share whose lower confidence bound is above 0.01."
    figure.text(0.01, 0.35, text, fontsize=SMALL)
    return figure


def _chosen_maps(
    layer: xr.Dataset,
    rows: pd.DataFrame,
    index: str,
    figsize: tuple[float, float] | None,
    title: str | None,
) -> Figure:
    dataset, noun = as_maps(layer), unit_name(layer)
    value = estimate(dataset, index).value.transpose("variable", "channel", "y", "x")
    names = variables(dataset)
    top = 0.36 + title_room(labels(names))
    size, figsize = grid_size(
        len(rows),
        len(names),
        value.sizes["y"] / value.sizes["x"],
        margins=(1.2, 0.3, top, 0.5),
        largest=0.9,
        figsize=figsize,
    )
    figure = new_figure(0, figsize=figsize, constrained=False)
    grid = Grid(plane(figure), size, left=1.2, top=top)
    for k, row in enumerate(rows.to_dict("records")):
        channel, variable = int(row["unit"]), str(row["variable"])
        for column in range(len(names)):
            image = draw_map(grid.ax, grid[k, column], np.asarray(value[column, channel]))
        frame_cell(grid.ax, grid[k, names.index(variable)], chosen=True)
        share = share_text(float(row["share"]))
        text = f"{noun} {channel}\n{variable_label(variable)} {share}"
        row_label(grid.ax, grid[k, 0], text)
    for column, name in enumerate(labels(names)):
        column_title(grid.ax, grid[0, column], name)
    share_bar(figure, image, bottom=0.2, label="share of the unit's variance")
    if title is None:
        title = titled(f"Most specialised {noun}s by {INDEX_NAMES[index]}", study_name(layer))
    set_title(figure, f"{title}\n{undefined_note(layer)}", height=0.06)
    return figure


def draw_unit(
    ax: Axes, value: np.ndarray, low: np.ndarray, high: np.ndarray, *, chosen: int
) -> BarContainer:
    """Draw one unit's shares (variable,) as bars with intervals, the chosen variable coloured."""
    place = np.arange(len(value))
    colors = [VERMILLION if k == chosen else OTHERS for k in place]
    lengths = np.maximum([value - low, high - value], 0)
    return ax.bar(
        place,
        value,
        yerr=lengths,
        width=0.7,
        color=colors,
        error_kw={"elinewidth": 0.8, "capsize": 1.5, "capthick": 0.8},
    )


def _chosen_bars(
    dataset: xr.Dataset,
    rows: pd.DataFrame,
    index: str,
    figsize: tuple[float, float] | None,
    title: str | None,
) -> Figure:
    names = variables(dataset)
    value, low, high = by_unit(dataset, index)
    shape = (value.shape[1],) if judged_dim(dataset) else dataset["variance"].shape
    columns = min(2, len(rows))
    lines = -(-len(rows) // columns)
    figure = new_figure(1.15 * lines + 1.1, figsize=figsize)
    axes = figure.subplots(lines, columns, squeeze=False, sharey=True)
    noun = unit_name(dataset)
    for ax in axes.flat[len(rows) :]:
        ax.set_visible(False)
    for k, (ax, row) in enumerate(zip(axes.flat, rows.to_dict("records"), strict=False)):
        place = tuple(int(part) for part in str(row["unit"]).split(","))
        unit = int(np.ravel_multi_index(place, shape))
        chosen = names.index(str(row["variable"]))
        draw_unit(ax, value[:, unit], low[:, unit], high[:, unit], chosen=chosen)
        plain_axes(ax)
        ax.set_ylim(min(0.0, float(np.nanmin(low, initial=0.0))), 1)
        last = k + columns >= len(rows)
        ax.set_xticks(range(len(names)), labels(names) if last else [""] * len(names))
        ax.tick_params(axis="x", rotation=60)
        for label in ax.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
        # Table without names, or none known: the number stands for the unit.
        # A table read back from a file holds NaN where it holds no name.
        given = row.get("name")
        name = given if isinstance(given, str) and given else f"{noun} {row['unit']}"
        text = f"{name}: {variable_label(names[chosen])}"
        ax.set_title(f"{text} {share_text(float(row['share']))}", fontsize=SMALL, loc="left", pad=2)
    figure.supylabel("share of the unit's variance", fontsize=SMALL)
    what = f"Most specialised {noun}s by {INDEX_NAMES[index]}, {confidence_percent(dataset)}"
    if title is None:
        title = titled(f"{what} intervals", study_name(dataset))
    set_title(figure, title)
    return figure


def draw_specialised(
    layer: xr.Dataset, source: Source, tables: Mapping[str, pd.DataFrame]
) -> Figure:
    """Draw the picture ``specialised`` of a layer."""
    return specialised(layer, tables["units"])
