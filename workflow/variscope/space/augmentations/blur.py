"""Gaussian blur, of the whole image and within an ellipse."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch.nn.functional import pad

from variscope.space.augmentations.definition import Parameter, finite_number
from variscope.space.augmentations.registry import augmentation
from variscope.space.augmentations.tensors import centred, column, precise


def _pixels(
    name: str,
    low: float,
    high: float,
    scale: Literal["height", "width", "size"] = "size",
    minimum: float = float("-inf"),
) -> Parameter:
    """Return a parameter in pixels; the bounds are those published for images of 224 x 224."""
    return Parameter(
        name=name, low=low / 224, high=high / 224, unit="pixels", scale=scale, minimum=minimum
    )


@augmentation(
    "gaussian_blur",
    parameters=(_pixels("sigma", 0.1, 2.0, minimum=0.0),),
    description="Gaussian blur.",
)
def gaussian_blur(images: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
    """Blur with standard deviation `sigma` and a kernel of 2 ceil(3 sigma) + 1 pixels.

    Equals torchvision's gaussian_blur with that kernel size; borders are reflected. A kernel too
    large to be reflected is cut to 2 H - 1 or 2 W - 1 pixels. A sigma of 0 is the identity.
    """
    return _blur(images, parameters[:, 0])


def _sigma_or_none(value: Any) -> float | None:
    try:
        return None if value is None else finite_number(value, minimum=0.0)
    except ValueError as error:
        raise ValueError(f"null, or {error}") from None


@augmentation(
    "elliptic_local_blur",
    parameters=(
        _pixels("semi_axis_rows", 10.0, 32.0, minimum=0.0),
        _pixels("semi_axis_columns", 10.0, 32.0, minimum=0.0),
        _pixels("shift_rows", -32.0, 32.0, "height"),
        _pixels("shift_columns", -32.0, 32.0, "width"),
        Parameter(name="angle", low=-15.0, high=15.0, unit="degrees"),
    ),
    description="Gaussian blur within an ellipse, the original outside.",
    checks={"sigma": _sigma_or_none},
)
def elliptic_local_blur(
    images: torch.Tensor, parameters: torch.Tensor, *, sigma: float | None = None
) -> torch.Tensor:
    """Blur the pixels whose centres lie within an ellipse; the others stay as they are.

    The ellipse's centre is the image's, shifted down by `shift_rows` and to the right by
    `shift_columns`. `semi_axis_rows` is its half length along the rows' direction of counting
    (vertical) and `semi_axis_columns` across (horizontal), before it is turned counter-clockwise by
    `angle`.

    Args:
        sigma: standard deviation of the blur in pixels; None stands for 3 pixels at an image size
            of 224, scaled by the smaller side.
    """
    if sigma is None:
        sigma = 3.0 / 224 * min(images.shape[2:])
    # Only what the ellipses cover is blurred, with the margin that the kernel reaches. Where the
    # margin is cut at the image's border, that border is reflected as in the whole image.
    margin = int(_radius(torch.tensor(sigma)))
    rows, columns = _covered(images, parameters, margin)
    if margin >= min(images.shape[2:]):  # the kernel's cut depends on the size: keep all of it
        rows, columns = slice(images.shape[2]), slice(images.shape[3])
    part = images[:, :, rows, columns]
    if not part.numel():
        return images
    blurred = _blur(part, torch.full_like(images[:, 0, 0, 0], sigma))
    output = images.clone()
    inside = _ellipse(images, parameters, rows, columns)
    output[:, :, rows, columns] = torch.where(inside, blurred, part)
    return output


def _covered(images: torch.Tensor, parameters: torch.Tensor, margin: int) -> tuple[slice, slice]:
    """Return rows and columns with all pixels of the ellipses, and this many more on each side."""
    axis_y, axis_x, shift_y, shift_x, angle = precise(parameters[:, :5]).unbind(1)
    cos, sin = torch.deg2rad(angle).cos(), torch.deg2rad(angle).sin()
    reach_y = torch.hypot(axis_y * cos, axis_x * sin)
    reach_x = torch.hypot(axis_x * cos, axis_y * sin)
    bounds = []
    for size, shift, reach in (
        (images.shape[2], shift_y, reach_y),
        (images.shape[3], shift_x, reach_x),
    ):
        centre = (size - 1) / 2
        # One pixel more than the bounds, which may be rounded.
        first = math.floor(centre + float((shift - reach).min())) - 1 - margin
        last = math.ceil(centre + float((shift + reach).max())) + 1 + margin
        bounds.append(slice(max(0, first), max(0, last + 1)))
    return bounds[0], bounds[1]


def _ellipse(
    images: torch.Tensor, parameters: torch.Tensor, rows: slice, columns: slice
) -> torch.Tensor:
    """Return which of these pixels lie within each image's ellipse, `(n, 1, rows, columns)`."""
    height, width = images.shape[2:]
    axis_y, axis_x, shift_y, shift_x, angle = (column(parameters, k) for k in range(5))
    radians = torch.deg2rad(precise(angle))
    cos, sin = radians.cos().to(images.dtype), radians.sin().to(images.dtype)
    y = centred(height, images)[rows, None] - shift_y
    x = centred(width, images)[columns] - shift_x
    along = (cos * x - sin * y) / axis_x
    across = (sin * x + cos * y) / axis_y
    return along * along + across * across <= 1.0


