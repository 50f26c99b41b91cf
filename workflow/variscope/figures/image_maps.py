"""Images side by side, and below each its maps: a row a kind of map, with one scale for all images.

A scale of its own for each image would make all maps look alike, that of an image of which nothing
matters among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from variscope.figures.grids import (
    GAP,
    Cell,
    Grid,
    clip_to_cell,
    column_title,
    draw_map,
    frame_cell,
    grid_size,
    plane,
    row_label,
    thinned,
    title_room,
    width_of,
)
from variscope.figures.style import (
    SMALL,
    WIDTH,
    change_colormap,
    new_figure,
    quantity_colormap,
    set_title,
)

# Of the values of a row, what the colours reach to: single pixels would darken all others.
REACH = 0.995
# Columns that a page is laid out for at least, so that few images are not huge.
LEAST_COLUMNS = 5
TITLE_HEIGHT, FOOT, BAR_ROOM = 0.3, 0.08, 0.66  # inches
TALLEST = 1.08  # of a picture, in widths, so that it stands open on a page
# How much of a map is seen where an image lies below it: of 0, and of the end of its scale.
FAINT, OPAQUE = 0.15, 0.75


@dataclass(frozen=True)
class MapRow:
    """A row of maps.

    Attributes:
        label: to the left of it.
        maps: ``(n, y, x)``; NaN is hatched.
        scale: ``"root"``, the square root of what is above 0; ``"linear"`` of the same;
            ``"signed"``, as far below 0 as above.
        top: the end of the scale; None: as far as `REACH` of the row's values.
        over: whether the images, in grey, are seen through the maps, most where these are about 0.
    """

    label: str
    maps: NDArray[Any]
    scale: Literal["root", "linear", "signed"] = "root"
    top: float | None = None
    over: bool = False

    @property
    def norm(self) -> Normalize:
        """The scale of the row's colours."""
        top = reach(self.maps) if self.top is None else self.top
        if self.scale == "signed":
            return Normalize(-top, top, clip=True)
        return PowerNorm(0.5 if self.scale == "root" else 1.0, 0.0, top, clip=True)

    @property
    def colormap(self) -> Colormap:
        """The colours of the row."""
        return change_colormap() if self.scale == "signed" else quantity_colormap()


def reach(maps: NDArray[Any]) -> float:
    """Return where a scale of maps ends; 1 where all are 0 or undefined."""
    found = np.abs(maps[np.isfinite(maps)])
    top = float(np.quantile(found, REACH)) if found.size else 0.0
    return top or float(found.max(initial=0.0)) or 1.0


def image_maps(
    title: str,
    names: Sequence[str],
    images: NDArray[Any],
    rows: Sequence[MapRow],
    columns: Sequence[str] = (),
) -> Figure:
    """Draw images in a row, named, and rows of their maps below.

    Args:
        title: of the picture.
        names: of the images, ``n``.
        images: ``(n, C, H, W)``, uint8 or floats in [0, 1]; none for maps alone.
        rows: of maps, ``n`` each.
        columns: titles of the columns in the place of the images' names.
    """
    titles = list(columns or names)
    count, height = len(titles), len(rows) + bool(len(images))
    shape = images.shape[2:] if len(images) else rows[0].maps.shape[1:]
    left = 0.12 + max((width_of(line) for row in rows for line in row.label.split("\n")), default=0)
    above = TITLE_HEIGHT + title_room(titles)
    # A slanted title of the last column reaches to the right of it.
    margins = (max(left, 0.5), BAR_ROOM, above, FOOT)
    room = (TALLEST * WIDTH - above - FOOT) / height - GAP
    cell, size = grid_size(
        height,
        max(count, LEAST_COLUMNS),
        shape[0] / shape[1],
        margins=margins,
        largest=min(1.15, room * max(1.0, shape[1] / shape[0])),
    )
    figure = new_figure(size[1], figsize=size, constrained=False)
    ax = plane(figure)
    grid = Grid(ax, cell, margins[0], above)
    for column, name in enumerate(titles):
        column_title(ax, grid[0, column], name)
    photographs = _photographs(images)
    for column, photograph in enumerate(photographs):
        draw_photograph(ax, grid[0, column], photograph)
    if len(images):
        row_label(ax, grid[0, 0], "image")
    for at, row in enumerate(rows, start=int(len(images) > 0)):
        row_label(ax, grid[at, 0], row.label)
        for column, values in enumerate(row.maps):
            place = grid[at, column]
            if row.over and len(photographs):
                grey = photographs[column].mean(axis=2, keepdims=True).repeat(3, axis=2)
                draw_photograph(ax, place, 0.25 + 0.75 * grey)
            drawn = draw_map(ax, place, values, norm=row.norm, cmap=row.colormap)
            if row.over and len(photographs):
                strength = np.nan_to_num(np.abs(thinned(values)) / float(row.norm.vmax or 1.0))
                drawn.set_alpha(FAINT + (OPAQUE - FAINT) * np.clip(strength, 0, 1))
        _bar(figure, grid[at, count - 1], row)
    set_title(figure, title, height=0.06)
    return figure


def draw_photograph(ax: Axes, cell: Cell, image: NDArray[Any]) -> AxesImage:
    """Draw an image (H, W, 3) of floats in [0, 1] into a cell of a plane."""
    left, bottom, width, height = cell
    drawn = AxesImage(
        ax,
        interpolation="nearest",
        origin="upper",
        extent=(left, left + width, bottom, bottom + height),
    )
    drawn.set_data(np.clip(image, 0, 1))
    ax.add_image(drawn)
    clip_to_cell(drawn, ax, cell)
    frame_cell(ax, cell)
    return drawn


def _photographs(images: NDArray[Any]) -> NDArray[np.float64]:
    """Return images ``(n, C, H, W)`` as ``(n, H, W, 3)`` in [0, 1]."""
    found = np.asarray(images, dtype=np.float64)
    if images.dtype == np.uint8:
        found = found / 255
    found = found.transpose(0, 2, 3, 1) if found.ndim == 4 else np.empty((0, 1, 1, 3))
    return found.repeat(3, axis=3) if found.shape[3] == 1 else found


def _bar(figure: Figure, last: Cell, row: MapRow) -> None:
    """Draw the colour bar of a row, to the right of its last cell."""
    width, height = figure.get_size_inches()
    box = (
        last.left + last.width + 0.08,
        last.bottom + 0.08 * last.height,
        0.07,
        0.84 * last.height,
    )
    ax = figure.add_axes(
        (box[0] / width, box[1] / height, box[2] / width, box[3] / height), label=row.label
    )
    norm = row.norm
    top = float(norm.vmax or 1.0)
    ticks = [-top, 0.0, top] if row.scale == "signed" else [0.0, top]
    bar = figure.colorbar(ScalarMappable(norm, row.colormap), cax=ax, ticks=ticks)
    bar.ax.set_yticklabels([f"{tick:.2g}".replace("-", "\N{MINUS SIGN}") for tick in ticks])
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=SMALL, length=2, width=0.5, pad=1.5)
    bar.outline.set_linewidth(0.4)
