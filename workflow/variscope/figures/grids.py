"""Grids of small pictures with a common colour scale, laid out in inches.

Shares are coloured on the square root of 0..1: most shares are small, and a linear scale would show
them all as one dark blue.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap, Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.transforms import Bbox, TransformedBbox

from variscope.figures.style import (
    SMALL,
    UNDEFINED_FACE,
    UNDEFINED_HATCH,
    VERMILLION,
    WIDTH,
    share_colormap,
)

SHARE_TICKS = (0, 0.05, 0.2, 0.5, 1)
LONGEST = 4.0  # the sides of a cell, one over the other
TITLE_SLANT = 32.0  # degrees
GAP = 0.05  # inches between cells
MOST_PIXELS = 64  # of a map, a side
HATCH_SIDE = 120  # pixels of what is drawn over a map, about
HATCH_STEP = 0.06  # inches between lines
HATCH_COLOR = "0.8"


def share_scale() -> PowerNorm:
    """Return the one colour scale of shares: the square root of 0..1, cut off at its ends."""
    return PowerNorm(0.5, 0.0, 1.0, clip=True)


class Cell(NamedTuple):
    """Where a small picture stands, in inches from the lower left corner of its figure."""

    left: float
    bottom: float
    width: float
    height: float


def plane(figure: Figure) -> Axes:
    """Return axes that cover a figure, measured in inches from its lower left corner, unseen.

    Small pictures by the dozen stand on one plane: axes of their own would take most of the time.
    """
    ax = figure.add_axes((0, 0, 1, 1))
    width, height = figure.get_size_inches()
    ax.set(xlim=(0, width), ylim=(0, height))
    ax.set_axis_off()
    return ax


def draw_map(
    ax: Axes,
    cell: Cell,
    values: np.ndarray,
    *,
    norm: Normalize | None = None,
    cmap: Colormap | None = None,
) -> AxesImage:
    """Draw a map (y, x) into a cell of a plane, undefined pixels hatched.

    The scale is that of shares unless given. Of maps of more than 64 pixels a side evenly spaced
    ones are drawn: a cell has no room for more, and files of a hundred maps would be large.
    """
    left, bottom, width, height = cell
    image = AxesImage(
        ax,
        norm=norm or share_scale(),
        cmap=cmap or share_colormap(),
        interpolation="nearest",
        origin="upper",
        extent=(left, left + width, bottom, bottom + height),
    )
    array = np.ma.masked_invalid(thinned(np.asarray(values, dtype=float)))
    if np.ma.is_masked(array):
        hatch_cell(ax, cell)
    image.set_data(array)
    ax.add_image(image)
    clip_to_cell(image, ax, cell)
    frame_cell(ax, cell)
    return image


def thinned(values: np.ndarray) -> np.ndarray:
    """Return evenly spaced pixels of a map (y, x), 64 a side at most."""
    rows, columns = (
        np.linspace(0, side - 1, min(side, MOST_PIXELS)).round().astype(int)
        for side in values.shape
    )
    return values[np.ix_(rows, columns)]


def hatch_pixels(ax: Axes, cell: Cell, where: np.ndarray) -> AxesImage | None:
    """Draw slanted lines over the pixels of a map that cannot be told from 0.

    As an image, which stays small: outlines of the pixels of a hundred maps would take megabytes.

    Args:
        ax: of the cell.
        cell: of the map.
        where: the pixels, ``(y, x)``.

    Returns:
        The image; None where there is no such pixel.
    """
    if not where.any():
        return None
    few = thinned(where)
    fine = max(1, round(HATCH_SIDE / max(few.shape)))
    large = np.kron(few, np.ones((fine, fine), dtype=bool))
    row, column = np.indices(large.shape)
    step = max(3, round(max(large.shape) * HATCH_STEP / max(cell.width, cell.height)))
    lines = large & ((row + column) % step < max(1, step // 4))
    left, bottom, width, height = cell
    image = AxesImage(
        ax,
        cmap=ListedColormap(["none", HATCH_COLOR]),
        norm=Normalize(0, 1),
        interpolation="nearest",
        origin="upper",
        extent=(left, left + width, bottom, bottom + height),
        zorder=1,
        gid="hatching",
    )
    image.set_data(lines.astype(np.uint8))
    ax.add_image(image)
    clip_to_cell(image, ax, cell)
    return image


def clip_to_cell(artist: Artist, ax: Axes, cell: Cell) -> None:
    """Cut off what an artist draws beyond a cell; of images a pixel can be."""
    artist.set_clip_box(TransformedBbox(Bbox.from_bounds(*cell), ax.transData))


def hatch_cell(ax: Axes, cell: Cell) -> Rectangle:
    """Hatch the ground of a cell, so that undefined pixels are seen as such."""
    ground = Rectangle(
        cell[:2],
        cell.width,
        cell.height,
        facecolor=UNDEFINED_FACE,
        edgecolor=UNDEFINED_HATCH,
        hatch="//////",
        linewidth=0,
        zorder=-1,
    )
    ax.add_patch(ground)
    return ground


def frame_cell(ax: Axes, cell: Cell, *, chosen: bool = False) -> Rectangle:
    """Frame a cell thinly, or by a strong colour where it is chosen."""
    frame = Rectangle(
        cell[:2],
        cell.width,
        cell.height,
        fill=False,
        edgecolor=VERMILLION if chosen else "0.5",
        linewidth=1.6 if chosen else 0.4,
        zorder=5 if chosen else 2,
    )
    ax.add_patch(frame)
    return frame


@dataclass(frozen=True)
class Grid:
    """Cells in rows and columns on a plane.

    Attributes:
        ax: the plane.
        cell: width and height of a cell, inches.
        left: of the first column, inches from the figure's left.
        top: of the first row, inches from the figure's top.
        gap: between cells, inches.
    """

    ax: Axes
    cell: tuple[float, float]
    left: float
    top: float
    gap: float = GAP

    def __getitem__(self, place: tuple[int, int]) -> Cell:
        """Return the cell in a row and a column."""
        row, column = place
        width, height = self.cell
        up = self.ax.get_ylim()[1] - self.top - row * (height + self.gap) - height
        return Cell(self.left + column * (width + self.gap), up, width, height)


def grid_size(
    rows: int,
    columns: int,
    aspect: float,
    *,
    margins: tuple[float, float, float, float],
    largest: float,
    figsize: tuple[float, float] | None = None,
    gap: float = GAP,
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return width and height, in inches, of a grid's cells and of the figure around it.

    Args:
        rows, columns: of the grid.
        aspect: height over width of a map. A cell is never more than four times as long as it is
            wide, or wide as it is long: it has room for its labels, and longer maps fill it.
        margins: left, right, above and below the grid, inches.
        largest: the longest side that a cell may have in a figure as wide as a page.
        figsize: of the figure, which the cells then fill; as wide as a page without it, and as high
            as the cells need.
        gap: between cells, inches.

    Raises:
        ValueError: a figure that leaves no room for cells.
    """
    aspect = min(max(aspect, 1 / LONGEST), LONGEST)
    left, right, top, bottom = margins
    wide = (figsize[0] if figsize else WIDTH) - left - right - gap * (columns - 1)
    if figsize is None:
        width = min(wide / columns, largest, largest / aspect)
        height = top + rows * (width * aspect + gap) - gap + bottom
        return (width, width * aspect), (WIDTH, height)
    high = figsize[1] - top - bottom - gap * (rows - 1)
    width = min(wide / columns, high / rows / aspect)
    if width <= 0:
        raise ValueError(
            f"a figure of {figsize[0]:g} x {figsize[1]:g} inches has no room for {rows} x {columns}"
            " cells and their labels"
        )
    return (width, width * aspect), figsize


