"""Grad-CAM: a layer's maps, each weighted by the mean derivative of the unit by it.

    L = ReLU(sum_k a_k A^k),  a_k = mean over (i, j) of dy / dA^k_ij

Selvaraju et al. (2017, ICCV, arXiv 1610.02391, eqs. 1 and 2). The mean takes the derivative as
if it were the same everywhere: where it is not, a map may point at places that do not matter, which
`variscope.attributions.hires_cam` does not.
"""

from __future__ import annotations

import torch
from torch import nn

from variscope.attributions import Attribution
from variscope.attributions.layer_maps import Seen, found_layer, seen
from variscope.inputs.axes import Layer


def weighted_maps(found: Seen) -> torch.Tensor:
    """Return Grad-CAM's maps before the ReLU, ``(n, y, x)``."""
    weights = found.gradients.mean(dim=(2, 3), keepdim=True)
    return (weights * found.maps).sum(dim=1)


def grad_cam(
    model: nn.Module,
    images: torch.Tensor,
    target: torch.Tensor,
    *,
    layer: Layer | str | None = None,
    positive: bool = True,
) -> torch.Tensor:
    """Return Grad-CAM's maps, at the resolution of the layer, ``(n, y, x)``.

    Args:
        model: `variscope.responses.network.scored.Scored`, or a network that takes the images.
        images: ``(n, C, H, W)`` in [0, 1].
        target: numbers of the units, int64 ``(n,)``.
        layer: of ``model.network``, whose units lie in the plane: channels, or tokens of a grid of
            patches, of which class tokens are left out. None: the last one that the units depend
            on.
        positive: set what is below 0 to 0, as published.

    Raises:
        UserError: the layer has no maps, or does not come before the units.
    """
    maps = weighted_maps(seen(model, images, target, found_layer(model, images, target, layer)))
    return maps.relu() if positive else maps


ATTRIBUTION = Attribution(
    name="grad_cam",
    title="Grad-CAM",
    says="a layer's maps, weighted by the mean derivative of the score by each; 0 for less than 0",
    attribute=grad_cam,
)
