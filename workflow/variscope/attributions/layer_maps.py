"""Maps of a layer and the gradient of a unit by them, which Grad-CAM and HiResCAM are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, NamedTuple

import torch
from torch import nn

from variscope.attributions.asked import asked, differentiable
from variscope.errors import UserError
from variscope.inputs.axes import Layer
from variscope.inputs.layers import place_of, probe, tensor_at, trace


class Seen(NamedTuple):
    """A layer's maps, and the derivative of each image's unit by them, ``(n, channel, y, x)``."""

    maps: torch.Tensor
    gradients: torch.Tensor


def in_plane(layer: Layer, outputs: torch.Tensor) -> torch.Tensor:
    """Return outputs ``(n, *output)`` as maps ``(n, channel, y, x)``.

    Tokens become maps of their features; those that are no patches are left out.
    """
    arranged = layer.arranged(outputs)
    if layer.grid is None:
        return arranged
    patches = arranged[:, len(layer.prefix) :]
    return patches.transpose(1, 2).unflatten(2, layer.grid)


def seen(model: nn.Module, images: torch.Tensor, target: torch.Tensor, layer: Layer) -> Seen:
    """Run a model and return a layer's maps, and the derivative of the units by them.

    Args:
        model: `variscope.responses.network.scored.Scored`, or a network that takes the images.
        images: ``(n, C, H, W)`` in [0, 1].
        target: numbers of the units, int64 ``(n,)``.
        layer: of ``model.network``, one with maps.

    Returns:
        Maps and derivatives; these are 0 where the units do not depend on the layer.

    Raises:
        UserError: the layer has no maps, or the units do not come after it.
    """
    if not layer.in_plane:
        raise UserError(
            f"layer: {layer.name!r} has no maps, its output for one image is {layer.output}; "
            "allowed: one whose units lie in the plane"
        )
    network = getattr(model, "network", model)
    name, place = place_of(network, layer.name)
    modules = dict(network.named_modules(remove_duplicate=False))
    caught: list[torch.Tensor] = []
    after: list[bool] = []  # whether the units were made with the layer behind them

    def cut(_: nn.Module, __: Any, output: Any) -> Any:
        # Gradients are wanted from here on: what comes before is cut off. What goes on is a copy,
        # since a later module may work in place.
        leaf = tensor_at(output, place, layer.name).detach().clone().requires_grad_()
        caught.append(leaf)
        return _with(output, place, leaf.clone())

    def reached(_: nn.Module, __: Any, ___: Any) -> None:
        after.append(bool(caught))

    handles = []
    try:
        with differentiable():
            of = getattr(getattr(model, "layer", None), "name", "")
            if of:  # this hook goes first, so that a layer is not before itself
                asked_of = modules[place_of(network, of)[0]]
                handles.append(asked_of.register_forward_hook(reached))
            handles.append(modules[name].register_forward_hook(cut))
            scores = asked(model(images.detach()), target)
            if len(caught) != 1:
                raise UserError(f"layer: {layer.name!r} is called {len(caught)} times in one pass")
            if not all(after):
                raise UserError(
                    f"layer: {layer.name!r} does not come before {of!r}, whose units are "
                    "asked for; allowed: an earlier one"
                )
            (leaf,) = caught
            found = (
                torch.autograd.grad(scores.sum(), leaf, allow_unused=True)[0]
                if scores.requires_grad
                else None
            )
    finally:
        for handle in handles:
            handle.remove()
    gradients = torch.zeros_like(leaf) if found is None else found
    return Seen(in_plane(layer, leaf.detach()), in_plane(layer, gradients))


def _with(output: Any, place: Sequence[str], tensor: torch.Tensor) -> Any:
    """Return a module's output with another tensor at a place."""
    if not place:
        return tensor
    key, *rest = place
    if isinstance(output, Mapping):
        made: Any = copy(output)
        own = next(known for known in output if str(known) == key)
        made[own] = _with(output[own], rest, tensor)
        return made
    items = list(output)
    items[int(key)] = _with(items[int(key)], rest, tensor)
    if isinstance(output, list):
        return items
    return type(output)(*items) if hasattr(output, "_fields") else tuple(items)


def last_of(
    model: nn.Module, images: torch.Tensor, target: torch.Tensor, layers: Sequence[Layer]
) -> Layer | None:
    """Return the last layer of maps that the units depend on; None where no layer has maps.

    The last block of a transformer hands a class token to the head, and its patches to nobody: a
    map of them would be 0 everywhere. Where the units depend on none, the last one.

    Args:
        model, images, target: as of `seen`; of few images.
        layers: in the order of the network.
    """
    with_maps = [layer for layer in reversed(layers) if layer.in_plane]
    for layer in with_maps:
        try:
            if seen(model, images, target, layer).gradients.any():
                return layer
        except UserError:
            continue  # it comes after the units
    return with_maps[0] if with_maps else None


def found_layer(
    model: nn.Module, images: torch.Tensor, target: torch.Tensor, layer: Layer | str | None
) -> Layer:
    """Return the layer that a method is asked to look at.

    Args:
        model, images, target: as of `seen`.
        layer: a layer; the name of a module of ``model.network``; None: the last one with maps that
            the units depend on.

    Raises:
        UserError: there is no such module, or none with maps.
    """
    if isinstance(layer, Layer):
        return layer
    network = getattr(model, "network", model)
    channels, height, width = images.shape[1:]
    shape = (channels, height, width)
    if layer is not None:
        return probe(network, [layer], shape)[0]
    one = slice(0, 1)
    names = [name for name, module in network.named_modules() if name]
    called = trace(network, names, images[one].detach())
    for name in reversed([name for name, call in called.items() if call.count]):
        try:
            candidate = probe(network, [name], shape)
        except UserError:
            continue
        chosen = last_of(model, images[one], target[one], candidate)
        if chosen and seen(model, images[one], target[one], chosen).gradients.any():
            return chosen
    raise UserError("layer: the network has no layer of maps that its scores depend on; name one")
