"""The ascents of a layer's units from noise, and the natural images beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from torch import nn

from variscope.analyses.attributed import TRAINED, pixels_of
from variscope.analyses.maximisation.choosing import kind_of
from variscope.analyses.maximisation.natural import SHOWN, Natural, strongest
from variscope.analyses.source import Source
from variscope.attributions.ascent import has_gradient, maximise
from variscope.attributions.natural_basis import Basis, noise
from variscope.attributions.pooled import Pooled
from variscope.attributions.receptive import receptive_box
from variscope.estimators.resampling import generator
from variscope.inputs.axes import Layer
from variscope.inputs.layers import outputs_of_all
from variscope.responses.network.opened import Network

Ids = NDArray[np.int64]

# Standard deviations of the noise that ascents begin with, in pixel values from 0 to 1: the first
# that is large enough for the unit to have a gradient.
SPREADS = (0.1, 0.2, 0.4)

# What rectifiers hand on where a unit is off.
LEAK = 0.1

# Images whose colors are taken for those of the data set.
COLORS_OF = 256

# Random images that show what a place reads, beside the natural one.
RANDOM = 3

# Bytes that the outputs of all modules, kept for gradients, may take.
KEPT = 256 * 2**20
MOST_AT_ONCE = 32


def at_once_of(network: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Return how many images ascend in one pass: a matter of the network, not of the machine."""
    outputs = outputs_of_all(network, image_shape)
    return int(max(1, min(MOST_AT_ONCE, KEPT // (8 * outputs))))


class Ascents:
    """Ascents of the units of a network.

    Args:
        source: of the analysis.
        network: of which they are.
        ids: natural images, ``(image,)``.
        which: trained or untrained.
    """

    def __init__(self, source: Source, network: Network, ids: Ids, which: str) -> None:
        self.source, self.network, self.ids, self.which = source, network, ids, which
        images, settings = source.images, source.settings
        self.shape = (images.channels, *images.size)
        few = ids[:: -(-len(ids) // COLORS_OF)]
        spectrum = settings["spectrum"]
        pixels = pixels_of(images, few, network.device)
        self.basis = Basis.of(pixels, spectrum) if spectrum else None
        self.at_once = at_once_of(network.model, self.shape)

    def of_layer(self, layer: Layer, units: Sequence[int], seen: Natural) -> xr.Dataset:
        """Return what the ascents of a layer's units reach, and the natural images beside them.

        Returns:
            ``image`` (unit, start, color, y, x) uint8, of which ``value`` (unit, start) is what the
            network gives, without regularisers and jitter; ``began`` that of the noise, and
            ``shuffled`` that of the image with its pixels in random order; ``natural`` (natural,
            unit), and of those that excite most ``best`` (unit, rank), places among the natural
            images, -1 where there are none. Of maps of the trained network ``crop`` (unit, rank)
            likewise for single places, with ``crop_value`` and ``box`` (unit, rank, side). How
            alike images are, and what other units of the layer do, ``image_likeness`` and
            ``response_likeness`` (first, second), units and their starts in order.
        """
        settings, starts = self.source.settings, self.source.settings["starts"]
        model = Pooled.of(self.network, layer, settings["channel"])
        draws = [
            generator(self.source.seed, "maximisation", self.which, layer.name, unit, start)
            for unit in units
            for start in range(starts)
        ]
        target = torch.tensor(units, device=self.network.device).repeat_interleave(starts)
        begun = self._begun(model, target, draws)
        reached = maximise(
            model,
            begun,
            target,
            steps=settings["steps"],
            step_size=settings["step_size"],
            centre=0.5,
            l2=settings["l2"],
            total_variation=settings["total_variation"],
            jitter=round(settings["jitter"] * min(self.shape[1:])),
            blur=settings["blur"],
            basis=self.basis,
            leak=LEAK,
            draws=draws,
            at_once=self.at_once,
        )
        kept = (reached.nan_to_num() * 255).round().byte()
        shown = kept.float() / 255  # the values are those of the images as they are kept
        outputs = self._outputs(model, shown)
        at = np.arange(len(target)), target.cpu().numpy()
        sides = len(units), starts
        data = {
            "image": (
                ("unit", "start", "color", "y", "x"),
                kept.cpu().numpy().reshape(*sides, *self.shape),
            ),
            "value": (("unit", "start"), outputs[at].reshape(sides)),
            "began": (("unit", "start"), self._outputs(model, begun)[at].reshape(sides)),
            "shuffled": (
                ("unit", "start"),
                self._outputs(model, _shuffled(shown, draws))[at].reshape(sides),
            ),
            "natural": (("natural", "unit"), seen.value[:, list(units)]),
            "image_likeness": (("first", "second"), likeness(shown.flatten(1).cpu().numpy())),
            "response_likeness": (
                ("first", "second"),
                response_likeness(outputs, seen.value, at[1]),
            ),
            **self._beside(layer, units, seen),
        }
        return xr.Dataset(
            data,
            coords={"unit": np.array(units, dtype=np.int64), "natural_id": ("natural", self.ids)},
            attrs={"layer": layer.name, "kind": kind_of(layer)},
        )

    def _begun(
        self, model: nn.Module, target: torch.Tensor, draws: Sequence[np.random.Generator]
    ) -> torch.Tensor:
        """Return the noise that ascents begin with: more of it where a unit has no gradient."""
        white = noise(self.shape, draws, self.basis).to(self.network.device)
        begun = torch.empty_like(white)
        still = torch.ones(len(white), dtype=torch.bool, device=white.device)
        for spread in SPREADS:
            begun[still] = (0.5 + spread * white[still]).clamp(0, 1)
            found = has_gradient(model, begun[still], target[still], LEAK, self.at_once)
            still[still.clone()] = ~found
            if not still.any():
                break
        return begun

    @torch.no_grad()
    def _outputs(self, model: nn.Module, images: torch.Tensor) -> NDArray[np.float32]:
        parts = [
            model(images[start : start + self.at_once]).float().cpu()
            for start in range(0, len(images), self.at_once)
        ]
        return torch.cat(parts).numpy()

    def _beside(
        self, layer: Layer, units: Sequence[int], seen: Natural
    ) -> dict[str, tuple[tuple[str, ...], NDArray[np.generic]]]:
        """Return the natural images, and crops of them, that excite units most."""
        cluster = self.source.images.cluster[self.ids]
        best = np.stack([strongest(seen.value[:, unit], cluster) for unit in units])
        found: dict[str, tuple[tuple[str, ...], NDArray[np.generic]]] = {
            "best": (("unit", "rank"), best)
        }
        if seen.greatest is None or seen.place is None or self.which != TRAINED:
            return found
        crop = np.stack([strongest(seen.greatest[:, unit], cluster) for unit in units])
        value = np.full(crop.shape, np.nan)
        box = np.zeros((*crop.shape, 4), dtype=np.int64)
        place = np.zeros((*crop.shape, 2), dtype=np.int64)
        maps = Pooled.of(self.network, replace(layer, softmax=False), "maps")
        draw = torch.Generator().manual_seed(0)
        random = torch.rand((RANDOM, *self.shape), generator=draw).to(self.network.device)
        for at, unit in enumerate(units):
            for rank in range(SHOWN):
                one = crop[at, rank]
                if one < 0:
                    continue
                value[at, rank] = seen.greatest[one, unit]
                place[at, rank] = seen.place[one, unit]
                given = pixels_of(self.source.images, self.ids[[one]], self.network.device)
                row, column = map(int, place[at, rank])
                box[at, rank] = receptive_box(maps, torch.cat([given, random]), row, column)
        return found | {
            "crop": (("unit", "rank"), crop),
            "crop_value": (("unit", "rank"), value),
            "crop_place": (("unit", "rank", "axis"), place),
            "box": (("unit", "rank", "side"), box),
        }


def _shuffled(images: torch.Tensor, draws: Sequence[np.random.Generator]) -> torch.Tensor:
    """Return images with their pixels in random order: the same colors without any shape."""
    rows, columns = images.shape[2:]
    order = np.stack([draw.permutation(prod((rows, columns))) for draw in draws])
    index = torch.from_numpy(order).to(images.device)[:, None].expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, index).reshape(images.shape)


def likeness(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the correlation of each two rows ``(n, value)``; NaN of one that is constant."""
    centred = np.asarray(values, dtype=np.float64)
    centred = centred - centred.mean(axis=1, keepdims=True)
    length = np.sqrt((centred**2).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        unit = centred / np.where(length > 0, length, np.nan)[:, None]
    return np.clip(unit @ unit.T, -1, 1)


def response_likeness(
    outputs: NDArray[np.floating], natural: NDArray[np.floating], target: Ids
) -> NDArray[np.float64]:
    """Return how alike two images excite the units of a layer that neither of them is made for.

    Units are in standard deviations from their mean over natural images, so that a unit that is
    large for every image counts no more than others.

    Args:
        outputs: of the layer for each image, ``(n, unit)``.
        natural: of natural images, ``(image, unit)``; units that do not vary there are left out.
        target: the unit that each image is made for, ``(n,)``.

    Returns:
        Correlations ``(n, n)``; NaN where fewer than three units are left.
    """
    natural = np.asarray(natural, dtype=np.float64)
    spread = natural.std(axis=0)
    usable = np.isfinite(spread) & (spread > 0) & np.isfinite(outputs).all(axis=0)
    found = np.full((len(target), len(target)), np.nan)
    scaled = np.zeros(outputs.shape)
    scaled[:, usable] = (outputs[:, usable] - natural.mean(axis=0)[usable]) / spread[usable]
    for first in range(len(target)):
        for second in range(first + 1):
            others = usable.copy()
            others[[target[first], target[second]]] = False
            if others.sum() >= 3:
                pair = likeness(scaled[[first, second]][:, others])
                found[first, second] = found[second, first] = pair[0, 1]
    return found
