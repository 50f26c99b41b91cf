r"""Ratios of sums over replicates, with their intervals.

An index is theta = (P / C) / (V / B): P the sum of a numerator's terms and C how many there are, V
the sum of the variance's terms and B the base points. Sums run over all replicates, which makes the
ratio's bias that of the whole sample; the replicates, each an independent randomisation, say how
sure it is. With replicate r's sums p_r, c_r, v_r, b_r, all over V,

    a_r = (B / C) (p_r - (P / C) c_r) / V       v_r = v_r / V - b_r / B          both of sum 0
    saa, svv, sav = R / (R - 1) sum_r of a_r a_r, v_r v_r, a_r v_r

the error of theta has the variance saa - 2 theta sav + theta^2 svv (Cochran 1977, Sampling
Techniques, eq. 6.13). The interval is Fieller's (1954, J. R. Statist. Soc. B 16: 175-185): all
theta that a t test of the numerator less theta times the variance does not reject,

    (theta_hat - theta)^2 <= t^2 (saa - 2 theta sav + theta^2 svv),   t of R - 1 degrees of freedom,

which costs units of a well-known variance nothing, and does not take the variance for known where
it is not. Where the test rejects nothing far away, the interval is unbounded: [0, 1] is reported.

*Longer ends.* Terms of heavy-tailed units come in few large pieces: a sample that has seen few of
them underrates the variance, its own error and mostly the index, so that misses lie below the
truth. Where the relative error of V, e = sqrt(svv), is large, the upper end is moved out:

    g = e (1 + B e^2 / 3)           a third of the skewness of V, were its blocks log-normal
    w = (g - 0.1) / 0.4             cut to 0..1
    u = t (1 + w / 2),  z = theta / se,  L = z (exp(u / z) - 1)      the upper end on the log scale
    (for z < 1: L = u + z (e^u - 1 - u), and u for z <= 0)
    upper end = the larger of Fieller's and theta + se (t + w (L - t))

An index that clearly falls as V rises, as that of a light-tailed unit in the aggregate with a
heavy-tailed one, is overrated instead. With rho = (sav - theta svv) / (e se), its correlation with
V,

    lower end = theta - (1 + w^2 r) (theta - Fieller's),    r = -1 - 2 rho cut to 0..1

The constants were fitted on other functions and seeds than those of ``benchmarks/coverage.py``,
which holds the intervals against exact truth and says where they reach their level. What no
replicate can tell, too few terms that are not zero, is for `variscope.estimators.guards`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Array = NDArray[np.float64]

# Ends grow between these values of g, and the upper one's quantile by half at the end.
_START, _FULL, _LONGER = 0.1, 0.5, 0.5


class Estimate(NamedTuple):
    """An index with its confidence bounds, each of the same shape."""

    value: Array
    low: Array
    high: Array


class Proportion(NamedTuple):
    """A share of counts with its confidence bounds."""

    value: float
    low: float
    high: float


def proportion(hits: int, n: int, confidence_level: float) -> Proportion:
    """Return hits / n with the interval of Wilson (1927), whose level holds for independent draws.

    Raises:
        ValueError: n is not positive, or hits are not within 0..n.

    Example:
        >>> found = proportion(45, 50, 0.95)
        >>> round(found.value, 3), round(found.low, 3), round(found.high, 3)
        (0.9, 0.786, 0.957)
    """
    from scipy.stats import binomtest  # costly to import, and planning needs none of it

    interval = binomtest(hits, n).proportion_ci(confidence_level, method="wilson")
    return Proportion(hits / n, float(interval.low), float(interval.high))


def centred(
    numerator: Array,
    variance: Array,
    blocks: NDArray[np.int64],
    counts: NDArray[np.int64] | None = None,
) -> tuple[Array, Array, Array]:
    """Return the pooled ratio and the replicates' a_r and v_r of the module's formulas.

    Args:
        numerator: sums of the terms per replicate, ``(replicate, index, *unit)``.
        variance: sums of the variance per replicate, ``(replicate, *unit)``.
        blocks: base points per replicate, ``(replicate,)``.
        counts: terms of each numerator per replicate, ``(replicate, index)``; by default one a
            base point.

    Returns:
        theta ``(index, *unit)``, a ``(replicate, index, *unit)``, v ``(replicate, 1, *unit)``, all
        without unit. NaN where a numerator has no term or the variance is zero.
    """
    lift = (1,) * (variance.ndim - 1)
    b = blocks.astype(np.float64).reshape(-1, 1, *lift)
    c = b if counts is None else counts.astype(np.float64).reshape(*counts.shape, *lift)
    v = variance[:, None]
    P, C, V, B = (part.sum(axis=0) for part in (numerator, c, v, b))
    with np.errstate(divide="ignore", invalid="ignore"):
        return (P / C) / (V / B), B / C * (numerator - P / C * c) / V, v / V - b / B


def relative_error(variance: Array, blocks: NDArray[np.int64]) -> Array:
    """Return the relative standard error of V, ``(*unit)``.

    1 over its square is the unit's effective number of blocks: this many blocks of one size would
    leave the variance as uncertain as it is.

    Args:
        variance: sums of the variance per replicate, ``(replicate, *unit)``.
        blocks: base points per replicate, ``(replicate,)``.
    """
    _, _, v = centred(variance[:, None], variance, blocks)
    return np.sqrt(np.divide(len(v), len(v) - 1) * (v**2).sum(axis=0))[0]


def ratio(
    numerator: Array,
    variance: Array,
    blocks: NDArray[np.int64],
    confidence_level: float,
    counts: NDArray[np.int64] | None = None,
) -> Estimate:
    """Return the ratio of the pooled sums and its interval over replicates (see the module).

    Args:
        numerator, variance, blocks, counts: as of `centred`.
        confidence_level: of the two-sided interval, in (0, 1).

    Returns:
        Arrays ``(index, *unit)``. NaN where a numerator has no term or the variance is zero; bounds
        are NaN with one replicate, which says nothing of the spread.

    Example:
        Four replicates of 32 blocks, one index of one unit.

        >>> numerator = np.array([8.0, 9.0, 7.5, 8.5]).reshape(4, 1, 1)
        >>> variance = np.array([16.0, 17.0, 15.5, 16.5]).reshape(4, 1)
        >>> found = ratio(numerator, variance, np.full(4, 32), 0.95)
        >>> [round(bound.item(), 3) for bound in found]  # the value, its low and its high bound
        [0.508, 0.474, 0.537]
    """
    theta, a, v = centred(numerator, variance, blocks, counts)
    replicates = len(blocks)
    if replicates < 2:
        return Estimate(theta, np.full_like(theta, np.nan), np.full_like(theta, np.nan))
    t = stdtrit(replicates - 1, (1 + confidence_level) / 2)
    spread = replicates / (replicates - 1)
    saa, svv, sav = (spread * (x * y).sum(axis=0) for x, y in ((a, a), (v, v), (a, v)))
    squared_error = np.maximum(saa - 2 * theta * sav + theta**2 * svv, 0.0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        leading = 1 - t**2 * svv
        bounded = leading > 0
        middle = (theta - t**2 * sav) / leading
        reach = t * np.sqrt(np.maximum(squared_error - t**2 * (saa * svv - sav**2), 0.0)) / leading
        low, high = middle - reach, middle + reach
        error, relative = np.sqrt(squared_error), np.sqrt(svv)
        w = lengthening(relative, float(blocks.sum()))
        longer = _longer_end(theta, error, w, t)
        falling = np.clip(-1 - 2 * (sav - theta * svv) / (relative * error), 0.0, 1.0)
        longer_arm = w**2 * np.where(error * relative > 0, falling, 0.0)
        low = np.where(bounded, low - longer_arm * (theta - low), 0.0)
        high = np.where(bounded, np.fmax(high, longer), 1.0)
    undefined = ~np.isfinite(theta)
    return Estimate(theta, np.where(undefined, np.nan, low), np.where(undefined, np.nan, high))


def lengthening(relative: Array, blocks: float) -> Array:
    """Return w of the module: 0 where the ends are Fieller's, 1 where they are longest.

    Args:
        relative: relative standard error of V, ``(*unit)``.
        blocks: base points over all replicates.
    """
    skewness = relative * (1 + blocks * relative**2 / 3)
    return np.clip((skewness - _START) / (_FULL - _START), 0.0, 1.0)


def _longer_end(theta: Array, error: Array, w: Array, t: float) -> Array:
    """Return the longer upper end; NaN where there is none."""
    u = t * (1 + _LONGER * w)
    z = np.where(error > 0, theta / error, 0.0)
    large = np.maximum(z, 1.0)
    on_log_scale = large * np.expm1(u / large)
    on_log_scale = np.where(z < 1, u + (on_log_scale - u) * np.clip(z, 0.0, 1.0), on_log_scale)
    return np.where(w > 0, theta + error * (t + w * (on_log_scale - t)), np.nan)
