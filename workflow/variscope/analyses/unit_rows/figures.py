"""One unit of each layer: a row of maps for each statistic, all variable sets side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from variscope.analyses.mapped import study_of_each_set
from variscope.analyses.moments.figures import quantities
from variscope.analyses.source import Source
from variscope.figures.grids import (
    TITLE_SLANT,
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
    width_of,
)
from variscope.figures.style import (
    SMALL,
    labels,
    new_figure,
    quantity_colormap,
    set_title,
    share_colormap,
    text_color,
)
from variscope.indices.maps import as_maps, channel_variance_share, leading_channels
from variscope.indices.reading import estimate, is_map, layers, unit_labels, unit_name, variables
from variscope.indices.wording import MINUS, share_text

STATISTICS = ("S1", "shapley", "ST")
HEADING = 0.24  # inches above the rows of a layer
BETWEEN = 0.12  # inches between sets
MOST_LAYERS = 12

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Unit:
    """A unit as one variable set has it.

    Attributes:
        names: of the variables.
        values: of each statistic, ``(variable, y, x)``.
        low: lower bounds of each statistic, ``(variable, y, x)``.
        quantities: mean, variance and coefficient of variation, ``(y, x)`` each.
    """

    names: list[str]
    values: dict[str, Array]
    low: dict[str, Array]
    quantities: list[Array]


def leading_unit(layer: xr.Dataset) -> tuple[int, str]:
    """Return the unit with the largest variance, and what it is called.

    Of maps it is a channel, of patches a feature.
    """
    if is_map(layer):
        maps = as_maps(layer)
        (number,) = leading_channels(maps, 1)
        part = 100 * float(channel_variance_share(maps)[number])
        share = f" ({part:.1f} % of the variance)" if np.isfinite(part) else ""
        return number, f"{unit_name(layer)} {number}{share}"
    number = int(np.nan_to_num(np.asarray(layer["variance"], dtype=float)).argmax())
    name = unit_labels(layer)[number]
    return number, name if "unit_name" in layer.coords else f"{unit_name(layer)} {name}"


def unit_of(layer: xr.Dataset, number: int) -> Unit:
    """Return what is known of a unit: a channel or feature of maps, else a number of all units."""
    dataset = as_maps(layer) if is_map(layer) else layer
    found = [name for name in STATISTICS if name in dataset]

    def picture(part: xr.DataArray) -> Array:
        values = np.asarray(part.transpose("variable", ...), dtype=float)
        if is_map(layer):
            return np.asarray(values[:, number])
        return np.asarray(values.reshape(len(values), -1)[:, number, None, None])

    def of_all(part: np.ndarray) -> Array:
        return np.asarray(part[number] if is_map(layer) else part.reshape(-1)[number, None, None])

    estimates = {name: estimate(dataset, name) for name in found}
    return Unit(
        variables(dataset),
        {name: picture(part.value) for name, part in estimates.items()},
        {name: picture(part.low) for name, part in estimates.items()},
        [of_all(part) for part in quantities(dataset)],
    )


def unit_rows(
    trees: Mapping[str, xr.DataTree],
    *,
    figsize: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Show one unit of each layer, with all statistics of all variable sets.

    Args:
        trees: studies of one network, by the name of the variable set.
        figsize: width and height, inches; without it the width of a page, and what is needed.
        title: of the picture, in the place of what it is named after.
    """
    sets = {name: layers(tree) for name, tree in trees.items()}
    first = next(iter(sets.values()))
    names = [name for name in first if all(name in found for found in sets.values())]
    shown = [names[k] for k in np.unique(np.linspace(0, len(names) - 1, MOST_LAYERS).astype(int))]
    chosen = {layer: leading_unit(first[layer]) for layer in shown}
    columns = [["", *labels(variables(found[shown[0]]))] for found in sets.values()]
    titles = [name for part in columns for name in part]
    rows = [name for name in STATISTICS if name in first[shown[0]]]
    top, left = 0.5 + title_room(titles) + HEADING, 0.62
    beyond = np.cos(np.radians(TITLE_SLANT)) * width_of(titles[-1])
    size, figsize = grid_size(
        len(rows) * len(shown),
        len(titles),
        1.0,
        margins=(
            left,
            max(0.2, beyond) + BETWEEN * (len(sets) - 1),
            top,
            0.5 + HEADING * (len(shown) - 1),
        ),
        largest=0.45,
        figsize=figsize,
        gap=0.03,
    )
    figure = new_figure(0, figsize=figsize, constrained=False)
    ax = plane(figure)
    image: AxesImage | None = None
    for block, layer in enumerate(shown):
        number, called = chosen[layer]
        column = 0
        for k, found in enumerate(sets.values()):
            here = left + k * BETWEEN
            grid = Grid(ax, size, left=here, top=top + block * HEADING, gap=0.03)
            unit = unit_of(found[layer], number)
            image = draw_unit(grid, (block * len(rows), column), unit, rows) or image
            if block == 0:  # above the heading of the first layer
                for place, name in enumerate(columns[k]):
                    cell = grid[0, column + place]
                    column_title(ax, cell._replace(bottom=cell.bottom + HEADING - 0.06), name)
            if k == 0:
                for row, name in enumerate(rows):
                    row_label(
                        ax, grid[block * len(rows) + row, 0], name.replace("shapley", "Shapley")
                    )
                cell = grid[block * len(rows), 0]
                above = cell.bottom + cell.height + 2 / 72
                ax.text(cell.left, above, f"{layer}, {called}", fontsize=SMALL, va="bottom")
            column += len(columns[k])
    if image is not None:
        share_bar(figure, image, bottom=0.2, label="share of the unit's variance")
    model = next(iter(first.values())).attrs.get("model", "")
    heading = f"One unit of each layer: {model}".rstrip(": ")
    set_title(
        figure, f"{heading if title is None else title}\nsets: {', '.join(sets)}", height=0.06
    )
    return figure


