"""What is drawn, as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import NDArray


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
