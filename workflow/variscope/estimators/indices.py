"""From moments to indices: per unit, and for layers and channels as ratios of summed sums."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from variscope.estimators.guards import Mask, Terms, guarded
from variscope.estimators.intervals import Array, Estimate, ratio, relative_error
from variscope.estimators.moments import Moments, summed_over
from variscope.vocabulary import CONSTANT, FINE, HALVES, NOT_FINITE

# Rounding of float32: outputs that vary by less than a few units in the last place are constant.
FLOAT32_ROUNDING = 2.0**-24

_UNITS_AT_ONCE = 8192


class Indices(NamedTuple):
    """Indices of units or aggregates, with what is known of their intervals.

    Attributes:
        estimates: by name, ``S1``, ``ST``, (cycle) ``shapley``: ``(variable, *unit)``; ``S2``:
            ``(pair, *unit)``. NaN where a unit is not fine, and of variables that never moved.
        guards: where a guard widened the interval, by the same names, of the same shapes.
        effective_blocks: 1 over the squared relative standard error of the variance, ``(*unit)``.
    """

    estimates: dict[str, Estimate]
    guards: dict[str, Mask]
    effective_blocks: Array


@dataclass(frozen=True)
class UnitIndices:
    """Indices of every unit of a layer.

    Attributes:
        estimates, guards, effective_blocks: as of `Indices`.
        mean, variance: of the unit's output under the study's distribution, ``(*unit)``.
        status: int8 ``(*unit)``: 0 fine, 1 constant, 2 not finite.
    """

    estimates: dict[str, Estimate]
    guards: dict[str, Mask]
    effective_blocks: Array
    mean: Array
    variance: Array
    status: NDArray[np.int8]


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
    guards = {name: np.zeros((width[name], units), dtype=bool) for name in names}
    mean, variance, effective = np.empty(units), np.empty(units), np.full(units, np.nan)
    status = np.empty(units, np.int8)
    for at in _slices(units):
        part = moments.flat(at)
        status[at], mean[at], variance[at] = describe(part)
        fine = status[at] == FINE
        nonzero = part.sums[:, layout.sums["nonzero"]].sum(axis=0)
        found = _indices(part, nonzero, confidence_level)
        effective[at] = np.where(fine, found.effective_blocks, np.nan)
        for name in names:
            guards[name][:, at] = found.guards[name] & fine
            for whole, piece in zip(estimates[name], found.estimates[name], strict=True):
                whole[:, at] = np.where(fine, piece, np.nan)
    return UnitIndices(
        {
            name: Estimate(*(bound.reshape(-1, *unit) for bound in estimate))
            for name, estimate in estimates.items()
        },
        {name: mask.reshape(-1, *unit) for name, mask in guards.items()},
        effective.reshape(unit),
        mean.reshape(unit),
        variance.reshape(unit),
        status.reshape(unit),
    )


def _indices(moments: Moments, nonzero: Array, confidence_level: float) -> Indices:
    """Estimate the indices of units or aggregates, their intervals guarded.

    Args:
        moments: sums with units ``(*unit)``.
        nonzero: as of `guards.Terms`, ``(variable, *unit)``.
        confidence_level: of the intervals.
    """
    layout, blocks, variance = moments.layout, moments.blocks, moments.variance
    names = (*layout.indices, "S2") if layout.pairs else layout.indices
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        estimates = {
            name: ratio(
                moments.numerator(name),
                variance,
                blocks,
                confidence_level,
                moments.pair_counts if name == "S2" else None,
            )
            for name in names
        }
        relative = relative_error(variance, blocks)
    terms = Terms(
        zero=(moments.numerator("ST") == 0).all(axis=0),
        nonzero=nonzero,
        relative=relative,
        blocks=int(blocks.sum()),
        pairs=moments.pair_counts.sum(axis=0),
    )
    estimates, guards = guarded(estimates, terms, confidence_level)
    moved = moments.moved.sum(axis=0) > 0
    pairs = np.array(layout.pairs, dtype=np.int64).reshape(-1, 2)
    for name in names:
        varied = moved[pairs].all(axis=1) if name == "S2" else moved
        lift = varied.reshape(-1, *(1,) * relative.ndim)
        estimates[name] = Estimate(*(np.where(lift, part, np.nan) for part in estimates[name]))
        guards[name] = guards[name] & lift
    with np.errstate(divide="ignore"):
        return Indices(estimates, guards, 1 / relative**2)


def half_indices(moments: Moments, fine: Mask) -> dict[str, Array]:
    """Estimate the indices of every unit from the even replicates alone, and from the odd ones.

    The two share no rows, so that their errors are independent: what is selected on one can be
    tested on the other.

    Args:
        moments: the sums of all replicates.
        fine: units that are fine, ``(*unit)``.

    Returns:
        By name ``(half, variable, *unit)``; NaN where a unit is not fine or does not vary in a
        half, for variables that never moved, and for a half without replicates.
    """
    halves = [moments.replicates % 2 == number for number in range(len(HALVES))]
    moved = (moments.moved.sum(axis=0) > 0).reshape(-1, *(1,) * len(moments.unit))
    found = {}
    for name in moments.layout.indices:
        numerator = moments.numerator(name)
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios = [
                numerator[half].sum(axis=0) / moments.variance[half].sum(axis=0) for half in halves
            ]
        found[name] = np.stack([np.where(fine & moved, one, np.nan) for one in ratios])
    return found


def join_units(parts: Sequence[UnitIndices]) -> UnitIndices:
    """Join the indices of slabs along the leading unit dimension."""
    first = parts[0]
    if len(parts) == 1:
        return first

    def joined(name: str) -> Array:
        return np.concatenate([getattr(part, name) for part in parts])

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
        {
            name: np.concatenate([part.guards[name] for part in parts], axis=1)
            for name in first.guards
        },
        joined("effective_blocks"),
        joined("mean"),
        joined("variance"),
        np.concatenate([part.status for part in parts]),
    )


def describe(moments: Moments) -> tuple[NDArray[np.int8], Array, Array]:
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
    weight: Array | None = None,
) -> Indices:
    """Estimate variance-weighted means of the indices over units, with intervals.

    The aggregate is the ratio of summed numerators to summed variances (Gamboa, Janon, Klein,
    Lagnoux 2014). Units are dependent, so the sums over units are taken inside each replicate
    first and the interval is over replicates.

    Args:
        moments: the sums of all replicates, of units or already summed over some of them
            (`summed_over`).
        status: ``(*unit)``; units that are not fine are left out.
        confidence_level: of the intervals, in (0, 1).
        keep: leading unit dimensions that are kept: 0 aggregates over the layer, 1 over all but
            the channel.
        weight: summed variances by which `summed_over` weighted the counts of non-zero products,
            ``(*kept)``; by default those of ``moments`` itself, which holds all replicates then.

    Returns:
        Arrays ``(variable or pair, *kept)``.
    """
    whole = summed_over(moments, status == FINE, keep)
    weight = whole.raw("variance").sum(axis=0) if weight is None else weight
    with np.errstate(divide="ignore", invalid="ignore"):
        nonzero = whole.sums[:, whole.layout.sums["nonzero"]].sum(axis=0) / weight
    return _indices(whole, nonzero, confidence_level)


def _slices(units: int) -> Iterator[slice]:
    for start in range(0, units, _UNITS_AT_ONCE):
        yield slice(start, start + _UNITS_AT_ONCE)
