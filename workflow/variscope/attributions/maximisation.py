"""Activation maximisation, from an image: what changes on the way to one that excites a unit more.

The ascent, its optimum and its references are in `variscope.attributions.ascent`.
"""

from __future__ import annotations

import torch
from torch import nn

from variscope.attributions import Attribution
from variscope.attributions.ascent import maximise


def maximisation(
    model: nn.Module,
    images: torch.Tensor,
    target: torch.Tensor,
    *,
    steps: int = 16,
    distance: float = 0.1,
    total_variation: float = 0.0,
    jitter: int = 0,
    blur: float = 0.0,
    at_once: int = 32,
) -> torch.Tensor:
    """Return how much each pixel changes on the way from an image to what excites the unit more.

    The ascent begins at the image and comes to rest at the given distance from it: with
    l2 = 1 / distance and steps of that size its first one goes to the best place of the sphere by
    the image's own gradient, and the others correct it (Frank and Wolfe 1956, Nav. Res. Logist. Q.
    3: 95-110, with steps that fall to 0). Of a linear unit the map is |w|, scaled, where no pixel
    ends at a bound.

    Args:
        model, images, target: as `variscope.attributions` says.
        steps: how many.
        distance: root mean square of the change, in pixel values from 0 to 1.
        total_variation, jitter, blur: as of `maximise`.
        at_once: images of one pass.

    Returns:
        Mean absolute change over the channels, ``(n, H, W)``; 0 where the unit reads nothing, and
        everywhere where it has no gradient.
    """
    found = ascended(
        model, images, target, steps=steps, distance=distance, total_variation=total_variation,
        jitter=jitter, blur=blur, at_once=at_once,
    )  # fmt: skip
    return (found - images).abs().mean(dim=1)


def ascended(
    model: nn.Module,
    images: torch.Tensor,
    target: torch.Tensor,
    *,
    steps: int = 16,
    distance: float = 0.1,
    total_variation: float = 0.0,
    jitter: int = 0,
    blur: float = 0.0,
    at_once: int = 32,
) -> torch.Tensor:
    """Return the images that `maximisation` holds against its own, ``(n, C, H, W)``."""
    return maximise(
        model,
        images,
        target,
        steps=steps,
        step_size=distance,
        l2=1 / distance,
        total_variation=total_variation,
        jitter=jitter,
        blur=blur,
        bound="clip",
        at_once=at_once,
    )


ATTRIBUTION = Attribution(
    name="maximisation",
    title="Activation maximisation",
    says="how much a pixel changes on the way to an image that excites the unit more",
    attribute=maximisation,
)
