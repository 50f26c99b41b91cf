"""Augmentations of color: each equals torchvision's functional of the same name.

Brightness, contrast, saturation and sharpness blend the image with a degenerate one,
`factor * image + (1 - factor) * degenerate` (Haeberli and Voorhies, 1994).
"""

from __future__ import annotations

from functools import partial

import torch

from variscope.space.augmentations.definition import Parameter, finite_number
from variscope.space.augmentations.registry import augmentation
from variscope.space.augmentations.tensors import column, pairwise_mean
from variscope.space.hsv import colors, hue_chroma_value

# Luma of ITU-R BT.601 as torchvision rounds it; the weights add up to 0.9999.
_LUMA = (0.2989, 0.587, 0.114)


def luma(images: torch.Tensor) -> torch.Tensor:
    """Return the gray level of `(n, C, H, W)` as `(n, 1, H, W)`; one channel is its own."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.split(1, dim=1)
    gray = red * _LUMA[0]
    # Multiplied and added apart: fused, vectorised loops and remainders would round differently.
    gray += green * _LUMA[1]
    gray += blue * _LUMA[2]
    return gray


@augmentation("grayscale", description="The luma in all three channels.", of_color=True)
def grayscale(images: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
    """Return the luma of the images in three channels."""
    return luma(images).expand_as(images)


@augmentation(
    "brightness",
    parameters=(Parameter(name="factor", low=0.1, high=2.5, minimum=0.0),),
    description="All values times a factor.",
)
def brightness(images: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
    """Blend with black."""
    return images * column(parameters, 0)


@augmentation(
    "contrast",
    parameters=(Parameter(name="factor", low=0.01, high=3.5, minimum=0.0),),
    description="Distance from the image's mean gray level times a factor.",
)
def contrast(images: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
    """Blend with the mean gray level of the image."""
    mean = pairwise_mean(luma(images).flatten(1))[:, None, None, None]
    return _blend(images, mean, column(parameters, 0))


@augmentation(
    "saturation",
    parameters=(Parameter(name="factor", low=0.01, high=3.5, minimum=0.0),),
    description="Distance from the pixel's gray level times a factor.",
    of_color=True,
)
def saturation(images: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
    """Blend with the grayscale image."""
    return _blend(images, luma(images), column(parameters, 0))


@augmentation(
    "hue",
    parameters=(
        Parameter(name="factor", low=-0.5, high=0.5, unit="turns", minimum=-0.5, maximum=0.5),
    ),
    description="Hue turned by a share of the color circle.",
    of_color=True,
)
def hue(images: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
    """Turn the hue of every pixel, keeping its HSV saturation and value."""
    sixths, chroma, value = hue_chroma_value(images)
    sixths += 6.0 * column(parameters, 0)[:, 0]
    return colors(sixths, chroma, value)


@augmentation(
    "sharpness",
    description="Difference from a smoothed image times a fixed factor.",
    checks={"factor": partial(finite_number, minimum=0.0)},
)
def sharpness(
    images: torch.Tensor, parameters: torch.Tensor, *, factor: float = 1.5
) -> torch.Tensor:
    """Blend with the image smoothed by [[1, 1, 1], [1, 5, 1], [1, 1, 1]] / 13; borders stay.

    Args:
        factor: 0 smooths, 1 keeps, above 1 sharpens.
    """
    if min(images.shape[2:]) < 3:
        return images
    rows = images[:, :, :-2] + images[:, :, 1:-1]
    rows += images[:, :, 2:]
    smooth = rows[..., :-2] + rows[..., 1:-1]
    smooth += rows[..., 2:]
    inner = images[:, :, 1:-1, 1:-1]
    smooth += 4.0 * inner
    smooth /= 13.0
    output = images.clone()
    output[:, :, 1:-1, 1:-1] += (smooth - inner) * (1.0 - factor)
    return output


def _blend(images: torch.Tensor, degenerate: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    return (images * factor).add_(degenerate * (1.0 - factor))
