"""Points of a design that lie far from every row of a table: where a model was never trained."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from variscope.inputs.tables.table import Table

Array = NDArray[np.float64]
Distance = Literal["euclidean", "mahalanobis"]
DISTANCES: tuple[Distance, ...] = ("euclidean", "mahalanobis")

# Of rows that lie far from all patients; of a larger table so many rows stand for all of it.
FAR = 0.99
MOST_NEIGHBOURS = 4000
# Of the largest variance of a principal component, what one without any counts as.
FLOOR = 1e-9


def far_from_all(
    table: Table, rows: Array, seed: int = 1, distance: Distance = "euclidean"
) -> NDArray[np.bool_]:
    """Say which rows lie farther from every row of the table than its rows do from each other.

    Farther than the 99th percentile of the distance of a row of the table to its nearest neighbour
    among the others. Of a table of more than `MOST_NEIGHBOURS` rows, so many are drawn, and stand
    for all. Distances are

        euclidean     each column divided by its standard deviation in the table
        mahalanobis   principal components of these divided by their standard deviations: a row
                      that breaks a correlation of the table is far

    The first says little of tables of many correlated columns, where a row with a large radius and
    a small area is no farther off than many; the second sees just that.

    Args:
        table: the patients.
        rows: ``(n, column)``.
        seed: of the rows that are drawn.
        distance: of the two.

    Returns:
        ``(n,)``.
    """
    scale = table.values.std(axis=0)
    to = np.diag(1 / np.where(scale > 0, scale, 1.0))
    if distance == "mahalanobis":
        variance, axes = np.linalg.eigh(np.atleast_2d(np.cov((table.values @ to).T)))
        # Columns that always go together span directions in which the table has no variance.
        to = to @ axes / np.sqrt(np.maximum(variance, FLOOR * variance.max()))
    known = table.values
    if len(known) > MOST_NEIGHBOURS:
        rng = np.random.default_rng([seed, len(known)])
        known = known[np.sort(rng.choice(len(known), MOST_NEIGHBOURS, replace=False))]
    known = known @ to
    # A row of the table itself is at a distance of rounding.
    limit = np.quantile(_nearest(known, known, itself=True), FAR) + 1e-9 * np.abs(known).max()
    return _nearest(rows @ to, known) > limit


def _nearest(rows: Array, known: Array, *, itself: bool = False) -> Array:
    """Return each row's distance to the nearest of those known, ``(n,)``; of these to another one.

    All distances are measured: in many dimensions a tree looks at nearly all of them as well.
    """
    from scipy.spatial.distance import cdist  # costly to import

    found = np.empty(len(rows))
    for start in range(0, len(rows), 256):
        part = slice(start, min(start + 256, len(rows)))
        between = cdist(rows[part], known)
        if itself:
            between[np.arange(len(between)), np.arange(part.start, part.stop)] = np.inf
        found[part] = between.min(axis=1)
    return found
