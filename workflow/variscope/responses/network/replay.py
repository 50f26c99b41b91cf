"""What a network computed before one of its modules, recorded once and replayed.

What a module gave before another gave its output cannot depend on that output, however the two are
wired: causality proves it, for any network, without a graph. A recorded pass is replayed so: the
calls that had ended give what they gave, repeated along the batch, and all the rest runs: modules
that were still open (containers), functions between modules, skips around the module in question.
What is replayed and read by nothing that runs, as by a module that is replayed itself, is an empty
view and takes no memory; a pass under `TorchFunctionMode` finds out which.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_unflatten

# What asks for a tensor's shape or kind, not for its values.
_ASKS = {"dim", "size", "numel", "ndimension", "is_floating_point", "__len__", "stride"}


class _Stop(BaseException):
    """The module is reached: no more of the pass is needed. No model may catch it."""


@dataclass
class Call:
    """One call of a module that ended before, and what it gave.

    Attributes:
        module: that was called.
        leaves: of its output, flat; tensors have the batch as their first dimension.
        spec: how the output is nested.
        read: of each leaf, whether something that runs in a replay reads it.
    """

    module: nn.Module
    leaves: list[Any]
    spec: TreeSpec
    read: list[bool]

    def given(self, leaves: Sequence[Any]) -> Any:
        """Return an output that is nested as this one."""
        return tree_unflatten(list(leaves), self.spec)

    def repeated(self, images: int, masks: int) -> list[Any]:
        """Return the leaves for a batch that holds the images once for each mask."""
        return [
            _repeated(leaf, images, masks, read)
            for leaf, read in zip(self.leaves, self.read, strict=True)
        ]


@dataclass
class Recording:
    """A pass of some images up to the end of a module.

    Attributes:
        images: how many.
        calls: that had ended, those inside others left out, in order; the module's is the last.
        pixels: what the network was given, as the output of a call.
    """

    images: int
    calls: list[Call]
    pixels: Call


def _repeated(leaf: Any, images: int, masks: int, read: bool) -> Any:
    """Repeat along the batch; what does not have one, a table of positions say, stays one."""
    if not isinstance(leaf, torch.Tensor) or leaf.dim() == 0 or len(leaf) != images:
        return leaf
    if not read:
        return _emptied(leaf, masks * images)
    return leaf.repeat(masks, *[1] * (leaf.dim() - 1))


def record(
    model: nn.Module, images: torch.Tensor, until: Collection[nn.Module], read: Sequence[Call] = ()
) -> Recording:
    """Run images through a network until one of some modules has given its output.

    Args:
        model: in eval mode.
        images: ``(n, C, H, W)``.
        until: the modules; the first of them to end is the last call.
        read: what `what_is_read` found: that is copied at once, since what runs later may work in
            place on it, and nothing else is kept. Without it all is.

    Raises:
        ValueError: none of the modules is called.
    """
    levels: list[list[Call]] = [[]]
    copied = {call.module for call in read if any(call.read)}

    def enter(module: nn.Module, inputs: Any) -> None:
        levels.append([])

    def leave(module: nn.Module, inputs: Any, output: Any) -> None:
        levels.pop()  # what stood inside is part of it
        leaves, spec = tree_flatten(output)
        if module in copied:
            leaves = [leaf.clone() if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        levels[-1].append(Call(module, leaves, spec, [True] * len(leaves)))
        if module in until:
            raise _Stop

    handles: list[Any] = []
    try:
        for module in model.modules():
            if not isinstance(module, torch.jit.ScriptModule):
                handles.append(module.register_forward_pre_hook(enter))
                handles.append(module.register_forward_hook(leave))
        model(images)
    except _Stop:
        calls = [call for level in levels for call in level]
    else:
        raise ValueError("none of the modules to be masked is called in a pass")
    finally:
        for handle in handles:
            handle.remove()
    leaves, spec = tree_flatten(images)
    recording = Recording(len(images), calls, Call(model, leaves, spec, [True]))
    for call, known in zip((recording.pixels, *calls), read, strict=bool(read)):
        call.read = known.read
        call.leaves = [
            leaf if kept or not isinstance(leaf, torch.Tensor) else _emptied(leaf, len(leaf))
            for leaf, kept in zip(call.leaves, call.read, strict=True)
        ]
    return recording


def _emptied(leaf: torch.Tensor, length: int) -> torch.Tensor:
    """Return a tensor of a leaf's shape, but for its length, that takes no memory."""
    return leaf.new_zeros(()).expand(length, *leaf.shape[1:])


@contextmanager
def replaying(calls: Sequence[Call], give: Callable[[Call], Any]) -> Iterator[None]:
    """While open, let the first calls of modules give what `give` makes of recorded ones.

    Args:
        calls: in order; a module's later calls run as always.
        give: the output of a call.
    """
    queues: dict[nn.Module, list[Call]] = defaultdict(list)
    for call in calls:
        queues[call.module].append(call)
    before = {module: vars(module).get("forward") for module in queues}

    def forward_of(module: nn.Module, left: Iterator[Call]) -> Callable[..., Any]:
        runs = module.forward

        def forward(*arguments: Any, **keywords: Any) -> Any:
            call = next(left, None)
            return runs(*arguments, **keywords) if call is None else give(call)

        return forward

    try:
        for module, queue in queues.items():
            module.forward = forward_of(module, iter(queue))
        yield
    finally:
        for module, forward in before.items():
            del module.forward
            if forward is not None:
                module.forward = forward


def what_is_read(model: nn.Module, recording: Recording) -> list[Call]:
    """Replay a recording and see which of its leaves something reads.

    Returns:
        The pixels and the calls, with `Call.read`, and without their values.
    """
    tensors: dict[int, tuple[Call, int]] = {}
    kept = []  # so that no other tensor takes their identity
    recorded = (recording.pixels, *recording.calls)
    found = [Call(c.module, [], c.spec, [False] * len(c.leaves)) for c in recorded]
    of = dict(zip(map(id, recorded), found, strict=True))

    def give(call: Call) -> Any:
        leaves = call.repeated(recording.images, 1)
        for place, leaf in enumerate(leaves):
            if isinstance(leaf, torch.Tensor):
                tensors[id(leaf)] = (of[id(call)], place)
        kept.append(leaves)
        return call.given(leaves)

    class Readers(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, arguments: Any = (), keywords: Any = None
        ) -> Any:
            result = function(*arguments, **(keywords or {}))
            if not _asks(function, result):
                for leaf in tree_leaves((arguments, keywords)):
                    if id(leaf) in tensors:
                        call, place = tensors[id(leaf)]
                        call.read[place] = True
            return result

    pixels = give(recording.pixels)
    with replaying(recording.calls, give), Readers():
        model(pixels)
    # Its output is what the masks change, whoever reads it.
    found[-1].read = [True] * len(found[-1].read)
    return found


def _asks(function: Any, result: Any) -> bool:
    if isinstance(result, (torch.Size, torch.device, torch.dtype, torch.layout)):
        return True
    getter = getattr(function, "__name__", "") == "__get__" and isinstance(result, (int, bool))
    return getter or getattr(function, "__name__", "") in _ASKS
