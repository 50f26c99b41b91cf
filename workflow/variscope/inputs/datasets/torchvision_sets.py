"""The data sets of torchvision, by the names of their classes."""

from __future__ import annotations

import difflib
import inspect
import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from variscope.errors import UserError
from variscope.inputs.datasets import Skipped, dataset_kind
from variscope.inputs.decoding import resize_and_crop, to_array, to_rgb
from variscope.inputs.settings import DatasetSettings
from variscope.inputs.table import (
    ImageTable,
    Progress,
    check_classes,
    class_note,
    limited,
    parts_of,
)

DEFAULT_PATH = "resources/datasets"
# What the data sets call their parts, in the order of preference.
_TRAIN = ("train", "trainval", "train-standard")
_VALID = ("val", "valid", "test")

_NOT_BY_NAME = {"DatasetFolder", "ImageFolder", "VisionDataset", "wrap_dataset_for_transforms_v2"}


@dataclass(frozen=True)
class _Items:
    """Read items (image, target) of one or two data sets that stand one after the other."""

    sets: tuple[Any, ...] = field(repr=False)
    start: tuple[int, ...]
    kept: npt.NDArray[np.int64] = field(repr=False)
    size: tuple[int, int]
    resize: int | None
    channels: int

    def __call__(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        pixels = np.empty((len(ids), self.channels, *self.size), np.uint8)
        for row, index in enumerate(self.kept[ids]):
            which = int(np.searchsorted(self.start, index, side="right")) - 1
            image = to_rgb(_image(self.sets[which][int(index) - self.start[which]][0]))
            # Small data sets already have their size; a crop would only cut their borders.
            if self.resize is not None or image.size != self.size[::-1]:
                image = resize_and_crop(image, size=self.size, resize=self.resize)
            pixels[row] = to_array(image, self.channels)
        return pixels


def _image(item: object) -> Image.Image:
    if not isinstance(item, Image.Image):
        raise UserError(
            f"dataset.name: its items are {type(item).__name__}, not images; give no `transform` "
            "in dataset.arguments"
        )
    return item


def _class(name: str | None) -> Any:
    from torchvision import datasets

    known = sorted(set(datasets.__all__) - _NOT_BY_NAME, key=str.lower)
    if name is None:
        raise UserError("dataset.name: missing; kind torchvision needs the name of a data set")
    if name not in known:
        near = difflib.get_close_matches(name, known, 3, 0.5)
        hint = f"; near it: {', '.join(near)}" if near else ""
        raise UserError(
            f"dataset.name: found {name!r}, which torchvision does not have{hint}; known are "
            + ", ".join(known)
        )
    return getattr(datasets, name)


def _make(cls: Any, settings: DatasetSettings, root: Path, **part: Any) -> Any:
    accepted = inspect.signature(cls.__init__).parameters
    keywords: dict[str, Any] = {**settings.arguments, **part}
    if "root" in accepted:
        keywords["root"] = str(root)
    unpacks = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    if "download" in accepted or (unpacks and cls.__name__ == "EMNIST"):
        keywords["download"] = settings.download
    try:
        with redirect_stdout(io.StringIO()):  # "Files already downloaded" for every job
            return cls(**keywords)
    except TypeError as error:
        raise UserError(f"dataset.arguments: {cls.__name__} refuses them: {error}") from error
    except (OSError, RuntimeError) as error:  # no files, no network, or damaged files
        inside = next(
            (
                str(getattr(cls, name))
                for name in ("base_folder", "_base_folder")
                if isinstance(getattr(cls, name, None), str)
            ),
            cls.__name__ + "/raw" if hasattr(cls, "training_file") else "",
        )
        place = root / inside if inside else root
        asked = "could not be downloaded" if settings.download else "are not there"
        reason = " ".join(str(error).split())
        raise UserError(
            f"dataset.name {cls.__name__}: its files {asked}; they belong in {place} "
            f"({type(error).__name__}: {reason[:200]})"
        ) from error


def _parts(cls: Any, settings: DatasetSettings, root: Path) -> list[Any]:
    """[train, valid], or [all] where the data set has no parts or the arguments choose one."""
    accepted = inspect.signature(cls.__init__).parameters
    chosen = set(settings.arguments)
    if ("train" in accepted or cls.__name__ == "EMNIST") and "train" not in chosen:
        return [_make(cls, settings, root, train=flag) for flag in (True, False)]
    if "split" in accepted and not chosen & {"split", "train"} and cls.__name__ != "EMNIST":
        return [_first(cls, settings, root, names) for names in (_TRAIN, _VALID)]
    try:
        return [_make(cls, settings, root)]
    except ValueError as error:  # torchvision's answer to a value that it does not know
        raise UserError(f"dataset.arguments: {cls.__name__} refuses them: {error}") from error


def _first(cls: Any, settings: DatasetSettings, root: Path, names: tuple[str, ...]) -> Any:
    """Open the data set with the first of these splits that it has."""
    refusal: ValueError | None = None
    for name in names:
        try:
            return _make(cls, settings, root, split=name)
        except ValueError as error:  # torchvision's answer to an unknown split
            refusal = error
    raise UserError(
        f"dataset.arguments: {cls.__name__} has none of the splits {', '.join(names)}; choose one "
        f"by arguments: {{split: ...}} ({refusal})"
    ) from refusal


def _labels(cls: Any, items: Any) -> npt.NDArray[np.int64]:
    for name in ("targets", "labels", "_labels"):
        values = getattr(items, name, None)
        if values is not None and len(values) == len(items):
            break
    else:
        values = [items[index][1] for index in range(len(items))]
    try:
        return np.array([int(value) for value in values], np.int64)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"dataset.name: {cls.__name__} does not have one class for each image"
        ) from error


