"""Mean, variance and coefficient of variation of a layer's units."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from variscope.analyses.source import Source
from variscope.figures.grids import (
    Cell,
    Grid,
    column_title,
    draw_map,
    frame_cell,
    grid_size,
    hatch_cell,
    plane,
    row_label,
    title_room,
    width_of,
)
from variscope.figures.style import (
    BLUE,
    SMALL,
    new_figure,
    plain_axes,
    quantity_colormap,
    set_title,
    study_name,
    titled,
)
from variscope.figures.units import MOST_BARS, shown_ranks
from variscope.indices.maps import as_maps, leading_channels
from variscope.indices.reading import is_map, layers, unit_counts, unit_labels, unit_name
from variscope.indices.wording import MINUS, count_text

QUANTITIES = ("mean", "variance", "coefficient\nof variation")
TOP_QUANTILE = 0.98
LAYERS_IN_A_ROW = 8
MOST_ROWS = 100  # units of a layer without maps


def quantities(dataset: xr.Dataset) -> list[np.ndarray]:
    """Return mean, variance and coefficient of variation, each of the shape (*unit).

    The coefficient is the standard deviation over the absolute mean; NaN where the mean is 0.
    Units that are not finite are NaN in all three.
    """
    fine = np.asarray(dataset["status"]) != 2
    mean = np.where(fine, np.asarray(dataset["mean"], dtype=float), np.nan)
    variance = np.where(fine, np.asarray(dataset["variance"], dtype=float), np.nan)
    magnitude = np.where(mean == 0, np.nan, np.abs(mean))
    return [mean, variance, np.sqrt(variance) / magnitude]


def moments(
    dataset: xr.Dataset,
    *,
    channels: int | Sequence[int] = 7,
    figsize: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Show the mean, the variance and the coefficient of variation of a layer's units.

    Maps, of patches as well: one row a quantity with its own scale, one column a channel. The scale
    of the coefficient ends at its 98th percentile, as means near 0 make it arbitrarily large. Other
    layers: the units sorted by each quantity.

    Args:
        dataset: of the layer.
        channels: how many (those that carry most of the layer's variance) or which.
        figsize: width and height, inches; without it the width of a page, and what is needed.
        title: of the picture, in the place of what it is named after.
    """
    if is_map(dataset):
        return _moment_maps(dataset, channels, figsize, title)
    return _moment_strips(dataset, figsize, title)


def _status_note(dataset: xr.Dataset) -> str:
    """Say how many units are constant, and how many not finite and so without a place."""
    counts = unit_counts(dataset)
    total = count_text(sum(counts.values()), "unit")
    where = "hatched" if is_map(dataset) else "left out"
    return (
        f"{total}, of which {counts['constant']:,} constant (variance 0) and "
        f"{counts['not_finite']:,} not finite ({where})"
    )


