"""The star: S1, ST and S2 of every pair, on rows that SALib reads.

A block has two independent points A and B; AB_i is A with variable i from B, BA_i is B with
variable i from A. Rows stand in Saltelli's order: A, AB_1..AB_D, BA_1..BA_D, B. With
d_i = AB_i - A and h_i = BA_i - B,

    S1_i V  = -E[d_i h_i] / 2                                   (Azzini, Mara, Rosati 2021)
    ST_i V  =  E[d_i^2 + h_i^2] / 4                             (Jansen 1999, both copies)
    S2_ij V =  E[d_i h_j + d_j h_i] / 2
    V       =  E[(A - B)^2 + mean_i (AB_i - BA_i)^2] / 4
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from variscope.estimators.layout import Layout


def star_terms(outputs: NDArray[np.floating[Any]]) -> dict[str, NDArray[np.floating[Any]]]:
    """Evaluate the star's terms of every block: the formulas as they stand.

    Args:
        outputs: network outputs, ``(block, 2 D + 2, *unit)`` in Saltelli's row order.

    Returns:
        ``S1``, ``ST`` ``(block, D, *unit)``, ``S2`` ``(block, pair, *unit)``, ``variance``
        ``(block, *unit)``, each unbiased for its numerator.
    """
    variables = outputs.shape[1] // 2 - 1
    a, b = outputs[:, :1], outputs[:, -1:]
    ab, ba = outputs[:, 1 : variables + 1], outputs[:, variables + 1 : -1]
    d, h = ab - a, ba - b
    i, j = np.array(Layout("star", variables).pairs, dtype=np.int64).reshape(-1, 2).T
    return {
        "S1": -d * h / 2,
        "ST": (d**2 + h**2) / 4,
        "S2": (d[:, i] * h[:, j] + d[:, j] * h[:, i]) / 2,
        "variance": ((a - b)[:, 0] ** 2 + ((ab - ba) ** 2).mean(axis=1)) / 4,
    }


@njit(cache=True, nogil=True)
def add_star(
    outputs: NDArray[np.floating[Any]],
    sums: NDArray[np.float64],
    counts: NDArray[np.int32],
) -> None:
    """Add the terms of every block to the sums of one replicate, in place, block by block.

    Precision and order of additions as in `variscope.estimators.cycle.add_cycle`.

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
    width = 256
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
