"""HiResCAM: a layer's maps times the derivative of the unit by them, place by place.

    L = sum_k dy / dA^k * A^k

Draelos and Carin (2020, arXiv 2011.08891, eq. 9). Where what follows the layer is linear, the map's
sum is the score less what the network gives when the layer is 0, and a place's value is exactly its
share in that; Grad-CAM, which takes the mean of the derivative first, promises neither.
"""

from __future__ import annotations

import torch
from torch import nn

from variscope.attributions import Attribution
from variscope.attributions.layer_maps import Seen, found_layer, seen
from variscope.inputs.axes import Layer


def products(found: Seen) -> torch.Tensor:
    """Return HiResCAM's maps, ``(n, y, x)``."""
    return (found.gradients * found.maps).sum(dim=1)


def hires_cam(
    model: nn.Module,
    images: torch.Tensor,
    target: torch.Tensor,
    *,
    layer: Layer | str | None = None,
) -> torch.Tensor:
    """Return HiResCAM's maps, at the resolution of the layer, ``(n, y, x)``.

    Args:
        model, images, target, layer: as of `variscope.attributions.grad_cam.grad_cam`.

    Returns:
        The maps, below 0 where the layer's outputs speak against the unit.

    Raises:
        UserError: the layer has no maps, or does not come before the units.
    """
    return products(seen(model, images, target, found_layer(model, images, target, layer)))


ATTRIBUTION = Attribution(
    name="hires_cam",
    title="HiResCAM",
    says="a layer's maps times the derivative of the score by them, summed over channels",
    attribute=hires_cam,
    signed=True,
)
