"""What is drawn, as numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import Collection, LineCollection
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from variscope.figures.style import VERMILLION


def pixels(image: AxesImage) -> np.ma.MaskedArray[Any, np.dtype[Any]]:
    """The values of an image, masked where it shows none."""
    array = image.get_array()
    assert array is not None
    return np.ma.asarray(array)


def bars(ax: Axes) -> list[float]:
    """The heights of the bars."""
    return [patch.get_height() for patch in ax.patches if isinstance(patch, Rectangle)]


def segments(lines: Artist) -> list[NDArray[Any]]:
    """The ends of each line of a collection, as (x, y)."""
    assert isinstance(lines, LineCollection)
    return [np.asarray(segment) for segment in lines.get_segments()]


def heights(line: Artist) -> NDArray[Any]:
    """The values along a line."""
    assert isinstance(line, Line2D)
    return np.asarray(line.get_ydata())


@dataclass(frozen=True)
class DrawnCell:
    """A cell of a plane: its place in inches, and what is drawn into it."""

    left: float
    bottom: float
    width: float
    height: float
    images: list[AxesImage]
    lines: list[AxesImage]
    collections: list[Collection]
    hatched: bool
    framed: bool
    label: str
    title: str


def cells(figure: Figure) -> list[DrawnCell]:
    """The cells of a figure's plane, row by row from the top, found by their thin frames."""
    ax = figure.axes[0]
    patches = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    found = []
    for frame in patches:
        if frame.get_fill() or frame.get_linewidth() > 1:
            continue
        left, bottom, width, height = box = frame.get_bbox().bounds
        here = [patch for patch in patches if patch.get_bbox().bounds == box]
        texts = {
            (text.get_horizontalalignment(), bool(text.get_rotation())): text.get_text()
            for text in ax.texts
            if (
                0 <= left - text.get_position()[0] < 0.1
                and bottom <= text.get_position()[1] <= bottom + height
            )
            or (
                left <= text.get_position()[0] < left + width
                and 0 <= text.get_position()[1] - bottom - height < 0.1
            )
        }
        inside = [
            artist
            for artist in ax.collections
            if artist.clipbox is not None
            and np.allclose(np.divide(artist.clipbox.bounds, figure.dpi), box)
        ]
        images = [
            image
            for image in ax.images
            if np.allclose(image.get_extent(), (left, left + width, bottom, bottom + height))
        ]
        found.append(
            DrawnCell(
                left,
                bottom,
                width,
                height,
                images=[image for image in images if image.get_gid() != "hatching"],
                lines=[image for image in images if image.get_gid() == "hatching"],
                collections=inside,
                hatched=any(patch.get_hatch() for patch in here),
                framed=any(
                    same_color(patch.get_edgecolor(), VERMILLION) and patch.get_linewidth() > 1
                    for patch in here
                ),
                label=texts.get(("right", False), ""),
                title=texts.get(("left", True), ""),
            )
        )
    return sorted(found, key=lambda cell: (-round(cell.bottom, 6), cell.left))
