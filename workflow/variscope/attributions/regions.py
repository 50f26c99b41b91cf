"""Regions: which cells of an image carry a score, and which do so only together with others.

The cells of a grid over an image are variables: the number m of each, uniform in [0, 1], is the
share that is kept of its pixels, ``m x + (1 - m) fill``. The variance of a unit's output over all
masks is shared out among the cells by the designs and estimators of every study: S1 what a cell
does by itself, ST what it takes part in, Shapley effects shares that sum to 1 (Sobol attribution:
Fel, Cadene, Chalvidal, Cord, Vigouroux, Serre 2021, Look at the variance!, NeurIPS 34, section 3,
which gives ST by Jansen's estimator without intervals).

What differs from that paper, and why:

- *Nearest.* A mask is constant in a cell. Interpolated masks, as there, let a cell act on its
  neighbours' pixels: a cell that the unit does not read would have an index of its own, and here it
  has exactly 0.
- *Fills.* Masked images are none that the network was trained on, and what it makes of them depends
  on what is put in the place of a cell. ``mean``, the image's mean color, takes structure and keeps
  the tone; ``blurred``, the image under a Gaussian of half a cell, takes what is finer than a cell
  and keeps where things are; ``black`` takes light, and draws edges that were not there. A finding
  under one fill alone is one about the fill.
- *Offsets.* Where cells are cut is arbitrary, too. Beside the grid as it is stand those shifted by
  half a cell down, right and both; cells at the border are cut there, so that a shifted grid has
  one more row or column. Wrapped around they would be single cells in two or four places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from variscope.attributions import Attribution
from variscope.designs import Design
from variscope.estimators import Moments
from variscope.estimators.indices import unit_indices
from variscope.responses.functions import function_sums
from variscope.space.regions import FILLS, OFFSETS, Cells

Array = NDArray[Any]


def replacement(images: torch.Tensor, fill: str, grid: int) -> torch.Tensor:
    """Return what is put in the place of masked cells, ``(n, C, H, W)``.

    Args:
        images: in [0, 1], ``(n, C, H, W)``.
        fill: of `FILLS`.
        grid: cells a side, which says how strong ``blurred`` is: a Gaussian whose standard
            deviation is half a cell, its weights those of the pixels that there are.
    """
    if fill == "black":
        return torch.zeros_like(images)
    if fill == "mean":
        return images.mean(dim=(2, 3), keepdim=True).expand_as(images).contiguous()
    if fill == "blurred":
        rows, columns = (_smoothing(side, side / grid / 2, images) for side in images.shape[2:])
        return (rows @ images @ columns.T).clamp(0, 1)
    raise ValueError(f"fill is {fill!r}; allowed: {', '.join(FILLS)}")


def _smoothing(side: int, sigma: float, like: torch.Tensor) -> torch.Tensor:
    """Return the matrix of a Gaussian filter along one side; its rows sum to 1."""
    place = torch.arange(side, dtype=torch.float64)
    weights = torch.exp(-((place[:, None] - place) ** 2) / (2 * sigma**2))
    return (weights / weights.sum(dim=1, keepdim=True)).to(like)


def region_sums(
    model: nn.Module,
    images: torch.Tensor,
    target: torch.Tensor,
    *,
    cells: Cells,
    fills: Sequence[str] = FILLS[:1],
    blocks: int = 64,
    replicates: int = 16,
    seed: int = 1,
    at_once: int = 64,
) -> Moments:
    """Sum a unit's output over masks of each image, by the cycle with a variable a cell.

    All images and fills are given the same masks. An image passes through the network with its own
    masks alone, so that the others there are change nothing of its sums.

    Args:
        model: from images in [0, 1] to units ``(n, unit)``.
        images: ``(n, C, H, W)`` float32, on the model's device.
        target: unit of each image, int64 ``(n,)``.
        cells: the grid.
        fills: of `FILLS`.
        blocks: base points over all replicates, at least one each, of 2 masks a cell.
        replicates: independent randomisations, at least 2.
        seed: of the study.
        at_once: masks of one forward pass.

    Returns:
        Sums with units ``(image, fill)`` and one variable for each cell, row by row, of which
        `variscope.indices.layer.layer_dataset` makes indices with their intervals.

    Raises:
        UserError: the image has fewer pixels than the grid has cells.
    """
    size = (int(images.shape[2]), int(images.shape[3]))
    of_pixel = torch.from_numpy(cells.over(size)).to(images.device)
    filled = [replacement(images, fill, cells.grid) for fill in fills]
    units = target.tolist()

    @torch.no_grad()
    def evaluate(kept: Array) -> Array:
        outputs = torch.empty(len(kept), len(images), len(fills), device=images.device)
        for start in range(0, len(kept), at_once):
            part = slice(start, min(start + at_once, len(kept)))
            masks = torch.from_numpy(kept[part]).to(images.device)[:, of_pixel][:, None]
            for i, image in enumerate(images):
                for j, fill in enumerate(filled):
                    seen = torch.lerp(fill[i], image, masks)
                    outputs[part, i, j] = model(seen)[:, units[i]].float()
        return outputs.cpu().numpy()

    groups = tuple((cell,) for cell in range(len(cells)))
    design = Design("cycle", groups, blocks, replicates, seed)
    return function_sums(evaluate, design, lambda points: points.astype(np.float32))


def shapley_maps(sums: Moments) -> Array:
    """Return the Shapley effect of each cell, ``(cell, *unit)``.

    0 where the output does not depend on the masks: no cell carries what does not vary.
    """
    found = unit_indices(sums, confidence_level=0.95)  # the level is of the intervals alone
    return np.nan_to_num(found.estimates["shapley"].value, nan=0.0)


def regions(
    model: nn.Module,
    images: torch.Tensor,
    target: torch.Tensor,
    *,
    grid: int = 4,
    fills: Sequence[str] = FILLS[:1],
    offsets: int = 1,
    blocks: int = 64,
    replicates: int = 16,
    seed: int = 1,
    at_once: int = 64,
) -> torch.Tensor:
    """Return the share of a unit's variance under masks that each region has, its Shapley effect.

    Args:
        model: from images in [0, 1] to units ``(n, unit)``.
        images: ``(n, C, H, W)`` float32, on the model's device.
        target: unit of each image, int64 ``(n,)``.
        grid: cells a side.
        fills: of `FILLS`.
        offsets: how many of `OFFSETS`. The map is the mean of those of all fills with the grid as
            it is, and of the first fill with the shifted grids.
        blocks, replicates, seed, at_once: as of `region_sums`.

    Returns:
        ``(n, grid, grid)`` with one offset; with several the share of each quarter of a cell,
        ``(n, 2 grid, 2 grid)``. A map sums to 1; all 0 where the unit does not see the masks.

    Raises:
        UserError: the image has fewer pixels than the grid has cells.

    Example:
        A unit that reads the upper left pixel alone.

        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(16, 1).requires_grad_(False))
        >>> _ = model[1].weight.zero_()[0, 0].fill_(1.0)
        >>> image = torch.linspace(1, 0, 16).reshape(1, 1, 4, 4)
        >>> regions(model, image, torch.tensor([0]), grid=2)
        tensor([[[1., 0.],
                 [0., 0.]]])
    """
    maps: list[Array] = []
    for number, offset in enumerate(list(OFFSETS.values())[:offsets]):
        cells = Cells(grid, offset)
        sums = region_sums(
            model, images, target, cells=cells, fills=fills[:1] if number else fills,
            blocks=blocks, replicates=replicates, seed=seed, at_once=at_once,
        )  # fmt: skip
        maps += region_maps(cells, shapley_maps(sums), whole=offsets == 1)
    return torch.from_numpy(np.mean(maps, axis=0)).float()


def region_maps(cells: Cells, shapley: Array, *, whole: bool) -> list[Array]:
    """Return the shares of regions under each fill, each ``(n, rows, columns)``.

    Args:
        cells: the grid.
        shapley: of the cells, ``(cell, image, fill)``.
        whole: a value for each cell, and not for each of its quarters.
    """
    maps = shapley.reshape(*cells.shape, *shapley.shape[1:]) if whole else cells.spread(shapley)
    return list(np.moveaxis(maps, (2, 3), (1, 0)))


ATTRIBUTION = Attribution(
    name="regions",
    title="Regions",
    says=(
        "the Shapley effect of the score over masks of the image's regions: the share of its "
        "variance that is due to a region"
    ),
    attribute=regions,
)
