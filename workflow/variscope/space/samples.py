"""Sample images under each augmentation, alone and together, with what was drawn."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from variscope.space.altering import alter
from variscope.space.augmentations import Augmentation
from variscope.space.space import Recipes, Space


class Images(Protocol):
    """What is needed of a table of images."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""

    @property
    def label(self) -> NDArray[np.int64]:
        """Each image's class, ``(n,)``."""

    def load(self, ids: NDArray[np.int64]) -> NDArray[Any]:
        """Return pixels, ``(n, C, H, W)``."""


def sample_rows(space: Space, images: Images, seed: int, count: int = 3) -> list[dict[str, Any]]:
    """Alter a few images of different classes, by each augmentation alone and by all of them.

    Args:
        space: whose augmentations are applied, and whose first images of some classes are taken.
        images: where the pixels come from.
        seed: of the drawn parameters and of the order.
        count: of images, at most.

    Returns:
        One row per image, ``{"title", "panels": [{"image" (H, W, 3), "title", "caption"}]}``.
    """
    part = 1 if space.index.count[1].sum() else 0
    present = np.flatnonzero(space.index.count[part])
    if len(present) > 1:
        chosen = present[np.linspace(0, len(present) - 1, min(count, len(present))).astype(int)]
        ids = [int(space.index.order[space.index.start[part, label]]) for label in chosen]
    else:  # several images of the one class
        first, size = space.index.start[part, present[0]], space.index.count[part, present[0]]
        places = first + np.linspace(0, size - 1, min(count, size)).astype(int)
        ids = [int(image) for image in space.index.order[places]]
        chosen = np.arange(len(ids))
    rows = []
    for number, image in zip(chosen, ids, strict=True):
        rng = np.random.default_rng([seed, int(number)])
        recipes, titles, captions = _recipes(space, image, rng)
        base = torch.from_numpy(images.load(np.array([image])))
        if base.dtype == torch.uint8:
            base = base.to(torch.float32) / 255
        altered = alter(base.expand(len(recipes), -1, -1, -1), recipes, space.augmentations)
        panels = [
            {"image": pixels, "title": title, "caption": caption}
            for pixels, title, caption in zip(
                altered.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy(),
                titles,
                captions,
                strict=True,
            )
        ]
        title = images.classes[images.label[image]] if len(present) > 1 else f"image {image}"
        rows.append({"title": title, "panels": panels})
    return rows


def _recipes(
    space: Space, image: int, rng: np.random.Generator
) -> tuple[Recipes, list[str], list[str]]:
    """Return recipes for the original, each augmentation alone, and all in a random order."""
    augmentations = space.augmentations
    n = len(augmentations)
    most = max((len(a.parameters) for a in augmentations), default=0)
    drawn = [
        [
            float(parameter.decode(rng.random(1), *space.size)[0])
            for parameter in augmentation.parameters
        ]
        for augmentation in augmentations
    ]
    order = rng.permutation(n)
    operation = np.full((n + 2, n), -1, dtype=np.int8)
    parameters = np.zeros((n + 2, n, most), dtype=np.float32)
    for a, values in enumerate(drawn):
        operation[1 + a, 0] = a
        parameters[1 + a, 0, : len(values)] = values
        parameters[n + 1, np.flatnonzero(order == a)[0], : len(values)] = values
    operation[n + 1] = order
    titles = ["original", *(a.name for a in augmentations), "all together"]
    captions = ["", *map(_caption, augmentations, drawn)]
    captions.append("in the order " + ", ".join(augmentations[a].name for a in order))
    return Recipes(np.full(n + 2, image), operation, parameters), titles, captions


def _caption(augmentation: Augmentation, drawn: list[float]) -> str:
    units = {"pixels": " px", "degrees": "°"}
    return "\n".join(
        f"{parameter.name.replace('_', ' ')} {value:.2g}{units.get(parameter.unit, '')}"
        for parameter, value in zip(augmentation.parameters, drawn, strict=True)
    )
