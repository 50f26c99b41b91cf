"""The layers of a network: which there are, what they put out, and how to catch it."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import nn

from variscope.errors import UserError

PASSED_OVER = (nn.Dropout, nn.Dropout2d, nn.Flatten, nn.Identity)
POOLING = (nn.MaxPool2d, nn.AvgPool2d)
ENOUGH = 4  # stages of `auto`
DOMINANT = 0.8  # share of the parameters at which a Sequential is opened in any case

Receive = Callable[[str, torch.Tensor], None]


@dataclass(frozen=True)
class Layer:
    """A named module and the shape of its output for one image, without the batch dimension."""

    name: str
    shape: tuple[int, ...]

    @property
    def units(self) -> int:
        """The number of units, scalar outputs."""
        return prod(self.shape)

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the dimensions: of feature maps, of a vector, or numbered."""
        if len(self.shape) == 3:
            return ("channel", "y", "x")
        if len(self.shape) == 1:
            return ("neuron",)
        return tuple(f"unit_{axis}" for axis in range(len(self.shape)))


@dataclass
class Call:
    """What a module did in one pass: how often it was called, and its last output."""

    count: int
    output: Any


def probe(
    model: nn.Module,
    layers: Sequence[str] | str,
    image_shape: tuple[int, int, int],
    softmax_last: bool = False,
) -> tuple[Layer, ...]:
    """Run batches of one and two images and give the layers with their shapes.

    Args:
        model: is put into eval mode.
        layers: exact names of modules (`model.named_modules`), or "auto" for the main stages.
        image_shape: (C, H, W) of one image.
        softmax_last: whether softmax will be applied to the last layer, which then needs at least
            one dimension besides the batch.

    Raises:
        UserError: an unknown name, a duplicate, a module that is called several times or never in
            one pass, whose output is no tensor, has no batch dimension, or changes its shape with
            the batch; or the model fails on images of that shape.
    """
    names = auto_layers(model, image_shape) if layers == "auto" else _checked(model, layers)
    single = trace(model, names, _images(model, 1, image_shape))
    double = trace(model, names, _images(model, 2, image_shape))
    found = []
    for name in names:
        problem = _problem(single[name], double[name])
        if problem:
            raise UserError(f"layers: {name!r} {problem}")
        found.append(Layer(name, tuple(single[name].output.shape[1:])))
    if softmax_last and not found[-1].shape:
        raise UserError(f"layers: softmax needs outputs (n, units); {found[-1].name!r} gives (n,)")
    return tuple(found)


def auto_layers(model: nn.Module, image_shape: tuple[int, int, int]) -> tuple[str, ...]:
    """The main stages of a network, in the order in which they are called.

    Starts from the model's children, and opens containers (Sequentials first) until there are at
    least four stages and no Sequential holds nearly all parameters. Of consecutive modules with
    the same output shape the last one stands for the stage, and a pooling layer for the activation
    in front of it; every linear layer is a stage, and long runs of like blocks (transformers) are
    shown at each quarter. Dropout, Flatten and Identity are left out, and so is what `probe` would
    refuse. For VGG11 these are the published layers of arXiv 2503.03283.
    """
    modules = dict(model.named_modules())
    single = trace(model, tuple(modules), _images(model, 1, image_shape))
    double = trace(model, tuple(modules), _images(model, 2, image_shape))
    order = {name: position for position, name in enumerate(single)}
    usable = {
        name for name in single if name in double and not _problem(single[name], double[name])
    }

    def children(name: str) -> list[str]:
        prefix = f"{name}." if name else ""
        return [prefix + child for child, _ in modules[name].named_children()]

    front = children("")
    stages: list[str] = []
    while True:
        called = sorted((name for name in front if name in usable), key=order.__getitem__)
        stages = _stages(called, modules, {n: single[n].output.shape[1:] for n in called})
        opened = [n for n in front if isinstance(modules[n], nn.Sequential) and children(n)]
        if len(stages) >= ENOUGH:
            opened = [n for n in opened if _size(modules[n]) > DOMINANT * _size(model)]
            if not opened:
                break
        if not opened:  # the largest container of another kind
            others = [n for n in front if children(n) and n in single]
            opened = sorted(others, key=lambda n: _size(modules[n]))[-1:]
        if not opened:
            break
        front = [c for n in front for c in (children(n) if n in opened else [n])]
    if not stages:
        raise UserError(
            "layers: auto finds no module with a usable output; name the layers in the setting"
        )
    return tuple(stages)


