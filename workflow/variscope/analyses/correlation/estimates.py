"""Correlations between the maps of a layer, their intervals, and what permuted maps give."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.special import ndtr, stdtrit

from variscope.analyses.correlation.layers import CV, LayerMaps, coefficient_of_variation
from variscope.estimators.closure import permuted, permuted_and_closed, random_orders
from variscope.estimators.halves import (
    CrossHalf,
    Maps,
    Method,
    corrected,
    correlations,
    mean_correlations,
    resampled,
)
from variscope.indices.maps import by_channel

# Intervals and tests are of so many pixels at most: neighbours tell next to nothing new.
MOST_PIXELS = 12
# Kinds whose values are shares of one variance, so that one's gain is the others' loss.
CLOSED = ("shapley", "S1")
_AT_ONCE = 2**22


class Correlated(NamedTuple):
    """Correlations between all series of a layer, means over pixels.

    Attributes:
        raw: of the maps from all replicates, ``(series, series)``.
        spread: its standard deviation over pixels; NaN where there is one pixel.
        pixels: at how many pixels it is defined.
        halves: across the halves.
    """

    raw: np.ndarray
    spread: np.ndarray
    pixels: np.ndarray
    halves: CrossHalf


def correlate(maps: LayerMaps, method: Method) -> Correlated:
    """Correlate all maps of a layer with each other, across channels at each pixel."""
    series, pixels, channels = maps.whole.shape
    total, squares, count, between, held = np.zeros((5, series, series))
    for start in range(0, pixels, step := max(1, _AT_ONCE // series // max(series, channels))):
        part = slice(start, start + step)
        scores = Maps(maps.whole[:, part], method).scores()
        found = correlations(scores, scores)
        count += np.isfinite(found).sum(axis=0)
        total += np.nansum(found, axis=0)
        squares += np.nansum(found**2, axis=0)
        scores = Maps(maps.halves(part), method).scores()
        found = correlations(scores[:series], scores[series:])
        held += np.isfinite(found).sum(axis=0)
        between += np.nansum(found, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        raw = total / np.where(count > 0, count, np.nan)
        spread = np.sqrt(np.maximum(squares / count - raw**2, 0) * count / (count - 1))
        between /= np.where(held > 0, held, np.nan)
    return Correlated(raw, np.where(count > 1, spread, np.nan), count, corrected(between))


def deviations(
    maps: LayerMaps, method: Method, draws: int, generator: np.random.Generator
) -> np.ndarray:
    """Return by how much bootstrap samples of channels differ, ``(draw, series, series)``.

    What differs is the corrected correlation, from its estimate at the same pixels.
    """
    return resampled(Maps(maps.thinned(MOST_PIXELS).halves(), method), draws, generator)


def bounds(
    value: np.ndarray, deviation: np.ndarray, channels: int, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds of an interval over channels, ``(*any)``.

    Percentiles of the resamples, moved out as a t interval of so few channels is wider than a
    normal one (Hesterberg 2015, Am. Stat. 69: 371-386, "expanded percentile").

    Args:
        value: the estimate, ``(*any)``.
        deviation: of the resamples from it, ``(draw, *any)``.
        channels: how many were resampled.
        level: of confidence.
    """
    quantile = stdtrit(channels - 1, (1 + level) / 2)
    tail = float(ndtr(-np.sqrt(channels / (channels - 1)) * quantile))
    held = np.isfinite(value)
    low, high = np.full((2, *value.shape), np.nan)
    if held.any():
        low[held], high[held] = value[held] + np.nanquantile(
            deviation[:, held], (tail, 1 - tail), axis=0
        )
    return low, high


def filled(maps: LayerMaps) -> LayerMaps:
    """Leave no undefined pixels: a channel's are given its mean, and channels without any go.

    Whole channels can then be exchanged. It is done for the test alone, to what is observed as
    well as to what is permuted.
    """
    kept = np.isfinite(maps.whole).any(axis=1).all(axis=0)

    def full(part: np.ndarray) -> np.ndarray:
        held = np.where(np.isfinite(part), part, np.nan)[..., kept]
        number = np.isfinite(held).sum(axis=1, keepdims=True)
        mean = np.nansum(held, axis=1, keepdims=True) / np.where(number > 0, number, np.nan)
        return np.where(np.isfinite(held), held, mean)

    whole, half_a, half_b = map(full, (maps.whole, maps.half_a, maps.half_b))
    return LayerMaps(maps.series, whole, half_a, half_b, plane=None)


def null_correlations(
    maps: LayerMaps, method: Method, draws: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Correlate across halves, as maps are and after the channels of each were exchanged.

    Each map has an order of its own, the same at all pixels and in both halves; Shapley effects and
    first-order indices are closed again, so that what the null holds is the correlation by
    arithmetic. The coefficient of variation stays.

    Args:
        maps: `filled`.
        method: of the correlation.
        draws: number of permutations.
        generator: of the orders.

    Returns:
        What is observed, ``(series, series)``, and the null, ``(draw, series, series)``.
    """
    halves = np.stack([maps.half_a, maps.half_b])
    channels, count = halves.shape[-1], len(maps.series)
    groups: dict[tuple[str, str], list[int]] = {}
    for k, one in enumerate(maps.series):
        if one.kind != CV:
            groups.setdefault((one.kind, one.variable_set), []).append(k)

    def cross(moved: np.ndarray) -> np.ndarray:
        scores = Maps(np.concatenate(moved), method).scores()
        between = mean_correlations(scores[:count], scores[count:])
        return (between + between.T) / 2

    null = np.empty((draws, count, count))
    for draw in range(draws):
        moved = halves.copy()
        for (kind, _), members in groups.items():
            orders = random_orders(len(members) + 1, channels, generator)
            if kind in CLOSED:
                moved[:, members] = permuted_and_closed(halves[:, members], orders)
            else:
                moved[:, members] = permuted(halves[:, members], orders[:-1])
        null[draw] = cross(moved)
    return cross(halves), null


def with_variation(data: xr.Dataset, kind: str, method: Method) -> np.ndarray:
    """Correlate a kind of value with the coefficient of variation, pixel by pixel.

    Args:
        data: a layer of maps.
        kind: "shapley", "S1" or "ST".
        method: of the correlation across channels.

    Returns:
        ``(variable, y, x)``; NaN where a correlation is not defined.
    """
    values = by_channel(data[kind].transpose("variable", ...))
    variation = by_channel(coefficient_of_variation(data))
    scores = Maps(np.concatenate([values, variation[None]]), method).scores()
    found = np.einsum("spc,pc->sp", scores[:-1], scores[-1])
    return found.reshape(len(values), data.sizes["y"], data.sizes["x"])