def _radius(sigma: torch.Tensor) -> torch.Tensor:
    return torch.ceil(3.0 * precise(sigma))


def _blur(images: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Blur `(n, c, H, W)` with one standard deviation in pixels per image, `(n,)`.

    On a CPU images with kernels of one length are blurred together, so that short kernels cost
    less; on a GPU all are, since one large operation is faster than several small ones.
    """
    radius = _radius(sigma)
    if images.device.type != "cpu" or len(radius.unique()) < 2:
        return _blur_along(_blur_along(images, sigma, 2), sigma, 3)
    output = torch.empty_like(images)
    for one in radius.unique():
        (rows,) = torch.nonzero(radius == one, as_tuple=True)
        part = sigma[rows]
        output[rows] = _blur_along(_blur_along(images[rows], part, 2), part, 3)
    return output


def _blur_along(images: torch.Tensor, sigma: torch.Tensor, dimension: int) -> torch.Tensor:
    """Blur along one dimension by adding shifted slices from the centre outwards.

    Images with a shorter kernel than the longest of the batch meet weights of exactly 0 last, so
    that they come out as if alone. Grouped convolutions, one kernel per image, are not faster.
    """
    size = images.shape[dimension]
    weights = _half_kernel(sigma, size)
    longest = weights.shape[1] - 1
    if longest == 0:
        return images
    widths = (0, 0, longest, longest) if dimension == 2 else (longest, longest, 0, 0)
    padded = pad(images, widths, mode="reflect")
    output = padded.narrow(dimension, longest, size) * column(weights, 0)
    pair = torch.empty_like(output)
    for distance in range(1, longest + 1):
        before = padded.narrow(dimension, longest - distance, size)
        after = padded.narrow(dimension, longest + distance, size)
        torch.add(before, after, out=pair)
        output += pair.mul_(column(weights, distance))
    return output


def _half_kernel(sigma: torch.Tensor, size: int) -> torch.Tensor:
    """Return the weights at the distances 0, 1, ..., of each image's kernel, `(n, distance)`.

    They add up to 1 over the whole kernel and are 0 beyond min(ceil(3 sigma), size - 1).
    """
    radius = _radius(sigma).clamp(max=size - 1)
    longest = int(radius.max())
    deviation = precise(sigma)
    weights = [torch.ones_like(deviation)]
    total = torch.ones_like(deviation)
    for distance in range(1, longest + 1):
        weight = torch.exp(-0.5 * (distance / deviation) ** 2)
        weight = torch.where(distance <= radius, weight, torch.zeros_like(weight))
        weights.append(weight)
        total = total + 2.0 * weight
    return (torch.stack(weights, dim=1) / total[:, None]).to(sigma.dtype)
