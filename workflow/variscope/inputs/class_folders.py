"""Classes and parts of a folder of images, from the names of its sub-folders."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from variscope.errors import UserError
from variscope.inputs.frames import Entry
from variscope.inputs.scanning import Found, Passed, part_of_name, printable, scan
from variscope.inputs.table import UNLABELLED


@dataclass(frozen=True)
class Listed:
    """What of a folder is studied.

    Attributes:
        classes: their names.
        entries: files with their label and part, -1 where it is to be drawn.
        bad: (path, reason) of what cannot be read.
        notes: what was ignored, one sentence each.
    """

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


def list_folder(folder: Path) -> Listed:
    """List files sorted by class, part and path, with notes of what was ignored.

    Raises:
        UserError: parts are not told apart, or classes are not; the folder is named.
    """
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
    return Listed(tuple(map(printable, names)), entries, bad, notes + passed.notes())


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
