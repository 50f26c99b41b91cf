r"""Noise of measured responses: what it adds to the sums, and how it is taken off.

A measured response is Y = F + e, with F what the unit answers to the stimulus and e noise of mean 0
and variance s2, independent from one presentation to the next. Every estimator's term is a
quadratic form of the outputs of its block, y' M y, so that noise adds s2 tr M to its mean: the sum
of M over equal rows. The products of different rows stay as they are. With D variables:

    term                                     tr M, cycle       tr M, star
    V                                        1                 1
    ST_i    squares of differences / 4       1                 1
    phi_i   (D_k - D_{k+D}) T_k / 4 D        1 / D
    S1_i    a product of two differences     0 (1 at D = 1)    0
    S2_ij   a product of two differences     0 (1 at D = 2)    0

In the cycle T_k holds each of the four rows of D_k - D_{k+D} with its sign, 4 s2 / 4 D in all. With
one variable D_1 and D_2 are one difference with both signs, and S1 is the variance; with two
D_k and D_{k+3} share row k - 1, and S2 is what S1 leaves of the variance: noise is an interaction
there, since it answers to no variable alone.

`noise_factors` evaluates tr M itself, as the sum of the terms at the unit vectors, so that it holds
for every design. s2 is estimated from stimuli that were presented several times in one replicate:
with Q the sum of squared deviations from their stimulus' mean and N its degrees of freedom, both
over all replicates, s2 = Q / N, and a sum P of C terms becomes P - C tr M s2. So that intervals
over replicates take in how sure s2 is, replicate r's sum becomes

    p_r - tr M (c_r s2 + (C / N) (q_r - s2 n_r)),

its linearisation (Cochran 1977, Sampling Techniques, section 6.13): the brackets add up to C s2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variscope.designs import kinds
from variscope.estimators.intervals import Array, Estimate, ratio
from variscope.estimators.layout import Layout
from variscope.estimators.moments import Moments


@dataclass(frozen=True)
class Noise:
    """What repeated stimuli say of the noise.

    Attributes:
        squares: sums of squared deviations from the stimulus' mean, ``(replicate, *unit)``.
        degrees: of freedom, presentations less stimuli, ``(replicate,)``.
    """

    squares: Array
    degrees: NDArray[np.int64]

    @property
    def known(self) -> bool:
        """Whether anything was presented twice."""
        return bool(self.degrees.sum() > 0)

    @property
    def variance(self) -> Array:
        """The noise's variance s2, ``(*unit)``; NaN where nothing was presented twice."""
        degrees = float(self.degrees.sum())
        return self.squares.sum(axis=0) / (degrees or np.nan)


def repeat_sums(
    responses: NDArray[np.floating[Any]], stimulus: NDArray[np.integer[Any]]
) -> tuple[Array, int]:
    """Sum the squared deviations of responses from the mean of their stimulus.

    Args:
        responses: of one replicate's presentations, ``(presentation, *unit)``.
        stimulus: that each presentation is of, ``(presentation,)``.

    Returns:
        ``(*unit)`` and the degrees of freedom.

    Example:
        >>> repeat_sums(np.array([[1.0], [5.0], [3.0]]), np.array([7, 8, 7]))
        (array([2.]), 1)
    """
    by_stimulus = np.argsort(stimulus, kind="stable")
    _, start, count = np.unique(stimulus[by_stimulus], return_index=True, return_counts=True)
    ordered = responses[by_stimulus].astype(np.float64)
    # From the first of each stimulus: a large mean costs no digits.
    ordered -= np.repeat(ordered[start], count, axis=0)
    lift = (-1, *(1,) * (ordered.ndim - 1))
    sums, squares = (np.add.reduceat(part, start, axis=0) for part in (ordered, ordered**2))
    found = (squares - sums**2 / count.reshape(lift)).sum(axis=0)
    return np.maximum(found, 0.0), int((count - 1).sum())


def noise_factors(layout: Layout) -> dict[str, float]:
    """Return what noise of variance 1 adds to the mean of each kind of term: tr M of the module.

    Returns:
        By name, the layout's indices, ``S2`` where there are pairs, and ``variance``.
    """
    variables = layout.variables
    order = np.arange(variables if kinds.get(layout.design).permuted else 0)[None]
    block = Moments.zeros(layout, [0], (layout.rows,))
    block.update(0, np.eye(layout.rows)[None], order)
    factors = {name: float(block.numerator(name)[0].sum(axis=1).mean()) for name in layout.indices}
    if layout.pairs:
        factors["S2"] = float(block.numerator("S2").sum() / block.pair_counts.sum())
    return factors | {"variance": float(block.variance.sum())}


def without_noise(moments: Moments, noise: Noise) -> Moments:
    """Take off what the noise added to the sums.

    Args:
        moments: of all replicates.
        noise: of the same replicates.

    Raises:
        ValueError: no stimulus was presented twice.
    """
    if not noise.known:
        raise ValueError("no stimulus was presented twice: the noise is not known")
    layout, sums = moments.layout, moments.sums.copy()
    lift = (1,) * len(moments.unit)
    degrees = noise.degrees.reshape(-1, 1, *lift)
    excess = noise.squares[:, None] - noise.variance * degrees  # q_r - s2 n_r
    for name, factor in noise_factors(layout).items():
        counts = moments.pair_counts if name == "S2" else moments.blocks[:, None]
        c = counts.reshape(*counts.shape, *lift)
        added = c * noise.variance + c.sum(axis=0) / degrees.sum() * excess
        sums[:, layout.sums[name]] -= factor / layout.scale[name] * added
    return replace(moments, sums=sums)


def noise_share(moments: Moments, noise: Noise, confidence_level: float) -> Estimate:
    """Return the noise's share s2 / V of each unit's measured variance, with its interval.

    Args:
        moments: as measured, of all replicates.
        noise: of the same replicates.
        confidence_level: of the interval over replicates.

    Returns:
        ``(*unit)``; NaN where nothing was presented twice.
    """
    if not noise.known:
        nothing = np.full(moments.unit, np.nan)
        return Estimate(nothing, nothing, nothing)
    found = ratio(
        noise.squares[:, None],
        moments.variance,
        moments.blocks,
        confidence_level,
        noise.degrees[:, None],
    )
    return Estimate(*(part[0] for part in found))