def _scale(values: np.ndarray, *, bounded: bool) -> Normalize:
    """Return the scale of a quantity, from all units that are drawn."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return Normalize(0.0, 1.0)
    top = float(finite.max() if bounded else np.quantile(finite, TOP_QUANTILE))
    low = min(0.0, float(finite.min()))
    return Normalize(low, top if top > low else low + 1.0)


def _moment_maps(
    layer: xr.Dataset,
    channels: int | Sequence[int],
    figsize: tuple[float, float] | None,
    title: str | None,
) -> Figure:
    dataset, noun = as_maps(layer), unit_name(layer)
    chosen = (
        leading_channels(dataset, channels) if isinstance(channels, int) else [*map(int, channels)]
    )
    values = [part[chosen] for part in quantities(dataset)]
    aspect = values[0].shape[1] / values[0].shape[2]
    size, figsize = grid_size(
        3,
        len(chosen),
        aspect,
        margins=(0.82, 0.65, 0.62, 0.18),
        largest=1.1,
        figsize=figsize,
        gap=0.06,
    )
    figure = new_figure(0, figsize=figsize, constrained=False)
    grid = Grid(plane(figure), size, left=0.82, top=0.62, gap=0.06)
    for row, (name, part) in enumerate(zip(QUANTITIES, values, strict=True)):
        norm = _scale(part, bounded=row < 2)
        for column in range(len(chosen)):
            cell = grid[row, column]
            image = draw_map(grid.ax, cell, part[column], norm=norm, cmap=quantity_colormap())
        row_label(grid.ax, grid[row, 0], name)
        margin = min(0.04, cell.height / 4)
        left, bottom = cell.left + cell.width + 0.08, cell.bottom + margin
        place = left, bottom, 0.09, cell.height - 2 * margin
        bar_axes = figure.add_axes(tuple(np.divide(place, (*figsize, *figsize))))
        beyond = "max" if np.nanmax(part, initial=0.0) > float(norm.vmax or 0) else "neither"
        bar = figure.colorbar(image, cax=bar_axes, extend=beyond)
        bar.ax.tick_params(labelsize=SMALL, length=2, width=0.5, pad=1.5)
        bar.ax.locator_params(nbins=4)
        bar.outline.set_linewidth(0.4)
    for column, channel in enumerate(chosen):
        left, bottom, width, height = grid[0, column]
        middle, above = left + width / 2, bottom + height + 3 / 72
        grid.ax.text(middle, above, f"{noun} {channel}", fontsize=SMALL, ha="center", va="bottom")
    heading = _heading(layer) if title is None else title
    set_title(figure, f"{heading}\n{_status_note(layer)}", height=0.06)
    return figure


def _heading(dataset: xr.Dataset) -> str:
    return titled("Mean and variance under the study", study_name(dataset))


def draw_quantity(ax: Axes, values: np.ndarray, names: Sequence[str] | None = None) -> list[Artist]:
    """Draw a quantity (unit,) of all units, the largest first; undefined ones are left out.

    Few units are bars named by their number or by `names`, many a line.
    """
    defined = np.flatnonzero(np.isfinite(values))
    units = defined[np.argsort(-values[defined], kind="stable")]
    plain_axes(ax)
    place = shown_ranks(len(units))
    units = units[place]
    finite = values[units]
    if len(values) <= MOST_BARS:
        ax.set_xticks(place, [names[unit] if names else str(unit) for unit in units])
        if len(units) > 12 or names:
            ax.tick_params(axis="x", rotation=90)
        return list(ax.bar(place, finite, width=0.75, color=BLUE))
    band = ax.fill_between(place, 0, finite, color=BLUE, alpha=0.3, lw=0)
    return [band, *ax.plot(place, finite, color=BLUE, linewidth=1)]


def _moment_strips(
    dataset: xr.Dataset, figsize: tuple[float, float] | None, title: str | None
) -> Figure:
    figure = new_figure(2.1, figsize=figsize)
    axes = figure.subplots(1, 3, squeeze=False)[0]
    named = "unit_name" in dataset.coords
    for ax, name, values in zip(axes, QUANTITIES, quantities(dataset), strict=True):
        flat = values.reshape(-1)
        draw_quantity(ax, flat, unit_labels(dataset) if named else None)
        ax.set_title(name.replace("\n", " "), fontsize=SMALL, loc="left", pad=2)
        if name.startswith("coefficient") and flat.size > MOST_BARS:
            ax.set_ylim(0, 1.05 * float(_scale(flat, bounded=False).vmax or 1))
    few = dataset["variance"].size <= MOST_BARS
    order = "class" if named else "unit number"
    order = f"{order}, sorted by the quantity" if few else "rank of the unit"
    figure.supxlabel(order, fontsize=SMALL)
    heading = _heading(dataset) if title is None else title
    set_title(figure, f"{heading}\n{_status_note(dataset)}")
    return figure


def over_channels(layer: xr.Dataset) -> list[np.ndarray]:
    """Return mean, variance and coefficient of variation of a layer as pictures ``(y, x)``.

    Maps and patches: over all channels, or features, at each pixel; the coefficient is the root of
    the mean variance over the mean magnitude of the means. Other layers: a column of the units,
    sorted by each quantity, of evenly spaced ranks where there are more than can be told apart.
    Units that are not finite are left out.
    """
    if not is_map(layer):
        columns = []
        for values in quantities(layer):
            found = np.sort(values[np.isfinite(values)])[::-1]
            columns.append(found[shown_ranks(len(found), MOST_ROWS)][:, None])
        return columns
    mean, variance, _ = (np.ma.masked_invalid(part) for part in quantities(as_maps(layer)))
    magnitude = np.ma.masked_equal(np.ma.abs(mean).mean(axis=0), 0)
    spread = variance.mean(axis=0)
    pictures = [mean.mean(axis=0), spread, np.ma.sqrt(spread) / magnitude]
    return [np.ma.filled(part.astype(float), np.nan) for part in pictures]


def network(
    tree: xr.DataTree,
    *,
    figsize: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Show mean, variance and coefficient of variation of all layers of a network in one row each.

    Eight layers stand side by side, more of them below. Each cell has its own scale, whose ends are
    written below it.

    Args:
        tree: of the study.
        figsize: width and height, inches; without it the width of a page, and what is needed.
        title: of the picture, in the place of what it is named after.
    """
    found = layers(tree)
    names = list(found)
    columns = min(LAYERS_IN_A_ROW, len(names))
    bands = -(-len(names) // columns)
    room = title_room(names)
    top, left, gap = 0.36 + room, 0.82, 0.17
    right = max(0.3, 0.85 * max(map(width_of, names[columns - 1 :: columns])) - 0.3)
    # A band has a row for each quantity, and one for the names of the next band's layers.
    rows = len(QUANTITIES) * bands
    size, figsize = grid_size(
        rows,
        columns,
        1.0,
        margins=(left, right, top + (bands - 1) * room, 0.25),
        largest=0.9,
        figsize=figsize,
        gap=gap,
    )
    figure = new_figure(0, figsize=figsize, constrained=False)
    ax = plane(figure)
    for number, (name, layer) in enumerate(found.items()):
        band, column = divmod(number, columns)
        grid = Grid(ax, size, left=left, top=top + band * room, gap=gap)
        for k, values in enumerate(over_channels(layer)):
            cell = grid[band * len(QUANTITIES) + k, column]
            draw_quantity_cell(ax, cell, values)
            if column == 0:
                row_label(ax, cell, QUANTITIES[k])
        column_title(ax, grid[band * len(QUANTITIES), column], name)
    first = next(iter(found.values()))
    heading = titled("Mean and variance of all layers", study_name(first, layer=False))
    set_title(figure, heading if title is None else title, height=0.06)
    return figure


def draw_quantity_cell(ax: Axes, cell: Cell, values: np.ndarray) -> None:
    """Draw a quantity ``(y, x)`` on a scale of its own, with the scale's ends below."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        frame_cell(ax, cell)
        hatch_cell(ax, cell)
        return
    low, high = float(finite.min()), float(finite.max())
    norm = Normalize(low, high if high > low else low + 1.0)
    draw_map(ax, cell, values, norm=norm, cmap=quantity_colormap())
    text = f"{low:.2g}" if high == low else f"{low:.2g} to {high:.2g}"
    place = cell.left + cell.width / 2, cell.bottom - 2 / 72
    ax.text(*place, text.replace("-", MINUS), fontsize=5.5, ha="center", va="top")


def draw_network(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``network``."""
    return network(source.tree)


def draw_moments(layer: xr.Dataset, source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``moments`` of a layer."""
    return moments(layer)
