"""Rows set apart, of each class alike: for tests, for validation, and folds of a table."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from variscope.inputs.tables.table import Table

Rows = NDArray[np.int64]


def strata(table: Table) -> NDArray[np.int64]:
    """Return what rows are split by, ``(row,)``: their class; one stratum of a regression."""
    if table.is_classification:
        return table.target.astype(np.int64)
    return np.zeros(len(table), dtype=np.int64)


def held_out(strata: NDArray[Any], share: float, rng: np.random.Generator) -> Rows:
    """Draw a share of the rows, the same of each stratum but for one row.

    A systematic sample (Cochran 1977, Sampling Techniques, chapter 8) of the rows in the order of
    their strata, and at random within them.

    Args:
        strata: of each row, ``(row,)``.
        share: of the rows, in (0, 1); one row at least is drawn, and one at least left.
        rng: what draws.

    Returns:
        Numbers of the rows that are drawn, ascending.

    Example:
        >>> rows = held_out(np.repeat([0, 1], [40, 20]), 0.25, np.random.default_rng(1))
        >>> int((rows < 40).sum()), int((rows >= 40).sum())
        (10, 5)
    """
    count = len(strata)
    if count < 2:
        raise ValueError(f"{count} rows; two at least are needed to hold one out")
    order = np.lexsort((rng.random(count), strata))
    wanted = min(count - 1, max(1, round(share * count)))
    places = np.floor((np.arange(wanted) + rng.random()) * count / wanted).astype(np.int64)
    return np.sort(order[places])


def fold_numbers(strata: NDArray[Any], folds: int, rng: np.random.Generator) -> Rows:
    """Deal the rows out to folds, each stratum and all rows as evenly as can be.

    Args:
        strata: of each row, ``(row,)``.
        folds: how many, at most as many as there are rows.
        rng: what draws.

    Returns:
        The fold of each row, ``(row,)``.

    Example:
        >>> folds = fold_numbers(np.repeat([0, 1], [10, 5]), 5, np.random.default_rng(1))
        >>> [(int((folds[:10] == k).sum()), int((folds[10:] == k).sum())) for k in range(5)]
        [(2, 1), (2, 1), (2, 1), (2, 1), (2, 1)]
    """
    if not 2 <= folds <= len(strata):
        raise ValueError(f"{folds} folds of {len(strata)} rows; allowed: 2 to as many as rows")
    order = np.lexsort((rng.random(len(strata)), strata))
    found = np.empty(len(strata), dtype=np.int64)
    found[order] = rng.permutation(folds)[np.arange(len(strata)) % folds]
    return found
