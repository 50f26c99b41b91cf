"""The part of an image that a place of a layer's maps reads, found by gradients."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn


class Box(NamedTuple):
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right`` of an image, ends left out."""

    top: int
    left: int
    bottom: int
    right: int


def receptive_box(model: nn.Module, images: torch.Tensor, row: int, column: int) -> Box:
    """Return the smallest box that holds all pixels which a place reads.

    They are those by which the derivative of the place's channels, weighted at random, is not 0
    for at least one of the images: found for any network, whatever its layers. A network that
    puts everything together somewhere, as attention does, reads the whole image.

    Args:
        model: from images to maps ``(n, channel, y, x)``
            (`variscope.attributions.pooled.Pooled` with the pool "maps").
        images: ``(n, C, H, W)``: several, since a maximum or a rectifier hands on a part alone.
        row, column: of the place in the maps.

    Returns:
        The box; of the whole image where the place reads nothing.
    """
    seen = images.detach().clone().requires_grad_()
    with torch.enable_grad():
        channels = model(seen)[:, :, row, column]
        # With equal weights the sum behind a normalisation over channels would not vary.
        draw = torch.Generator().manual_seed(0)
        weights = torch.rand(channels.shape[1], generator=draw) + 0.5
        weighted = (channels * weights.to(channels)).sum()
        if not weighted.requires_grad:
            return Box(0, 0, *images.shape[2:])
        (gradient,) = torch.autograd.grad(weighted, seen, allow_unused=True)
    if gradient is None or not gradient.any():
        return Box(0, 0, *images.shape[2:])
    read = (gradient != 0).any(dim=1).any(dim=0)
    rows, columns = read.any(dim=1).nonzero(), read.any(dim=0).nonzero()
    return Box(int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1)
