"""A network's values before a study: a function of the image alone, in the layout that will run.

What is looked at are the chosen layers and so what feeds them. Layers that nobody chose, and heads
behind the last of them, may draw as they like.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from variscope.errors import UserError
from variscope.inputs.layers import Layer, capture, keeping_buffers
from variscope.space.draws import generator_states, restore_generators

IMAGES = 4
MEMORY_FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}

# Sums in another order round differently. Over layers the difference grows; torchvision's networks
# stay below 4e-6 of a layer's root mean square, half precision and quantisation are far above.
_ROUNDING = 3e-5
# What a network makes of a change of its inputs in their last bit, it may make of rounding, too.
_NUDGED = 32.0
_AT_MOST = 1e-2  # of the root mean square: above it, even a network that amplifies is refused


@dataclass(frozen=True)
class Outputs:
    """Outputs of layers for a batch.

    Attributes:
        layers: by name ``(n, *unit)``.
        drew: the layers before whose output a global generator was drawn from.
    """

    layers: dict[str, torch.Tensor]
    drew: frozenset[str]


def looked_at(pixels: NDArray[Any]) -> torch.Tensor:
    """Return images to look at values with, ``(IMAGES, C, H, W)`` float32 in [0, 1].

    Args:
        pixels: some images of the data set, uint8 or float32, ``(n, C, H, W)``; noise stands for
            one of them, so that not all are alike whatever the data are.
    """
    images = torch.from_numpy(np.resize(pixels, (IMAGES, *pixels.shape[1:])).copy())
    images = images.float() / 255 if images.dtype == torch.uint8 else images.float()
    noise = torch.rand(images.shape, generator=torch.Generator().manual_seed(0))
    images[1:] = (images[1:] + noise[1:]) / 2
    images[-1] = noise[-1]
    return images


def images_to_look_at(images: Any) -> torch.Tensor:
    """As `looked_at`, of an `ImageTable`."""
    return looked_at(images.load(np.linspace(0, len(images.label) - 1, IMAGES).astype(int)))


def check_values(
    model: nn.Module,
    layers: Sequence[Layer],
    images: torch.Tensor,
    mean: Sequence[float],
    std: Sequence[float],
) -> str:
    """Look at the values of a network's layers, and choose the layout of its memory.

    The same images run twice in one batch, which must agree to the last bit on a CPU, in reverse
    order and each alone, which may differ by rounding.

    Args:
        model: in eval mode. Parameters and buffers are left as they were, contiguous in memory.
        layers: as probed.
        images: ``(n, C, H, W)`` in [0, 1], from `looked_at`.
        mean, std: of the normalisation.

    Returns:
        "channels_last", in which convolutions are faster, or "contiguous" where the network does
        not take channels last, or gives other numbers in it.

    Raises:
        UserError: it fails, draws at random or keeps a state, or an image's output depends on the
            other images of its batch. The message names the layer, and where it starts.
    """
    place = next((p for p in model.parameters()), torch.empty(0)).device
    shape = (1, -1, 1, 1)
    images = (images - torch.tensor(mean).reshape(shape)) / torch.tensor(std).reshape(shape)
    images = images.to(place)
    with _undisturbed(model), torch.inference_mode():
        plain = _run(model, layers, images)
        memory = "channels_last"
        try:
            _lay_out(model, memory)
            found = _run(model, layers, images, memory)
        except (UserError, RuntimeError):  # volumes have no channels last
            memory, found = "contiguous", plain
        _refuse_draws(model, layers, images, memory, found, plain.drew | found.drew)
        tolerance = _tolerances(model, layers, images, found, memory)
        if _differ(plain, found, tolerance):
            memory, found = "contiguous", plain
            tolerance = _tolerances(model, layers, images, found, memory)
        _refuse_neighbours(model, layers, images, memory, found, tolerance)
    return memory


def _run(
    model: nn.Module, layers: Sequence[Layer], images: torch.Tensor, memory: str = "contiguous"
) -> Outputs:
    outputs: dict[str, torch.Tensor] = {}
    drew = set()
    before = generator_states()

    def receive(name: str, output: torch.Tensor) -> None:
        outputs[name] = output.clone()
        if generator_states() != before:
            drew.add(name)

    try:
        with capture(model, layers, receive):
            model(_laid_out(images, memory))
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise UserError(
            f"the model fails on images of shape {tuple(images.shape)}: "
            f"{type(error).__name__}: {text}"
        ) from error
    return Outputs(outputs, frozenset(drew))


def _laid_out(images: torch.Tensor, memory: str) -> torch.Tensor:
    return images.contiguous(memory_format=MEMORY_FORMATS[memory])


def _refuse_draws(
    model: nn.Module,
    layers: Sequence[Layer],
    images: torch.Tensor,
    memory: str,
    found: Outputs,
    drew: frozenset[str],
) -> None:
    _lay_out(model, memory)
    again = _run(model, layers, images, memory)
    exact = images.device.type == "cpu"
    for name in (layer.name for layer in layers):
        one, two = found.layers[name], again.layers[name]
        same = torch.equal(_bits(one), _bits(two)) if exact else not _apart(one, two, _ROUNDING)
        if name in drew or not same:
            where, kind = _where(model, images, memory, alone=False)
            cause = (
                "it draws at random in every pass"
                if drew
                else "it keeps a state between passes, or draws from a generator of its own"
            )
            cure = {
                "Dropout": "dropout that stays on: eval() must switch it off",
                "Stochastic": "stochastic depth that stays on: eval() must switch it off",
            }
            hint = next((text for key, text in cure.items() if key in kind), "")
            if not hint:
                hint = (
                    "dropout by the function needs training=self.training; noise belongs into an "
                    "augmentation with a parameter"
                )
            raise UserError(
                f"layers: {name!r} gives other outputs when the same images come again, {cause}"
                f"{where} ({hint})"
            )


def _refuse_neighbours(
    model: nn.Module,
    layers: Sequence[Layer],
    images: torch.Tensor,
    memory: str,
    together: Outputs,
    tolerance: dict[str, float],
) -> None:
    _lay_out(model, memory)
    reverse = _run(model, layers, images.flip(0), memory).layers
    alone = [_run(model, layers, image[None], memory).layers for image in images]
    for name in (layer.name for layer in layers):
        touched = 0
        for row, output in enumerate(together.layers[name]):
            others = (reverse[name][len(images) - 1 - row], alone[row][name][0])
            touched += any(_apart(output, other, tolerance[name]) for other in others)
        # Rounding may move a unit over a threshold, rarely; what mixes moves all images but one.
        if touched > 1:
            where, kind = _where(model, images, memory, alone=True)
            hint = (
                "it normalises by the batch and not by running statistics: eval mode and "
                "track_running_stats=True are needed"
                if "Norm" in kind
                else "normalisation or a scale taken over the batch, or a mixture of images"
            )
            raise UserError(
                f"layers: {name!r} gives different outputs for an image when other images are in "
                f"its batch{where} ({hint})"
            )


def _tolerances(
    model: nn.Module, layers: Sequence[Layer], images: torch.Tensor, found: Outputs, memory: str
) -> dict[str, float]:
    """By layer, what may differ: a share of the root mean square of an image's outputs."""
    _lay_out(model, memory)
    generator = torch.Generator().manual_seed(1)
    last_bit = torch.where(
        torch.rand(images.shape, generator=generator) < 0.5, 1 - 2**-23, 1 + 2**-23
    )
    nudged = _run(model, layers, images * last_bit.to(images.device), memory).layers
    return {
        name: min(
            _AT_MOST,
            max(_ROUNDING, _NUDGED * _difference(nudged[name], found.layers[name])),
        )
        for name in (layer.name for layer in layers)
    }


