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
