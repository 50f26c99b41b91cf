"""Sums of the Shapley effects of several variables, with their intervals.

A sum is that of its members' effects, each a player by itself: what members do jointly with
variables outside is shared out among all that take part, and so is what they do among themselves.
It is not the effect of the group as one player, which needs a design that moves the group at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from variscope.estimators.guards import unseen_zeros
from variscope.estimators.intervals import Array, Estimate, ratio, relative_error
from variscope.estimators.moments import Moments
from variscope.vocabulary import FINE

_UNITS_AT_ONCE = 8192


def group_numerators(moments: Moments, groups: Sequence[Sequence[int]]) -> Array:
    """Sum the numerators of each group's members inside each replicate.

    Args:
        moments: of a cycle.
        groups: numbers of each group's variables.

    Returns:
        ``(replicate, group, *unit)``.
    """
    each = moments.numerator("shapley")
    summed = [each[:, list(group)].sum(axis=1) for group in groups]
    return np.stack(summed, axis=1) if groups else each[:, :0]


def group_indices(
    moments: Moments,
    groups: Sequence[Sequence[int]],
    status: NDArray[np.int8],
    confidence_level: float,
) -> Estimate:
    """Estimate the sums of the members' Shapley effects, for every unit or aggregate.

    Args:
        moments: the sums of all replicates of a cycle.
        groups: numbers of each group's variables.
        status: ``(*unit)``; units that are not fine have NaN.
        confidence_level: of the intervals, in (0, 1).

    Returns:
        Arrays ``(group, *unit)``. The members' errors may cancel or add, so the numerators are
        summed inside each replicate before the interval is made. Where members are exactly 0 and
        the unit has too few effective blocks to say so, the upper end grows by what they may have
        together (`variscope.estimators.guards`). NaN where no member moved in the sample.
    """
    moved = moments.moved.sum(axis=0) > 0
    varied = np.array([moved[list(group)].any() for group in groups]).reshape(-1, 1)
    units = int(np.prod(moments.unit))
    fine = status.reshape(-1) == FINE
    found = Estimate(*(np.full((len(groups), units), np.nan) for _ in Estimate._fields))
    for start in range(0, units, _UNITS_AT_ONCE):
        at = slice(start, start + _UNITS_AT_ONCE)
        part = moments.flat(at)
        sums = group_numerators(part, groups)
        value, low, high = ratio(sums, part.variance, moments.blocks, confidence_level)
        zero = (part.numerator("ST") == 0).all(axis=0) & moved[:, None]
        relative = relative_error(part.variance, moments.blocks)
        unseen, missed = unseen_zeros(zero, relative, confidence_level)
        some = np.stack([unseen[list(group)].any(axis=0) for group in groups])
        high = np.where(some, np.maximum(high, np.minimum(high + missed, 1.0)), high)
        for whole, piece in zip(found, (value, low, high), strict=True):
            whole[:, at] = np.where(fine[at] & varied, piece, np.nan)
    return Estimate(*(bound.reshape(len(groups), *moments.unit) for bound in found))
