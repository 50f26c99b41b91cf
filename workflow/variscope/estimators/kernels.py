"""Compiled sums of the cycle's and the star's terms, as defined in `cycle` and `star`.

Differences are taken in the outputs' own precision, where neighbouring rows are close and the
subtraction is nearly exact; products and sums in float64, so that units of any scale keep their
variance. Constant factors are left out (`Layout.scale`). The order of the additions is that of the
blocks: the result depends on nothing else.

The loops run over neighbouring units, which compilers turn into vector instructions; all rows of a
block and all sums of so many units stay in the cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

_UNITS_AT_ONCE = 128


@njit(cache=True, nogil=True, error_model="numpy")
def add_cycle(
    outputs: NDArray[np.floating[Any]],
    order: NDArray[np.int64],
    pair_table: NDArray[np.int64],
    sums: NDArray[np.float64],
    pair_counts: NDArray[np.int64],
) -> None:
    """Add the terms of every block to the sums of one replicate, in place, block by block.

    Args:
        outputs: ``(block, 2 D, unit)``, C-contiguous.
        order: ``(block, D)``.
        pair_table: `Layout.pair_table`, ``(D, D)``.
        sums: ``(Layout.sum_rows, unit)``, changed.
        pair_counts: ``(pair,)``, changed.
    """
    blocks, rows, units = outputs.shape
    n = rows // 2
    st, shapley, s2 = n, 2 * n, 3 * n
    nonzero = s2 + n * (n - 1) // 2
    variance, total, square = nonzero + n, nonzero + n + 1, nonzero + n + 2
    width = _UNITS_AT_ONCE
    step = np.empty((rows, width), outputs.dtype)  # D_k
    complement = np.empty((n, width), outputs.dtype)  # E_k
    held = np.empty(width)  # T_k
    here = np.empty((square + 1, width))
    for start in range(0, units, width):
        size = min(width, units - start)
        here[:, :size] = sums[:, start : start + size]
        sum_v, sum_f, sum_ff = here[variance], here[total], here[square]
        for b in range(blocks):
            f = outputs[b, :, start : start + size]
            held[:size] = 0.0
            for k in range(n):
                there, back = f[k], f[k + n]
                before_there, before_back = f[k - 1 if k > 0 else rows - 1], f[k + n - 1]
                d_there, d_back, e = step[k], step[k + n], complement[k]
                sign = -1.0 if k == 0 else 1.0  # T_1 holds E_D = -E_0
                for u in range(size):
                    d_there[u] = there[u] - before_there[u]
                    d_back[u] = back[u] - before_back[u]
                    e[u] = there[u] - back[u]
                    difference = np.float64(e[u])
                    one, other = np.float64(there[u]), np.float64(back[u])
                    held[u] += sign * difference
                    sum_v[u] += difference * difference
                    sum_f[u] += one + other
                    sum_ff[u] += one * one + other * other
            for k in range(1, n + 1):
                i = order[b, k - 1]
                there, back = step[k], step[(k + n) % rows]
                sum_s1, sum_st, sum_sh = here[i], here[st + i], here[shapley + i]
                sum_nz = here[nonzero + i]
                e = complement[k % n]
                twice = 2.0 if k < n else 0.0  # T is not needed any more after k = D
                for u in range(size):
                    x, y = np.float64(there[u]), np.float64(back[u])
                    product = x * y
                    sum_s1[u] += product
                    sum_nz[u] += 1.0 if product != 0 else 0.0
                    sum_st[u] += x * x + y * y
                    sum_sh[u] += (x - y) * held[u]
                    held[u] -= twice * np.float64(e[u])
                if n > 1:
                    sum_s2 = here[s2 + pair_table[i, order[b, k % n]]]
                    next_there, next_back = step[(k + 1) % rows], step[(k + 1 + n) % rows]
                    for u in range(size):
                        sum_s2[u] += np.float64(there[u]) * np.float64(next_back[u]) + np.float64(
                            back[u]
                        ) * np.float64(next_there[u])
        sums[:, start : start + size] = here[:, :size]
    if n > 1:
        for b in range(blocks):
            for k in range(n):
                pair_counts[pair_table[order[b, k], order[b, (k + 1) % n]]] += 1


@njit(cache=True, nogil=True, error_model="numpy")
def add_star(outputs: NDArray[np.floating[Any]], sums: NDArray[np.float64]) -> None:
    """Add the terms of every block to the sums of one replicate, in place, block by block.

    Args:
        outputs: ``(block, 2 D + 2, unit)``, C-contiguous.
        sums: ``(Layout.sum_rows, unit)``, changed.
    """
    blocks, rows, units = outputs.shape
    n = rows // 2 - 1
    st, s2 = n, 2 * n
    nonzero = s2 + n * (n - 1) // 2
    variance, total, square = nonzero + n, nonzero + n + 1, nonzero + n + 2
    width = _UNITS_AT_ONCE
    d = np.empty((n, width))
    h = np.empty((n, width))
    here = np.empty((square + 1, width))
    for start in range(0, units, width):
        size = min(width, units - start)
        here[:, :size] = sums[:, start : start + size]
        sum_v, sum_f, sum_ff = here[variance], here[total], here[square]
        for block in range(blocks):
            f = outputs[block, :, start : start + size]
            for k in range(rows):
                row = f[k]
                for u in range(size):
                    value = np.float64(row[u])
                    sum_f[u] += value
                    sum_ff[u] += value * value
            a, b = f[0], f[rows - 1]
            for u in range(size):
                difference = np.float64(a[u] - b[u])
                sum_v[u] += n * difference * difference
            for i in range(n):
                ab, ba, d_i, h_i = f[1 + i], f[1 + n + i], d[i], h[i]
                sum_s1, sum_st, sum_nz = here[i], here[st + i], here[nonzero + i]
                for u in range(size):
                    x, y = np.float64(ab[u] - a[u]), np.float64(ba[u] - b[u])
                    difference = np.float64(ab[u] - ba[u])
                    d_i[u], h_i[u] = x, y
                    sum_v[u] += difference * difference
                    sum_s1[u] += x * y
                    sum_nz[u] += 1.0 if x * y != 0 else 0.0
                    sum_st[u] += x * x + y * y
            pair = s2
            for i in range(n):
                for j in range(i + 1, n):
                    sum_s2 = here[pair]
                    for u in range(size):
                        sum_s2[u] += d[i, u] * h[j, u] + d[j, u] * h[i, u]
                    pair += 1
        sums[:, start : start + size] = here[:, :size]
