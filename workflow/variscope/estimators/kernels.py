"""Compiled sums of the cycle's and the star's terms, as defined in `cycle` and `star`.

Differences are taken in the outputs' own precision, where neighbouring rows are close and the
subtraction is nearly exact; products and sums in float64, so that units of any scale keep their
variance. The order of the additions is that of the blocks: the result depends on nothing else.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Units that one pass works on: all rows of a block and all of their sums stay in the cache.
_UNITS_AT_ONCE = 256


@njit(cache=True, nogil=True)
def add_cycle(
    outputs: NDArray[np.floating[Any]],
    order: NDArray[np.int64],
    pair_table: NDArray[np.int64],
    sums: NDArray[np.float64],
    counts: NDArray[np.int32],
    pair_counts: NDArray[np.int64],
) -> None:
    """Add the terms of every block to the sums of one replicate, in place, block by block.

    Args:
        outputs: ``(block, 2 D, unit)``, C-contiguous.
        order: ``(block, D)``.
        pair_table: `Layout.pair_table`, ``(D, D)``.
        sums: ``(Layout.sum_rows, unit)``, changed.
        counts: ``(Layout.count_rows, unit)``, changed.
        pair_counts: ``(pair,)``, changed.
    """
    blocks, rows, units = outputs.shape
    n = rows // 2
    pairs = n * (n - 1) // 2
    st, shapley, s2 = n, 2 * n, 3 * n
    variance, total, square = s2 + pairs, s2 + pairs + 1, s2 + pairs + 2
    width = _UNITS_AT_ONCE
    step = np.empty((rows, width))
    complement = np.empty((n + 1, width))
    held = np.empty(width)
    for start in range(0, units, width):
        stop = min(start + width, units)
        size = stop - start
        for b in range(blocks):
            f = outputs[b, :, start:stop]
            for k in range(rows):
                here, before = f[k], f[(k - 1) % rows]
                for u in range(size):
                    step[k, u] = np.float64(here[u] - before[u])
                    value = np.float64(here[u])
                    sums[total, start + u] += value
                    sums[square, start + u] += value * value
                    if not np.isfinite(value):
                        counts[n, start + u] += 1
            held[:size] = 0.0
            for k in range(1, n + 1):
                here, opposite = f[k], f[(k + n) % rows]
                for u in range(size):
                    difference = np.float64(here[u] - opposite[u])
                    complement[k, u] = difference
                    held[u] += difference
                    sums[variance, start + u] += difference * difference / (2 * n)
            for k in range(1, n + 1):
                i = order[b, k - 1]
                forth, back = step[k], step[(k + n) % rows]
                for u in range(size):
                    product = forth[u] * back[u]
                    sums[i, start + u] -= product / 2
                    counts[i, start + u] += product != 0
                    sums[st + i, start + u] += (forth[u] * forth[u] + back[u] * back[u]) / 4
                    sums[shapley + i, start + u] += (forth[u] - back[u]) * held[u] / (4 * n)
                    held[u] -= 2 * complement[k, u]
                if n > 1:
                    pair = s2 + pair_table[i, order[b, k % n]]
                    next_forth, next_back = step[(k + 1) % rows], step[(k + 1 + n) % rows]
                    for u in range(size):
                        sums[pair, start + u] -= (
                            forth[u] * next_back[u] + back[u] * next_forth[u]
                        ) / 2
    if n > 1:
        for b in range(blocks):
            for k in range(n):
                pair_counts[pair_table[order[b, k], order[b, (k + 1) % n]]] += 1


@njit(cache=True, nogil=True)
def add_star(
    outputs: NDArray[np.floating[Any]],
    sums: NDArray[np.float64],
    counts: NDArray[np.int32],
) -> None:
    """Add the terms of every block to the sums of one replicate, in place, block by block.

    Args:
        outputs: ``(block, 2 D + 2, unit)``, C-contiguous.
        sums: ``(Layout.sum_rows, unit)``, changed.
        counts: ``(Layout.count_rows, unit)``, changed.
    """
    blocks, rows, units = outputs.shape
    n = rows // 2 - 1
    st, s2 = n, 2 * n
    variance = s2 + n * (n - 1) // 2
    total, square = variance + 1, variance + 2
    width = _UNITS_AT_ONCE
    d = np.empty((n, width))
    h = np.empty((n, width))
    for start in range(0, units, width):
        stop = min(start + width, units)
        size = stop - start
        for block in range(blocks):
            f = outputs[block, :, start:stop]
            for k in range(rows):
                for u in range(size):
                    value = np.float64(f[k, u])
                    sums[total, start + u] += value
                    sums[square, start + u] += value * value
                    if not np.isfinite(value):
                        counts[n, start + u] += 1
            for u in range(size):
                difference = np.float64(f[0, u] - f[rows - 1, u])
                sums[variance, start + u] += difference * difference / 4
            for i in range(n):
                for u in range(size):
                    ab, ba = f[1 + i, u], f[1 + n + i, u]
                    d[i, u] = np.float64(ab - f[0, u])
                    h[i, u] = np.float64(ba - f[rows - 1, u])
                    difference = np.float64(ab - ba)
                    product = d[i, u] * h[i, u]
                    sums[variance, start + u] += difference * difference / (4 * n)
                    sums[i, start + u] -= product / 2
                    counts[i, start + u] += product != 0
                    sums[st + i, start + u] += (d[i, u] * d[i, u] + h[i, u] * h[i, u]) / 4
            pair = s2
            for i in range(n):
                for j in range(i + 1, n):
                    for u in range(size):
                        sums[pair, start + u] += (d[i, u] * h[j, u] + d[j, u] * h[i, u]) / 2
                    pair += 1