def _class_names(items: Any, count: int) -> tuple[str, ...]:
    names = getattr(items, "classes", None)
    if names is None or len(names) < count:
        return tuple(str(code) for code in range(count))
    texts = [n if isinstance(n, str) else ", ".join(map(str, n)) for n in names]
    return (
        tuple(texts)
        if len(set(texts)) == len(texts)
        else tuple(f"{code} {text}" for code, text in enumerate(texts))
    )


def _listing(settings: DatasetSettings) -> Iterator[str]:
    # Not the files: a download would look like a change. torchvision checks them itself.
    yield f"torchvision {version('torchvision')} {settings.name} {settings.path}"
    yield json.dumps(dict(settings.arguments), sort_keys=True, default=str)


@dataset_kind("torchvision", listing=_listing)
def open_torchvision(
    settings: DatasetSettings, on_progress: Progress | None, skipped: Skipped
) -> ImageTable:
    """Open a data set of torchvision, downloaded to `path` (resources/datasets unless given).

    Its own train and valid (or test) parts are the study's; where it has none, a seeded split, or
    all of it as one part.
    """
    cls = _class(settings.name)
    size = settings.needed_size()
    root = settings.located() if settings.path else settings.folder / DEFAULT_PATH
    sets = _parts(cls, settings, root)
    labels = [_labels(cls, items) for items in sets]
    label = np.concatenate(labels)
    where = f"dataset.name {cls.__name__}"
    if label.size == 0:
        raise UserError(f"{where}: no images")
    classes = _class_names(sets[0], int(label.max()) + 1)
    parts = "given"
    if len(sets) == 2:
        part = np.repeat(np.array([0, 1], np.int8), [len(entry) for entry in labels])
        check_classes(where, classes, label, part)
    else:
        check_classes(where, classes, label)
        part, parts = parts_of(where, classes, label, settings)
    keep = limited(label, part, settings.images_per_class, settings.seed)
    start = (0, len(labels[0]))[: len(sets)]
    notes = []
    mode = _image(sets[0][0][0]).mode
    if mode != {1: "L", 3: "RGB"}[settings.channels]:
        to = {1: "gray, one channel", 3: "RGB"}[settings.channels]
        notes.append(f"Images of mode {mode} were converted to {to}.")
    return ImageTable(
        classes=classes,
        label=label[keep],
        part=part[keep],
        source=tuple(f"{cls.__name__} {index}" for index in keep),
        size=size,
        reader=_Items(tuple(sets), start, keep, size, settings.resize, settings.channels),
        notes=(*notes, *class_note(classes)),
        channels=settings.channels,
        parts=parts,
    )
