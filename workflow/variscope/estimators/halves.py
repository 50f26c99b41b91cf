"""Correlation of maps across channels, freed of the noise that maps of the same rows share.

Two maps that are estimated from the same rows err together, and so correlate even where the truth
does not; noise of their own makes them correlate less than the truth. Both are mended by the halves
of the replicates: a map of half A and one of half B share no error, so that
``r = mean(cor(v_A, w_B), cor(v_B, w_A))`` is free of the first, and over the root of the
reliabilities ``cor(v_A, v_B) cor(w_A, w_B)`` of the second (Spearman 1904, The proof and
measurement of association between two things, Am. J. Psychol. 15: 72-101).

Values are ``(series, pixel, channel)``: a series is one map of a layer, and is correlated with
others across channels, pixel by pixel; of layers of vectors there is one pixel, and the neurons
stand for channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Method = Literal["spearman", "pearson"]

# Below it, what is divided by the reliabilities is mostly noise.
LEAST_RELIABILITY = 0.3
# In a resample: one odd draw of channels shall not make an interval endless.
LEAST_RESAMPLED = 0.1


@dataclass(frozen=True)
class Maps:
    """Maps whose correlations are across channels.

    Attributes:
        values: ``(series, pixel, channel)``; NaN where undefined.
        method: ranks (``"spearman"``), or the values themselves (``"pearson"``).

    A channel that is undefined in one series is left out at that pixel in all, so that each
    correlation at a pixel is over the same channels; a series that is defined nowhere is no reason
    to leave out channels, and has no correlations.
    """

    values: Array
    method: Method = "spearman"

    @cached_property
    def defined(self) -> NDArray[np.bool_]:
        """Which channels count at each pixel, ``(pixel, channel)``."""
        finite = np.isfinite(self.values)
        return np.asarray(finite[self._known].all(axis=0))

    @cached_property
    def _known(self) -> NDArray[np.bool_]:
        """Which series are defined anywhere, ``(series,)``."""
        return np.asarray(np.isfinite(self.values).any(axis=(1, 2)))

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Return the order of the channels, and where the ties of each begin and end in it."""
        values = np.where(self.defined, self.values, np.inf)
        order = np.argsort(values, axis=-1, kind="stable")
        ordered = np.take_along_axis(values, order, axis=-1)
        starts = np.ones(ordered.shape, dtype=bool)
        starts[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
        ends = np.roll(starts, -1, axis=-1)
        place = np.arange(ordered.shape[-1])
        first = np.maximum.accumulate(np.where(starts, place, 0), axis=-1)
        last = np.where(ends, place + 1, place[-1] + 1)
        last = np.minimum.accumulate(last[..., ::-1], axis=-1)[..., ::-1]
        back = np.argsort(order, axis=-1, kind="stable")
        return (
            order,
            np.take_along_axis(first, back, axis=-1),
            np.take_along_axis(last, back, axis=-1),
        )

    def ranks(self, weights: Array | None = None) -> Array:
        """Return mid-ranks ``(series, pixel, channel)``, each channel counted `weights` times.

        Args:
            weights: ``(channel,)``, whole numbers: how often a resample holds each; without it
                once. Ranks are those of the resample, with ties at their mean.
        """
        order, first, last = self._sorted
        counted = self.defined * (1.0 if weights is None else weights)
        ordered = np.take_along_axis(np.broadcast_to(counted, order.shape), order, axis=-1)
        below = np.zeros((*order.shape[:-1], order.shape[-1] + 1))
        np.cumsum(ordered, axis=-1, out=below[..., 1:])
        both = np.take_along_axis(below, first, -1) + np.take_along_axis(below, last, -1)
        return both / 2 + 0.5

    def scores(self, weights: Array | None = None) -> Array:
        """Return values ``(series, pixel, channel)`` whose products sum to the correlation.

        They are ranks or values, centred and of norm 1 over the channels of a pixel. NaN at pixels
        where a series is the same in all channels, or fewer than three channels count.

        Args:
            weights: as of `ranks`.
        """
        counted = self.defined * (1.0 if weights is None else weights)
        if self.method == "spearman":
            values = self.ranks(weights)
        else:
            values = np.where(self.defined, self.values, 0.0)
        number = counted.sum(axis=-1, keepdims=True)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (counted * values).sum(axis=-1, keepdims=True) / number
            centred = np.sqrt(counted) * (values - mean)
            norm = np.sqrt((centred**2).sum(axis=-1, keepdims=True))
            # Differences that rounding alone makes are none.
            size = np.sqrt((counted * values**2).sum(axis=-1, keepdims=True))
            usable = (norm > 1e-12 * size) & (self.defined.sum(-1, keepdims=True) >= 3)
            return np.where(usable & self._known[:, None, None], centred / norm, np.nan)

    def take(self, channels: NDArray[np.intp]) -> Maps:
        """Return maps whose channels are exchanged, of each series in an order of its own.

        Args:
            channels: ``(series, channel)``.
        """
        moved = np.take_along_axis(self.values, channels[:, None, :], axis=-1)
        return Maps(moved, self.method)


class CrossHalf(NamedTuple):
    """Correlations between all series, of maps of two halves.

    Attributes:
        cross: mean(cor(v_A, w_B), cor(v_B, w_A)), ``(series, series)``, a mean over pixels.
        reliability: cor(v_A, v_B), ``(series,)``, a mean over pixels.
        corrected: of truths without noise, as estimated, ``(series, series)``; it may exceed 1. NaN
            where a reliability is below `LEAST_RELIABILITY`.
    """

    cross: Array
    reliability: Array
    corrected: Array


def correlations(first: Array, second: Array) -> Array:
    """Return the correlations ``(pixel, first, second)`` of two arrays of `Maps.scores`."""
    return np.matmul(first.transpose(1, 0, 2), second.transpose(1, 2, 0))


def mean_correlations(first: Array, second: Array) -> Array:
    """Return the means over pixels ``(first, second)`` of the correlations of `Maps.scores`.

    Pixels where one of the two has none are left out. NaN where that leaves none.
    """
    held = [np.isfinite(scores[:, :, 0]).astype(float) for scores in (first, second)]
    flat = [np.nan_to_num(scores, nan=0.0).reshape(len(scores), -1) for scores in (first, second)]
    pixels = held[0] @ held[1].T
    with np.errstate(invalid="ignore", divide="ignore"):
        return flat[0] @ flat[1].T / np.where(pixels > 0, pixels, np.nan)


def cross_half(half_a: Array, half_b: Array, least: float = LEAST_RELIABILITY) -> CrossHalf:
    """Correlate all series across halves, and correct for what noise takes away.

    The correction divides means over pixels, not pixel by pixel: a reliability of a dozen channels
    at one pixel is noise itself.

    Args:
        half_a, half_b: `Maps.scores` of the same series from the halves of the replicates.
        least: reliability below which there is no corrected correlation.
    """
    between = mean_correlations(half_a, half_b)
    cross, reliability = (between + between.T) / 2, np.diagonal(between).copy()
    usable = np.where(reliability >= least, reliability, np.nan)
    return CrossHalf(cross, reliability, cross / np.sqrt(np.outer(usable, usable)))


def reliabilities(half_a: Array, half_b: Array, method: Method = "spearman") -> Array:
    """Return how well the maps of one half tell those of the other, ``(series,)``.

    Args:
        half_a, half_b: values ``(series, pixel, channel)`` of the halves.
        method: of the correlation across channels; its mean over pixels is returned.
    """
    scores = Maps(np.concatenate([half_a, half_b]), method).scores()
    both = mean_correlations(scores[: len(half_a)], scores[len(half_a) :])
    return np.diagonal(both).copy()


def resampled(
    halves: Maps, draws: int, generator: np.random.Generator
) -> tuple[Array, NDArray[np.float64]]:
    """Correlate across halves in bootstrap samples of the channels.

    Pixels of a layer depend on each other, channels are what is drawn: each sample takes whole
    channels, the same in all maps and both halves, and ranks them anew.

    Args:
        halves: all series of half A, then the same of half B.
        draws: number of samples.
        generator: of the samples.

    Returns:
        ``cross`` and ``corrected`` of each sample, ``(draw, series, series)``. Reliabilities below
        `LEAST_RESAMPLED` count as that.
    """
    channels, series = halves.values.shape[-1], len(halves.values) // 2
    found = np.empty((2, draws, series, series))
    shares = np.full(channels, 1 / channels)
    for draw, weights in enumerate(generator.multinomial(channels, shares, size=draws)):
        scores = halves.scores(weights.astype(float))
        one = cross_half(scores[:series], scores[series:])
        root = np.sqrt(np.maximum(one.reliability, LEAST_RESAMPLED))
        found[:, draw] = one.cross, one.cross / np.outer(root, root)
    return found[0], found[1]
