"""How the images that analyses run a network on are shared out, and counted for the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from variscope.analyses.registry import Planned
from variscope.vocabulary import AUXILIARY, PARTS

# Settings of every analysis of single images, which look at the same ones in the same order
# (`variscope.analyses.attributed.looked_at`), so that their maps can be held against each other.
LOOKED_AT: Mapping[str, Any] = {
    "images": {
        "type": "integer",
        "minimum": 1,
        "default": 10,
        "description": (
            "images that are looked at, of part valid where there is one, one class after another"
        ),
    },
    "target": {
        "enum": ["predicted", "label"],
        "default": "predicted",
        "description": (
            "which class of an image is asked for: the one that the network answers, or the "
            "image's own where the network's classes are those of the data"
        ),
    },
    "shards": {
        "type": "integer",
        "minimum": 1,
        "default": 1,
        "description": "jobs that the images are shared out to; results do not depend on it",
    },
}


def shards_of_images(settings: Mapping[str, Any], studies: Sequence[Planned]) -> list[str]:
    """Name the jobs on the network: each takes every so-manieth chunk of the images."""
    count = settings["shards"]
    return [f"images_{number}_of_{count}" for number in range(1, count + 1)]


def place_of_shard(name: str) -> tuple[int, int]:
    """Return the number of a job of `shards_of_images`, from 1, and how many there are."""
    number, count = map(int, name.removeprefix("images_").split("_of_"))
    return number, count


def images_of(summary: Mapping[str, Any], part: str, each: int) -> int:
    """Count images of a part, at most so many of each class; of all parts where it has none.

    Args:
        summary: of the images, `variscope.inputs.table.ImageTable.summary`.
        part: of `variscope.vocabulary.PARTS`.
        each: of a class, at most.
    """
    classes = summary["images_per_class"]
    if not any(classes[part].values()):
        part = next(name for name in PARTS if any(classes[name].values()))
    return sum(min(each, count) for count in classes[part].values())


def augmentations_of(studies: Sequence[Planned]) -> list[str]:
    """Name the augmentations of all variable sets of a model, each once."""
    names = [name for study in studies for name in study.variables if name not in AUXILIARY]
    return list(dict.fromkeys(names))


def mapped_of(studies: Sequence[Planned]) -> list[str]:
    """Name the variables that have maps to select units by; what selects does not vary the part."""
    sets = {study.variable_set: study.variables for study in studies}
    others = [
        f"{name} of {variable_set}"
        for variable_set, names in sets.items()
        for name in names
        if name in AUXILIARY and name != "part"
    ]
    return [*augmentations_of(studies), *others]
