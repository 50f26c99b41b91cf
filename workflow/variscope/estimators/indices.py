"""From moments to indices: per unit, and for layers and channels as ratios of summed sums."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from variscope.estimators.intervals import Array, Estimate, ratio
from variscope.estimators.moments import Moments

FINE, CONSTANT, NOT_FINITE = 0, 1, 2

# Below this many non-zero first-order products the spread of S1 over replicates is too small too
# often; [0, upper bound of ST] is then reported, which holds since 0 <= S1 <= ST.
SPARSE_PRODUCTS = 30

# Rounding of float32: outputs that vary by less than a few units in the last place are constant.
FLOAT32_ROUNDING = 2.0**-24

_UNITS_AT_ONCE = 8192


@dataclass(frozen=True)
class UnitIndices:
    """Indices of every unit of a layer.

    Attributes:
        estimates: by name, ``S1``, ``ST``, (cycle) ``shapley``: ``(variable, *unit)``; ``S2``:
            ``(pair, *unit)``. NaN where ``status`` is not 0.
        mean, variance: of the unit's output under the study's distribution, ``(*unit)``.
        status: int8 ``(*unit)``: 0 fine, 1 constant, 2 not finite.
        sparse: True where S1 has too few non-zero products for a t interval, ``(variable, *unit)``.
    """

    estimates: dict[str, Estimate]
    mean: Array
    variance: Array
    status: NDArray[np.int8]
    sparse: NDArray[np.bool_]


def unit_indices(moments: Moments, confidence_level: float) -> UnitIndices:
    """Estimate the indices of every unit with their intervals.

    Args:
        moments: the sums of all replicates.
        confidence_level: of the intervals, in (0, 1).

    A unit is *constant* where its variance is below ``(8 * 2^-24 * rms)^2``, the rounding of its
    own outputs: relative, so that units of small scale are kept.
    """
    layout, unit = moments.layout, moments.unit
    rows = moments.blocks.sum() * layout.rows
    total, square = (
        moments.sums[:, layout.sums[name].start].sum(0) for name in ("total", "square")
    )
    nonfinite = moments.counts[:, layout.counts["nonfinite"].start].sum(axis=0)
    with np.errstate(invalid="ignore", over="ignore"):
        variance = moments.variance.sum(axis=0) / moments.blocks.sum()
        constant = variance <= (8 * FLOAT32_ROUNDING) ** 2 * (square / rows)
    status = np.where(nonfinite > 0, NOT_FINITE, np.where(constant, CONSTANT, FINE)).astype(np.int8)
    nonzero = moments.counts[:, layout.counts["nonzero"]].sum(axis=0)

    names = (*layout.indices, "S2") if layout.pairs else layout.indices
    estimates: dict[str, Estimate] = {}
    for name in names:
        numerator = moments.numerator(name)
        counts = moments.pair_counts if name == "S2" else None
        shape = (numerator.shape[1], *unit)
        estimates[name] = Estimate(*(np.full(shape, np.nan) for _ in Estimate._fields))
        for units in _slices(int(np.prod(unit))):
            part = ratio(
                _flat(numerator, 2)[..., units],
                _flat(moments.variance, 1)[..., units],
                moments.blocks,
                confidence_level,
                counts,
            )
            for whole, piece in zip(estimates[name], part, strict=True):
                _flat(whole, 1)[..., units] = piece
        for array in estimates[name]:
            array[:, status != FINE] = np.nan

    sparse = (nonzero < SPARSE_PRODUCTS) & (status == FINE)
    s1, st = estimates["S1"], estimates["ST"]
    np.copyto(s1.low, 0.0, where=sparse)
    np.copyto(s1.high, st.high, where=sparse)
    finite = status != NOT_FINITE
    return UnitIndices(
        estimates,
        mean=np.where(finite, total / rows, np.nan),
        variance=np.where(finite, variance, np.nan),
        status=status,
        sparse=sparse,
    )


def aggregate_indices(
    moments: Moments,
    status: NDArray[np.int8],
    confidence_level: float,
    keep: int = 0,
) -> dict[str, Estimate]:
    """Estimate variance-weighted means of the indices over units, with intervals.

    The aggregate is the ratio of summed numerators to summed variances (Gamboa, Janon, Klein,
    Lagnoux 2014). Units are dependent, so the sums over units are taken inside each replicate
    first and the interval is over replicates.

    Args:
        moments: the sums of all replicates.
        status: ``(*unit)``; units that are not fine are left out.
        confidence_level: of the intervals, in (0, 1).
        keep: leading unit dimensions that are kept: 0 aggregates over the layer, 1 over all but
            the channel.

    Returns:
        By name arrays ``(variable or pair, *kept)``.
    """
    layout = moments.layout
    names = (*layout.indices, "S2") if layout.pairs else layout.indices
    axes = tuple(range(keep, len(moments.unit)))
    fine = status == FINE

    def over_units(sums: Array) -> Array:
        leading = sums.ndim - fine.ndim
        return np.where(fine, sums, 0.0).sum(axis=tuple(leading + axis for axis in axes))

    variance = over_units(moments.variance)
    return {
        name: ratio(
            over_units(moments.numerator(name)),
            variance,
            moments.blocks,
            confidence_level,
            moments.pair_counts if name == "S2" else None,
        )
        for name in names
    }


def _flat(array: Array, leading: int) -> Array:
    return array.reshape(*array.shape[:leading], -1)


def _slices(units: int) -> Iterator[slice]:
    for start in range(0, units, _UNITS_AT_ONCE):
        yield slice(start, start + _UNITS_AT_ONCE)
