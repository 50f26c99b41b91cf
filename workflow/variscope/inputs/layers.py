"""The layers of a network: which there are, what they put out, and how to catch it."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from variscope.errors import UserError
from variscope.inputs.axes import Layer, given_axes
from variscope.inputs.axis_evidence import named, outputs

__all__ = ["Layer", "auto_layers", "capture", "place_of", "probe", "reporter", "tensor_at", "trace"]

PASSED_OVER = (nn.Dropout, nn.Dropout2d, nn.Flatten, nn.Identity)
POOLING = (nn.MaxPool2d, nn.AvgPool2d)
ENOUGH = 4  # stages of `auto`
DOMINANT = 0.8  # share of the parameters at which a Sequential is opened in any case

Receive = Callable[[str, torch.Tensor], None]


@dataclass
class Call:
    """What a module did in one pass: how often it was called, and its last output.

    Of tensors only shape and kind are kept.
    """

    count: int
    output: Any

    def at(self, name: str, place: Sequence[str]) -> Call:
        """Return the call with what its output holds at a place."""
        if not self.count or not place:
            return self
        return Call(self.count, tensor_at(self.output, place, name))


def place_of(model: nn.Module, name: str) -> tuple[str, tuple[str, ...]]:
    """Cut a layer's name into the module's and the place in its output.

    A module that bears the whole name goes first.

    Example:
        >>> place_of(nn.Identity(), "lstm[1][0]")
        ('lstm', ('1', '0'))
    """
    match = re.fullmatch(r"(.+?)((?:\[[^\[\]]+\])+)", name)
    if match is None or name in dict(model.named_modules(remove_duplicate=False)):
        return name, ()
    return match[1], tuple(re.findall(r"\[([^\[\]]+)\]", match[2]))


def tensor_at(output: Any, place: Sequence[str], name: str = "") -> Any:
    """Return what stands at a place in a module's output: an index of a tuple, a key of a mapping.

    Raises:
        UserError: nothing stands there; the message says what there is.
    """
    found = output
    for key in place:
        if isinstance(found, Mapping):
            keys = {str(known): known for known in found}
            if key not in keys:
                raise UserError(f"layers: {name!r}: no [{key}]; {_parts(output, name)}")
            found = found[keys[key]]
        elif isinstance(found, (tuple, list)):
            if not key.isdecimal() or int(key) >= len(found):
                raise UserError(f"layers: {name!r}: no [{key}]; {_parts(output, name)}")
            found = found[int(key)]
        else:
            raise UserError(f"layers: {name!r}: no [{key}]; {_parts(output, name)}")
    return found


def _parts(output: Any, name: str) -> str:
    """Name the tensors in a module's output as the setting would."""
    module = name.partition("[")[0]
    known = [repr(f"{module}{place}") for place, _ in outputs(output)]
    return f"there is {', '.join(known[:12])}" if known else "its output holds no tensor"


def probe(
    model: nn.Module,
    layers: Sequence[str] | str,
    image_shape: tuple[int, int, int],
    softmax_last: bool = False,
    axes: Mapping[str, str] | None = None,
) -> tuple[Layer, ...]:
    """Run batches of one and two images and give the layers with their shapes and axes.

    Args:
        model: is put into eval mode.
        layers: exact names of modules (`model.named_modules`), with the place in the output where
            that is a tuple or a mapping (``"lstm[0]"``), or "auto" for the main stages.
        image_shape: (C, H, W) of one image.
        softmax_last: whether softmax is to be applied to the last layer, which then needs at least
            one dimension besides the batch.
        axes: by layer the names of its output's axes, such as "y x channel"; of the others they
            are found out, see `variscope.inputs.axis_evidence`.

    Raises:
        UserError: an unknown name, a duplicate, a module that is called several times or never in
            one pass, whose output is not a tensor, has no batch dimension, or changes its shape
            with the batch; axes that do not fit; or the model fails on images of that shape.
    """
    names = auto_layers(model, image_shape) if layers == "auto" else _checked(model, layers)
    modules = tuple(dict.fromkeys(place_of(model, name)[0] for name in names))
    single = trace(model, modules, _images(model, 1, image_shape))
    double = trace(model, modules, _images(model, 2, image_shape))
    found = []
    for name in names:
        module, place = place_of(model, name)
        one, two = single[module].at(name, place), double[module].at(name, place)
        problem = _problem(one, two, name)
        if problem:
            raise UserError(f"layers: {name!r} {problem}")
        found.append(Layer(name, tuple(one.output.shape[1:])))
    if softmax_last and not found[-1].output:
        raise UserError(f"layers: softmax needs outputs (n, units); {found[-1].name!r} gives (n,)")
    given = dict(axes or {})
    for name in given:
        if name not in names:
            raise UserError(f"axes: found {name!r}; allowed: the layers {', '.join(names)}")
    stated = [
        Layer(
            a.name, a.output, given_axes(a.name, given[a.name], a.output) if a.name in given else ()
        )
        for a in found
    ]
    device = next(model.parameters(), torch.empty(0)).device
    *others, last = named(model, stated, image_shape, device)
    return (*others, replace(last, softmax=softmax_last))