def _differ(plain: Outputs, found: Outputs, tolerance: dict[str, float]) -> bool:
    """Whether two layouts give other numbers, for more than one image."""
    return any(
        sum(_apart(a, b, tolerance[name]) for a, b in zip(plain.layers[name], other, strict=True))
        > 1
        for name, other in found.layers.items()
    )


def _apart(one: torch.Tensor, two: torch.Tensor, tolerance: float) -> bool:
    return one.shape != two.shape or _difference(one, two) > tolerance


def _difference(one: torch.Tensor, two: torch.Tensor) -> float:
    """Root mean square of a difference over that of the values; where either is not finite, 0."""
    first, second = one.double(), two.double()
    finite = first.isfinite() & second.isfinite()
    first, second = first[finite], second[finite]
    if not first.numel():
        return 0.0
    largest = torch.maximum(first.abs().max(), second.abs().max())
    if largest == 0:
        return 0.0
    first, second = first / largest, second / largest
    return float((first - second).square().mean().sqrt() / second.square().mean().sqrt())


def _bits(values: torch.Tensor) -> torch.Tensor:
    """NaN equals NaN; and -0 equals 0, which no sum tells apart."""
    return values.nan_to_num(nan=1.2345e-30) + 0.0


def _where(model: nn.Module, images: torch.Tensor, memory: str, *, alone: bool) -> tuple[str, str]:
    """Name the module in which the outputs begin to differ, and its kind; empty if not found."""
    first = _calls(model, images, memory, digest=not alone)
    second = _calls(model, images[:1] if alone else images, memory, digest=not alone)
    modules = dict(model.named_modules())
    before = ""
    for name, (given, gave, drew) in first.items():
        inputs, outputs = (
            _same(one, two) for one, two in zip((given, gave), second[name], strict=False)
        )
        if inputs is None or outputs is None:
            continue
        kind = type(modules[name]).__name__
        if inputs and (drew or not outputs):
            return f"; it starts in {f'module {name!r} ({kind})' if name else kind}", kind
        if not inputs:
            between = f"between {before!r} and {name!r}" if before else f"before {name!r}"
            owner = type(modules[name.rpartition(".")[0]]).__name__
            return f"; it starts {between}, in the forward of {owner}", owner
        before = name
    return "", ""


