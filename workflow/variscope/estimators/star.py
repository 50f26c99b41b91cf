"""The star: S1, ST and S2 of every pair, on rows that SALib reads.

A block has two independent points A and B; AB_i is A with variable i from B, BA_i is B with
variable i from A. Rows stand in Saltelli's order: A, AB_1..AB_D, BA_1..BA_D, B. With
d_i = AB_i - A and h_i = BA_i - B,

    S1_i V  = -E[d_i h_i] / 2                                   (Azzini, Mara, Rosati 2021)
    ST_i V  =  E[d_i^2 + h_i^2] / 4                             (Jansen 1999, both copies)
    S2_ij V =  E[d_i h_j + d_j h_i] / 2
    V       =  E[(A - B)^2 + mean_i (AB_i - BA_i)^2] / 4

These are what the package reports. `salib_indices` gives what SALib makes of the same rows, for
comparison with studies that were made with it.
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


def salib_indices(outputs: NDArray[np.floating[Any]]) -> dict[str, NDArray[np.float64]]:
    """Estimate the indices as SALib 1.6 does from the same rows, all units at once.

    With y the outputs of a unit, less their mean and over their standard deviation, both of all
    rows, and V the variance of y over the rows A and B together (divided by their number),

        S1_i V        = E[B (AB_i - A)]             (Saltelli et al. 2010, table 2, equation b)
        ST_i V        = E[(A - AB_i)^2] / 2         (Jansen 1999; equation f of the same table)
        S2_ij         = E[BA_i AB_j - A B] / V - S1_i - S1_j                    (Saltelli 2002)

    The rows BA serve S2 alone. S1 and S2 are not free of the mean of y, which is why it is taken
    off; the estimators of `star_terms` need no mean and use every row.

    Args:
        outputs: network outputs, ``(block, 2 D + 2, *unit)`` in Saltelli's row order, any unit of
            measure; float32 is computed in float64.

    Returns:
        ``S1``, ``ST`` ``(D, *unit)`` and ``S2`` ``(pair, *unit)``, the pairs in the order of
        `Layout.pairs`: shares of the unit's variance, without intervals. NaN where V is not above
        the rounding of float64, or where an output is not finite; SALib gives 0 there.

    Example:
        The rows A, AB_1, AB_2, BA_1, BA_2, B of x + 2 y, of uniform x and y.

        >>> a, b = np.random.default_rng(0).random((2, 4096, 2))
        >>> x = np.stack([a[:, 0], b[:, 0], a[:, 0], a[:, 0], b[:, 0], b[:, 0]], axis=1)
        >>> y = np.stack([a[:, 1], a[:, 1], b[:, 1], b[:, 1], a[:, 1], b[:, 1]], axis=1)
        >>> salib_indices(x + 2 * y)["ST"].round(1)
        array([0.2, 0.8])

    Raises:
        ValueError: the rows are not those of a star.

    References:
        A. Saltelli, Computer Physics Communications 145 (2002) 280-297. A. Saltelli, P. Annoni,
        I. Azzini, F. Campolongo, M. Ratto, S. Tarantola, Computer Physics Communications 181 (2010)
        259-270. M. Jansen, Computer Physics Communications 117 (1999) 35-43.
    """
    if outputs.ndim < 2 or outputs.shape[1] < 4 or outputs.shape[1] % 2:
        raise ValueError(
            f"outputs have the shape {outputs.shape}; allowed: (block, 2 D + 2, *unit), D >= 1"
        )
    variables = outputs.shape[1] // 2 - 1
    y = outputs.astype(np.float64)
    # Constant units divide 0 by 0 and those that are not finite have no mean: both become NaN.
    with np.errstate(divide="ignore", invalid="ignore"):
        y = (y - y.mean(axis=(0, 1))) / y.std(axis=(0, 1))
        a, b = y[:, 0], y[:, -1]
        ab, ba = y[:, 1 : variables + 1], y[:, variables + 1 : -1]
        pooled = np.concatenate([a, b]).var(axis=0)
    variance = np.where(pooled > np.finfo(np.float64).eps, pooled, np.nan)
    s1 = (b[:, None] * (ab - a[:, None])).mean(axis=0) / variance
    st = ((a[:, None] - ab) ** 2).mean(axis=0) / 2 / variance
    pairs = Layout("star", variables).pairs
    s2 = np.empty((len(pairs), *outputs.shape[2:]))
    # Pair by pair: all at once would hold D (D - 1) / 2 copies of the rows.
    for row, (i, j) in enumerate(pairs):
        s2[row] = (ba[:, i] * ab[:, j] - a * b).mean(axis=0) / variance - s1[i] - s1[j]
    return {"S1": s1, "ST": st, "S2": s2}
