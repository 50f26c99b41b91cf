"""The gradient of a unit's output with respect to each pixel.

What is differentiated is the class score, not its probability, with the normalisation inside, so
that a map says by how much the unit changes when a pixel goes from black to white, as far as the
network is linear there (Simonyan, Vedaldi and Zisserman 2014, arXiv 1312.6034, section 3).
"""

from __future__ import annotations

import torch
from torch import nn

from variscope.attributions import Attribution
from variscope.attributions.asked import asked, differentiable, reduced


def pixel_gradient(model: nn.Module, images: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the derivative of each image's unit by each value of each pixel.

    Args:
        model: from images to units; parameters that need no gradient are left alone.
        images: ``(n, C, H, W)`` in [0, 1].
        target: numbers of the units, int64 ``(n,)``.

    Returns:
        ``(n, C, H, W)``, units of output over a grey value from 0 to 1; 0 where the unit does not
        depend on the images.
    """
    with differentiable():
        given = images.detach().clone().requires_grad_()
        scores = asked(model(given), target)
        # An output that no pixel led to has no gradient, which autograd would refuse to give.
        if not scores.requires_grad:
            return torch.zeros_like(images)
        (found,) = torch.autograd.grad(scores.sum(), given, allow_unused=True)
    return torch.zeros_like(images) if found is None else found


def gradient(
    model: nn.Module, images: torch.Tensor, target: torch.Tensor, *, channels: str = "absolute"
) -> torch.Tensor:
    """Return gradient maps, ``(n, H, W)``.

    Args:
        model, images, target: as of `pixel_gradient`.
        channels: how a pixel's channels become one value: ``"absolute"``, the sum of the
            derivatives' absolute values; ``"norm"``, their Euclidean norm; ``"signed"``, their sum,
            which is the derivative by the pixel's brightness.
    """
    return reduced(pixel_gradient(model, images, target), channels)


ATTRIBUTION = Attribution(
    name="gradient",
    title="gradient",
    says="sum over channels of the absolute derivative of the score by the pixel",
    attribute=gradient,
)
