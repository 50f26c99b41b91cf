"""Rows of a block: each variable comes from one of two base points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rows_from(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    from_y: NDArray[np.bool_],
    groups: tuple[tuple[int, ...], ...],
) -> NDArray[np.float64]:
    """Take the variables of each row from y where that is said, else from x.

    Args:
        x, y: the base points, ``(block, factor)``.
        from_y: ``(block, row, variable)``; one block stands for all.
        groups: the factors (columns) of each variable.

    Returns:
        ``(block, row, factor)``.
    """
    factors = np.zeros((*from_y.shape[:2], sum(len(group) for group in groups)), dtype=bool)
    for variable, group in enumerate(groups):
        factors[:, :, list(group)] = from_y[:, :, variable, None]
    return np.where(factors, y[:, None], x[:, None])
