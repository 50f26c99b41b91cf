"""How many images analyses run a network on, for the plan: counted before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from variscope.analyses.registry import Planned
from variscope.vocabulary import AUXILIARY, PARTS


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