def _calls(
    model: nn.Module, images: torch.Tensor, memory: str, *, digest: bool
) -> dict[str, tuple[Any, Any, bool]]:
    """By module, innermost first: its first input and output, and whether it drew at random.

    Of values either a digest is kept, or they themselves.
    """
    calls: dict[str, tuple[Any, Any, bool]] = {}
    given: dict[str, tuple[Any, Any]] = {}

    def note(value: Any) -> Any:
        while isinstance(value, tuple | list) and value:
            value = value[0]
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            return None
        kept = value.detach().float().cpu().contiguous()
        return hashlib.sha256(_bits(kept).numpy().tobytes()).digest() if digest else kept.clone()

    handles = []
    for name, module in model.named_modules():

        def enter(module: nn.Module, inputs: Any, name: str = name) -> None:
            given.setdefault(name, (note(inputs), generator_states()))

        def leave(module: nn.Module, inputs: Any, output: Any, name: str = name) -> None:
            entered, states = given[name]
            calls.setdefault(name, (entered, note(output), generator_states() != states))

        handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
    try:
        model(_laid_out(images, memory))
    finally:
        for handle in handles:
            handle.remove()
    return calls


def _same(one: Any, two: Any) -> bool | None:
    """Whether noted values agree; None where that cannot be said."""
    if not isinstance(one, torch.Tensor) or not isinstance(two, torch.Tensor):
        return None if one is None or two is None else one == two
    # Windows and tokens of an image come one after another where it is the first of its batch.
    one = one[: len(two)] if one.ndim and two.ndim else one
    return None if one.shape != two.shape else not _apart(one, two, 1e-3)


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Put generators, buffers and the layout of memory back as they were."""
    states = generator_states()
    with keeping_buffers(model):
        try:
            yield
        finally:
            restore_generators(states)
            model.to(memory_format=torch.contiguous_format)


def _lay_out(model: nn.Module, memory: str) -> None:
    model.to(memory_format=MEMORY_FORMATS[memory])
