"""Grids of cells over an image, for methods that cannot look at each pixel by itself."""

from __future__ import annotations

import torch


def edges(side: int, count: int) -> list[int]:
    """Return where `count` cells of a side begin and end, as even as whole pixels can be.

    Args:
        side: in pixels.
        count: of cells; at most one a pixel.

    Returns:
        ``count + 1`` numbers from 0 to `side`, ascending.

    Example:
        >>> edges(10, 4)
        [0, 3, 5, 8, 10]
    """
    count = min(count, side)
    return [(2 * k * side + count) // (2 * count) for k in range(count + 1)]


def cell_of_pixels(height: int, width: int, cells: int) -> torch.Tensor:
    """Return the number of each pixel's cell, row by row, int64 ``(height, width)``."""
    rows, columns = edges(height, cells), edges(width, cells)
    row = torch.bucketize(torch.arange(height), torch.tensor(rows[1:-1]), right=True)
    column = torch.bucketize(torch.arange(width), torch.tensor(columns[1:-1]), right=True)
    return row[:, None] * (len(columns) - 1) + column


def cell_means(maps: torch.Tensor, cells: int) -> torch.Tensor:
    """Return the mean of maps ``(n, H, W)`` over each cell, ``(n, rows, columns)``."""
    height, width = maps.shape[-2:]
    number = cell_of_pixels(height, width, cells).reshape(-1).to(maps.device)
    count = int(number.max()) + 1
    sums = maps.new_zeros((len(maps), count)).index_add_(1, number, maps.flatten(1))
    pixels = torch.bincount(number, minlength=count).to(maps.dtype)
    return (sums / pixels).reshape(len(maps), min(cells, height), min(cells, width))
