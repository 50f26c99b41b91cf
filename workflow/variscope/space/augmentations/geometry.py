"""Augmentations that move pixels."""

from __future__ import annotations

import torch
from torch.nn.functional import grid_sample

from variscope.space.augmentations.definition import Parameter
from variscope.space.augmentations.registry import augmentation
from variscope.space.augmentations.tensors import centred, column, precise


@augmentation("hflip", description="Left and right exchanged.")
def hflip(images: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
    """Flip horizontally."""
    return images.flip(-1)


@augmentation(
    "rolling",
    parameters=(
        Parameter(name="rows", low=-0.2, high=0.2, unit="pixels", scale="height", integer=True),
        Parameter(name="columns", low=-0.2, high=0.2, unit="pixels", scale="width", integer=True),
    ),
    description="Circular shift by whole pixels.",
)
def rolling(images: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
    """Shift circularly, down by `rows` and to the right by `columns`, rounded to whole pixels.

    Every whole shift within the bounds is equally likely: for 64 rows, [-12.8, 12.8] allows the 25
    shifts -12, ..., 12. Other values round to the nearest, halves up.
    """
    n, channels, height, width = images.shape
    shifts = (parameters + 0.5).floor().long()
    rows = torch.arange(height, device=images.device) - shifts[:, :1]
    columns = torch.arange(width, device=images.device) - shifts[:, 1:]
    source = rows.remainder(height)[:, :, None] * width + columns.remainder(width)[:, None, :]
    index = source.reshape(n, 1, -1).expand(n, channels, -1)
    return images.reshape(n, channels, -1).gather(2, index).reshape(images.shape)


@augmentation(
    "rotation",
    parameters=(Parameter(name="angle", low=-10.0, high=10.0, unit="degrees"),),
    description="Rotation, with the zoom that leaves no empty corners.",
)
def rotation(images: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
    """Rotate counter-clockwise by `angle`, crop the largest inscribed rectangle and resize it.

    The rectangle has the image's aspect ratio; for a square of side n its side is
    n / (|cos| + |sin|), a zoom of 1.16 at 10 degrees. Rotation, crop and resizing are one bilinear
    interpolation between pixel centres; beyond the outermost centres the border pixel counts.
    An angle of 0 gives the image itself.
    """
    n, _, height, width = images.shape
    angle = torch.deg2rad(precise(parameters[:, 0]))
    cos, sin = angle.cos(), angle.sin()
    # The rectangle of sides scale * (W, H), turned by the angle, must fit into W x H.
    fits_width = width / (width * cos.abs() + height * sin.abs())
    fits_height = height / (width * sin.abs() + height * cos.abs())
    scale = torch.minimum(fits_width, fits_height)
    along = (scale * cos).to(images.dtype)[:, None, None]
    across = (scale * sin).to(images.dtype)[:, None, None]
    x, y = centred(width, images), centred(height, images)[:, None]
    # grid_sample's coordinates run from -1 to 1 between the outer edges of the image.
    grid = torch.empty(n, height, width, 2, dtype=images.dtype, device=images.device)
    torch.sub(along * (2 / width) * x, across * (2 / width) * y, out=grid[..., 0])
    torch.add(across * (2 / height) * x, along * (2 / height) * y, out=grid[..., 1])
    rotated = grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return torch.where(column(parameters, 0) == 0, images, rotated)
