"""From moments to indices: per unit, and for layers and channels as ratios of summed sums."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    units = int(np.prod(unit))
    names = (*layout.indices, "S2") if layout.pairs else layout.indices
    width = {name: len(layout.pairs) if name == "S2" else layout.variables for name in names}
    estimates = {
        name: Estimate(*(np.full((width[name], units), np.nan) for _ in Estimate._fields))
        for name in names
    }
    mean, variance = np.empty(units), np.empty(units)
    status, sparse = np.empty(units, np.int8), np.empty((layout.variables, units), np.bool_)
    for at in _slices(units):
        part = moments.flat(at)
        status[at], mean[at], variance[at] = _describe(part)
        nonzero = part.sums[:, layout.sums["nonzero"]].sum(axis=0)
        fine = status[at] == FINE
        sparse[:, at] = (nonzero < SPARSE_PRODUCTS) & fine
        for name in names:
            counts = moments.pair_counts if name == "S2" else None
            estimate = ratio(
                part.numerator(name), part.variance, moments.blocks, confidence_level, counts
            )
            for whole, piece in zip(estimates[name], estimate, strict=True):
                whole[:, at] = np.where(fine, piece, np.nan)
    np.copyto(estimates["S1"].low, 0.0, where=sparse)
    np.copyto(estimates["S1"].high, estimates["ST"].high, where=sparse)
    return UnitIndices(
        {
            name: Estimate(*(bound.reshape(-1, *unit) for bound in estimate))
            for name, estimate in estimates.items()
        },
        mean.reshape(unit),
        variance.reshape(unit),
        status.reshape(unit),
        sparse.reshape(-1, *unit),
    )


def join_units(parts: Sequence[UnitIndices]) -> UnitIndices:
    """Join the indices of slabs along the leading unit dimension."""
    first = parts[0]
    if len(parts) == 1:
        return first
    return UnitIndices(
        {
            name: Estimate(
                *(
                    np.concatenate(bounds, axis=1)
                    for bounds in zip(*(part.estimates[name] for part in parts), strict=True)
                )
            )
            for name in first.estimates
        },
        np.concatenate([part.mean for part in parts]),
        np.concatenate([part.variance for part in parts]),
        np.concatenate([part.status for part in parts]),
        np.concatenate([part.sparse for part in parts], axis=1),
    )


def _describe(moments: Moments) -> tuple[NDArray[np.int8], Array, Array]:
    """Return status, mean and variance of units, each ``(unit,)``."""
    blocks = moments.blocks.sum()
    rows = blocks * moments.layout.rows
    with np.errstate(invalid="ignore", over="ignore"):
        mean = moments.raw("total").sum(axis=0) / rows
        variance = moments.variance.sum(axis=0) / blocks
        # Finite where all outputs were: sums of float32 do not overflow float64.
        finite = np.isfinite(mean)
        constant = variance <= (8 * FLOAT32_ROUNDING) ** 2 * (mean**2 + variance)
    status = np.where(finite, np.where(constant, CONSTANT, FINE), NOT_FINITE).astype(np.int8)
    return status, np.where(finite, mean, np.nan), np.where(finite, variance, np.nan)


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


def _slices(units: int) -> Iterator[slice]:
    for start in range(0, units, _UNITS_AT_ONCE):
        yield slice(start, start + _UNITS_AT_ONCE)