def outputs_of_all(model: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Count the outputs of all modules without children in a pass of one image, and its pixels.

    A size of the network that does not depend on which layers are chosen.
    """
    modules = dict(model.named_modules())
    found = sum(
        call.count * sum(tensor.numel() for _, tensor in outputs(call.output))
        for name, call in _calls_of_all(model, image_shape).items()
        if _is_leaf(modules[name])
    )
    return found + prod(image_shape)


def largest_output(model: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Count the outputs of the module without children that has the most, for one image."""
    modules = dict(model.named_modules())
    return max(
        sum(tensor.numel() for _, tensor in outputs(call.output))
        for name, call in _calls_of_all(model, image_shape).items()
        if _is_leaf(modules[name])
    )


def positions(
    model: nn.Module, layers: Sequence[Layer], image_shape: tuple[int, int, int]
) -> list[int]:
    """Return when each layer's module ends in a pass, counted among all modules of the network.

    It says which layer comes first whatever others are chosen; places in the output of one module
    have one position.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    order = {modules[name]: at for at, name in enumerate(_calls_of_all(model, image_shape))}
    return [order.get(modules[place_of(model, layer.name)[0]], len(order)) for layer in layers]


def _calls_of_all(model: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, Call]:
    """Trace one image through all modules that take hooks: those that torch.jit compiled do not."""
    names = tuple(
        name
        for name, module in model.named_modules()
        if not isinstance(module, torch.jit.ScriptModule)
    )
    return trace(model, names, _images(model, 1, image_shape))


def auto_layers(model: nn.Module, image_shape: tuple[int, int, int]) -> tuple[str, ...]:
    """Find the main stages of a network, in the order in which they are called.

    The search starts from the model's children and those of its lists, and opens containers
    (Sequentials first) until there are at least four stages and no Sequential holds nearly all
    parameters. Of consecutive modules with the same output shape the last one stands for the stage,
    and a pooling layer for the activation in front of it; every linear layer is a stage, and long
    runs of like blocks (transformers) are shown at each quarter, the last block among them: a
    normalisation behind a block does not stand for it. Dropout, Flatten and Identity are left out,
    and so is what `probe` would refuse. For VGG11 these are the published layers of arXiv
    2503.03283.
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
    # Lists of modules are not modules of the pass: what they hold stands in their place.
    while any(isinstance(modules[n], nn.ModuleList) and children(n) for n in front):
        lists = {n for n in front if isinstance(modules[n], nn.ModuleList)}
        front = [c for n in front for c in (children(n) if n in lists else [n])]
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
    """Return the names that stand for the stages among modules in call order."""
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
        while kinds and _only_scales(modules[run[-1]]):
            run.pop()
        stages.append(run[-1])
    return stages


@contextmanager
def capture(model: nn.Module, layers: Sequence[Layer], receive: Receive) -> Iterator[None]:
    """While open, hand the output (n, *unit) of each layer to `receive(name, output)`.

    Its dimensions are in the reported order: a view of what the network puts out, detached but not
    copied, and an in-place module that follows (ReLU) may change it as soon as `receive` returns:
    use it up or copy it inside. Where a layer says so, softmax over the classes is applied. The
    model computes on with its own values. Hooks are removed on leaving, by an exception, too.
    """
    modules = dict(model.named_modules(remove_duplicate=False))

    def hook(layer: Layer) -> Callable[[nn.Module, Any, Any], None]:
        reported = reporter(model, layer)

        def catch(module: nn.Module, inputs: Any, output: Any) -> None:
            receive(layer.name, reported(output))

        return catch

    handles = []
    try:
        for layer in layers:
            module, _ = place_of(model, layer.name)
            handles.append(modules[module].register_forward_hook(hook(layer)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def reporter(model: nn.Module, layer: Layer) -> Callable[[Any], torch.Tensor]:
    """Return what makes a module's output that of the layer, ``(n, *unit)`` in reported order.

    Softmax is over the classes: the channels, features or neurons.
    """
    _, place = place_of(model, layer.name)
    over = 2 if layer.dims == ("token", "feature") else 1

    def reported(output: Any) -> torch.Tensor:
        found = layer.arranged(tensor_at(output, place, layer.name).detach())
        return torch.softmax(found, dim=over) if layer.softmax else found

    return reported


@contextmanager
def keeping_buffers(model: nn.Module) -> Iterator[None]:
    """Put buffers back as they were: a module that stays in training mode changes its own."""
    buffers = [
        (buffer, buffer.clone())
        for buffer in model.buffers()
        if not (buffer.is_quantized or is_lazy(buffer))
    ]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in buffers:
                if not torch.equal(buffer, value):
                    buffer.copy_(value)


def trace(model: nn.Module, names: Sequence[str], images: torch.Tensor) -> dict[str, Call]:
    """Run one pass in eval mode: the named modules' calls, in call order; never called: count 0.

    Of an output only shape and kind are kept.

    Raises:
        UserError: the model fails.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    calls: dict[str, Call] = {}

    def hook(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def count(module: nn.Module, inputs: Any, output: Any) -> None:
            kept = _shapes(output)
            before = calls.pop(name, Call(0, None))
            calls[name] = Call(before.count + 1, kept)

        return count

    handles = [modules[name].register_forward_hook(hook(name)) for name in names]
    try:
        with keeping_buffers(model), torch.inference_mode():
            model.eval()  # its result is not used: an overridden train() may give none
            model(images)
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


def _shapes(output: Any, depth: int = 3) -> Any:
    """Return an output without the values of its tensors."""
    if isinstance(output, torch.Tensor):
        return output.detach().to("meta")
    if depth and isinstance(output, Mapping):
        return {key: _shapes(value, depth - 1) for key, value in output.items()}
    if depth and isinstance(output, (tuple, list)):
        return tuple(_shapes(value, depth - 1) for value in output)
    return type(output)


def _images(model: nn.Module, count: int, image_shape: tuple[int, int, int]) -> torch.Tensor:
    parameter = next(model.parameters(), torch.empty(0))
    generator = torch.Generator().manual_seed(0)
    return torch.rand((count, *image_shape), generator=generator).to(parameter.device)


def _problem(single: Call, double: Call, name: str = "") -> str:
    """Why a module cannot be a layer; empty where it can."""
    if single.count == 0 or double.count == 0:
        return "is never called in a pass; choose a module that the model calls itself"
    if single.count > 1 or double.count > 1:
        return f"is called {single.count} times in one pass; choose a module that is called once"
    for count, call in ((1, single), (2, double)):
        if isinstance(call.output, (tuple, Mapping)):
            kind = "tuple" if isinstance(call.output, tuple) else "mapping"
            return f"gives a {kind}; name one of its tensors: {_parts(call.output, name)}"
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
        if not isinstance(name, str) or place_of(model, name)[0] not in known:
            near = difflib.get_close_matches(str(name), known, 5, 0.5)
            hint = f"near it: {', '.join(near)}; " if near else ""
            shown = ", ".join(known[:40]) + (" ..." if len(known) > 40 else "")
            raise UserError(f"layers: the model has no module {name!r}; {hint}it has {shown}")
    twice = [name for name, count in Counter(layers).items() if count > 1]
    if twice:
        raise UserError(f"layers: {twice[0]!r} is named twice")
    modules = dict(model.named_modules(remove_duplicate=False))
    for position, name in enumerate(layers):
        module, place = place_of(model, name)
        for other in layers[:position]:
            before, at = place_of(model, other)
            if modules[module] is modules[before] and place == at:
                raise UserError(f"layers: {other!r} and {name!r} are the same module")
    return tuple(layers)


def _only_scales(module: nn.Module) -> bool:
    """Say whether a module computes nothing but a normalisation or activation of what it gets."""
    flat = all(parameter.ndim < 2 for parameter in module.parameters())
    return _is_leaf(module) and flat and not isinstance(module, POOLING)


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
