"""Hue, saturation and value of images in [0, 1], as planes and back.

Smith (1978), "Color gamut transform pairs", Computer Graphics 12(3): 12-19.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

# What is fed into a segment. Hue is an angle: as cosine and sine, red's neighbours on both sides of
# it are neighbours.
PLANES = ("hue_cosine", "hue_sine", "saturation", "value")
# What varies alone in a picture.
COORDINATES = ("hue", "saturation", "value")


class Color(NamedTuple):
    """A color: hue in sixths of a turn, saturation and value in [0, 1]."""

    sixths: float
    saturation: float
    value: float


def hue_chroma_value(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return hue in sixths of a turn, in [-1, 5], chroma and value of `(n, 3, H, W)`: `(n, H, W)`.

    Smith (1978), "Color gamut transform pairs"; a gray pixel has hue 0.
    """
    red, green, blue = images.unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    divisor = chroma.clamp(min=1e-30)
    sixths = torch.where(
        red == value,
        (green - blue) / divisor,
        torch.where(
            green == value,
            (blue - red) / divisor + 2.0,
            (red - green) / divisor + 4.0,
        ),
    )
    return sixths, chroma, value


def colors(sixths: torch.Tensor, chroma: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Return `(n, 3, H, W)` of hue in sixths of a turn, chroma and value `(n, H, W)`.

    ``sixths`` is written into.
    """
    sixths -= torch.floor(sixths * (1 / 6)).mul_(6.0)
    output = torch.empty((len(value), 3, *value.shape[1:]), dtype=value.dtype, device=value.device)
    # A channel is value - chroma * trapezoid(hue): red's is highest at cyan, 3, green's and blue's
    # are lowest at green, 2, and blue, 4.
    trapezoids = (
        2.0 - (sixths - 3.0).abs_(),
        (sixths - 2.0).abs_().sub_(1.0),
        (sixths - 4.0).abs_().sub_(1.0),
    )
    for channel, trapezoid in enumerate(trapezoids):
        torch.sub(value, trapezoid.clamp_(0.0, 1.0).mul_(chroma), out=output[:, channel])
    return output


def saturation_of(chroma: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Return chroma over value, 0 where all is black."""
    return torch.where(value > 0, chroma / value.clamp(min=1e-30), 0.0)


def planes(images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the planes of images `(n, C, H, W)` by name, `(n, H, W)` each.

    Cosine and sine are in [-1, 1], of a gray pixel 1 and 0; images of one channel have a value
    alone.

    Example:
        >>> red = torch.tensor([1.0, 0.0, 0.0])[None, :, None, None]
        >>> {name: float(plane) for name, plane in planes(red).items()}
        {'hue_cosine': 1.0, 'hue_sine': 0.0, 'saturation': 1.0, 'value': 1.0}
    """
    if images.shape[1] == 1:
        return {"value": images[:, 0]}
    sixths, chroma, value = hue_chroma_value(images)
    angle = sixths * (torch.pi / 3)
    found = (torch.cos(angle), torch.sin(angle), saturation_of(chroma, value), value)
    return dict(zip(PLANES, found, strict=True))


def typical(images: torch.Tensor) -> Color:
    """Return the mean saturation and value, and the circular mean of hue weighted by chroma.

    Args:
        images: `(n, 3, H, W)` in [0, 1]. A gray pixel has no hue, and no chroma either.
    """
    sixths, chroma, value = (part.double() for part in hue_chroma_value(images))
    angle = sixths * (torch.pi / 3)
    mean = torch.atan2((chroma * angle.sin()).sum(), (chroma * angle.cos()).sum())
    saturation = saturation_of(chroma, value).mean()
    return Color(float(mean) * 3 / torch.pi, float(saturation), float(value.mean()))


def varying_alone(images: torch.Tensor, coordinate: str, rest: Color) -> torch.Tensor:
    """Return images in which one of hue, saturation and value varies, and the others are fixed.

    Args:
        images: `(n, 3, H, W)` in [0, 1].
        coordinate: one of `COORDINATES`.
        rest: what the others are fixed at.
    """
    sixths, chroma, value = hue_chroma_value(images)
    saturation = saturation_of(chroma, value)
    if coordinate != "hue":
        sixths = torch.full_like(sixths, rest.sixths)
    if coordinate != "saturation":
        saturation = torch.full_like(saturation, rest.saturation)
    if coordinate != "value":
        value = torch.full_like(value, rest.value)
    return colors(sixths, saturation * value, value)
