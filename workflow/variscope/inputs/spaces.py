"""The space of a configured variable set, the same in every job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from variscope.errors import UserError
from variscope.inputs.table import ImageTable
from variscope.space import augmentations
from variscope.space.augmentations import Augmentation
from variscope.space.images import ImageIndex
from variscope.space.space import Space
from variscope.vocabulary import PARTS

DEFAULT_AUXILIARY = ("order", "class", "image")


def make_space(
    variable_set: Mapping[str, Any],
    images: ImageTable,
    augmentation_files: Iterable[str] = (),
    folder: Path = Path("."),
) -> Space:
    """Make the space of a configured variable set.

    Raises:
        UserError: an unknown augmentation, wrong bounds, or images that do not suit the variables.

    The auxiliary variables may be None: the usual ones, without class where it does not vary. Of
    images without parts all are studied. With an entry ``hold`` all images are of that part.
    """
    for file in augmentation_files:
        augmentations.load_file(folder / file)
    return Space(
        augmentations=tuple(map(entry_augmentation, variable_set["variables"])),
        auxiliary=auxiliary_of(variable_set["auxiliary"], images),
        index=ImageIndex.of(images.label, images.part),
        size=images.size,
        channels=images.channels,
        apply=variable_set["apply"],
        apply_probability=variable_set["apply_probability"],
        part=PARTS[images.part[0]] if images.parts == "none" else variable_set["part"],
        hold=variable_set.get("hold", ""),
    )


def auxiliary_of(given: Iterable[str] | None, images: ImageTable) -> tuple[str, ...]:
    """Return which of order, class, image, part are variables; None stands for the usual ones.

    Raises:
        UserError: class is named, and the images have one class or none.
    """
    varies = len(images.classes) > 1
    if given is None:
        return tuple(name for name in DEFAULT_AUXILIARY if name != "class" or varies)
    named = tuple(given)
    if "class" in named and not varies:
        why = f"are of one class, {images.classes[0]!r}" if images.labelled else "have no classes"
        rest = ", ".join(name for name in named if name != "class")
        raise UserError(
            f"auxiliary: class is named, but the images {why}; leave it out: auxiliary: [{rest}]"
        )
    return named


def entry_augmentation(entry: str | Mapping[str, Any] | Augmentation) -> Augmentation:
    """Return the augmentation of a name, a ``{name, bounds}`` entry, or itself.

    Raises:
        UserError: unknown, or the bounds are wrong.
    """
    if isinstance(entry, Augmentation):
        return entry
    if isinstance(entry, str):
        return augmentations.get(entry)
    if not isinstance(entry, Mapping) or "name" not in entry:
        raise UserError(f"variables: found {entry!r}; allowed: a name or {{name: ..., bounds}}")
    overrides = {key: value for key, value in entry.items() if key != "name"}
    return augmentations.get(entry["name"]).with_overrides(overrides)
