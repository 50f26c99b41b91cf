"""A network as attributions take it: from images in [0, 1] to the units that they are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from variscope.inputs.layers import Layer, place_of, tensor_at
from variscope.responses.network.opened import Network


class Scored(nn.Module):
    """The network with its normalisation inside, so that gradients are those of the image itself.

    Args:
        network: in eval mode.
        mean, std: its normalisation, of each channel.
        layer: whose units are given, in its reported order; None: what the network puts out.
    """

    def __init__(
        self,
        network: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        layer: Layer | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.layer = layer
        like = next((p for p in network.parameters() if p.is_floating_point()), torch.empty(0))
        for name, values in (("mean", mean), ("std", std)):
            tensor = torch.tensor(values, dtype=like.dtype, device=like.device)[:, None, None]
            self.register_buffer(name, tensor, persistent=False)
        self.eval()

    @classmethod
    def of(cls, opened: Network, layer: str | None = None) -> Scored:
        """Return the class scores of a network before any softmax, or the units of a layer.

        Args:
            opened: the network.
            layer: name of a studied layer; None: that of the class scores, or the last one where
                the outputs are no scores.
        """
        name = layer or opened.scores or opened.layers[-1].name
        found = next((one for one in opened.layers if one.name == name), None)
        if found is None:
            known = ", ".join(one.name for one in opened.layers)
            raise ValueError(f"{name} is none of the studied layers: {known}")
        return cls(opened.model, opened.mean, opened.std, replace(found, softmax=False))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the units' outputs, ``(n, unit)``, units of a layer flattened in C order.

        Args:
            images: ``(n, C, H, W)`` in [0, 1].
        """
        normalised = (images - self.mean) / self.std  # type: ignore[operator]
        if self.layer is None:
            return torch.as_tensor(self.network(normalised)).flatten(1)
        caught: list[torch.Tensor] = []
        layer = self.layer
        module, place = place_of(self.network, layer.name)

        def catch(_: nn.Module, __: Any, output: Any) -> None:
            # A copy: a later module may work in place on what this one gave.
            caught.append(layer.arranged(tensor_at(output, place, layer.name)).clone())

        modules = dict(self.network.named_modules(remove_duplicate=False))
        handle = modules[module].register_forward_hook(catch)
        try:
            self.network(normalised)
        finally:
            handle.remove()
        return caught[-1].flatten(1)
