"""What the axes of layers' outputs are, by what the network itself does with them.

No list of networks is needed. In order of strength:

1. A module that is known to take or give channels at one place (convolutions, pooling, batch
   normalisation: first; layer normalisation, linear layers: last) says it of the very tensors that
   pass through it, and so of every module that gives such a tensor or changes it element by
   element.
2. The side of an image is doubled: the axis that grows with the height is y, with the width x, with
   both the tokens, and what stays is the channel or feature.
3. Known modules inside the layer, then anywhere, that work on tensors of the same shape.

Where these disagree or say nothing the axes stay unnamed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from variscope.inputs.axes import Layer

# Modules whose channels are the first axis, and the dimensions they work on beside it.
_FIRST: tuple[tuple[tuple[type, ...], int], ...] = tuple(
    (
        tuple(
            getattr(nn, name)
            for name in (
                f"Conv{n}d", f"ConvTranspose{n}d", f"BatchNorm{n}d", f"InstanceNorm{n}d",
                f"MaxPool{n}d", f"AvgPool{n}d", f"AdaptiveAvgPool{n}d", f"AdaptiveMaxPool{n}d",
                f"ConstantPad{n}d", f"ReflectionPad{n}d", f"ReplicationPad{n}d", f"Dropout{n}d",
            )
            if hasattr(nn, name)
        ),
        n,
    )
    for n in (1, 2, 3)
)  # fmt: skip
_ANY_FIRST = (nn.GroupNorm, nn.LocalResponseNorm, nn.Upsample)
_ELEMENTWISE = (
    nn.Identity, nn.Dropout, nn.AlphaDropout, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU,
    nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.Hardtanh,
    nn.Hardsigmoid, nn.Softplus, nn.Softsign, nn.LogSigmoid, nn.Softmax, nn.LogSoftmax,
)  # fmt: skip
_ATTRIBUTE = "_variscope_votes"

# Parameters that hold tokens which are not patches, by their usual names.
_PREFIX = {
    "cls_token": "class", "class_token": "class", "class_embedding": "class",
    "dist_token": "distillation", "distillation_token": "distillation",
    "reg_token": "register", "reg_tokens": "register", "register_tokens": "register",
}  # fmt: skip


@dataclass
class _Votes:
    """Where the channels of one tensor, and of what is made of it element by element, are."""

    first: bool = False
    last: bool = False
    linear: bool = False  # last, by a linear layer alone

    @property
    def place(self) -> str:
        if self.first:
            return "" if self.last else "first"
        return "last" if self.last else "linear" if self.linear else ""


@dataclass
class _Pass:
    """What one pass of one image showed."""

    votes: dict[str, _Votes] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    # (module, shape of a tensor that it took or gave, place of the channels)
    by_shape: list[tuple[str, tuple[int, ...], str]] = field(default_factory=list)
    # Of convolutions: channels, rows, columns.
    maps: list[tuple[int, int, int]] = field(default_factory=list)


def named(
    model: nn.Module, layers: Sequence[Layer], image_shape: tuple[int, int, int], device: Any
) -> tuple[Layer, ...]:
    """Return the layers with the axes that the network's modules make known.

    Args:
        model: in eval mode.
        layers: names and outputs; those whose axes are given keep them.
        image_shape: ``(C, H, W)``.
        device: of the model.
    """
    if all(len(layer.output) < 2 for layer in layers):
        return tuple(layers)
    channels, height, width = image_shape
    seen = _watch(model, torch.rand((1, *image_shape), device=device, generator=_seeded(device)))
    axes: dict[str, tuple[str, ...]] = {}
    for layer in layers:
        votes = seen.votes.get(layer.name, _Votes())
        axes[layer.name] = layer.axes or _by_place(votes.place, layer.output, seen, image_shape)
    if any(not axes[layer.name] and len(layer.output) > 1 for layer in layers):
        tall, wide = (
            _watch(model, torch.zeros((1, channels, h, w), device=device)).shapes
            for h, w in ((2 * height, width), (height, 2 * width))
        )
        for layer in layers:
            name = layer.name
            axes[name] = (
                axes[name]
                or _by_growth(layer.output, tall.get(name, ()), wide.get(name, ()))
                or _by_shape(layer, seen, image_shape)
            )
    prefix = _prefix(model)
    return tuple(
        _with_tokens(model, layer, axes[layer.name], prefix, seen, image_shape) for layer in layers
    )


def outputs(output: Any, path: str = "", depth: int = 3) -> Iterator[tuple[str, Any]]:
    """Yield each tensor of an output with its place: ``""``, ``"[0]"``, ``"[1][hidden]"``."""
    if isinstance(output, torch.Tensor):
        yield path, output
    elif depth and isinstance(output, Mapping):
        for key, value in output.items():
            yield from outputs(value, f"{path}[{key}]", depth - 1)
    elif depth and isinstance(output, (tuple, list)):
        for key, value in enumerate(output):
            yield from outputs(value, f"{path}[{key}]", depth - 1)


def _watch(model: nn.Module, images: torch.Tensor) -> _Pass:
    """Run images through the model, as far as it goes, and note what its modules show."""
    seen = _Pass()

    def hook(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def note(module: nn.Module, inputs: Any, output: Any) -> None:
            given = inputs[0] if inputs and isinstance(inputs[0], torch.Tensor) else None
            leaf = next(module.children(), None) is None
            for path, tensor in outputs(output):
                same = given is not None and tensor.shape == given.shape
                if leaf and same and given is not None and isinstance(module, _ELEMENTWISE):
                    with suppress(AttributeError):
                        setattr(tensor, _ATTRIBUTE, _votes(given))
                seen.votes[name + path] = _votes(tensor)
                seen.shapes[name + path] = tuple(tensor.shape[1:])
            if (
                isinstance(module, nn.Conv2d)
                and isinstance(output, torch.Tensor)
                and output.ndim == 4
            ):
                seen.maps.append((output.shape[1], output.shape[2], output.shape[3]))
            if not leaf and not isinstance(module, nn.RNNBase):
                return
            for tensor in (given, *(tensor for _, tensor in outputs(output))):
                if tensor is None or tensor.ndim < 3:
                    continue
                place = _place(module, tensor)
                if place:
                    setattr(_votes(tensor), place, True)
                    seen.by_shape.append((name, tuple(tensor.shape[1:]), place))

        return note

    handles = [
        module.register_forward_hook(hook(name))
        for name, module in model.named_modules(remove_duplicate=False)
        if name
    ]
    try:
        # What came before a failure, on another size, is shown all the same.
        with torch.inference_mode(), suppress(Exception):
            model(images)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _votes(tensor: torch.Tensor) -> _Votes:
    """Return the votes on a tensor, which live as long as it does."""
    found = getattr(tensor, _ATTRIBUTE, None)
    if found is None:
        found = _Votes()
        setattr(tensor, _ATTRIBUTE, found)
    return found


def _place(module: nn.Module, tensor: torch.Tensor) -> str:
    """Say where a module without children has the channels of a tensor ``(n, *unit)``."""
    rank = tensor.ndim - 2
    if any(rank == n and isinstance(module, kinds) for kinds, n in _FIRST):
        return "first"
    if isinstance(module, _ANY_FIRST):
        return "first"
    if isinstance(module, nn.Linear):
        return "linear"
    if isinstance(module, nn.RNNBase):
        return "last" if module.batch_first else ""
    if isinstance(module, nn.Embedding) or type(module) is nn.LayerNorm:
        return "last" if len(getattr(module, "normalized_shape", (1,))) == 1 else ""
    # Another normalisation or scale: one number per channel, and one axis only has so many entries.
    held = (*module.parameters(recurse=False), *module.buffers(recurse=False))
    sizes = {values.numel() for values in held} - {1}
    if len(sizes) == 1:
        fits = [axis for axis, n in enumerate(tensor.shape[1:]) if n in sizes]
        if len(fits) == 1 and fits[0] in (0, rank):
            return "last" if fits[0] else "first"
    return ""


def _by_place(
    place: str, output: tuple[int, ...], seen: _Pass, image_shape: tuple[int, int, int]
) -> tuple[str, ...]:
    """Return the axes of an output whose channels are first or last."""
    if place == "linear" and not _linear_is_last(output, seen, image_shape):
        return ()
    others = {2: ("token",), 3: ("y", "x"), 4: ("z", "y", "x")}.get(len(output))
    if not place or others is None:
        return ()
    channel = "feature" if len(output) == 2 else "channel"
    return (channel, *others) if place == "first" else (*others, channel)


def _linear_is_last(
    output: tuple[int, ...], seen: _Pass, image_shape: tuple[int, int, int]
) -> bool:
    """Say whether what a linear layer works on is features: it may as well mix tokens or pixels.

    Tokens must be as many as those that are normalised feature by feature, if any are; rows and
    columns must stand to each other as those of the image.
    """
    if len(output) == 2:
        counts = {s[0] for _, s, place in seen.by_shape if place == "last" and len(s) == 2}
        return not counts or output[0] in counts
    rows, columns = output[0], output[1]
    return len(output) == 3 and _fits(rows, columns, image_shape)


def _fits(rows: int, columns: int, image_shape: tuple[int, int, int]) -> bool:
    """Say whether a grid has the proportions of the image, to the rounding of its sides."""
    wanted = columns * image_shape[1] / image_shape[2]
    return abs(rows - wanted) < 1


def _by_growth(
    output: tuple[int, ...], tall: tuple[int, ...], wide: tuple[int, ...]
) -> tuple[str, ...]:
    """Return the axes by which of them grow with an image of twice the height or the width."""
    if not len(output) == len(tall) == len(wide):
        return ()
    grows = [
        (high > size, broad > size) for size, high, broad in zip(output, tall, wide, strict=True)
    ]
    if len(output) == 3:
        names = {(True, False): "y", (False, True): "x", (False, False): "channel"}
        axes = tuple(names.get(key, "") for key in grows)
        return axes if sorted(axes) == ["channel", "x", "y"] else ()
    if len(output) == 2 and sum(map(any, grows)) == 1:
        return ("token", "feature") if any(grows[0]) else ("feature", "token")
    return ()


def _by_shape(layer: Layer, seen: _Pass, image_shape: tuple[int, int, int]) -> tuple[str, ...]:
    """Return the axes by known modules that work on tensors of the layer's shape."""
    module = layer.name.partition("[")[0]
    inside = {p for n, s, p in seen.by_shape if s == layer.output and n.startswith(f"{module}.")}
    anywhere = {p for _, s, p in seen.by_shape if s == layer.output}
    places = inside or anywhere
    if len(places) > 1:
        places.discard("linear")
    if not places and len(layer.output) == 2:  # the pixels of a map, one after another
        for channels, rows, columns in seen.maps:
            if layer.output == (rows * columns, channels) != (channels, rows * columns):
                return ("token", "feature")
            if layer.output == (channels, rows * columns) != (rows * columns, channels):
                return ("feature", "token")
    if len(places) != 1:
        return ()
    (place,) = places
    axis = 0 if place == "first" else -1
    if not inside and layer.output.count(layer.output[axis]) > 1:
        return ()  # the same numbers in another order would look alike
    return _by_place(place, layer.output, seen, image_shape)


