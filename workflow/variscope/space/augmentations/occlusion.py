"""Augmentations that hide a part of the image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from variscope.errors import UserError
from variscope.space.augmentations.definition import Parameter, finite_number
from variscope.space.augmentations.registry import augmentation
from variscope.space.augmentations.tensors import column, precise


def _colour(value: Any) -> tuple[float, ...]:
    try:
        if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 3:
            return tuple(finite_number(channel, minimum=0.0, maximum=1.0) for channel in value)
    except ValueError:
        pass
    raise ValueError("three numbers within [0, 1]: red, green, blue")


@augmentation(
    "erasing",
    parameters=(
        Parameter(name="row", low=0.2, high=0.8, unit="pixels", scale="height"),
        Parameter(name="column", low=0.2, high=0.8, unit="pixels", scale="width"),
        Parameter(name="area", low=0.02, high=0.33, minimum=0.0, maximum=1.0),
        Parameter(name="log_aspect", low=math.log(0.3), high=math.log(3.3)),
    ),
    description="A box of one colour over a part of the image.",
    checks={"colour": _colour},
)
def erasing(
    images: torch.Tensor,
    parameters: torch.Tensor,
    *,
    colour: tuple[float, float, float] = (0.5, 0.5, 0.5),
) -> torch.Tensor:
    """Fill a box with `colour`; what reaches beyond the image is clipped.

    The box is centred at `row` and `column` (continuous: pixel i covers [i, i + 1)), its area is
    the share `area` of the image's, and `log_aspect` the natural logarithm of its width over its
    height. It takes the pixels whose centres lie within, so that the expected number of rows and
    columns is the box's height and width.

    Args:
        colour: red, green and blue in [0, 1]; three equal numbers on images of one channel.

    Raises:
        UserError: the colour is not gray, and the images have one channel.
    """
    height, width = images.shape[2:]
    row, col, area, log_aspect = (column(parameters, k) for k in range(4))
    pixels = precise(area) * (height * width)
    aspect = torch.exp(precise(log_aspect))
    half_height = (torch.sqrt(pixels / aspect) / 2).to(images.dtype)
    half_width = (torch.sqrt(pixels * aspect) / 2).to(images.dtype)
    y = torch.arange(height, dtype=images.dtype, device=images.device)[:, None] + 0.5
    x = torch.arange(width, dtype=images.dtype, device=images.device) + 0.5
    in_rows = (y >= row - half_height) & (y < row + half_height)
    in_columns = (x >= col - half_width) & (x < col + half_width)
    if images.shape[1] == 1 and len(set(colour)) > 1:
        raise UserError(
            f"erasing: colour is {list(colour)}, and the images have one channel; allowed: three "
            "equal numbers"
        )
    filling = images.new_tensor(colour[: images.shape[1]])[:, None, None]
    return torch.where(in_rows & in_columns, filling, images)
