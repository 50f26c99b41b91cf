"""The maps of all methods side by side, a row for each image."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from variscope.analyses.agreement.gathered import EDGES, Gathered, Maps, described, gather
from variscope.analyses.source import Source
from variscope.figures.grids import (
    Grid,
    column_title,
    draw_map,
    frame_cell,
    grid_size,
    hatch_cell,
    plane,
    row_label,
    title_room,
)
from variscope.figures.image_maps import draw_photograph
from variscope.figures.style import (
    change_colormap,
    new_figure,
    nothing_to_show,
    set_title,
    share_colormap,
)

TITLE = "Where each method says that the network looks"
MOST_ROWS = 6
BELOW = 0.2  # of the scale's end
_LEFT, _TITLE_ROOM, _LARGEST = 1.05, 0.3, 0.95  # inches


def side_by_side(source: Source) -> Figure:
    """Draw images, the maps of each method, and in the last row their means over all images."""
    gathered = gather(source)
    if gathered.edges is None or not gathered.methods:
        return nothing_to_show(TITLE, "No method has maps of these images.")
    columns = {name: method.trained for name, method in gathered.methods.items()}
    titles = ["image", *(gathered.titles[name] for name in columns), "edges"]
    columns[EDGES] = gathered.edges
    shown = gathered.edges.place[:MOST_ROWS]
    rows, aspect = len(shown) + 1, source.images.size[0] / source.images.size[1]
    margins = (_LEFT, 0.25, _TITLE_ROOM + title_room(titles), 0.1)
    cell, size = grid_size(rows, len(titles), aspect, margins=margins, largest=_LARGEST)
    figure = new_figure(size[1], constrained=False)
    ax = plane(figure)
    grid = Grid(ax, cell, margins[0], margins[2])
    for column, title in enumerate(titles):
        column_title(ax, grid[0, column], title)
    pixels = source.images.load(gathered.edges.ids[: len(shown)])
    scale = 255 if pixels.dtype == np.uint8 else 1
    labels = row_labels(source, gathered, len(shown))
    for row, label in enumerate([*labels, f"mean of {len(gathered.edges.place)}"]):
        row_label(ax, grid[row, 0], label)
    for row, image in enumerate(np.moveaxis(pixels, 1, -1) / scale):
        draw_photograph(ax, grid[row, 0], np.broadcast_to(image, (*image.shape[:2], 3)))
    for column, maps in enumerate(columns.values(), start=1):
        draw_column(ax, grid, column, maps, shown)
    set_title(figure, f"{TITLE}: {source.studies[0].model}", height=0.06)
    return figure


def row_labels(source: Source, gathered: Gathered, count: int) -> list[str]:
    """Return the unit that is asked for of each image, by its name where that is known."""
    assert gathered.edges is not None
    names = described(next(iter(source.shards.values())))["names"]
    return [
        _wrapped(str(names[unit])) if names and unit < len(names) else f"unit {unit}"
        for unit in gathered.edges.target[:count]
    ]


def _wrapped(text: str, width: int = 15) -> str:
    """Return a text in lines that fit beside a row, at most two."""
    lines = [""]
    for word in text.replace("_", " ").split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    short = [line if len(line) <= width + 2 else f"{line[:width]}…" for line in lines]
    return "\n".join(short[:2])


def draw_column(ax: Axes, grid: Grid, column: int, maps: Maps, shown: NDArray[np.int64]) -> None:
    """Draw a method's maps on one scale, and in the last row their mean over all images."""
    values = np.asarray(maps.values, dtype=float)
    norm, cmap = scale_of(values)
    if not maps.of_all:
        for row, place in enumerate(shown):
            at = np.flatnonzero(maps.place == place)
            if not len(at) or np.ptp(values[at[0]]) == 0:
                hatch_cell(ax, grid[row, column])
                frame_cell(ax, grid[row, column])
            else:
                draw_map(ax, grid[row, column], values[at[0]], norm=norm, cmap=cmap)
    defined = values[np.isfinite(values).all(axis=(1, 2))]
    mean = defined.mean(axis=0) if len(defined) else np.full(maps.grid, np.nan)
    draw_map(ax, grid[len(shown), column], mean, norm=norm, cmap=cmap)


def scale_of(values: NDArray[np.floating]) -> tuple[Normalize, Colormap]:
    """Return one scale for maps, cut at the 99th percentile; with a middle where many are below 0.

    Estimates of what cannot be below 0 are so by their noise: they keep a scale from 0.

    Args:
        values: ``(n, y, x)``.
    """
    found = values[np.isfinite(values)]
    sizes = np.abs(found)
    top = float(np.quantile(sizes, 0.99)) if sizes.size else 0.0
    top = top or float(sizes.max(initial=0.0)) or 1.0
    if found.min(initial=0.0) < -BELOW * top:
        return Normalize(-top, top, clip=True), change_colormap()
    return Normalize(0, top, clip=True), share_colormap()