def _with_tokens(
    model: nn.Module,
    layer: Layer,
    axes: tuple[str, ...],
    prefix: tuple[str, ...],
    seen: _Pass,
    image_shape: tuple[int, int, int],
) -> Layer:
    """Return the layer with its axes, and for tokens with what they are."""
    layer = Layer(layer.name, layer.output, axes)
    if layer.dims != ("token", "feature"):
        return layer
    grids = list(dict.fromkeys([*_stated_grids(model), *(size[1:] for size in seen.maps)]))
    for first in dict.fromkeys((prefix, ())):
        patches = layer.shape[0] - len(first)
        for grid in grids:
            if grid[0] * grid[1] == patches:
                return Layer(layer.name, layer.output, axes, first, grid)
    patches = layer.shape[0] - len(prefix)
    if prefix and patches > 1:  # patches that no convolution cut out
        rows = round((patches * image_shape[1] / image_shape[2]) ** 0.5)
        if rows and patches % rows == 0 and _fits(rows, patches // rows, image_shape):
            return Layer(layer.name, layer.output, axes, prefix, (rows, patches // rows))
    return layer


def _stated_grids(model: nn.Module) -> Iterator[tuple[int, int]]:
    """Yield what modules say of their grid of patches, as timm's patch embeddings do."""
    for module in model.modules():
        grid = getattr(module, "grid_size", None)
        if isinstance(grid, (tuple, list)) and len(grid) == 2:
            yield int(grid[0]), int(grid[1])


def _prefix(model: nn.Module) -> tuple[str, ...]:
    """Return what the tokens in front of the patches are, by the parameters that hold them."""
    found: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        kind = _PREFIX.get(name.rpartition(".")[2])
        if kind and parameter.ndim and kind not in found:
            found[kind] = parameter.shape[-2] if parameter.ndim > 1 else 1
    prefix = [
        k for kind in ("class", "distillation", "register") for k in [kind] * found.get(kind, 0)
    ]
    count = getattr(model, "num_prefix_tokens", None)  # timm's word
    if isinstance(count, int) and count != len(prefix):
        prefix = [*prefix, *["prefix"] * count][:count]
    return tuple(prefix)


def _seeded(device: Any) -> torch.Generator:
    return torch.Generator(device).manual_seed(0)
