"""Draw units: the top share of a map, and random units that it is held against.

A control is a shuffled map. Who shuffles a map's values within cells of like units hits, with any
mask that is made from them, as many units of each cell as the map itself does; one cell for all
units gives the plain random control. Units that are sensitive to something are above all large, so
that the plain control proves little: the matched one keeps to each channel and each tenth of the
second moment E[a^2].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

TENTHS = 10
UNITS_IN_A_PART = 5  # of the second moments, at least: one unit alone could not be exchanged


def ranks(values: ArrayLike, generator: np.random.Generator) -> NDArray[np.int64]:
    """Rank units from 0, the largest; ties are broken at random, and NaN comes last.

    Args:
        values: of any shape.
        generator: breaks the ties.

    Returns:
        Distinct ranks in the shape of the values.

    Example:
        >>> ranks([0.1, 0.7, np.nan, 0.3], np.random.default_rng(0))
        array([2, 0, 3, 1])
    """
    found = np.asarray(values, dtype=np.float64)
    flat = np.where(np.isnan(found), -np.inf, found).ravel()
    order = np.lexsort((generator.permutation(flat.size), np.isnan(found).ravel(), -flat))
    ranked = np.empty(flat.size, dtype=np.int64)
    ranked[order] = np.arange(flat.size)
    return ranked.reshape(found.shape)


def count_of(share: float, units: int) -> int:
    """Return how many units a share is: rounded, at least one of any share above 0.

    Example:
        >>> count_of(0.2, 64), count_of(0.2, 2), count_of(0.0, 64)
        (13, 1, 0)
    """
    return min(units, max(int(share > 0), round(share * units)))


def top_share(values: ArrayLike, share: float, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Mark the units with the largest values: exactly `count_of` the share, whatever the ties.

    A threshold at a quantile would mark all of a layer whose quantile is tied, as maps with many
    zeros are.

    Args:
        values: of any shape; NaN is the smallest.
        share: of the units, in [0, 1].
        generator: breaks the ties.
    """
    ranked = ranks(values, generator)
    return ranked < count_of(share, ranked.size)


def tenths(moments: ArrayLike) -> NDArray[np.int64]:
    """Return each unit's tenth by its second moment, 0 the smallest; equal moments share one.

    Where a layer has fewer than 50 units there are fewer parts, of five units at least.

    Args:
        moments: E[a^2] of each unit; NaN counts as 0.
    """
    found = np.nan_to_num(np.asarray(moments, dtype=np.float64))
    parts = max(1, min(TENTHS, found.size // UNITS_IN_A_PART))
    below = np.searchsorted(np.sort(found, axis=None), found, side="left")
    return below * parts // max(1, found.size)


def matching_cells(moments: ArrayLike, channels: bool = True) -> NDArray[np.int64]:
    """Return the cells within which units are exchanged: a channel's units of one tenth.

    Args:
        moments: E[a^2], ``(channel, *position)`` or ``(unit,)``.
        channels: keep to channels; where each has one unit nothing could be exchanged, and the
            tenths alone are kept.

    Returns:
        The number of each unit's cell, in the shape of the moments.
    """
    found = np.asarray(moments, dtype=np.float64)
    part = tenths(found)
    if not channels or found.ndim < 2 or found[0].size == 1:
        return part
    channel = np.arange(len(found)).reshape(-1, *[1] * (found.ndim - 1))
    return part + TENTHS * channel


def shuffled(cells: ArrayLike, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return a permutation that exchanges units within their cells alone.

    Args:
        cells: the number of each unit's cell, of any shape; all equal: any unit with any other.
        generator: draws it.

    Returns:
        Of each unit the place, in the flat order, that it takes its value from: ``values.ravel()
        [shuffled(...)]`` has the shape of the cells.
    """
    found = np.asarray(cells)
    flat = found.ravel()
    place = np.argsort(flat, kind="stable")  # the units, cell by cell
    source = np.lexsort((generator.random(flat.size), flat))  # and at random within each
    taken = np.empty(flat.size, dtype=np.int64)
    taken[place] = source
    return taken.reshape(found.shape)
