"""Segments of a network, fed with one plane of an image's colors in the place of what they see.

A segment is what a network computes between two of its layers. Fed with a plane, every channel of
its first layer's output is that plane, at the size that the layer's maps have; all that had ended
before stays as it was in the pass of the image itself (`variscope.responses.network.replay`), so
that any network has segments, whatever its wiring. Beside it the whole network sees pictures in
which one of hue, saturation and value varies and the others are fixed.

`Fed` puts all these passes into one module, with a layer for the outputs of each: the evaluator and
the sums take it for a network like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import interpolate

from variscope.inputs.axes import Layer
from variscope.inputs.layers import capture, place_of, tensor_at
from variscope.responses.network.replay import Call, record, replaying
from variscope.space.hsv import COORDINATES, PLANES, Color, planes, varying_alone

# Images whose outputs at a segment's first layer say what it naturally sees.
LOOKED_AT = 256


@dataclass(frozen=True)
class Segment:
    """A part of a network.

    Attributes:
        name: by which results call it.
        start: the layer whose output is replaced, of maps; None: the image itself is.
        end: the layer that is looked at, of maps.
        channels: of ``end`` that are looked at.
    """

    name: str
    start: Layer | None
    end: Layer
    channels: tuple[int, ...]

    @property
    def looked_at(self) -> Layer:
        """The last layer with the channels that are looked at alone."""
        output = list(self.end.output)
        output[self.end.axes.index("channel")] = len(self.channels)
        return replace(self.end, output=tuple(output))

    @property
    def units(self) -> int:
        """Units that are looked at."""
        return self.looked_at.units


@dataclass(frozen=True)
class Feeding:
    """What a segment's last layer gives, and to what.

    Attributes:
        segment: its name.
        via: ``"original"``: the image itself through the whole network; ``"segment"``: a plane in
            the place of the first layer's output; ``"network"``: a picture in which one coordinate
            varies, through the whole network.
        plane: which; "" of the original.
    """

    segment: str
    via: str
    plane: str = ""


class _Reached(BaseException):
    """All layers that are looked at have given their outputs. No model may catch it."""


class Fed(nn.Module):
    """A network, its segments and what they are fed with, as one network of many outputs.

    Args:
        network: in eval mode.
        segments: whose outputs are wanted.
        mean, std: of each channel, the network's normalisation; this takes images in [0, 1].
        rest: the color that does not vary where one coordinate does.

    Attributes:
        feedings: what the outputs are of, ``taps.0``, ``taps.1`` and so on in this order.
        layers: of the outputs, for an evaluator.
    """

    def __init__(
        self,
        network: nn.Module,
        segments: Sequence[Segment],
        *,
        mean: Sequence[float],
        std: Sequence[float],
        rest: Color,
    ) -> None:
        super().__init__()
        self.network, self.segments, self._rest = network, tuple(segments), rest
        self._mean, self._std = (torch.tensor(v)[:, None, None] for v in (mean, std))
        in_color = len(mean) == 3
        fed = [("original", "")]
        fed += [("segment", plane) for plane in (PLANES if in_color else ("value",))]
        fed += [("network", plane) for plane in (COORDINATES if in_color else ())]
        self.feedings = tuple(
            Feeding(segment.name, via, plane) for segment in segments for via, plane in fed
        )
        self.taps = nn.ModuleList(nn.Identity() for _ in self.feedings)
        self._of = {segment.name: segment for segment in segments}
        self.layers = tuple(
            replace(self._of[feeding.segment].looked_at, name=f"taps.{number}", softmax=False)
            for number, feeding in enumerate(self.feedings)
        )
        self._natural: dict[str, list[NDArray[np.float32]]] = {s.name: [] for s in segments}
        self._given: dict[str, dict[str, list[NDArray[np.float32]]]] = {
            segment.name: {plane: [] for via, plane in fed if via == "segment"}
            for segment in segments
        }

    def forward(self, pictures: torch.Tensor) -> None:
        """Run all passes; the taps give their outputs.

        Args:
            pictures: in [0, 1], ``(n, C, H, W)``. Normalised and back, a gray pixel would be one of
                some color, since channels round apart.
        """
        mean, std = self._mean.to(pictures.device), self._std.to(pictures.device)
        images = (pictures - mean) / std
        ends = {segment.end.name: segment.end for segment in self.segments}
        starts = {s.start.name: s.start for s in self.segments if s.start is not None}
        natural = self._outputs(images, {**starts, **ends})
        for segment in self.segments:
            self._tap(Feeding(segment.name, "original"), natural[segment.end.name])
        of_image = planes(pictures)
        if len(mean) == 3:
            for coordinate in COORDINATES:
                altered = varying_alone(pictures, coordinate, self._rest)
                found = self._outputs((altered - mean) / std, ends)
                for segment in self.segments:
                    self._tap(Feeding(segment.name, "network", coordinate), found[segment.end.name])
        for start, segments in self._by_start():
            ends = {segment.end.name: segment.end for segment in segments}
            seen = images if start is None else natural[start.name]
            fed = {name: at_size(plane, seen.shape[-2:]) for name, plane in of_image.items()}
            if start is None:
                passes = {
                    name: self._outputs((plane.expand_as(pictures) - mean) / std, ends)
                    for name, plane in fed.items()
                }
                seen = pictures
            else:
                passes = self._replayed(images, start, fed, ends)
            for segment in segments:
                for name, outputs in passes.items():
                    self._tap(Feeding(segment.name, "segment", name), outputs[segment.end.name])
                self._look(segment.name, seen, fed)

    def _tap(self, feeding: Feeding, outputs: torch.Tensor) -> None:
        segment = self._of[feeding.segment]
        chosen = outputs[:, list(segment.channels)]
        self.taps[self.feedings.index(feeding)](_as_put_out(segment.end, chosen))

    def _by_start(self) -> Iterator[tuple[Layer | None, list[Segment]]]:
        for start in dict.fromkeys(segment.start for segment in self.segments):
            yield start, [segment for segment in self.segments if segment.start == start]

    def _outputs(
        self, images: torch.Tensor, layers: Mapping[str, Layer]
    ) -> dict[str, torch.Tensor]:
        """Run the network until layers have given their outputs, as reported, and copy these."""
        found: dict[str, torch.Tensor] = {}

        def receive(name: str, output: torch.Tensor) -> None:
            found[name] = output.clone()  # what follows may work in place on it
            if len(found) == len(layers):
                raise _Reached

        try:
            with capture(self.network, list(layers.values()), receive):
                self.network(images)
        except _Reached:
            pass
        return found

    def _replayed(
        self,
        images: torch.Tensor,
        start: Layer,
        fed: Mapping[str, torch.Tensor],
        ends: Mapping[str, Layer],
    ) -> dict[str, dict[str, torch.Tensor]]:
        """Run what comes after a layer on each plane in the place of its output."""
        module, place = place_of(self.network, start.name)
        until = dict(self.network.named_modules(remove_duplicate=False))[module]
        recording = record(self.network, images, {until})
        last = recording.calls[-1]
        output = tensor_at(last.given(last.leaves), place, start.name)
        found = {}
        for name, plane in fed.items():
            reported = plane.expand(len(images), *start.shape)
            put_out = _as_put_out(start, reported).contiguous(memory_format=_layout(output))

            def give(call: Call, put_out: torch.Tensor = put_out) -> object:
                leaves = call.repeated(recording.images, 1)
                if call is last:
                    leaves = [
                        put_out if was is output else leaf
                        for was, leaf in zip(call.leaves, leaves, strict=True)
                    ]
                return call.given(leaves)

            with replaying(recording.calls, give):
                found[name] = self._outputs(images, ends)
        return found

    def _look(self, name: str, seen: torch.Tensor, fed: Mapping[str, torch.Tensor]) -> None:
        """Keep what a segment sees naturally, and what it is fed with, of the first images."""
        left = LOOKED_AT - sum(map(len, self._natural[name]))
        if left <= 0:
            return
        self._natural[name].append(seen[:left].float().cpu().numpy())
        for plane, values in fed.items():
            self._given[name][plane].append(values[:left].float().cpu().numpy())

    def outside(self, segment: str) -> dict[str, float]:
        """Return by plane the share of units that are outside their natural range.

        The range is from the 1st to the 99th percentile of what a unit of the segment's first
        layer gives to the first images; of the natural outputs themselves, "" in what is returned,
        2 % or less are outside.
        """
        natural = np.concatenate(self._natural[segment])
        low, high = np.quantile(natural, [0.01, 0.99], axis=0)
        found = {"": float(((natural < low) | (natural > high)).mean())}
        for plane, values in self._given[segment].items():
            one = np.concatenate(values)
            found[plane] = float(np.mean([((v < low) | (v > high)).mean() for v in one]))
        return found


def at_size(plane: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Return a plane ``(n, H, W)`` at another size, as maps of one channel ``(n, 1, *size)``."""
    maps = plane[:, None]
    if maps.shape[-2:] == tuple(size):
        return maps
    # Smaller pictures are made as people make them: what is left out is averaged, not skipped.
    return interpolate(maps, size=tuple(size), mode="bilinear", antialias=True)


def _as_put_out(layer: Layer, reported: torch.Tensor) -> torch.Tensor:
    """Return reported outputs ``(n, *unit)`` with the axes as the network puts them out."""
    back = np.argsort(layer.order)
    return reported.permute(0, *(int(axis) + 1 for axis in back))


def _layout(output: torch.Tensor) -> torch.memory_format:
    if output.dim() == 4 and output.is_contiguous(memory_format=torch.channels_last):
        return torch.channels_last
    return torch.contiguous_format
