"""The cycle: a walk from x to y, one variable at a time in a random order, and back.

Its estimators and their derivation are in `variscope.estimators.cycle`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from variscope.designs.kinds import DesignKind, Evaluations, Groups, Order, Points, Sums
from variscope.designs.rows import rows_from


def cycle_rows(x: Points, y: Points, order: Order, groups: Groups) -> Points:
    """Walk from x to y one variable at a time in the block's order, and back.

    Row k holds pi(1..k) of y and the rest of x; row D + k the reverse.

    Returns:
        ``(block, 2 D, factor)``.

    Example:
        >>> x, y = np.array([[0.1, 0.2, 0.3]]), np.array([[0.7, 0.8, 0.9]])
        >>> cycle_rows(x, y, np.array([[1, 0, 2]]), ((0,), (1,), (2,)))[0]
        array([[0.1, 0.2, 0.3],
               [0.1, 0.8, 0.3],
               [0.7, 0.8, 0.3],
               [0.7, 0.8, 0.9],
               [0.7, 0.2, 0.9],
               [0.1, 0.2, 0.9]])
    """
    variables = order.shape[1]
    position = np.argsort(order, axis=1)  # when each variable moves
    moved = position[:, None, :] < np.arange(variables)[None, :, None]  # (block, k, variable)
    return rows_from(x, y, np.concatenate([moved, ~moved], axis=1), groups)


def _moved(rows: Evaluations, order: Order) -> NDArray[np.int64]:
    """Count the steps from x to y and back; the last leads from row 2 D - 1 to row 0."""
    n = order.shape[1]
    steps = rows != np.roll(rows, 1, axis=1)  # step k, with step 2 D in the place of step 0
    moved = steps[:, 1 : n + 1].astype(np.int64) + np.roll(steps, -n, axis=1)[:, 1 : n + 1]
    return np.bincount(order.reshape(-1), moved.reshape(-1), minlength=n).astype(np.int64)


def _pair_counts(
    rows: Evaluations, order: Order, pair_table: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Count how many times each pair is neighbours on the circle: twice in a block of two."""
    n = order.shape[1]
    pairs = pair_table[order, np.roll(order, -1, axis=1)]
    # The table has -1 for a variable beside itself, where there is but one.
    return np.bincount(pairs[pairs >= 0], minlength=n * (n - 1) // 2)


def _scale(variables: int) -> dict[str, float]:
    n = variables
    return {
        "S1": -1 / 2,
        "ST": 1 / 4,
        "shapley": 1 / (4 * n),
        "S2": -1 / 2,
        "variance": 1 / (2 * n),
    }


KIND = DesignKind(
    name="cycle",
    title="Shapley effects, S1, ST, S2 and the variance, from 2 D rows per block.",
    rows=lambda variables: 2 * variables,
    permuted=True,
    points=cycle_rows,
    moved=_moved,
    sums=Sums(
        indices=("S1", "ST", "shapley"),
        main_index="shapley",
        scale=_scale,
        pair_counts=_pair_counts,
    ),
)
