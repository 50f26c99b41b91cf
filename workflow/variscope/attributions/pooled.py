"""The units of a layer as they are maximised: classes, neurons, or channels over their places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import nn

from variscope.attributions.layer_maps import in_plane
from variscope.inputs.axes import Layer
from variscope.inputs.layers import place_of, tensor_at
from variscope.responses.network.opened import Network

Pool = Literal["mean", "centre"]


def pooled(layer: Layer, outputs: torch.Tensor, pool: Pool = "mean") -> torch.Tensor:
    """Return a layer's outputs as one value for each channel, feature or neuron, ``(n, unit)``.

    Args:
        layer: whose outputs they are.
        outputs: as reported, ``(n, *unit)``.
        pool: of channels with places the mean over them, or the value at the centre. Features of
            tokens are means over the patches, or over all tokens where patches are not known.
    """
    if layer.in_plane:
        maps = in_plane(replace(layer, axes=()), outputs)
        rows, columns = maps.shape[2:]
        if pool == "centre":
            return maps[:, :, rows // 2, columns // 2]
        return maps.mean(dim=(2, 3))
    if layer.dims == ("token", "feature"):
        return outputs.mean(dim=1)
    if layer.dims[0] == "channel":
        return outputs.flatten(2).mean(dim=2)
    return outputs.flatten(1)


class Pooled(nn.Module):
    """The network with its normalisation inside, up to a layer, whose units it gives.

    What comes behind the layer is not run.

    Args:
        network: in eval mode.
        mean, std: its normalisation, of each channel.
        layer: whose units are given, before any softmax.
        pool: as of `pooled`; "maps" gives maps ``(n, channel, y, x)`` of a layer that has them.
    """

    def __init__(
        self,
        network: nn.Module,
        mean: Sequence[float],
        std: Sequence[float],
        layer: Layer,
        pool: Pool | Literal["maps"] = "mean",
    ) -> None:
        super().__init__()
        self.network = network
        self.layer = replace(layer, softmax=False)
        self.pool = pool
        like = next((p for p in network.parameters() if p.is_floating_point()), torch.empty(0))
        for name, values in (("mean", mean), ("std", std)):
            tensor = torch.tensor(values, dtype=like.dtype, device=like.device)[:, None, None]
            self.register_buffer(name, tensor, persistent=False)
        self.eval()

    @classmethod
    def of(cls, opened: Network, layer: Layer, pool: Pool | Literal["maps"] = "mean") -> Pooled:
        """Return the units of a layer of a network."""
        return cls(opened.model, opened.mean, opened.std, layer, pool)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the units' outputs, ``(n, unit)``, or maps.

        Args:
            images: ``(n, C, H, W)`` in [0, 1].
        """
        module, place = place_of(self.network, self.layer.name)

        def catch(_: nn.Module, __: Any, output: Any) -> None:
            raise _Reached(tensor_at(output, place, self.layer.name))

        modules = dict(self.network.named_modules(remove_duplicate=False))
        handle = modules[module].register_forward_hook(catch)
        try:
            self.network((images - self.mean) / self.std)  # type: ignore[operator]
        except _Reached as reached:
            outputs = self.layer.arranged(reached.output)
        finally:
            handle.remove()
        if self.pool == "maps":
            return in_plane(replace(self.layer, axes=()), outputs)
        return pooled(self.layer, outputs, self.pool)


class _Reached(Exception):
    """Ends a pass where the layer is reached."""

    def __init__(self, output: torch.Tensor) -> None:
        super().__init__()
        self.output = output
