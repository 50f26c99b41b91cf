"""Occlusion: what a unit's output loses when a window of the image is covered.

Zeiler and Fergus (2014, arXiv 1311.2901, section 4.2) slide a grey square over the image. A pixel's
value is the mean over the windows that cover it of f(x) - f(x covered), as captum has it.
"""

from __future__ import annotations

import torch
from torch import nn

from variscope.attributions import Attribution

AT_ONCE = 64  # images of a pass


def starts(side: int, window: int, stride: int) -> range:
    """Return where windows begin along a side: the last one that begins may be cut off by its end.

    Example:
        >>> list(starts(10, 4, 3)), list(starts(11, 4, 3))
        ([0, 3, 6], [0, 3, 6, 9])
    """
    count = -(-max(0, side - window) // stride) + 1
    return range(0, count * stride, stride)


@torch.no_grad()
def occlusion(
    model: nn.Module,
    images: torch.Tensor,
    target: torch.Tensor,
    *,
    window: int | None = None,
    stride: int | None = None,
    fill: float | str = "mean",
    at_once: int = AT_ONCE,
) -> torch.Tensor:
    """Return maps of what the unit loses, ``(n, H, W)``; below 0 where it gains.

    Args:
        model: from images to units.
        images: ``(n, C, H, W)`` in [0, 1].
        target: numbers of the units, int64 ``(n,)``.
        window: side of the square, pixels; None: an eighth of the shorter side.
        stride: pixels from one window to the next, at most the window's side, so that each pixel is
            covered; None: half a window.
        fill: grey value in [0, 1] of covered pixels, or ``"mean"``, the image's own mean colour.
        at_once: images of a pass; those of other images are never among them, so that no value
            depends on which images are looked at together.

    Raises:
        ValueError: a window or a stride that does not cover the image, or another fill.
    """
    height, width = images.shape[-2:]
    window = max(1, min(height, width) // 8) if window is None else window
    stride = max(1, window // 2) if stride is None else stride
    if not 1 <= window <= min(height, width) or not 1 <= stride <= window:
        raise ValueError(
            f"found a window of {window} and a stride of {stride} for images of {height} x {width};"
            " allowed: a window of 1 to the shorter side, a stride of 1 to the window"
        )
    if fill != "mean" and not isinstance(fill, (int, float)):
        raise ValueError(f'fill: found {fill!r}; allowed: a grey value in [0, 1], or "mean"')
    corners = [
        (row, column)
        for row in starts(height, window, stride)
        for column in starts(width, window, stride)
    ]
    windows = torch.zeros((len(corners), 1, height, width), dtype=torch.bool, device=images.device)
    for covered, (row, column) in zip(windows, corners, strict=True):
        covered[:, row : row + window, column : column + window] = True
    times = windows.sum(dim=(0, 1))
    maps = images.new_zeros((len(images), height, width))
    for one, image, unit in zip(maps, images, target, strict=True):
        colour = image.mean(dim=(1, 2), keepdim=True) if fill == "mean" else image.new_tensor(fill)
        whole: dict[int, torch.Tensor] = {}
        for part in windows.split(at_once):
            if len(part) not in whole:
                # The image itself at each place of a batch of that size: what is not read is
                # exactly 0, where the last bit of an output may change from place to place.
                whole[len(part)] = model(torch.where(part & False, colour, image))[:, unit]
            lost = whole[len(part)] - model(torch.where(part, colour, image))[:, unit]
            one += torch.einsum("k,khw->hw", lost, part[:, 0].to(lost.dtype))
    return maps / times


ATTRIBUTION = Attribution(
    name="occlusion",
    title="occlusion",
    says="what the score loses where the pixel is covered, mean over the windows that cover it",
    attribute=occlusion,
    signed=True,
)
