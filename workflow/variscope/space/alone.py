"""Images as they are, and under one augmentation alone: the rows of a paired design."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variscope.errors import UserError
from variscope.space.space import Recipes, Space


def plain(space: Space, images: NDArray[np.integer[Any]]) -> Recipes:
    """Return recipes of images as they are, ``(n,)``."""
    shape = (len(images), 1)
    return Recipes(
        images.astype(np.int64),
        np.full(shape, -1, np.int8),
        np.zeros((*shape, _most(space)), np.float32),
    )


def draws_of(space: Space, variable: str, draws: int) -> int:
    """Return how many draws an augmentation has: one where it has no parameters to draw.

    Raises:
        UserError: the space has no such augmentation.
    """
    return draws if space.augmentations[_place(space, variable)].parameters else 1


def alone(
    space: Space, variable: str, images: NDArray[np.integer[Any]], draws: int, seed: int
) -> Recipes:
    """Return recipes of images under one augmentation, applied surely and with nothing else.

    The parameters of a draw are a pure function of (seed, variable, image, draw): neither which
    other images there are nor how many draws changes them.

    Args:
        space: whose augmentation it is, with its bounds.
        variable: the augmentation's name.
        images: ids, ``(n,)``.
        draws: of the parameters, of each image.
        seed: of the study.

    Returns:
        Image by image the draws of each, ``(n * draws,)``; one of each where the augmentation has
        no parameters (`draws_of`).

    Raises:
        UserError: the space has no such augmentation.
    """
    place = _place(space, variable)
    augmentation = space.augmentations[place]
    count, parameters = draws_of(space, variable, draws), len(augmentation.parameters)
    purpose = zlib.crc32(f"alone {variable}".encode())
    u = np.empty((len(images) * count, parameters))
    for row, image in enumerate(images.tolist() if parameters else ()):
        draws_of_image = np.random.default_rng([seed, purpose, image]).random((count, parameters))
        u[row * count : (row + 1) * count] = draws_of_image
    values = np.zeros((len(u), 1, _most(space)), dtype=np.float32)
    for p, parameter in enumerate(augmentation.parameters):
        values[:, 0, p] = parameter.decode(u[:, p], *space.size)
    return Recipes(
        np.repeat(images.astype(np.int64), count), np.full((len(u), 1), place, np.int8), values
    )


def joined(parts: Sequence[Recipes]) -> Recipes:
    """Return some recipes, one after the other, as one."""
    return Recipes(
        np.concatenate([part.image for part in parts]),
        np.concatenate([part.operation for part in parts]),
        np.concatenate([part.parameters for part in parts]),
    )


def _place(space: Space, variable: str) -> int:
    names = [augmentation.name for augmentation in space.augmentations]
    if variable not in names:
        raise UserError(
            f"variable: found {variable!r}; allowed: the augmentations of the set, "
            f"{', '.join(names) or 'of which there is none'}"
        )
    return names.index(variable)


def _most(space: Space) -> int:
    """Return the most parameters that an augmentation of the set has."""
    return max((len(a.parameters) for a in space.augmentations), default=0)
