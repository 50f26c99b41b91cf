"""What a network answers where the data's labels are none of its classes.

Its answer is its highest output. Accuracy is not defined then; what can be said is what it answers
for each class of images, and how often an altered image gets the answer of the unaltered one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from variscope.inputs.scores import DRAWS, IMAGES_AT_ONCE, MOST_IMAGES
from variscope.inputs.table import ImageTable
from variscope.inputs.training import normalised
from variscope.space.altering import alter
from variscope.space.space import Recipes, Space

MOST_ANSWERS = 3
TOGETHER = "all together"


class Answers:
    """A network that answers: pixels in, the number of the highest output out."""

    def __init__(
        self,
        network: nn.Module,
        images: ImageTable,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        device: str = "cpu",
        batch_size: int = IMAGES_AT_ONCE["agreement"],
    ) -> None:
        self._network = network.to(device).eval()
        self._images, self._mean, self._std = images, mean, std
        self._device, self._batch = device, batch_size

    def of(self, recipes: Recipes, space: Space) -> NDArray[np.int64]:
        """Return the answers to altered images, ``(n,)``."""
        found = []
        with torch.inference_mode():
            for start in range(0, len(recipes), self._batch):
                some = recipes.take(slice(start, start + self._batch))
                pixels = self._images.load(some.image)
                images = normalised(pixels, (0.0,), (1.0,), self._device)
                altered = alter(images, some, space.augmentations)
                outputs = self._network(normalised(altered.cpu().numpy(), self._mean, self._std,
                                                   self._device))  # fmt: skip
                found.append(outputs.argmax(1).cpu().numpy())
        return np.concatenate(found)

    def unaltered(self, ids: NDArray[np.int64], space: Space) -> NDArray[np.int64]:
        """Return the answers to images as they are, ``(n,)``; each image is evaluated once."""
        distinct, place = np.unique(ids, return_inverse=True)
        return self.of(_nothing(distinct), space)[place]


def top_answers(answers: Answers, images: ImageTable, space: Space) -> list[dict[str, Any]]:
    """Return what is answered most for each class of images that the space draws from.

    Returns:
        One dict per class: ``class``, ``images`` (looked at), ``answers`` as (output, count), the
        most frequent first, three at most.
    """
    rows = []
    for label, name in enumerate(images.classes):
        cells = np.flatnonzero(images.label[space.index.order] == label)
        ids = np.sort(space.index.order[cells])[:MOST_IMAGES]
        if ids.size:
            counted = Counter(answers.unaltered(ids, space).tolist()).most_common(MOST_ANSWERS)
            rows.append({"class": name, "images": len(ids), "answers": counted})
    return rows


def agreement(
    answers: Answers, space: Space, seed: int, draws: int = DRAWS
) -> list[dict[str, Any]]:
    """Count altered images whose answer is that of the unaltered one.

    Images and parameters are drawn independently from the study's distribution; the rows share
    their images. Each augmentation alone is always applied, all together as the set says.

    Returns:
        One dict an augmentation, then one of all together: ``variable``, ``n``, ``same``.
    """
    rng = np.random.default_rng([seed, 5])
    points = rng.random((draws, sum(map(len, space.groups))))
    together = space.decode(points)
    own = answers.unaltered(together.image, space)
    rows = []
    for augmentation in space.augmentations:
        alone = replace(
            space,
            augmentations=(augmentation,),
            auxiliary=tuple(name for name in space.auxiliary if name != "order"),
        )
        shared = _columns(space, points)
        inputs = np.concatenate(
            [_switched_on(variable.factors, shared[variable.name]) for variable in alone.variables],
            axis=1,
        )
        same = answers.of(alone.decode(inputs), alone) == own
        rows.append({"variable": augmentation.name, "n": draws, "same": int(same.sum())})
    same = answers.of(together, space) == own
    return [*rows, {"variable": TOGETHER, "n": draws, "same": int(same.sum())}]


def _columns(space: Space, points: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    return {
        variable.name: points[:, list(group)]
        for variable, group in zip(space.variables, space.groups, strict=True)
    }


def _switched_on(factors: Sequence[str], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return coordinates whose switch, the first of an augmentation that has one, is on."""
    return np.where(np.array([name == "switch" for name in factors]), 0.0, points)


def _nothing(images: NDArray[np.int64]) -> Recipes:
    """Return recipes that leave images as they are."""
    n = len(images)
    return Recipes(images, np.full((n, 1), -1, np.int8), np.zeros((n, 1, 0), np.float32))
