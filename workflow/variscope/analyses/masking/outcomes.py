"""What a network answers under masks: the outcomes of every condition on every image.

A condition is an input (images as they are, or under one augmentation alone) and a mask, or none.
Outcomes are stored by shards of images and read as one dataset:

- dimensions ``condition``, ``image`` and, of the first classes, ``rank`` (`top_count` of them);
- of each condition the coordinates of `Condition`;
- of each image the coordinates ``image`` (its id), ``label`` and ``cluster``;
- ``correct`` (the right class is the first), ``correct5`` (it is among five; from 100 classes up),
  ``margin`` (its probability less the largest other one), ``agree`` (the first class is that of the
  same input without a mask), ``predicted`` and ``top`` (the first classes, the likeliest first);
- ``shared`` of each condition: of matched units at the reference setting which share of the mask's
  units they are, too; NaN of others.

Where a network's classes are not those of the data, the right class of an image is the network's
own answer to the image as it is, and the attribute ``target`` is ``"answer"``, not ``"label"``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from variscope.stores.results import read_dataset, write_dataset

FILE = "outcomes.zarr"
ORIGINAL = "original"  # the input of images as they are
TOGETHER = "all"  # the layer of masks of all layers of maps at once
CONTROLS = ("none", "own", "other", "random", "matched", "channels")


class Setting(NamedTuple):
    """What a mask does.

    Attributes:
        operation: ``"scale"`` the top share, ``"multiply"`` all by the map, by its
            ``"complement"``, or put the top share at its units' ``"mean"``.
        strength: the factor of a scaled unit; 1 where the map is the factor, 0 of the mean.
        share: of the units that are hit: the top 1 - p of the publication; 1 where all are.
    """

    operation: str
    strength: float
    share: float


# The 17 published settings, from the least units that are hit (p = 0.9) to the most (p = 0.5).
PUBLISHED = (
    *(Setting("scale", s, p) for s in (0.0, 0.5, 1.5) for p in (0.1, 0.2, 0.3, 0.4, 0.5)),
    Setting("multiply", 1.0, 1.0),
    Setting("complement", 1.0, 1.0),
)
REFERENCE = Setting("scale", 0.0, 0.2)
ABLATION = Setting("mean", 0.0, 0.2)


class Condition(NamedTuple):
    """One condition: an input and a mask.

    Attributes:
        input: `ORIGINAL`, or the augmentation that is applied alone.
        mask: the variable whose map the mask is made from; empty without a mask.
        control: ``"none"`` without a mask; ``"own"`` of the input's variable, and of any on
            original input; ``"other"`` of another variable than the input's; ``"random"``,
            ``"matched"`` and ``"channels"`` of the mask's map, shuffled.
        kind: of the map: shapley, S1 or ST.
        layer: that is masked, or `TOGETHER`.
        operation, strength, share: of the `Setting`.
        seed: number of the shuffling, from 0; 0 where nothing is shuffled.
    """

    input: str
    mask: str
    control: str
    kind: str
    layer: str
    operation: str
    strength: float
    share: float
    seed: int


def unmasked(given: str) -> Condition:
    """Return the condition of an input without a mask."""
    return Condition(given, "", "none", "", "", "", 1.0, 0.0, 0)


def top_count(classes: int) -> int:
    """Return how many predicted classes are kept: 5 from 100 classes up, else a tenth of them."""
    return 5 if classes >= 100 else max(1, round(classes / 10))


def outcomes_dataset(
    conditions: Sequence[Condition],
    arrays: Mapping[str, np.ndarray],
    *,
    image: np.ndarray,
    label: np.ndarray,
    cluster: np.ndarray,
    classes: int,
    target: str = "label",
    level: float = 0.95,
    notes: Iterable[str] = (),
) -> xr.Dataset:
    """Join outcomes with what they are of.

    Args:
        conditions: in the order of the arrays.
        arrays: ``correct``, ``margin`` and so on, ``(condition, image)``; ``top`` with a rank.
        image, label, cluster: of each image; the label is the right class.
        classes: of the network.
        target: what the right class is, ``"label"`` or ``"answer"``.
        level: of confidence, of the study.
        notes: what was left out, a sentence each.
    """
    dims = ("condition", "image", "rank")
    columns = list(zip(*conditions, strict=True)) or [()] * len(Condition._fields)
    coordinates: dict[str, tuple[str, np.ndarray]] = {
        name: ("condition", np.array(column, dtype=_KINDS.get(name, object)))
        for name, column in zip(Condition._fields, columns, strict=True)
    }
    coordinates |= {"image": ("image", image), "label": ("image", label)}
    coordinates["cluster"] = ("image", cluster)
    return xr.Dataset(
        {name: (dims[: array.ndim], array) for name, array in arrays.items()},
        coords=coordinates,
        attrs={
            "classes": classes,
            "target": target,
            "confidence_level": level,
            "notes": json.dumps(list(notes)),
        },
    )


_KINDS: dict[str, type] = {"strength": np.float64, "share": np.float64, "seed": np.int64}


def write_outcomes(folder: Path, outcomes: xr.Dataset) -> None:
    """Write a shard's outcomes into its folder."""
    write_dataset(folder / FILE, outcomes)


def read_outcomes(shards: Mapping[str, Path], arrays: Collection[str] | None = None) -> xr.Dataset:
    """Read the outcomes of all shards, images in the order of their ids.

    Args:
        shards: folder of each, by its name; those without images are passed over.
        arrays: of the outcomes that are wanted, of a large study not all fit into memory; None:
            all.
    """
    keep = None if arrays is None else set(arrays).__contains__
    read = [read_dataset(folder / FILE, keep) for folder in shards.values()]
    held = [one for one in read if one.sizes["image"]] or read[:1]
    joined = xr.concat(held, "image", data_vars="minimal", coords="minimal", compat="override")
    joined.attrs = dict(held[0].attrs)
    return joined.sortby("image")


def notes_of(outcomes: xr.Dataset) -> list[str]:
    """Return what was left out, a sentence each."""
    return list(json.loads(outcomes.attrs["notes"]))
