"""A folder of image files: the class is the sub-folder, or there are none.

Parts are sub-folders with the usual names, in any case and spelling (train and valid, Training and
Testing), each with one folder per class. Of train, valid and test the first two are taken. Without
parts all is studied, or split where that is needed. Without sub-folders images have no classes.
A DICOM file is as many images as it has frames. A file ``clusters.csv`` says which images come from
one source (`variscope.inputs.clusters`).
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
from variscope.inputs.class_folders import Listed, list_folder
from variscope.inputs.clusters import state_of
from variscope.inputs.datasets import Skipped, dataset_kind
from variscope.inputs.decoding import (
    Undecodable,
    gray_note,
    map_threads,
    mode_name,
    resize_and_crop,
    to_array,
)
from variscope.inputs.dicom import NO_WINDOW, Window
from variscope.inputs.frames import Frame, clusters_of, frames_of
from variscope.inputs.scanning import Passed, printable, scan
from variscope.inputs.settings import DatasetSettings
from variscope.inputs.table import (
    ImageTable,
    Progress,
    check_classes,
    class_note,
    limited,
    parts_of,
)

AUTO_CHECK = 10_000  # images of a folder that `check: auto` still decodes


@dataclass(frozen=True)
class _Files:
    """Read, resize and crop image files."""

    folder: Path
    frames: tuple[Frame, ...]
    size: tuple[int, int]
    resize: int | None
    channels: int
    window: Window | None

    def __call__(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        pixels = np.empty((len(ids), self.channels, *self.size), np.uint8)

        def read(row: int) -> None:
            frame = self.frames[ids[row]]
            try:
                image = frame.read(self.folder, self.window)[0]
            except Undecodable as error:
                raise UserError(
                    f"{self.folder}/{frame.name}: {error}. Mend or remove the file, "
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


def _check(
    folder: Path, frames: list[Frame], settings: DatasetSettings, on_progress: Progress | None
) -> tuple[list[tuple[str, str]], Counter[str]]:
    """Decode every image; what cannot be decoded (name, reason), and the modes of the others."""

    def look(frame: Frame) -> tuple[str, str]:
        try:
            return frame.read(folder, settings.window)[1], ""
        except Undecodable as error:
            return "", str(error)

    bad: list[tuple[str, str]] = []
    modes: Counter[str] = Counter()
    for done, (frame, (mode, reason)) in enumerate(
        zip(frames, map_threads(look, frames), strict=True), start=1
    ):
        if reason and settings.on_error == "fail":
            _refuse(folder, frame.name, reason)
        if reason:
            bad.append((frame.name, reason))
        elif mode != "RGB":
            modes[mode_name(mode)] += 1
        if on_progress is not None:
            on_progress(done, len(frames))
    return bad, modes


def _refuse(folder: Path, name: str, reason: str) -> None:
    raise UserError(
        f"{folder}/{name}: {reason}. Mend or remove the file, or set "
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
    return table_of_files(folder, list_folder(folder), settings, on_progress, skipped)


def table_of_files(
    folder: Path,
    listed: Listed,
    settings: DatasetSettings,
    on_progress: Progress | None,
    skipped: Skipped,
) -> ImageTable:
    """Return the table of what was listed.

    Args:
        folder: that the files' paths start at.
        listed: classes and files.
        settings: of the data set.
        on_progress, skipped: as `variscope.inputs.images.open_images` takes them.

    Raises:
        UserError: a file cannot be read, or a class or part has no images; it is named.
    """
    size = settings.needed_size()
    classes, notes = listed.classes, list(listed.notes)
    where = f"dataset.path: {folder}"
    left_out = {name for name, _ in skipped or ()}
    frames, damaged = frames_of(
        folder, [entry for entry in listed.entries if printable(entry[0]) not in left_out]
    )
    if skipped is not None and damaged:  # since they were checked
        _refuse(folder, printable(damaged[0][0]), damaged[0][1])

    def arrays() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int8] | None]:
        label = np.array([frame.label for frame in frames], np.int64)
        part = np.array([frame.part for frame in frames], np.int8)
        return label, None if part.size == 0 or part[0] < 0 else part

    if skipped is None:
        bad = [(printable(file), reason) for file, reason in (*listed.bad, *damaged)]
        if bad and settings.on_error == "fail":
            _refuse(folder, *bad[0])
        if not bad:
            _check_both_parts(where, classes, *arrays(), notes)
        every = settings.check == "auto" and len(frames) <= AUTO_CHECK
        if settings.check == "all" or every:
            undecodable, modes = _check(folder, frames, settings, on_progress)
            bad += undecodable
            notes += _mode_notes(modes, settings.channels)
        skipped = tuple(bad)
    if skipped:
        left_out = {name for name, _ in skipped}
        frames = [frame for frame in frames if frame.name not in left_out]
        named = [name for name, _ in skipped]
        listed_names = ", ".join(named[:3]) + (" and others" if len(named) > 3 else "")
        notes.append(f"{len(named)} left out, since they cannot be decoded: {listed_names}.")
        where_left = f"{where}, without {len(left_out)} unreadable files"
        _check_both_parts(where_left, classes, *arrays(), notes)
    label, part = arrays()
    parts = "given"
    if part is None:
        part, parts = parts_of(where, classes, label, settings)
    keep = limited(label, part, settings.images_per_class, settings.seed)
    clusters, said = clusters_of(folder, frames)
    kept = tuple(frames[i] for i in keep)
    return ImageTable(
        classes=classes,
        label=label[keep],
        part=part[keep],
        source=tuple(frame.name for frame in kept),
        size=size,
        reader=_Files(folder, kept, size, settings.resize, settings.channels, settings.window),
        skipped=skipped,
        notes=(*notes, *said, *class_note(classes)),
        channels=settings.channels,
        parts=parts,
        clusters=None if clusters is None else clusters[keep],
    )


def _mode_notes(modes: Counter[str], channels: int) -> list[str]:
    """Say what was converted, and what of DICOM is shown with its whole range."""
    notes = list(gray_note(channels)) if channels == 1 else []
    if modes and channels != 1:
        counts = ", ".join(f"{count} {mode}" for mode, count in sorted(modes.items()))
        notes.append(f"Converted to RGB: {counts}.")
    whole = sum(count for mode, count in modes.items() if mode.endswith(NO_WINDOW))
    if whole:
        notes.append(
            f"DICOM images that say no window: {whole}. The whole range of their bits is shown, "
            "which may be dark; dataset.window gives one."
        )
    return notes


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
