"""What deleted cells are filled with."""

from __future__ import annotations

import torch


def replacement(images: torch.Tensor, fill: str, grid: int) -> torch.Tensor:
    """Return what is put in the place of deleted cells, ``(n, C, H, W)``.

    Args:
        images: in [0, 1], ``(n, C, H, W)``.
        fill: ``"black"``; ``"mean"``, the image's mean color; ``"blurred"``, the image under a
            Gaussian of half a cell, its weights those of the pixels that there are.
        grid: cells a side.
    """
    if fill == "black":
        return torch.zeros_like(images)
    if fill == "mean":
        return images.mean(dim=(2, 3), keepdim=True).expand_as(images).contiguous()
    if fill == "blurred":
        rows, columns = (_smoothing(side, side / grid / 2, images) for side in images.shape[2:])
        return (rows @ images @ columns.T).clamp(0, 1)
    raise ValueError(f"fill is {fill!r}; allowed: black, mean, blurred")


def _smoothing(side: int, sigma: float, like: torch.Tensor) -> torch.Tensor:
    place = torch.arange(side, dtype=torch.float64)
    weights = torch.exp(-((place[:, None] - place) ** 2) / (2 * sigma**2))
    return (weights / weights.sum(dim=1, keepdim=True)).to(like)
