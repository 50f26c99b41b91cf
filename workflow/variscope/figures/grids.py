"""Grids of small pictures with a common colour scale, laid out in inches.

Shares are coloured on the square root of 0..1: most shares are small, and a linear scale would show
them all as one dark blue.
"""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from variscope.figures.style import SMALL, bare_axes, hatch_ground, share_colormap

SHARE_TICKS = (0, 0.05, 0.2, 0.5, 1)
LONGEST = 4.0  # the sides of a cell, one over the other
TITLE_SLANT = 32.0  # degrees


def share_scale() -> PowerNorm:
    """Return the one colour scale of shares: the square root of 0..1, cut off at its ends."""
    return PowerNorm(0.5, 0.0, 1.0, clip=True)


def draw_map(
    ax: Axes,
    values: np.ndarray,
    *,
    norm: Normalize | None = None,
    cmap: Colormap | None = None,
) -> AxesImage:
    """Draw a map (y, x), undefined pixels hatched; the scale is that of shares unless given.

    Pixels are square, but for maps that would then be no more than a line.
    """
    hatch_ground(ax)
    rows, columns = np.shape(values)
    stretched = not 1 / LONGEST <= rows / columns <= LONGEST
    image = ax.imshow(
        np.ma.masked_invalid(np.asarray(values, dtype=float)),
        norm=norm or share_scale(),
        cmap=cmap or share_colormap(),
        interpolation="nearest",
        aspect="auto" if stretched else "equal",
    )
    bare_axes(ax)
    return image


def map_grid(
    figure: Figure,
    rows: int,
    columns: int,
    *,
    left: float,
    right: float,
    top: float,
    bottom: float,
    gap: float = 0.05,
) -> np.ndarray:
    """Return axes (rows, columns) that fill a figure but for margins and gaps in inches."""
    width, height = figure.get_size_inches()
    cell_width = (width - left - right - gap * (columns - 1)) / columns
    cell_height = (height - top - bottom - gap * (rows - 1)) / rows
    return figure.subplots(
        rows,
        columns,
        squeeze=False,
        gridspec_kw={
            "left": left / width,
            "right": 1 - right / width,
            "top": 1 - top / height,
            "bottom": bottom / height,
            "wspace": gap / cell_width,
            "hspace": gap / cell_height,
        },
    )


def cell_size(
    columns: int, aspect: float, *, room: float, largest: float, gap: float = 0.05
) -> tuple[float, float]:
    """Return width and height in inches of a grid's cells.

    `room` is the width for all columns, `aspect` height over width of a map, `largest` the longest
    side that a cell may have. A cell is never more than four times as long as it is wide, or wide
    as it is long: it has room for its labels, and longer maps fill it.
    """
    aspect = min(max(aspect, 1 / LONGEST), LONGEST)
    width = min((room - gap * (columns - 1)) / columns, largest, largest / aspect)
    return width, width * aspect


def triangle_grid(
    figure: Figure, count: int, cell: tuple[float, float], *, left: float, top: float, gap: float
) -> dict[tuple[int, int], Axes]:
    """Return axes for the pairs (i, j) of `count` things, i < j, row i above row i + 1.

    `cell` is width and height in inches; `left` and `top` are the margins of the first row's
    first cell, that of the pair (0, 1), and `gap` is between cells.
    """
    width, height = figure.get_size_inches()
    return {
        (i, j): figure.add_axes(
            (
                (left + (j - 1) * (cell[0] + gap)) / width,
                1 - (top + i * (cell[1] + gap) + cell[1]) / height,
                cell[0] / width,
                cell[1] / height,
            )
        )
        for i in range(count)
        for j in range(i + 1, count)
    }


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


def column_titles(axes: Sequence[Axes], titles: Sequence[str]) -> None:
    """Write the titles of columns, slanted where they would meet."""
    for ax, title in zip(axes, titles, strict=True):
        slanted_title(ax, title)


def slanted_title(ax: Axes, title: str) -> None:
    """Write the title of a column above its first cell."""
    ax.annotate(
        title,
        (0.35, 1.0),
        xytext=(0, 3),
        xycoords="axes fraction",
        textcoords="offset points",
        rotation=TITLE_SLANT,
        ha="left",
        va="bottom",
        fontsize=SMALL,
        rotation_mode="anchor",
    )


def row_label(ax: Axes, text: str) -> None:
    """Write the label of a row, to the left of its first cell."""
    ax.annotate(
        text,
        (0.0, 0.5),
        xytext=(-4, 0),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=SMALL,
        linespacing=1.1,
    )
