"""The table of a study's images: labels and parts in memory, pixels on demand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from variscope.errors import UserError
from variscope.inputs.settings import DatasetSettings
from variscope.vocabulary import PARTS

UNLABELLED = ("unlabelled",)
"""The classes of images without any: one name that stands for all of them."""

Progress = Callable[[int, int], None]
"""Called with (done, total) while something long goes on."""

Reader = Callable[[npt.NDArray[np.int64]], npt.NDArray[Any]]
"""Pixels (k, C, H, W) of k distinct ids, in their order."""


@dataclass(frozen=True, eq=False)
class ImageTable:
    """Images by id `0..n-1`; an id always gives the same pixels.

    Attributes:
        classes: the names of the k classes, in the order of the labels; UNLABELLED where images
            have none. The class is a variable where k is at least 2.
        label: (n,) int64, the class of each image, in `0..k-1`.
        part: (n,) int8, 0 train, 1 valid.
        source: a name for each image: a path relative to the data set's folder, or the like.
        size: (H, W) in pixels.
        skipped: (source, reason) of what was left out because it cannot be read.
        notes: what was converted or ignored, one sentence each.
        dtype: of the pixels, uint8 in 0..255 or float32 in [0, 1].
        channels: C of the pixels, 1 or 3.
        parts: where the parts come from: "given", "drawn" here, or "none" where all is one part.
        clusters: (n,) int64, the source of each image, where images share sources.
    """

    classes: tuple[str, ...]
    label: npt.NDArray[np.int64]
    part: npt.NDArray[np.int8]
    source: tuple[str, ...]
    size: tuple[int, int]
    reader: Reader = field(repr=False)
    skipped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    dtype: str = "uint8"
    channels: int = 3
    parts: str = "given"
    clusters: npt.NDArray[np.int64] | None = None

    @property
    def cluster(self) -> npt.NDArray[np.int64]:
        """The source of each image, (n,): images of one cluster are no independent sample.

        Each image is a cluster of its own unless the data set says otherwise.
        """
        if self.clusters is None:
            return np.arange(len(self), dtype=np.int64)
        return self.clusters

    @property
    def labelled(self) -> bool:
        """Whether the images have classes."""
        return self.classes != UNLABELLED

    def __len__(self) -> int:
        return len(self.label)

    def load(self, ids: Sequence[int] | npt.NDArray[np.integer]) -> npt.NDArray[Any]:
        """Read pixels (k, C, H, W) of `ids` (k,), in their order; repeated ids are decoded once.

        Raises:
            UserError: a file cannot be decoded.
            IndexError: an id is outside `0..n-1`.
        """
        wanted = np.asarray(ids, dtype=np.int64)
        if wanted.ndim != 1:
            raise ValueError(f"ids must have shape (k,); found {wanted.shape}")
        if wanted.size == 0:
            return np.empty((0, self.channels, *self.size), self.dtype)
        distinct, position = np.unique(wanted, return_inverse=True)
        if distinct[0] < 0 or distinct[-1] >= len(self):
            raise IndexError(f"ids must be in 0..{len(self) - 1}; found {ids!r}")
        return self.reader(distinct)[position]

    def ids(self, part: str) -> npt.NDArray[np.int64]:
        """Return the ids of one part, "train" or "valid", ascending."""
        return np.flatnonzero(self.part == PARTS.index(part)).astype(np.int64)

    def summary(self) -> dict[str, Any]:
        """Count for a report, ready for JSON."""
        counts = {
            name: np.bincount(self.label[self.part == code], minlength=len(self.classes))
            for code, name in enumerate(PARTS)
        }
        return {
            "images": len(self),
            "classes": list(self.classes),
            "labelled": self.labelled,
            "parts": self.parts,
            "clusters": len(np.unique(self.cluster)),
            "channels": self.channels,
            "size": list(self.size),
            "dtype": self.dtype,
            "images_per_part": {name: int(count.sum()) for name, count in counts.items()},
            "images_per_class": {
                name: dict(zip(self.classes, count.tolist(), strict=True))
                for name, count in counts.items()
            },
            "skipped_count": len(self.skipped),
            "skipped": [list(entry) for entry in self.skipped],
            "notes": list(self.notes),
        }


def check_classes(
    where: str,
    classes: Sequence[str],
    label: npt.NDArray[np.int64],
    part: npt.NDArray[np.int8] | None = None,
) -> None:
    """Refuse, with UserError, no class at all and a class without images in a part in use.

    `where` names the key or file that the message starts with.
    """
    if len(classes) == 0:
        raise UserError(f"{where}: no classes found, and no images without classes")
    groups = (
        [("", label)]
        if part is None
        else [(f" in part {PARTS[code]}", label[part == code]) for code in np.unique(part)]
    )
    for name, members in groups:
        empty = np.flatnonzero(np.bincount(members, minlength=len(classes)) == 0)
        if empty.size:
            more = f" (and {empty.size - 1} more)" if empty.size > 1 else ""
            raise UserError(
                f"{where}: class {classes[empty[0]]!r}{more} has no images{name}; every class "
                "needs at least one"
            )


def split(
    where: str,
    classes: Sequence[str],
    label: npt.NDArray[np.int64],
    valid_fraction: float,
    seed: int,
) -> npt.NDArray[np.int8]:
    """Draw the part (n,) of each image, seeded and stratified: the same fraction of every class.

    Every class gets at least one image in each part. A fraction of 0 puts all into train.
    """
    part = np.zeros(len(label), np.int8)
    if valid_fraction == 0:
        return part
    for code, name in enumerate(classes):
        members = np.flatnonzero(label == code)
        if members.size < 2:
            raise UserError(
                f"{where}: class {name!r} has {members.size} image; a split into train and valid "
                "needs 2 (valid_fraction: 0 puts all images into train)"
            )
        count = min(max(round(valid_fraction * members.size), 1), members.size - 1)
        generator = np.random.default_rng([seed, 1, code])
        part[generator.permutation(members)[:count]] = 1
    return part


def limited(
    label: npt.NDArray[np.int64], part: npt.NDArray[np.int8], limit: int | None, seed: int
) -> npt.NDArray[np.int64]:
    """Return the ids kept, ascending, when at most `limit` images per class and part are drawn."""
    if limit is None:
        return np.arange(len(label), dtype=np.int64)
    kept = []
    for code in np.unique(label):
        for half in np.unique(part):
            members = np.flatnonzero((label == code) & (part == half))
            generator = np.random.default_rng([seed, 2, int(code), int(half)])
            kept.append(generator.permutation(members)[:limit])
    return np.sort(np.concatenate(kept)).astype(np.int64)


def parts_of(
    where: str, classes: Sequence[str], label: npt.NDArray[np.int64], settings: DatasetSettings
) -> tuple[npt.NDArray[np.int8], str]:
    """Return the part (n,) of images that bring none, and where it comes from.

    Drawn where `settings.split` asks for it; else all are of the valid part, which is studied.
    """
    if settings.split and settings.valid_fraction > 0:
        return split(where, classes, label, settings.valid_fraction, settings.seed), "drawn"
    code = PARTS.index("train" if settings.split else "valid")
    return np.full(len(label), code, np.int8), "none"


def class_note(classes: Sequence[str]) -> tuple[str, ...]:
    """Say where the class is not a variable, and what follows."""
    if len(classes) > 1:
        return ()
    found = (
        "The images have no classes"
        if tuple(classes) == UNLABELLED
        else (f"The images are of one class, {classes[0]}")
    )
    return (f"{found}: class is not a variable, and accuracy is not measured.",)
