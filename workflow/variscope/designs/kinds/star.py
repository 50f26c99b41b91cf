"""The star: Saltelli's rows, in his order, so that SALib reads the same table.

Its estimators are in `variscope.estimators.star`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from variscope.designs.kinds import DesignKind, Evaluations, Groups, Order, Points, Sums
from variscope.designs.rows import rows_from


def star_rows(x: Points, y: Points, order: Order, groups: Groups) -> Points:
    """Saltelli's rows A, AB_1..AB_D, BA_1..BA_D, B, with A = x and B = y.

    Returns:
        ``(block, 2 D + 2, factor)``.

    Example:
        >>> a, b = np.array([[0.1, 0.2]]), np.array([[0.7, 0.8]])
        >>> star_rows(a, b, np.zeros((1, 0), int), ((0,), (1,)))[0]
        array([[0.1, 0.2],
               [0.7, 0.2],
               [0.1, 0.8],
               [0.1, 0.8],
               [0.7, 0.2],
               [0.7, 0.8]])
    """
    one = np.eye(len(groups), dtype=bool)
    none = np.zeros((1, len(groups)), dtype=bool)
    return rows_from(x, y, np.concatenate([none, one, ~one, ~none])[None], groups)


def _moved(rows: Evaluations, order: Order) -> NDArray[np.int64]:
    """Count the steps from A to AB_i and from B to BA_i."""
    n = rows.shape[1] // 2 - 1
    forth, back = rows[:, 1 : n + 1] != rows[:, :1], rows[:, n + 1 : -1] != rows[:, -1:]
    return (forth.sum(axis=0) + back.sum(axis=0)).astype(np.int64)


def _pair_counts(
    rows: Evaluations, order: Order, pair_table: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Every block has a product of every pair."""
    n = len(pair_table)
    return np.full(n * (n - 1) // 2, len(rows), dtype=np.int64)


def _scale(variables: int) -> dict[str, float]:
    return {"S1": -1 / 2, "ST": 1 / 4, "S2": 1 / 2, "variance": 1 / (4 * variables)}


KIND = DesignKind(
    name="star",
    title="S1, ST and S2 of all pairs, from 2 D + 2 rows per block in Saltelli's order.",
    rows=lambda variables: 2 * variables + 2,
    permuted=False,
    points=star_rows,
    moved=_moved,
    sums=Sums(
        indices=("S1", "ST"),
        main_index="S1",
        scale=_scale,
        pair_counts=_pair_counts,
    ),
)
