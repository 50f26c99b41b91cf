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
Places = NDArray[np.intp]
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
    correlation at a pixel is over the same channels; a series that is defined nowhere at a pixel is
    no reason to leave out channels there, and has no correlation.
    """

    values: Array
    method: Method = "spearman"

    @cached_property
    def _finite(self) -> NDArray[np.bool_]:
        return np.isfinite(self.values)

    @cached_property
    def _known(self) -> NDArray[np.bool_]:
        """Whether a series is defined in any channel of a pixel, ``(series, pixel)``."""
        return np.asarray(self._finite.any(axis=-1))

    @cached_property
    def defined(self) -> NDArray[np.bool_]:
        """Which channels count at each pixel, ``(pixel, channel)``."""
        known = self._known
        missing = (known[..., None] & ~self._finite).any(axis=0)
        return np.asarray(~missing & np.any(known, axis=0, keepdims=True).T)

    @cached_property
    def _sorted(self) -> tuple[Places, Places, Places]:
        """Return the order of the channels, and where the ties of each begin and end in it."""
        values = np.where(self.defined, self.values, np.inf)
        order = np.argsort(values, axis=-1)
        ordered = np.take_along_axis(values, order, axis=-1)
        starts = np.ones(ordered.shape, dtype=bool)
        starts[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
        place = np.broadcast_to(np.arange(ordered.shape[-1]), ordered.shape)
        if starts.all():
            first = _scattered(place, order)
            return order, first, first + 1
        first = np.maximum.accumulate(np.where(starts, place, 0), axis=-1)
        last = np.where(np.roll(starts, -1, axis=-1), place + 1, ordered.shape[-1])
        last = np.minimum.accumulate(last[..., ::-1], axis=-1)[..., ::-1]
        return order, _scattered(first, order), _scattered(last, order)

    def ranks(self, weights: Array | None = None) -> Array:
        """Return mid-ranks ``(series, pixel, channel)``, each channel counted `weights` times.

        Args:
            weights: ``(channel,)``, whole numbers: how often a resample holds each; without it
                once. Ranks are those of the resample, with ties at their mean.
        """
        order, first, last = self._sorted
        if weights is None and self.defined.all():
            return np.asarray((first + last) / 2 + 0.5, dtype=np.float64)
        counted = np.broadcast_to(self._counted(weights), order.shape)
        below = np.zeros((*order.shape[:-1], order.shape[-1] + 1))
        np.cumsum(np.take_along_axis(counted, order, axis=-1), axis=-1, out=below[..., 1:])
        both = np.take_along_axis(below, first, axis=-1)
        both += np.take_along_axis(below, last, axis=-1)
        return both / 2 + 0.5

    def scores(self, weights: Array | None = None) -> Array:
        """Return values ``(series, pixel, channel)`` whose products sum to the correlation.

        They are ranks or values, centred and of norm 1 over the channels of a pixel. NaN at pixels
        where a series is the same in all channels, or fewer than three channels count.

        Args:
            weights: as of `ranks`.
        """
        counted = self._counted(weights)
        number = counted.sum(axis=-1)
        if self.method == "spearman":
            values = self.ranks(weights)
        else:
            values = np.where(self.defined, self.values, 0.0).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.einsum("spc,pc->sp", values, counted) / number
            values -= mean[..., None]
            values *= np.sqrt(counted)
            norm = np.sqrt(np.einsum("spc,spc->sp", values, values))
            # Differences that rounding alone makes are none.
            usable = norm > 1e-12 * np.sqrt(number) * np.abs(mean)
            usable &= (self.defined.sum(axis=-1) >= 3) & self._known
            values /= np.where(usable, norm, np.nan)[..., None]
        return np.asarray(values, dtype=np.float64)

    def _counted(self, weights: Array | None) -> Array:
        """Return how often each channel counts at each pixel, ``(pixel, channel)``."""
        return np.asarray(self.defined * (1.0 if weights is None else weights), dtype=np.float64)


def _scattered(values: Places, order: Places) -> Places:
    """Return what stands in an order along the last axis at the places that it came from."""
    found = np.empty(order.shape, dtype=np.intp)
    np.put_along_axis(found, order, values, axis=-1)
    return found


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

    Args:
        half_a, half_b: `Maps.scores` of the same series from the halves of the replicates.
        least: reliability below which there is no corrected correlation.
    """
    return corrected(mean_correlations(half_a, half_b), least)


def corrected(between: Array, least: float = LEAST_RELIABILITY) -> CrossHalf:
    """Correct correlations between two halves for what noise takes away.

    The correction divides means over pixels, not pixel by pixel: a reliability of a dozen channels
    at one pixel is noise itself.

    Args:
        between: of each series of half A with each of half B, ``(series, series)``.
        least: reliability below which there is no corrected correlation.
    """
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


def resampled(halves: Maps, draws: int, generator: np.random.Generator) -> Array:
    """Return by how much the corrected correlation of bootstrap samples differs from its estimate.

    Pixels of a layer depend on each other, channels are what is drawn: each sample takes whole
    channels, the same in all maps and both halves, and ranks them anew. Reliabilities below
    `LEAST_RESAMPLED` count as that, in samples and estimate.

    Args:
        halves: all series of half A, then the same of half B.
        draws: number of samples.
        generator: of the samples.

    Returns:
        ``(draw, series, series)``.
    """
    channels, series = halves.values.shape[-1], len(halves.values) // 2
    shares = np.full(channels, 1 / channels)

    def bounded(weights: Array | None = None) -> Array:
        scores = halves.scores(weights)
        one = cross_half(scores[:series], scores[series:])
        root = np.sqrt(np.maximum(one.reliability, LEAST_RESAMPLED))
        return one.cross / np.outer(root, root)

    counts = generator.multinomial(channels, shares, size=draws).astype(float)
    return np.stack([bounded(weights) for weights in counts]) - bounded()
