"""A network under masks: what comes before the first masked layer runs once, many masks a pass."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from variscope.inputs.axes import Layer
from variscope.inputs.layers import capture, place_of, tensor_at
from variscope.log import LOG
from variscope.responses.network.replay import (
    Call,
    Recording,
    record,
    replaying,
    what_is_read,
)

# Of the largest score: the two ways round in batches of other sizes.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class Change:
    """What masks do to the units of a layer: ``a * factor + shift``.

    Attributes:
        factor: float32 ``(mask, *unit)``, units as they are reported.
        shift: the same, or None where nothing is added.
    """

    factor: torch.Tensor
    shift: torch.Tensor | None = None

    def take(self, masks: slice) -> Change:
        """Return some of the masks."""
        return Change(self.factor[masks], None if self.shift is None else self.shift[masks])

    def of(self, outputs: torch.Tensor, room: torch.Tensor | None = None) -> torch.Tensor:
        """Return masked outputs, ``(mask, n, *output)``.

        Args:
            outputs: ``(n, *output)``, or of each mask ``(mask, n, *output)``; the change is laid
                out in the same way.
            room: where to write them; memory that is asked for anew in each pass costs as much
                as the masking.
        """
        masked = torch.mul(outputs, self.factor[:, None], out=room)
        return masked if self.shift is None else masked.add_(self.shift[:, None])


class Masked:
    """A network whose scores are wanted under masks of some of its layers.

    A first pass is held against the bare way, the whole network on repeated images; where they
    differ (a module that is no function of its images alone), the bare way is taken from then on.

    Args:
        model: in eval mode, on its device.
        layers: that are masked, all in the same pass.
        scores: the layer of class scores.
        at_once: images of one pass of the whole network, at most, each counted once for each mask;
            halved where the device's memory is short.
        replayed_at_once: the same of a pass from the masked layers on; as many without it.
        memory: the layout that the network takes images of four dimensions in.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[Layer],
        scores: Layer,
        *,
        at_once: int,
        replayed_at_once: int | None = None,
        memory: torch.memory_format = torch.channels_last,
    ) -> None:
        self.model, self.layers, self.scores_layer = model, tuple(layers), scores
        self.replays = True  # whether recordings are replayed
        self._at_once, self._memory = at_once, memory
        self._replayed_at_once = replayed_at_once or at_once
        modules = dict(model.named_modules(remove_duplicate=False))
        self._modules = {
            layer.name: modules[place_of(model, layer.name)[0]] for layer in self.layers
        }
        self._rooms: dict[str, torch.Tensor] = {}
        self._read: list[Call] = []
        self._held = False

    @torch.inference_mode()
    def record(self, images: torch.Tensor) -> Recording:
        """Run images up to the first masked layer.

        Args:
            images: as the network takes them, ``(n, C, H, W)``.
        """
        until = set(self._modules.values())
        if not self._read:
            self._read = what_is_read(self.model, record(self.model, images, until))
        return record(self.model, images, until, self._read if self.replays else ())

    @torch.inference_mode()
    def scores(
        self, images: torch.Tensor, recording: Recording, changes: Mapping[str, Change]
    ) -> torch.Tensor:
        """Return the class scores of images under masks, ``(mask, n, class)``.

        Args:
            images: of the recording.
            recording: that `record` made of them.
            changes: by layer, as many masks of each; a layer that is not named stays as it is.
        """
        laid_out = {
            layer.name: self._laid_out(changes[layer.name], layer)
            for layer in self.layers
            if layer.name in changes
        }
        (masks,) = {len(change.factor) for change in laid_out.values()}
        found, start = [], 0
        while start < masks:
            at_once = self._replayed_at_once if self._held else self._at_once
            some = slice(start, start + max(1, at_once // recording.images))
            taken = {name: change.take(some) for name, change in laid_out.items()}
            try:
                found.append(self._some(images, recording, taken))
            except torch.OutOfMemoryError:
                if at_once <= recording.images:
                    raise
                self._at_once = min(self._at_once, at_once // 2)
                self._replayed_at_once = min(self._replayed_at_once, at_once // 2)
                LOG.warning("masking: out of memory, %d images at once from here", at_once // 2)
            else:
                start += len(found[-1])
        return torch.cat(found)

    def _some(
        self, images: torch.Tensor, recording: Recording, changes: Mapping[str, Change]
    ) -> torch.Tensor:
        if not self.replays:
            return self._bare(images, changes)
        if self._held:
            return self._replayed(recording, changes)
        bare = self._bare(images, changes)
        try:
            replayed = self._replayed(recording, changes)
            off = float((replayed - bare).abs().max() / bare.abs().max().clamp_min(1e-30))
            same = off <= TOLERANCE  # not of NaN
            problem = "" if same else f"they differ by {off:.1e} of the largest"
        except (RuntimeError, TypeError, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
        self._held, self.replays = not problem, not problem
        if problem:
            LOG.info("masking: the whole network runs for each mask (%s)", problem)
        return bare

    def _replayed(self, recording: Recording, changes: Mapping[str, Change]) -> torch.Tensor:
        masks = len(next(iter(changes.values())).factor)
        last = recording.calls[-1]
        first = [name for name in changes if self._modules[name] is last.module]

        def give(call: Call) -> Any:
            if call is not last:
                return call.given(call.repeated(recording.images, masks))
            plain = call.given(call.leaves)
            # A tensor that is masked is not repeated before: it may be most of what there is.
            output = plain
            if not isinstance(plain, torch.Tensor):
                output = call.given(call.repeated(recording.images, masks))
            for name in first:
                _, place = place_of(self.model, name)
                masked = self._masked(name, changes[name], tensor_at(plain, place, name))
                output = _with(output, place, masked)
            return output

        (pixels,) = recording.pixels.repeated(recording.images, masks)
        later = {name: change for name, change in changes.items() if name not in first}
        with replaying(recording.calls, give), self._masking(later):
            return self._caught(pixels, masks)

    def _bare(self, images: torch.Tensor, changes: Mapping[str, Change]) -> torch.Tensor:
        masks = len(next(iter(changes.values())).factor)
        repeated = images.repeat(masks, *[1] * (images.dim() - 1))
        if images.dim() == 4:
            repeated = repeated.contiguous(memory_format=self._memory)
        with self._masking(changes):
            return self._caught(repeated, masks)

    def _caught(self, pixels: torch.Tensor, masks: int) -> torch.Tensor:
        return class_scores(self.model, self.scores_layer, pixels).unflatten(0, (masks, -1))

    @contextmanager
    def _masking(self, changes: Mapping[str, Change]) -> Iterator[None]:
        """While open, mask layers as their modules give their outputs."""
        with ExitStack() as stack:
            for name, change in changes.items():
                handle = self._modules[name].register_forward_hook(self._hook(name, change))
                stack.callback(handle.remove)
            yield

    def _hook(self, name: str, change: Change) -> Callable[[nn.Module, Any, Any], Any]:
        _, place = place_of(self.model, name)

        def mask(module: nn.Module, inputs: Any, output: Any) -> Any:
            given = tensor_at(output, place, name).unflatten(0, (len(change.factor), -1))
            return _with(output, place, self._masked(name, change, given))

        return mask

    def _masked(self, name: str, change: Change, outputs: torch.Tensor) -> torch.Tensor:
        """Return masked outputs one after the other, ``(mask * n, *output)``."""
        *_, n = outputs.shape[: outputs.dim() - change.factor.dim() + 1]
        masks, shape = len(change.factor), tuple(change.factor.shape[1:])
        room = self._rooms.get(name)
        if room is None or room.shape[0] < masks * n or room.shape[1:] != shape:
            form = self._memory if len(shape) == 3 else torch.contiguous_format
            room = torch.empty((masks * n, *shape), device=outputs.device, memory_format=form)
            self._rooms[name] = room
        masked = room[: masks * n]
        change.of(outputs, masked.unflatten(0, (masks, n)))
        return masked

    def _laid_out(self, change: Change, layer: Layer) -> Change:
        """Return a change as the network puts the units out, ``(mask, *output)``."""
        device = next(self.model.parameters(), torch.empty(0)).device

        def one(values: torch.Tensor) -> torch.Tensor:
            if layer.output:
                back = (layer.order.index(axis) + 1 for axis in range(len(layer.output)))
                values = values.permute(0, *back)
            else:
                values = values[:, 0]
            form = self._memory if values.dim() == 4 else torch.contiguous_format
            return values.to(device, torch.float32).contiguous(memory_format=form)

        return Change(one(change.factor), None if change.shift is None else one(change.shift))


def class_scores(model: nn.Module, layer: Layer, images: torch.Tensor) -> torch.Tensor:
    """Run a network, and return what its layer of class scores gives, float32 ``(n, class)``.

    Args:
        model: in eval mode.
        layer: of the scores.
        images: as the network takes them.
    """
    found: list[torch.Tensor] = []

    def receive(name: str, output: torch.Tensor) -> None:
        found.append(output.float().flatten(1).clone())

    with capture(model, [layer], receive):
        model(images)
    return found[0]


def _with(output: Any, place: Sequence[str], value: torch.Tensor) -> Any:
    """Return a module's output with another tensor at a place."""
    if not place:
        return value
    key, *rest = place
    if isinstance(output, Mapping):
        found = copy.copy(output)
        (known,) = [known for known in output if str(known) == key]
        found[known] = _with(output[known], rest, value)  # type: ignore[index]
        return found
    parts = list(output)
    parts[int(key)] = _with(parts[int(key)], rest, value)
    return type(output)(*parts) if hasattr(output, "_fields") else type(output)(parts)
