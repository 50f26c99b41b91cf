"""Pairs of variables unit by unit: a triangle of maps, or of sorted neurons."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox, BboxTransform

from variscope.analyses.source import Source
from variscope.figures.grids import (
    TITLE_SLANT,
    Cell,
    Grid,
    clip_to_cell,
    column_title,
    draw_map,
    frame_cell,
    grid_size,
    hatch_cell,
    plane,
    row_label,
    scale_ticks,
    share_bar,
    title_room,
    width_of,
)
from variscope.figures.style import (
    BLUE,
    GUIDE,
    SMALL,
    labels,
    new_figure,
    set_title,
    study_name,
    titled,
)
from variscope.figures.triangles import SMALLEST_SCALE, no_pairs
from variscope.figures.units import MOST_BARS, shown_ranks, undefined_note
from variscope.indices.maps import as_maps
from variscope.indices.pairs import pair_map_over_channels, pair_places, separated_pairs
from variscope.indices.reading import (
    confidence_percent,
    estimate,
    is_map,
    unit_counts,
    unit_name,
    variables,
)
from variscope.indices.wording import count_text

LARGEST = 1.3  # inches
MOST_IN_CELL = 200  # points of a line in a cell


def pair_maps(
    dataset: xr.Dataset,
    *,
    separated_only: bool = False,
    figsize: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Show a layer's pair index S2 over its units, one cell per pair, as an upper triangle.

    Feature maps: in each cell the picture plane, S2 as the variance-weighted mean over all
    channels, on one scale from 0 to the largest of all (0.05 at least) by its square root. Other
    layers: in each cell the units sorted by their S2, with their intervals, on one axis. Pairs
    whose interval for the whole layer leaves out 0 are framed; with `separated_only` the cells of
    the others stay empty. Undefined pixels, and pairs which
    the design does not give, are hatched. A study of one variable has no pairs, and the picture
    says so. `figsize` is in inches, and `title` stands in the place of what the picture is named
    after.

    Raises:
        ValueError: the layer holds no S2.
    """
    if len(variables(dataset)) < 2:
        return no_pairs(figsize, title)
    draw = _map_triangle if is_map(dataset) else _strip_triangle
    shown = separated_pairs(dataset) if separated_only else np.ones(len(dataset["pair"]), bool)
    return draw(dataset, shown, figsize, title)


def _map_triangle(
    layer: xr.Dataset, shown: np.ndarray, figsize: tuple[float, float] | None, title: str | None
) -> Figure:
    dataset = as_maps(layer)
    maps = np.asarray(pair_map_over_channels(dataset), dtype=float)
    top = max(float(np.nanmax(maps[shown], initial=0.0)), SMALLEST_SCALE)
    norm = PowerNorm(0.5, 0.0, top, clip=True)
    counts = unit_counts(layer)
    missing = counts["constant"] + counts["not_finite"]
    note = f"all {count_text(counts['fine'], 'unit')} defined"
    if missing:
        note = (
            f"left out of the mean: {counts['constant']:,} constant and "
            f"{counts['not_finite']:,} not finite of {count_text(missing + counts['fine'], 'unit')}"
        )
    if title is None:
        what = f"Pair index S2, mean over all {dataset.sizes['channel']} {unit_name(layer)}s"
        title = titled(what, study_name(dataset))
    aspect = maps.shape[1] / maps.shape[2]
    figure, grid = _triangle(dataset, aspect, f"{title}\n{note}", 0.5, figsize)
    for k in np.flatnonzero(shown):
        i, j = pair_places(dataset)[k]
        image = draw_map(grid.ax, grid[i, j - 1], maps[k], norm=norm)
    label = "share of the variance of a pixel's units"
    share_bar(figure, image, bottom=0.2, label=label, ticks=scale_ticks(top))
    return figure


def _strip_triangle(
    dataset: xr.Dataset, shown: np.ndarray, figsize: tuple[float, float] | None, title: str | None
) -> Figure:
    pairs = pair_places(dataset)
    value, low, high = (
        np.asarray(part.transpose("pair", ...), dtype=float).reshape(len(pairs), -1)
        for part in estimate(dataset, "S2")
    )
    limits = strip_limits(value[shown], low[shown], high[shown])
    if title is None:
        what = f"Pair index S2 and {confidence_percent(dataset)} interval"
        title = titled(what, study_name(dataset))
    heading = f"{title}\n{undefined_note(dataset)}"
    figure, grid = _triangle(dataset, 0.9, heading, 0.38, figsize)
    for k in np.flatnonzero(shown):
        i, j = pairs[k]
        draw_strip(grid.ax, grid[i, j - 1], value[k], low[k], high[k], limits=limits)
    # Only the last column has room for numbers, and the scale is one for all.
    last = max(j for _, j in pairs)
    for i in range(last):
        left, bottom, width, height = grid[i, last - 1]
        for tick in _two_ticks(limits[1]):
            y = bottom + height * (tick - limits[0]) / (limits[1] - limits[0])
            grid.ax.plot([left + width, left + width + 2 / 72], [y, y], color="black", lw=0.5)
            place = left + width + 3.5 / 72, y
            grid.ax.text(*place, f"{tick:g}", fontsize=SMALL, va="center_baseline")
    figure.text(
        0.2 / figure.get_figwidth(),
        0.12 / figure.get_figheight(),
        "in each cell: units sorted by their S2; scale on the right: share of the unit's variance",
        fontsize=SMALL,
        va="center",
    )
    return figure


