"""A folder of image files: the class is the sub-folder.

Parts are the sub-folders train/ and valid/ (or val/), each with one folder a class, or a seeded
split where there are none.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from variscope.errors import UserError
from variscope.inputs.datasets import Skipped, dataset_kind
from variscope.inputs.decoding import (
    Undecodable,
    default_resize,
    map_threads,
    mode_name,
    read_rgb,
    resize_and_crop,
    to_array,
)
from variscope.inputs.settings import DatasetSettings
from variscope.inputs.table import ImageTable, Progress, check_classes, limited, split

EXTENSIONS = frozenset(
    f".{name}"
    for name in (
        *("bmp", "gif", "jpe", "jpeg", "jpg", "pbm", "pgm"),
        *("png", "pnm", "ppm", "tif", "tiff", "webp"),
    )
)
AUTO_CHECK = 10_000  # images of a folder that `check: auto` still decodes

Entry = tuple[str, int, int]  # source, label, part (-1: to be drawn)


@dataclass(frozen=True)
class _Files:
    """Read, resize and crop image files."""

    folder: Path
    source: tuple[str, ...]
    image_size: int
    resize: int

    def __call__(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        pixels = np.empty((len(ids), 3, self.image_size, self.image_size), np.uint8)

        def read(row: int) -> None:
            path = self.folder / self.source[ids[row]]
            try:
                image = read_rgb(path)[0]
            except Undecodable as error:
                raise UserError(
                    f"{path}: {error}. Mend or remove the file, or set dataset.on_error: skip "
                    "and dataset.check: all"
                ) from error
            pixels[row] = to_array(
                resize_and_crop(image, image_size=self.image_size, resize=self.resize)
            )

        for _ in map_threads(read, range(len(ids))):
            pass
        return pixels


def _folder(settings: DatasetSettings) -> Path:
    folder = settings.located()
    if not folder.exists():
        raise UserError(f"dataset.path: {folder} does not exist; a folder of images is needed")
    if not folder.is_dir():
        raise UserError(f"dataset.path: {folder} is a file; kind image_folder needs a folder")
    return folder


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))


def _part_folders(folder: Path) -> tuple[tuple[str, int], ...]:
    """The sub-folders that are parts, with their codes; empty where the split is to be drawn."""
    names = _subfolders(folder)
    valid = [name for name in ("valid", "val") if name in names]
    if len(valid) == 2:
        raise UserError(f"dataset.path: {folder} has both valid/ and val/; keep one of them")
    if "train" in names and valid:
        return (("train", 0), (valid[0], 1))
    # train/ alone is a class if it holds images, and half of a data set if it holds classes.
    for name in ("train", *valid):
        if name in names and _subfolders(folder / name) and not any(_images(folder, name, False)):
            missing = "valid/ (or val/)" if name == "train" else "train/"
            raise UserError(
                f"dataset.path: {folder} has {name}/ with class folders but no {missing}; give "
                f"the path of {name}/ itself to have a seeded split"
            )
    return ()


def _images(folder: Path, inside: str, recursive: bool = True) -> Iterator[str]:
    """Paths of image files, relative to `folder`, in sorted order."""
    for parent, subfolders, files in os.walk(folder / inside, followlinks=True):
        subfolders[:] = sorted(n for n in subfolders if not n.startswith(".")) if recursive else []
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in EXTENSIONS:
                yield os.path.relpath(os.path.join(parent, name), folder).replace(os.sep, "/")


def _list(folder: Path) -> tuple[tuple[str, ...], list[Entry], list[str]]:
    """Classes, entries sorted by class, part and path, and notes of what was ignored."""
    parts = _part_folders(folder)
    notes = []
    if parts:
        classes = tuple(sorted({name for part, _ in parts for name in _subfolders(folder / part)}))
        places = [
            (f"{part}/{name}", i, code) for i, name in enumerate(classes) for part, code in parts
        ]
        others = [n for n in _subfolders(folder) if n not in dict(parts)]
        if others:
            notes.append(f"Ignored beside train and valid: {', '.join(others)}.")
    else:
        classes = tuple(_subfolders(folder))
        places = [(name, i, -1) for i, name in enumerate(classes)]
    entries = []
    for place, label, part in places:
        if (folder / place).is_dir():
            entries += [(source, label, part) for source in _images(folder, place)]
    return classes, entries, notes


def _check(
    folder: Path, entries: list[Entry], on_error: str, on_progress: Progress | None
) -> tuple[list[tuple[str, str]], Counter[str]]:
    """Decode every file; what cannot be decoded (source, reason), and the modes of the others."""

    def look(entry: Entry) -> tuple[str, str]:
        try:
            return read_rgb(folder / entry[0])[1], ""
        except Undecodable as error:
            return "", str(error)

    bad: list[tuple[str, str]] = []
    modes: Counter[str] = Counter()
    for done, (entry, (mode, reason)) in enumerate(
        zip(entries, map_threads(look, entries), strict=True), start=1
    ):
        if reason and on_error == "fail":
            raise UserError(
                f"{folder / entry[0]}: {reason}. Mend or remove the file, or set "
                "dataset.on_error: skip, which leaves it out and counts it"
            )
        if reason:
            bad.append((entry[0], reason))
        elif mode != "RGB":
            modes[mode_name(mode)] += 1
        if on_progress is not None:
            on_progress(done, len(entries))
    return bad, modes


def _listing(settings: DatasetSettings) -> Iterator[str]:
    folder = _folder(settings)
    for source in _images(folder, "."):
        state = os.stat(folder / source)
        yield f"{source} {state.st_size} {state.st_mtime_ns}"
    # An empty class is an error that appears or goes without any file changing.
    yield from _subfolders(folder)


@dataset_kind("image_folder", listing=_listing)
def open_image_folder(
    settings: DatasetSettings, on_progress: Progress | None, skipped: Skipped
) -> ImageTable:
    """List the files, check them, split and limit them. Nothing is kept of their pixels."""
    folder = _folder(settings)
    size = settings.needed_size()
    classes, entries, notes = _list(folder)
    where = f"dataset.path: {folder}"

    def arrays() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int8] | None]:
        label = np.array([entry[1] for entry in entries], np.int64)
        part = np.array([entry[2] for entry in entries], np.int8)
        return label, None if part.size == 0 or part[0] < 0 else part

    _check_both_parts(where, classes, *arrays())
    if skipped is None:
        skipped = ()
        every = settings.check == "auto" and len(entries) <= AUTO_CHECK
        if settings.check == "all" or every:
            bad, modes = _check(folder, entries, settings.on_error, on_progress)
            skipped = tuple(bad)
            if modes:
                counts = ", ".join(f"{count} {mode}" for mode, count in sorted(modes.items()))
                notes.append(f"Converted to RGB: {counts}.")
    if skipped:
        left_out = {source for source, _ in skipped}
        entries = [entry for entry in entries if entry[0] not in left_out]
        named = [source for source, _ in skipped]
        listed = ", ".join(named[:3]) + (" and others" if len(named) > 3 else "")
        notes.append(f"{len(named)} left out, since they cannot be decoded: {listed}.")
        _check_both_parts(f"{where}, without {len(left_out)} unreadable files", classes, *arrays())
    label, part = arrays()
    if part is None:
        part = split(where, classes, label, settings.valid_fraction, settings.seed)
    keep = limited(label, part, settings.images_per_class, settings.seed)
    source = tuple(entries[i][0] for i in keep)
    resize = settings.resize or default_resize(size)
    return ImageTable(
        classes=classes,
        label=label[keep],
        part=part[keep],
        source=source,
        size=(size, size),
        reader=_Files(folder, source, size, resize),
        skipped=skipped,
        notes=tuple(notes),
    )


def _check_both_parts(
    where: str,
    classes: tuple[str, ...],
    label: npt.NDArray[np.int64],
    part: npt.NDArray[np.int8] | None,
) -> None:
    check_classes(where, classes, label)
    if part is not None:
        check_classes(where, classes, label, part)
        if not (part == 1).any() or not (part == 0).any():
            raise UserError(f"{where}: train or valid holds no images")
