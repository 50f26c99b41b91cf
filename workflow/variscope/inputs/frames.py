"""The images of a folder's files: a file is one, or a DICOM file as many as it has frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from variscope.inputs.clusters import read_clusters
from variscope.inputs.decoding import Undecodable, map_threads, read_rgb
from variscope.inputs.dicom import Film, Window, read_film, read_frame, require_pydicom
from variscope.inputs.scanning import is_dicom, printable

Entry = tuple[str, int, int]  # file, label, part (-1: to be drawn)


@dataclass(frozen=True)
class Frame:
    """One image.

    Attributes:
        file: path below the folder, as the file system gives it.
        label, part: of the image; part -1 where it is to be drawn.
        number: of a DICOM file's frame, from 0; None of other files.
        frames: how many its file has.
        patient: of a DICOM file, where it says so.
    """

    file: str
    label: int
    part: int
    number: int | None = None
    frames: int = 1
    patient: str = ""

    @property
    def name(self) -> str:
        """What it is called: the file, and of several frames which, from 1 as DICOM counts."""
        several = f"#{(self.number or 0) + 1}" if self.frames > 1 else ""
        return printable(self.file) + several

    def read(self, folder: Path, window: Window | None) -> tuple[Image.Image, str]:
        """Read it as RGB, and its mode before.

        Raises:
            Undecodable: it cannot be read; the message is the reason.
        """
        if self.number is None:
            return read_rgb(folder / self.file)
        return read_frame(folder / self.file, self.number, window)


def frames_of(folder: Path, entries: Sequence[Entry]) -> tuple[list[Frame], list[tuple[str, str]]]:
    """Return the images of files, in their order, and (file, reason) of DICOM files that are bad.

    Raises:
        UserError: there are DICOM files, and pydicom is not installed.
    """
    films = [entry[0] for entry in entries if is_dicom(entry[0])]
    if films:
        require_pydicom(f"dataset.path: {folder}/{printable(films[0])}")

    def look(file: str) -> Film | str:
        try:
            return read_film(folder / file)
        except Undecodable as error:
            return str(error)

    found = dict(zip(films, map_threads(look, films), strict=True))
    images: list[Frame] = []
    for file, label, part in entries:
        film = found.get(file)
        if film is None:
            images.append(Frame(file, label, part))
        elif isinstance(film, Film):
            images += [
                Frame(file, label, part, number, film.frames, film.patient)
                for number in range(film.frames)
            ]
    return images, [(file, film) for file, film in found.items() if isinstance(film, str)]


def clusters_of(
    folder: Path, images: Sequence[Frame]
) -> tuple[npt.NDArray[np.int64] | None, list[str]]:
    """Return the cluster of each image, ``(n,)``, and notes of what was taken for one.

    A line of the folder's ``clusters.csv`` is of a file, and of all its frames. Without it frames
    of one DICOM file are a cluster, and so are DICOM files of one patient; None where each image
    is a cluster of its own.
    """
    given = read_clusters(folder, list(dict.fromkeys(image.file for image in images)))
    files = {file: code for code, file in enumerate(dict.fromkeys(i.file for i in images))}
    if given is not None:
        return np.array([given[files[image.file]] for image in images], np.int64), []
    films = {image.file: image.patient for image in images if image.number is not None}
    if not films:
        return None, []
    patients = set(films.values())
    one = len(films) > 1 and len(patients) == 1 and patients != {""}
    names = [
        ("patient", image.patient)
        if image.number is not None and image.patient and not one
        else ("file", image.file)
        for image in images
    ]
    codes = {name: code for code, name in enumerate(dict.fromkeys(names))}
    notes = [
        f"DICOM files: {len(films):,}, with {sum(i.number is not None for i in images):,} images. "
        "Frames of one file, and files of one PatientID, are one source."
    ]
    if one:
        notes = [
            f"All {len(films):,} DICOM files have one PatientID, as files without names often do: "
            "each file was taken for a source of its own. If they are of one patient, say so in "
            "clusters.csv."
        ]
    return np.array([codes[name] for name in names], np.int64), notes
