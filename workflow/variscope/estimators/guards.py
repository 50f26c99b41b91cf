"""Guards: bounds that hold where too few terms say anything.

An interval over replicates believes the spread of the terms that it has seen. Where nearly all
products of a unit are exactly 0 (a rectified unit that is nearly always off), what has been seen
says nothing of what has not, and the interval would be far too short, often [0, 0]. Bounds that
follow from other indices hold all the same, since 0 <= S1 <= ST and S2_ij <= ST_i, ST_j:

    S1   fewer than 40 of its products are not 0           reaches from 0 to the upper end of ST
    S2   fewer than 40 of its products are likely not 0,   reaches from 0 to the smaller upper
         C min(n_i, n_j) / B, or either S1 is guarded      end of the two ST
    ST   of two variables, the other's S1 is guarded       reaches from 1 less that S1's upper end
    ST and Shapley effects that are exactly 0 while the    [0, -log((1 - level) / 2) e^2]
         variance is known to fewer than 30 effective
         blocks, 1 / e^2

The last is the rule of three (Hanley, Lippman-Hand 1983): a share s of blocks in which the variable
acts is missed by n blocks with probability (1 - s)^n, which is (1 - level) / 2 at about
s = -log((1 - level) / 2) / n, 3.7 / n at 0.95. Intervals only ever grow, and the estimate is left
as it is. A variable that is exactly 0 in a unit of enough effective blocks keeps [0, 0]: it changes
nothing.

Of two variables S1 of one and ST of the other add up to 1 in every block, in both designs: one says
what the other does, so each has the union of its interval and the other's, taken from 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from variscope.estimators.intervals import Array, Estimate

# Products that are not 0 below which an interval over replicates is not believed.
FEW_PRODUCTS = 40

# Effective blocks of a unit below which "changes nothing" is not said.
FEW_BLOCKS = 30

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Terms:
    """What the guards look at besides the estimates.

    Attributes:
        zero: every term of ST is exactly 0, ``(variable, *unit)``.
        nonzero: S1's products that are not 0, over all replicates, ``(variable, *unit)``; of an
            aggregate their mean over its units weighted by the units' variances.
        relative: relative standard error of the variance, ``(*unit)``.
        blocks: base points over all replicates.
        pairs: products of each S2 over all replicates, ``(pair,)``.
    """

    zero: Mask
    nonzero: Array
    relative: Array
    blocks: int
    pairs: NDArray[np.int64]


def guarded(
    estimates: Mapping[str, Estimate], terms: Terms, confidence_level: float
) -> tuple[dict[str, Estimate], dict[str, Mask]]:
    """Widen intervals where a guard speaks.

    Args:
        estimates: of ``S1``, ``ST``, where there are ``shapley``, each ``(variable, *unit)``, and
            ``S2``, ``(pair, *unit)``, the pairs in the order of `Layout.pairs`.
        terms: of the same units.
        confidence_level: of the intervals.

    Returns:
        The estimates, and where a guard spoke, by the same names, of the same shapes.
    """
    found = dict(estimates)
    spoke = {name: np.zeros(e.value.shape, dtype=bool) for name, e in found.items()}
    variables = len(terms.nonzero)
    unseen, missed = unseen_zeros(terms.zero, terms.relative, confidence_level)
    for name in ("ST", "shapley"):
        if name in found:
            found[name] = _reaching(found[name], unseen, 0.0, missed)
            spoke[name] = unseen
    if variables == 1:  # S1 is ST, whatever is seen
        return found, spoke
    acts = ~terms.zero | unseen  # what changes nothing keeps its [0, 0]
    if variables == 2:
        first, total_order = found["S1"], found["ST"]
        found["S1"] = _with_complement(first, total_order, ~terms.zero)
        found["ST"] = _with_complement(total_order, first, ~terms.zero)
    total = found["ST"].high
    spoke["S1"] = (terms.nonzero < FEW_PRODUCTS) & acts
    found["S1"] = _reaching(found["S1"], spoke["S1"], 0.0, total)
    if variables == 2:
        other = spoke["S1"][::-1]
        least = np.minimum(found["ST"].low, 1 - found["S1"].high[::-1])
        found["ST"] = _reaching(found["ST"], other, least, found["ST"].high)
        spoke["ST"] = spoke["ST"] | other
    i, j = np.array(list(combinations(range(variables), 2))).T
    share = (terms.pairs / terms.blocks).reshape(-1, *(1,) * terms.relative.ndim)
    few = share * np.minimum(terms.nonzero[i], terms.nonzero[j]) < FEW_PRODUCTS
    spoke["S2"] = (few | spoke["S1"][i] | spoke["S1"][j]) & acts[i] & acts[j]
    found["S2"] = _reaching(found["S2"], spoke["S2"], 0.0, np.minimum(total[i], total[j]))
    return found, spoke


def unseen_zeros(zero: Mask, relative: Array, confidence_level: float) -> tuple[Mask, Array]:
    """Say which exact zeros may be more, and up to which share.

    Args:
        zero: every term is exactly 0, ``(variable, *unit)``.
        relative: relative standard error of the variance, ``(*unit)``.
        confidence_level: of the intervals.

    Returns:
        ``(variable, *unit)`` and the upper bound ``(*unit)``. Several such variables have no more
        together: the bound is of the blocks in which any of them acts.
    """
    with np.errstate(invalid="ignore"):
        unseen = zero & (relative**2 > 1 / FEW_BLOCKS)
        missed = np.minimum(1.0, -np.log((1 - confidence_level) / 2) * relative**2)
    return unseen, missed


def _with_complement(one: Estimate, other: Estimate, where: Mask) -> Estimate:
    """Join an interval with that of 1 less the other variable's other index."""
    return _reaching(one, where, 1 - other.high[::-1], 1 - other.low[::-1])


def _reaching(estimate: Estimate, where: Mask, low: Array | float, high: Array | float) -> Estimate:
    """Let an interval reach from ``low`` to ``high`` at least; NaN stays NaN."""
    return Estimate(
        estimate.value,
        np.where(where, np.minimum(estimate.low, low), estimate.low),
        np.where(where, np.maximum(estimate.high, high), estimate.high),
    )