def scale_ticks(top: float) -> list[float]:
    """Return the ticks of a square root scale from 0 to `top`: both ends, round numbers between.

    They are far enough apart for their numbers to be read on the bar of `share_bar`.
    """
    steps = [float(f"{step}e{power}") for power in range(3, -7, -1) for step in (5, 2, 1)]
    apart = 0.15  # of the bar's length
    ticks = [top]
    for step in steps:
        place = math.sqrt(step / top)
        if place >= apart and math.sqrt(ticks[-1] / top) - place >= apart:
            ticks.append(step)
    return [0.0, *reversed(ticks)]


def share_bar(
    figure: Figure,
    image: AxesImage,
    *,
    bottom: float,
    label: str,
    ticks: Sequence[float] = SHARE_TICKS,
) -> Axes:
    """Draw the colour bar of shares, lying, `bottom` inches above the figure's foot."""
    width, height = figure.get_size_inches()
    bar_width = min(2.6, 0.5 * width)
    ax = figure.add_axes((0.2 / width, bottom / height, bar_width / width, 0.1 / height))
    bar = figure.colorbar(image, cax=ax, orientation="horizontal", ticks=ticks)
    bar.ax.set_xticklabels([f"{tick:.2g}" for tick in ticks])
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=SMALL, length=2, width=0.5, pad=1.5)
    bar.outline.set_linewidth(0.4)
    figure.text(
        (0.2 + bar_width + 0.2) / width,
        (bottom + 0.05) / height,
        label,
        fontsize=SMALL,
        va="center",
    )
    return ax


def width_of(text: str) -> float:
    """Return about how many inches a small text takes."""
    return 0.058 * len(text)


def title_room(titles: Sequence[str]) -> float:
    """Return the inches that slanted column titles take above a grid."""
    return 0.18 + max(map(width_of, titles)) * math.sin(math.radians(TITLE_SLANT))


def column_title(ax: Axes, cell: Cell, title: str) -> None:
    """Write the title of a column above its first cell, slanted: titles would meet."""
    ax.text(
        cell.left + 0.35 * cell.width,
        cell.bottom + cell.height + 3 / 72,
        title,
        rotation=TITLE_SLANT,
        ha="left",
        va="bottom",
        fontsize=SMALL,
        rotation_mode="anchor",
    )


def row_label(ax: Axes, cell: Cell, text: str) -> None:
    """Write the label of a row, to the left of its first cell."""
    ax.text(
        cell.left - 4 / 72,
        cell.bottom + cell.height / 2,
        text,
        ha="right",
        va="center",
        fontsize=SMALL,
        linespacing=1.1,
    )
