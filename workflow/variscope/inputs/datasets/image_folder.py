"""A folder of image files: the class is the sub-folder, or there are none.

Parts are sub-folders with the usual names, in any case and spelling (train and valid, Training and
Testing), each with one folder per class. Of train, valid and test the first two are taken. Without
parts all is studied, or split where that is needed. Without sub-folders images have no classes.
A file ``clusters.csv`` says which images come from one source (`variscope.inputs.clusters`).
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
from variscope.inputs.clusters import read_clusters, state_of
from variscope.inputs.datasets import Skipped, dataset_kind
from variscope.inputs.decoding import (
    Undecodable,
    gray_note,
    map_threads,
    mode_name,
    read_rgb,
    resize_and_crop,
    to_array,
)
from variscope.inputs.scanning import Found, Passed, part_of_name, printable, scan
from variscope.inputs.settings import DatasetSettings
from variscope.inputs.table import (
    UNLABELLED,
    ImageTable,
    Progress,
    check_classes,
    class_note,
    limited,
    parts_of,
)

AUTO_CHECK = 10_000  # images of a folder that `check: auto` still decodes

Entry = tuple[str, int, int]  # source, label, part (-1: to be drawn)


@dataclass(frozen=True)
class _Files:
    """Read, resize and crop image files."""

    folder: Path
    source: tuple[str, ...]
    size: tuple[int, int]
    resize: int | None
    channels: int

    def __call__(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        pixels = np.empty((len(ids), self.channels, *self.size), np.uint8)

        def read(row: int) -> None:
            source = self.source[ids[row]]
            try:
                image = read_rgb(self.folder / source)[0]
            except Undecodable as error:
                raise UserError(
                    f"{self.folder}/{printable(source)}: {error}. Mend or remove the file, "
                    "or set dataset.on_error: skip and dataset.check: all"
                ) from error
            resized = resize_and_crop(image, size=self.size, resize=self.resize)
            pixels[row] = to_array(resized, self.channels)

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


@dataclass(frozen=True)
class _Listed:
    """What of a folder is studied: entries (source, label, part, -1 to be drawn), and notes."""

    classes: tuple[str, ...]
    entries: list[Entry]
    bad: list[tuple[str, str]]
    notes: list[str]


def _part_folders(folder: Path, found: Found) -> dict[str, int]:
    """Return the sub-folders that are parts, with their codes; none where there are no parts.

    A part has class folders. Where all sub-folders are named as parts and hold images directly,
    they are parts of images without classes.
    """
    named = {name: part for name in found.folders if (part := part_of_name(name)) is not None}
    deep = {n: p for n, p in named.items() if found.folders[n].folders}
    parts: dict[str, str] = {}
    for name, part in deep.items():
        if found.folders[name].images:  # a class, with images of its own
            continue
        if part in parts:
            raise UserError(
                f"dataset.path: {folder} has both {printable(parts[part])}/ and "
                f"{printable(name)}/; keep one of them"
            )
        parts[part] = name
    if "train" in parts and len(parts) > 1:
        valid = parts.get("valid") or parts["test"]
        return {parts["train"]: 0, valid: 1}
    flat = {n: p for n, p in named.items() if found.folders[n].images and not deep.get(n)}
    if "train" in parts and flat:
        _refuse_flat(folder, found, parts["train"], next(iter(flat)))
    if parts:
        name = next(iter(parts.values()))
        missing = "valid/ (or val/, test/)" if "train" in parts else "train/"
        raise UserError(
            f"dataset.path: {folder} has {printable(name)}/ with class folders but no {missing}; "
            f"give the path of {printable(name)}/ itself to study it alone"
        )
    codes = {part: name for name, part in flat.items()}
    if "train" in codes and len(codes) > 1 and len(flat) == len(found.folders):
        return {codes["train"]: 0, codes.get("valid") or codes["test"]: 1}
    return {}


def _refuse_flat(folder: Path, found: Found, train: str, flat: str) -> None:
    """Refuse a part whose images lie in no class folders beside one with class folders."""
    images = found.folders[flat].images
    name = printable(flat)
    if os.path.basename(images[0]).startswith("ILSVRC2012_val_"):
        raise UserError(
            f"dataset.path: {folder}/{name} is ImageNet's validation set as it is unpacked, "
            f"{len(images):,} files without class folders; sort them into {name}/<wnid>/ with the "
            "labels of the development kit (valprep.sh does so), or use kind torchvision with "
            "name: ImageNet"
        )
    raise UserError(
        f"dataset.path: {folder}/{name} holds {len(images):,} images outside of class folders, "
        f"and {printable(train)}/ has class folders; sort them into class folders, or give the "
        f"path of {printable(train)}/ itself to study it alone"
    )


def _list(folder: Path) -> _Listed:
    """Entries sorted by class, part and path, and notes of what was ignored."""
    passed = Passed()
    found = scan(folder, passed)
    parts = _part_folders(folder, found)
    notes = []
    places: list[tuple[Found, int, int]]
    if parts and all(found.folders[part].folders for part in parts):
        names = sorted({name for part in parts for name in found.folders[part].folders})
        inside = {part: found.folders[part].folders for part in parts}
        places = [
            (inside[part][name], i, code)
            for i, name in enumerate(names)
            for part, code in parts.items()
            if name in inside[part]
        ]
        passed.beside += sum(len(found.folders[part].images) for part in parts)
    elif parts:
        names = list(UNLABELLED)
        places = [(found.folders[part], 0, code) for part, code in parts.items()]
    elif found.folders:
        names = list(found.folders)
        places = [(found.folders[name], i, -1) for i, name in enumerate(names)]
        passed.beside += len(found.images)
        _refuse_wrapper(folder, found)
    else:
        names = list(UNLABELLED) if found.images or found.bad else []
        places = [(found, 0, -1)]
    if parts:
        others = [printable(n) for n in found.folders if n not in parts]
        train, valid = (printable(part) for part in sorted(parts, key=lambda part: parts[part]))
        if (train, valid) not in (("train", "valid"), ("train", "val")):
            notes.append(f"{train} is the train part and {valid} the valid part.")
        if others:
            notes.append(f"Ignored beside {train} and {valid}: {', '.join(others)}.")
        bad = [entry for part in parts for entry in found.folders[part].all_bad()] + found.bad
        passed.beside += len(found.images)
    else:
        bad = found.all_bad()
    entries = [
        (source, label, part) for inner, label, part in places for source in inner.all_images()
    ]
    return _Listed(tuple(map(printable, names)), entries, bad, notes + passed.notes())


def _refuse_wrapper(folder: Path, found: Found) -> None:
    """Refuse a folder whose only sub-folder holds the class folders: it would be the one class."""
    if len(found.folders) != 1:
        return
    name, inner = next(iter(found.folders.items()))
    if inner.folders and not inner.images and not found.images:
        raise UserError(
            f"dataset.path: {folder} holds one folder, {printable(name)}/, with the folders "
            f"{', '.join(map(printable, list(inner.folders)[:4]))}; give the path of "
            f"{printable(name)}/ itself"
        )


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
            _refuse(folder, entry[0], reason)
        if reason:
            bad.append((printable(entry[0]), reason))
        elif mode != "RGB":
            modes[mode_name(mode)] += 1
        if on_progress is not None:
            on_progress(done, len(entries))
    return bad, modes


def _refuse(folder: Path, source: str, reason: str) -> None:
    raise UserError(
        f"{folder}/{printable(source)}: {reason}. Mend or remove the file, or set "
        "dataset.on_error: skip, which leaves it out and counts it"
    )


def _listing(settings: DatasetSettings) -> Iterator[str]:
    folder = _folder(settings)
    found = scan(folder, Passed())
    for source in found.all_images():
        try:
            state = os.stat(folder / source)
            yield f"{source} {state.st_size} {state.st_mtime_ns}"
        except OSError as error:  # gone since, or not permitted
            yield f"{source} {error.strerror}"
    for source, reason in found.all_bad():
        yield f"{source} {reason}"
    yield from state_of(folder)
    # An empty class is an error that appears or goes without any file changing.
    yield from found.folders


@dataset_kind("image_folder", listing=_listing)
def open_image_folder(
    settings: DatasetSettings, on_progress: Progress | None, skipped: Skipped
) -> ImageTable:
    """List the files, check them, split and limit them. Nothing is kept of their pixels."""
    folder = _folder(settings)
    size = settings.needed_size()
    listed = _list(folder)
    classes, entries, notes = listed.classes, listed.entries, list(listed.notes)
    where = f"dataset.path: {folder}"

    def arrays() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int8] | None]:
        label = np.array([entry[1] for entry in entries], np.int64)
        part = np.array([entry[2] for entry in entries], np.int8)
        return label, None if part.size == 0 or part[0] < 0 else part

    if skipped is None:
        if listed.bad and settings.on_error == "fail":
            _refuse(folder, *listed.bad[0])
        if not listed.bad:
            _check_both_parts(where, classes, *arrays(), notes)
        bad = [(printable(source), reason) for source, reason in listed.bad]
        every = settings.check == "auto" and len(entries) <= AUTO_CHECK
        if settings.check == "all" or every:
            damaged, modes = _check(folder, entries, settings.on_error, on_progress)
            bad += damaged
            if settings.channels == 1:
                notes += gray_note(1)
            elif modes:
                counts = ", ".join(f"{count} {mode}" for mode, count in sorted(modes.items()))
                notes.append(f"Converted to RGB: {counts}.")
        skipped = tuple(bad)
    if skipped:
        left_out = {source for source, _ in skipped}
        entries = [entry for entry in entries if printable(entry[0]) not in left_out]
        named = [source for source, _ in skipped]
        listed_names = ", ".join(named[:3]) + (" and others" if len(named) > 3 else "")
        notes.append(f"{len(named)} left out, since they cannot be decoded: {listed_names}.")
        where_left = f"{where}, without {len(left_out)} unreadable files"
        _check_both_parts(where_left, classes, *arrays(), notes)
    label, part = arrays()
    parts = "given"
    if part is None:
        part, parts = parts_of(where, classes, label, settings)
    keep = limited(label, part, settings.images_per_class, settings.seed)
    source = tuple(entries[i][0] for i in keep)
    clusters = read_clusters(folder, [entry[0] for entry in entries])
    return ImageTable(
        classes=classes,
        label=label[keep],
        part=part[keep],
        source=tuple(map(printable, source)),
        size=size,
        reader=_Files(folder, source, size, settings.resize, settings.channels),
        skipped=skipped,
        notes=(*notes, *class_note(classes)),
        channels=settings.channels,
        parts=parts,
        clusters=None if clusters is None else clusters[keep],
    )


def _check_both_parts(
    where: str,
    classes: tuple[str, ...],
    label: npt.NDArray[np.int64],
    part: npt.NDArray[np.int8] | None,
    notes: list[str],
) -> None:
    try:
        check_classes(where, classes, label)
    except UserError as error:  # files of kinds that are not read may be why
        raise UserError(" ".join([f"{error}.", *notes])[:-1] if notes else str(error)) from error
    if part is not None:
        check_classes(where, classes, label, part)
        if not (part == 1).any() or not (part == 0).any():
            raise UserError(f"{where}: train or valid holds no images")
