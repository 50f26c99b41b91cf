"""Cells of an image that are masked: their grid, how it lies, and what stands in their place.

A grid is shifted by half a cell, or not, down and right. Cells at the border are then cut there, so
that a shifted grid has one more row or column of them: wrapped around they would be single cells in
two or four places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variscope.errors import UserError

# What stands in the place of a masked cell: the image's mean color; the image without what is finer
# than a cell; black.
FILLS = ("mean", "blurred", "black")
# Half cells by which a grid is shifted down and right, by name, in the order of their use.
OFFSETS = {"none": (0, 0), "both": (1, 1), "right": (0, 1), "down": (1, 0)}

Array = NDArray[Any]


@dataclass(frozen=True)
class Cells:
    """A grid of cells over an image.

    Attributes:
        grid: cells a side, where it is not shifted.
        offset: half cells that it is shifted down and right, 0 or 1 each.

    Example:
        >>> Cells(2, (1, 0)).shape
        (3, 2)
        >>> Cells(2, (1, 0)).fine
        array([[0, 0, 1, 1],
               [2, 2, 3, 3],
               [2, 2, 3, 3],
               [4, 4, 5, 5]])
    """

    grid: int
    offset: tuple[int, int] = (0, 0)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of cells, cut ones among them."""
        return self.grid + self.offset[0], self.grid + self.offset[1]

    def __len__(self) -> int:
        return self.shape[0] * self.shape[1]

    @property
    def fine(self) -> NDArray[np.int64]:
        """The cell of each quarter of an unshifted cell, ``(2 grid, 2 grid)``."""
        row, column = ((np.arange(2 * self.grid) + shift) // 2 for shift in self.offset)
        return row[:, None] * self.shape[1] + column

    def over(self, size: tuple[int, int]) -> NDArray[np.int64]:
        """Return the cell of each pixel, ``(H, W)``.

        Raises:
            UserError: the image has fewer pixels a side than there are cells.
        """
        shifted = any(self.offset)
        least = 2 * self.grid if shifted else self.grid
        if min(size) < least:
            what = "halves of cells" if shifted else "cells"
            raise UserError(
                f"grid: found {self.grid}, of {least} {what} a side, and an image of {size[0]} x "
                f"{size[1]} pixels; allowed: a grid of at most {min(size) * self.grid // least}"
            )
        at = [np.arange(side) * 2 * self.grid // side for side in size]
        return self.fine[np.ix_(*at)]

    def spread(self, values: Array) -> Array:
        """Share out what cells have evenly among the quarters that they consist of.

        Args:
            values: of the cells, ``(cell, ...)``.

        Returns:
            ``(2 grid, 2 grid, ...)``; it has the sum of `values`.
        """
        count = np.bincount(self.fine.reshape(-1), minlength=len(self))
        each = np.asarray(values) / count.reshape(-1, *(1,) * (np.ndim(values) - 1))
        return np.asarray(each[self.fine])
