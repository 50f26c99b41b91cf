"""Rows of a block that repeat an earlier one: they need no evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def repeated(decoded: NDArray[Any], blocks: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find rows that repeat an earlier row of their block, to the last bit.

    Args:
        decoded: what the rows of this many blocks decode to, ``(n, ...)``.
        blocks: how many blocks.

    Returns:
        The rows to evaluate, ``(evaluation,)``, in order, and for each row the evaluation that
        holds its output, ``(n,)``.

    Example:
        >>> repeated(np.array([[4.0], [4.0], [7.0], [4.0]]), blocks=2)
        (array([0, 2, 3]), array([0, 0, 1, 2]))
    """
    n = len(decoded)
    block = np.repeat(np.arange(blocks), n // blocks)
    rows = np.ascontiguousarray(decoded).reshape(n, -1).view(np.uint8)
    key = np.ascontiguousarray(np.concatenate([block[:, None].view(np.uint8), rows], axis=1))
    _, first, inverse = np.unique(
        key.view([("", key.dtype, key.shape[1])]).ravel(), return_index=True, return_inverse=True
    )
    rank = np.argsort(np.argsort(first))
    return np.sort(first), rank[inverse.ravel()]