def _stages(
    called: Sequence[str], modules: dict[str, nn.Module], shape: dict[str, torch.Size]
) -> list[str]:
    """The names that stand for the stages among modules in call order."""
    runs: list[list[str]] = []
    for name in called:
        module = modules[name]
        if isinstance(module, PASSED_OVER):
            continue
        same = bool(runs) and shape[name] == shape[runs[-1][-1]]
        if same and isinstance(module, nn.Linear):
            same = not any(isinstance(modules[other], nn.Linear) for other in runs[-1])
        if isinstance(module, POOLING) and runs:
            # In front of it go the leaves since the last pooling or block of the same shape.
            run = runs.pop()
            while run and _is_leaf(modules[run[-1]]) and not isinstance(modules[run[-1]], POOLING):
                run.pop()
            runs += [run, [name]] if run else [[name]]
        elif same:
            runs[-1].append(name)
        else:
            runs.append([name])
    stages = []
    for run in runs:
        kinds = Counter(type(modules[n]) for n in run if not _is_leaf(modules[n]))
        kind, count = kinds.most_common(1)[0] if kinds else (None, 0)
        blocks = [name for name in run if type(modules[name]) is kind]
        if count >= 4:
            stages += [blocks[count * quarter // 4 - 1] for quarter in (1, 2, 3)]
        stages.append(run[-1])
    return stages


@contextmanager
def capture(
    model: nn.Module, layers: Sequence[str], receive: Receive, softmax_last: bool = False
) -> Iterator[None]:
    """While open, hand the output (n, *unit) of each layer to `receive(name, output)`.

    The output is detached but not copied, and an in-place module that follows (ReLU) may change it
    as soon as `receive` returns: use it up or copy it inside. With `softmax_last`, softmax over
    dimension 1 is applied to the last layer of the list. The model computes on with its own
    values. Hooks are removed on leaving, by an exception, too.
    """
    modules = dict(model.named_modules(remove_duplicate=False))

    def hook(name: str, softmax: bool) -> Callable[[nn.Module, Any, torch.Tensor], None]:
        def catch(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
            found = output.detach()
            receive(name, torch.softmax(found, dim=1) if softmax else found)

        return catch

    handles = []
    try:
        for position, name in enumerate(layers):
            softmax = softmax_last and position == len(layers) - 1
            handles.append(modules[name].register_forward_hook(hook(name, softmax)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def trace(model: nn.Module, names: Sequence[str], images: torch.Tensor) -> dict[str, Call]:
    """One pass in eval mode: the calls of the named modules, in call order; never called: count 0.

    Of an output only shape and kind are kept. Raises UserError if the model fails.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    calls: dict[str, Call] = {}

    def hook(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def count(module: nn.Module, inputs: Any, output: Any) -> None:
            kept = output.detach().to("meta") if isinstance(output, torch.Tensor) else type(output)
            before = calls.pop(name, Call(0, None))
            calls[name] = Call(before.count + 1, kept)

        return count

    handles = [modules[name].register_forward_hook(hook(name)) for name in names]
    try:
        with torch.inference_mode():
            model.eval()(images)
    except Exception as error:
        text = " ".join(str(error).split())
        raise UserError(
            f"the model fails on images of shape {tuple(images.shape)}: "
            f"{type(error).__name__}: {text[:300]}"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    return {**calls, **{name: Call(0, None) for name in names if name not in calls}}


def _images(model: nn.Module, count: int, image_shape: tuple[int, int, int]) -> torch.Tensor:
    parameter = next(model.parameters(), torch.empty(0))
    generator = torch.Generator().manual_seed(0)
    return torch.rand((count, *image_shape), generator=generator).to(parameter.device)


def _problem(single: Call, double: Call) -> str:
    """Why a module cannot be a layer; empty where it can."""
    if single.count == 0 or double.count == 0:
        return "is never called in a pass; choose a module that the model calls itself"
    if single.count > 1 or double.count > 1:
        return f"is called {single.count} times in one pass; choose a module that is called once"
    for count, call in ((1, single), (2, double)):
        if not isinstance(call.output, torch.Tensor):
            return f"gives {call.output.__name__}; a tensor is needed"
        shape = tuple(call.output.shape)
        if not shape or shape[0] != count:
            return (
                f"gives shape {shape} for {count} image{'s'[: count - 1]}; its first dimension "
                "must be the batch"
            )
    if not single.output.is_floating_point():
        return f"gives {single.output.dtype}; real numbers are needed"
    one, two = tuple(single.output.shape[1:]), tuple(double.output.shape[1:])
    if one != two:
        return f"changes its shape with the batch, from {one} to {two}; it must stay the same"
    return "has no units, its output is empty" if prod(one) == 0 else ""


def _checked(model: nn.Module, layers: Sequence[str] | str) -> tuple[str, ...]:
    if isinstance(layers, str) or not layers:
        raise UserError(f"layers: found {layers!r}; a list of module names, or auto, is needed")
    known = [name for name, _ in model.named_modules(remove_duplicate=False) if name]
    for name in layers:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 5, 0.5)
            hint = f"near it: {', '.join(near)}; " if near else ""
            shown = ", ".join(known[:40]) + (" ..." if len(known) > 40 else "")
            raise UserError(f"layers: the model has no module {name!r}; {hint}it has {shown}")
    twice = [name for name, count in Counter(layers).items() if count > 1]
    if twice:
        raise UserError(f"layers: {twice[0]!r} is named twice")
    modules = dict(model.named_modules(remove_duplicate=False))
    for position, name in enumerate(layers):
        for other in layers[:position]:
            if modules[name] is modules[other]:
                raise UserError(f"layers: {other!r} and {name!r} are the same module")
    return tuple(layers)


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
