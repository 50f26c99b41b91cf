"""Maps as samples: one channel's map of one variable each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from variscope.estimators.resampling import generator
from variscope.indices.maps import as_maps, by_channel
from variscope.indices.reading import is_map, variables
from variscope.indices.wording import join_words

FEATURES = ("raw", "mean", "shape")
FEWEST_CHANNELS = 5


@dataclass(frozen=True, eq=False)
class Samples:
    """The maps of a layer.

    Attributes:
        maps: ``(channel, variable, pixel)``, defined everywhere.
        variables: names of those that have maps.
        channels: numbers of the channels.
        note: which variables are left out, and why the layer is, where `maps` is empty.
    """

    maps: np.ndarray
    variables: tuple[str, ...]
    channels: np.ndarray
    note: str

    @property
    def usable(self) -> bool:
        """Whether there is something to tell apart."""
        return len(self.variables) > 1 and len(self.channels) >= FEWEST_CHANNELS

    def features(self, name: str) -> np.ndarray:
        """Return what a classifier sees of the maps, ``(channel, variable, feature)``."""
        if name == "mean":
            return self.maps.mean(axis=-1, keepdims=True)
        if name == "raw":
            return self.maps
        norm = np.sqrt((self.maps**2).sum(axis=-1, keepdims=True))
        return self.maps / np.where(norm > 0, norm, 1.0)


def samples_of(
    layer: xr.Dataset, kind: str, settings: Mapping[str, Any], seed: int, name: str
) -> Samples:
    """Return a layer's maps as samples.

    Undefined pixels, of units that never change, take the mean of their map; channels without any
    defined pixel are left out, and variables whose maps are 0 everywhere or were not varied: they
    have no shape.

    Args:
        layer: its results.
        kind: "shapley", "S1" or "ST".
        settings: of the analysis.
        seed: of the experiment.
        name: of the layer.
    """
    if not is_map(layer):
        return _none("left out: it is no layer of maps of more than one pixel")
    data = as_maps(layer)
    values = np.moveaxis(by_channel(data[kind].transpose("variable", ...)), -1, 0)
    names = variables(data)
    acts = np.array([np.nansum(np.abs(values[:, k])) > 0 for k in range(len(names))])
    known = np.isfinite(values[:, acts]).any(axis=-1).all(axis=-1)
    channels = np.flatnonzero(known)
    if acts.sum() < 2:
        return _none(f"left out: {int(acts.sum())} of its variables act, 2 are needed")
    if len(channels) < FEWEST_CHANNELS:
        return _none(f"left out: {len(channels)} channels that vary, {FEWEST_CHANNELS} are needed")
    note = ""
    if not acts.all():
        still = join_words([name for name, one in zip(names, acts, strict=True) if not one])
        note = f"without {still}, whose maps are 0 everywhere or were not varied"
    if len(channels) > (most := settings["most_channels"]):
        rng = generator(seed, "discriminant channels", name)
        channels = np.sort(rng.choice(channels, most, replace=False))
    pixels = values.shape[-1]
    spaced = np.linspace(0, pixels - 1, min(pixels, settings["most_pixels"])).round().astype(int)
    maps = values[channels][:, acts][..., spaced]
    held = np.isfinite(maps)
    number = held.sum(axis=-1, keepdims=True)
    mean = np.where(held, maps, 0.0).sum(axis=-1, keepdims=True) / np.maximum(number, 1)
    kept = tuple(name for name, one in zip(names, acts, strict=True) if one)
    return Samples(np.where(held, maps, mean), kept, channels, note)


def _none(why: str) -> Samples:
    return Samples(np.empty((0, 0, 0)), (), np.empty(0, int), why)