def draw_unit(
    grid: Grid, corner: tuple[int, int], unit: Unit, rows: Sequence[str]
) -> AxesImage | None:
    """Draw a unit of one set: its quantities as a column, its statistics as rows.

    Args:
        grid: of cells.
        corner: row and column of the first cell.
        unit: what is drawn.
        rows: names of the statistics.

    Returns:
        An image on the scale of shares, if there is one.
    """
    top, left = corner
    image = None
    for row, values in enumerate(unit.quantities[: len(rows)]):
        finite = values[np.isfinite(values)]
        ends = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
        norm = Normalize(ends[0], ends[1] if ends[1] > ends[0] else ends[0] + 1)
        cell = grid[top + row, left]
        draw_map(grid.ax, cell, values, norm=norm, cmap=quantity_colormap())
        if values.size == 1 and finite.size:
            write_number(grid.ax, cell, f"{values.item():.2g}".replace("-", MINUS), "white")
    for row, name in enumerate(rows):
        if name not in unit.values:
            continue
        for k in range(len(unit.names)):
            cell = grid[top + row, left + 1 + k]
            image = draw_map(grid.ax, cell, unit.values[name][k])
            if unit.values[name][k].size == 1:
                share = float(unit.values[name][k].item())
                if np.isfinite(share):
                    color = text_color(share_colormap()(share_scale()(share)))
                    text = share_text(share, 2).replace("0.", ".")
                    write_number(grid.ax, cell, text, color)
            else:
                hatch_pixels(grid.ax, cell, unit.low[name][k] <= 0)
    return image


def write_number(ax: Axes, cell: Cell, text: str, color: str) -> None:
    """Write a number into the middle of its cell."""
    place = cell.left + cell.width / 2, cell.bottom + cell.height / 2
    ax.text(*place, text, ha="center", va="center", fontsize=5, color=color)


def draw_unit_rows(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``unit_rows``."""
    return unit_rows({study.variable_set: study.tree for study in study_of_each_set(source)})