def draw_strip(
    ax: Axes,
    cell: Cell,
    value: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *,
    limits: tuple[float, float],
) -> list[Artist]:
    """Draw the numbers (unit,) of one pair into a cell, the largest first, with their intervals.

    Few units are bars, many a line with a band. A pair without any number is hatched. `limits` are
    those of the cell's scale. Returns what holds numbers: bars or band, intervals or line.
    """
    frame_cell(ax, cell)
    defined = np.flatnonzero(np.isfinite(value))
    if not len(defined):
        hatch_cell(ax, cell)
        return []
    units = defined[np.argsort(-value[defined], kind="stable")]
    place = shown_ranks(len(units), MOST_IN_CELL)
    units = units[place]
    value, low, high = value[units], low[units], high[units]
    few = len(defined) <= MOST_BARS
    ends = (-0.75, len(defined) - 0.25) if few else (0.0, float(max(place[-1], 1)))
    scale = Bbox.from_extents(ends[0], limits[0], ends[1], limits[1])
    box = Bbox.from_bounds(*cell)
    drawn: list[Artist]
    if few:
        bars = [[(k - 0.4, 0), (k - 0.4, v), (k + 0.4, v), (k + 0.4, 0)]
                for k, v in zip(place, value, strict=True)]  # fmt: skip
        # A bound on the wrong side of its estimate counts as the estimate.
        lines = [[(k, a), (k, b)] for k, a, b in zip(
            place, np.minimum(low, value), np.maximum(high, value), strict=True)]  # fmt: skip
        drawn = [
            PolyCollection(bars, facecolors=BLUE, alpha=0.85, linewidths=0),
            LineCollection(lines, colors="black", linewidths=0.7),
        ]
    else:
        band = np.concatenate([np.c_[place, low], np.c_[place, high][::-1]])
        drawn = [
            PolyCollection([band], facecolors=BLUE, alpha=0.25, linewidths=0),
            LineCollection([np.c_[place, value]], colors=BLUE, linewidths=1.1),
        ]
    zero = LineCollection([[(ends[0], 0), (ends[1], 0)]], colors=GUIDE, linewidths=0.5)
    for artist in (*drawn, zero):
        artist.set_transform(BboxTransform(scale, box) + ax.transData)
        ax.add_artist(artist)
        clip_to_cell(artist, ax, cell)
    return drawn


def strip_limits(value: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    """Return the axis of all strips: the estimates, and their intervals a quarter further at most.

    With few replicates the intervals of single units are many times wider than what there is to
    see, and units of next to no variance can have estimates far above 1, where no S2 can be. What
    goes on beyond the cell is cut off.
    """
    lowest = max(-0.5, float(np.nanmin(value, initial=0.0)))
    highest = min(1.0, max(SMALLEST_SCALE, float(np.nanmax(value, initial=0.0))))
    room = 0.25 * (highest - lowest)
    return (
        max(lowest - room, float(np.nanmin(low, initial=lowest))),
        min(highest + room, float(np.nanmax(high, initial=highest))),
    )


def _two_ticks(top: float) -> list[float]:
    """Return 0 and the largest round number within nine tenths of an axis."""
    steps = [float(f"{step}e{power}") for power in range(0, -7, -1) for step in (5, 2, 1)]
    return [0.0, next(step for step in steps if step <= 0.9 * top)]


def _triangle(
    dataset: xr.Dataset,
    aspect: float,
    heading: str,
    foot: float,
    figsize: tuple[float, float] | None,
) -> tuple[Figure, Grid]:
    """Return a titled figure with a grid, in which the pair (i, j) has row i and column j - 1."""
    names = labels(variables(dataset))
    rows = len(names) - 1
    top = 0.52 + title_room(names[1:])
    # A row's name stands left of its first cell; below the first row the triangle leaves room.
    left = _left(names, 0.4)
    margins = left, _right(names[1:], 0.4), top, foot
    size, figsize = grid_size(rows, rows, aspect, margins=margins, largest=LARGEST, figsize=figsize)
    figure = new_figure(0, figsize=figsize, constrained=False)
    grid = Grid(plane(figure), size, left=left, top=top)
    for row in range(rows):
        row_label(grid.ax, grid[row, row], names[row])
        column_title(grid.ax, grid[0, row], names[row + 1])
    for (i, j), separated in zip(pair_places(dataset), separated_pairs(dataset), strict=True):
        if separated:
            frame_cell(grid.ax, grid[i, j - 1], chosen=True)
    level = confidence_percent(dataset)
    frames = f"no pair's {level} interval for the whole layer leaves out 0"
    if separated_pairs(dataset).any():
        frames = f"framed: pairs whose {level} interval for the whole layer leaves out 0"
    set_title(figure, f"{heading}\n{frames}", height=0.06)
    return figure, grid


def _left(names: Sequence[str], cell: float) -> float:
    """Return the inches that the names of rows need left of a triangle of such cells."""
    return max(0.3, *(width_of(name) + 0.12 - row * cell for row, name in enumerate(names[:-1])))


def _right(titles: Sequence[str], cell: float) -> float:
    """Return the inches that slanted titles, or the numbers of an axis, need right of it."""
    reach = np.cos(np.radians(TITLE_SLANT))
    beyond = (
        reach * width_of(title) - (column + 0.65) * cell
        for column, title in enumerate(reversed(titles))
    )
    return max(0.42, *beyond, 0.0)


def draw_pair_maps(
    layer: xr.Dataset, source: Source, tables: Mapping[str, pd.DataFrame]
) -> Figure | None:
    """Draw the picture ``pair_maps`` of a layer; none where no pair can be told from 0."""
    if "S2_layer" not in layer or not separated_pairs(layer).any():
        return None
    return pair_maps(layer, separated_only=True)
