"""From recipes to altered images, one batch at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from variscope.space.augmentations import Augmentation
from variscope.space.space import Recipes


def alter(
    images: torch.Tensor,
    recipes: Recipes,
    augmentations: Sequence[Augmentation],
    in_place: bool = False,
) -> torch.Tensor:
    """Apply each image's augmentations in its own order.

    Position by position, the images whose next augmentation is the same are altered together.

    Args:
        images: base images of the recipes, float32 in [0, 1], ``(n, C, H, W)``.
        recipes: one per image.
        augmentations: those that ``Recipes.operation`` counts.
        in_place: write into ``images``, which are left as they are otherwise.

    Returns:
        ``(n, C, H, W)``, on the images' device.
    """
    altered = images if in_place else images.clone()
    operation = torch.from_numpy(recipes.operation.astype("int64"))
    parameters = torch.from_numpy(recipes.parameters).to(images.device)
    for position in range(operation.shape[1]):
        for number, augmentation in enumerate(augmentations):
            (rows,) = torch.nonzero(operation[:, position] == number, as_tuple=True)
            if len(rows):
                some = _together(rows, images.device)
                chosen = parameters[some, position, : len(augmentation.parameters)]
                altered[some] = augmentation(altered[some], chosen)
    return altered


def _together(rows: torch.Tensor, device: torch.device) -> torch.Tensor | slice:
    """Return ascending rows as a slice where they follow each other: it needs no copy."""
    first, last = int(rows[0]), int(rows[-1])
    if last - first + 1 == len(rows):
        return slice(first, last + 1)
    return rows.to(device)
