"""Orders from Lehmer digits: uniform over n! permutations without an n!-valued integer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from variscope.space.images import level


def decode_order(u: NDArray[np.float64], length: int) -> NDArray[np.int64]:
    """Decode one coordinate per position into a permutation of ``length`` things.

    Position k takes the floor(u_k (n - k))-th of the things that are left (Lehmer 1960; the last
    position has no choice and no coordinate). Uniform coordinates give a uniform permutation.

    Args:
        u: ``(n, length - 1)`` in [0, 1).
        length: how many things, at least 1.

    Returns:
        Row by row the thing at each position, ``(n, length)``.

    Example:
        >>> decode_order(np.array([[0.0, 0.0], [0.4, 0.9]]), 3)
        array([[0, 1, 2],
               [1, 2, 0]])
    """
    left = np.tile(np.arange(length), (len(u), 1))
    order = np.empty_like(left)
    rows = np.arange(len(u))
    for k in range(length):
        choices = length - k
        digit = level(u[:, k], choices) if choices > 1 else np.zeros(len(u), dtype=np.int64)
        order[:, k] = left[rows, digit]
        left = left[np.arange(choices) != digit[:, None]].reshape(len(u), choices - 1)
    return order
