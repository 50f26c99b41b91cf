"""What is compared: which images, and which augmentations of a model's sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variscope.analyses.source import Source
from variscope.estimators.resampling import generator
from variscope.space.augmentations import Augmentation
from variscope.space.space import Space
from variscope.vocabulary import PARTS


def sets_of(source: Source) -> list[str]:
    """Name the variable sets of the model that is studied, in their order."""
    return list(dict.fromkeys(study.variable_set for study in source.studies))


def treatments(spaces: dict[str, Space]) -> Space | None:
    """Return a space of every augmentation of some sets, each once.

    An augmentation that another set has with other bounds is named after its set as well.

    Args:
        spaces: by the sets' names.

    Returns:
        A space that serves to apply augmentations alone; None where there are none.
    """
    found: dict[str, Augmentation] = {}
    for name, space in spaces.items():
        for augmentation in space.augmentations:
            known = found.setdefault(augmentation.name, augmentation)
            if known != augmentation:
                own = f"{augmentation.name}_{name}"
                found[own] = replace(augmentation, name=own)
    if not found:
        return None
    first = next(iter(spaces.values()))
    return replace(first, augmentations=tuple(found.values()))


def chosen_images(images: Any, count: int, seed: int) -> dict[str, NDArray[np.int64]]:
    """Choose images of each part, evenly from its classes, and within a class from its clusters.

    Args:
        images: the table of images, `variscope.inputs.table.ImageTable`.
        count: of each part, at most.
        seed: of the study. A larger count has the images of a smaller one first.

    Returns:
        Ids by the name of the part, in the order of choosing; parts without images are left out.
    """
    chosen = {}
    for code, part in enumerate(PARTS):
        ids = np.flatnonzero(images.part == code)
        if len(ids):
            rng = generator(seed, "contrast images", part)
            ids = rng.permutation(ids)
            within_cluster = _places(images.label[ids], images.cluster[ids])
            ids = ids[np.argsort(within_cluster, kind="stable")]
            within_class = _places(images.label[ids])
            chosen[part] = ids[np.argsort(within_class, kind="stable")][:count].astype(np.int64)
    return chosen


def _places(*keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count for each entry the earlier ones with the same keys."""
    order = np.lexsort(keys[::-1])  # stable: equal keys stay in their order
    starts = np.ones(len(order), dtype=bool)
    starts[1:] = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    place = np.arange(len(order))
    first = np.maximum.accumulate(np.where(starts, place, 0))
    found = np.empty(len(order), dtype=np.int64)
    found[order] = place - first
    return found


def names_of(space: Space) -> Sequence[str]:
    """Name the augmentations, as the results do."""
    return [augmentation.name for augmentation in space.augmentations]
