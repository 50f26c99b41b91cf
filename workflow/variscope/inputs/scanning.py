"""What lies in a folder of images: walked once, and nothing raised on the way.

Nothing is opened but files whose name has no ending, for the mark of DICOM.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

EXTENSIONS = frozenset(
    f".{name}"
    for name in (
        *("bmp", "gif", "jpe", "jpeg", "jpg", "pbm", "pgm"),
        *("png", "pnm", "ppm", "tif", "tiff", "webp"),
    )
)
DICOM = frozenset({".dcm", ".dicom"})
# Of images as well, and not read here: they are counted.
NOT_READ = frozenset(
    f".{name}"
    for name in (
        *("heic", "heif", "avif", "jxl", "jp2", "j2k", "jpx", "jfif", "svg", "svgz", "eps"),
        *("raw", "dng", "cr2", "cr3", "nef", "arw", "orf", "rw2", "raf", "psd", "xcf"),
        *("tga", "ico", "exr", "hdr", "pfm", "pcx", "dds", "nii", "svs", "ndpi", "czi"),
    )
)
# Folders that cameras, servers and archives make beside the images; hidden ones begin with a dot.
_ASIDE = frozenset(
    {"@eadir", "@recycle", "#recycle", "$recycle.bin", "__macosx", "__pycache__", "lost+found"}
)
DANGLING = "a link whose target is not there"


def printable(name: str) -> str:
    """Return a file's name as text that can be written anywhere: escapes for what is not UTF-8.

    Line breaks and other control characters are escaped as well.
    """
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def is_dicom(path: str) -> bool:
    """Tell whether a file that `scan` takes for an image is one of DICOM."""
    return os.path.splitext(path)[1].lower() not in EXTENSIONS


def _is_image(entry: os.DirEntry[str], suffix: str) -> bool:
    """Tell images by their names; DICOM files often have none that says so, but for a mark inside.

    Scanners name them IM0001, or by an identifier of numbers and points.
    """
    if suffix in EXTENSIONS or suffix in DICOM:
        return True
    if (suffix and not suffix[1:].isdigit()) or entry.name.upper() == "DICOMDIR":
        return False
    try:
        with open(entry.path, "rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def part_of_name(name: str) -> str | None:
    """Return "train", "valid" or "test" where a folder's name is a usual one of that part."""
    word = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    word = re.sub(r"_?(set|data|dataset|images|imgs|split|part|folder)$", "", word)
    word = re.sub(r"^(set|data|dataset|images|imgs|split|part)_", "", word)
    spellings = {
        "train": ("train", "training", "trn", "tr"),
        "valid": ("valid", "val", "validation", "validate", "validating", "dev"),
        "test": ("test", "testing", "tst", "te"),
    }
    return next((part for part, known in spellings.items() if word in known), None)


@dataclass
class Passed:
    """What was passed over, by kind."""

    aside: Counter[str] = field(default_factory=Counter)
    hidden: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    loops: list[str] = field(default_factory=list)
    beside: int = 0

    def notes(self) -> list[str]:
        """Say it, one sentence a kind."""
        notes = []
        if self.aside:
            names = ", ".join(printable(name) for name in sorted(self.aside))
            count = sum(self.aside.values())
            notes.append(f"{count} hidden or thumbnail folders were passed over: {names}.")
        if self.hidden:
            notes.append(f"{self.hidden} hidden image files were passed over.")
        if self.kinds:
            counts = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items()))
            notes.append(
                f"{sum(self.kinds.values())} files of image kinds that are not read were passed "
                f"over: {counts}."
            )
        if self.loops:
            notes.append(
                f"{len(self.loops)} links that lead back to a folder above them were not "
                f"followed: {', '.join(self.loops[:3])}."
            )
        if self.beside:
            notes.append(f"{self.beside} images beside the class folders were passed over.")
        return notes


@dataclass
class Found:
    """What a folder holds, by names as the file system gives them.

    Attributes:
        folders: direct sub-folders with what they hold, sorted by name.
        images: paths of image files relative to the root that was scanned, sorted.
        bad: (path, reason) of dangling links and of folders that cannot be listed.
    """

    folders: dict[str, Found] = field(default_factory=dict)
    images: list[str] = field(default_factory=list)
    bad: list[tuple[str, str]] = field(default_factory=list)

    def all_images(self) -> list[str]:
        """Image files here and in every folder below, sorted folder by folder."""
        return self.images + [
            image for inner in self.folders.values() for image in inner.all_images()
        ]

    def all_bad(self) -> list[tuple[str, str]]:
        """List what cannot be read here and below."""
        return self.bad + [entry for inner in self.folders.values() for entry in inner.all_bad()]


def scan(root: Path, passed: Passed) -> Found:
    """Walk a folder, following links but no loops, and count in `passed` what is left out."""
    return _scan(os.fspath(root), "", passed, ())


def _scan(root: str, inside: str, passed: Passed, above: tuple[tuple[int, int], ...]) -> Found:
    found = Found()
    where = os.path.join(root, inside) if inside else root
    try:
        state = os.stat(where)
        with os.scandir(where) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except OSError as error:
        found.bad.append((inside or ".", f"cannot be listed: {error.strerror}"))
        return found
    above = (*above, (state.st_dev, state.st_ino))
    for entry in entries:
        path = f"{inside}/{entry.name}" if inside else entry.name
        suffix = os.path.splitext(entry.name)[1].lower()
        hidden = entry.name.startswith(".")
        is_folder = _is_folder(entry)
        if is_folder and (hidden or entry.name.lower() in _ASIDE):
            passed.aside[entry.name] += 1
        elif is_folder and _identity(entry) in above:
            passed.loops.append(printable(path))
        elif is_folder:
            found.folders[entry.name] = _scan(root, path, passed, above)
        elif hidden:
            passed.hidden += suffix in EXTENSIONS or suffix in DICOM
        elif entry.is_symlink() and not os.path.exists(entry.path):
            # Without a suffix it may have been a folder of images.
            if suffix in EXTENSIONS or suffix in DICOM or not suffix:
                found.bad.append((path, DANGLING))
        elif _is_image(entry, suffix):
            found.images.append(path)
        elif suffix in NOT_READ:
            passed.kinds[suffix] += 1
    return found


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _identity(entry: os.DirEntry[str]) -> tuple[int, int]:
    state = entry.stat()
    return state.st_dev, state.st_ino
