"""Arrays of an .npz file: images (n, C, H, W), labels (n,), optional part (n,) and class_names."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from variscope.errors import UserError
from variscope.inputs.datasets import Skipped, dataset_kind
from variscope.inputs.decoding import resize_and_crop, resize_float, to_array
from variscope.inputs.settings import DatasetSettings
from variscope.inputs.table import ImageTable, Progress, check_classes, limited, split


@dataclass(frozen=True)
class _Pixels:
    """Read from images (n, 1 or 3, H, W) in memory, resized if a size is given."""

    images: npt.NDArray[Any] = field(repr=False)
    kept: npt.NDArray[np.int64] = field(repr=False)
    image_size: int | None
    resize: int | None

    def __call__(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        chosen = self.images[self.kept[ids]]
        pixels = np.repeat(chosen, 3, axis=1) if chosen.shape[1] == 1 else chosen
        if self.image_size is None:
            return pixels
        size, resize = self.image_size, self.resize or self.image_size
        if pixels.dtype == np.float32:
            return np.stack([resize_float(p, image_size=size, resize=resize) for p in pixels])
        rows = [
            to_array(
                resize_and_crop(
                    Image.fromarray(np.ascontiguousarray(p.transpose(1, 2, 0))),
                    image_size=size,
                    resize=resize,
                )
            )
            for p in pixels
        ]
        return np.stack(rows)


def _file(settings: DatasetSettings) -> Path:
    path = settings.located()
    if not path.exists():
        raise UserError(f"dataset.path: {path} does not exist; an .npz file is needed")
    if not path.is_file():
        raise UserError(f"dataset.path: {path} is a folder; kind arrays needs an .npz file")
    return path


def _read(path: Path) -> dict[str, npt.NDArray[Any]]:
    if not zipfile.is_zipfile(path):
        raise UserError(
            f"dataset.path: {path} is not an .npz file; write it with "
            "numpy.savez(path, images=..., labels=...)"
        )
    found = {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            for name in ("images", "labels", "part", "class_names"):
                if name in archive.files:
                    found[name] = np.asarray(archive[name])
            names = ", ".join(archive.files) or "nothing"
    except ValueError as error:
        if "pickle" in str(error).lower():
            raise UserError(
                f"{path}: holds Python objects; write plain arrays (class_names as "
                "numpy.array([...], dtype=str))"
            ) from error
        raise UserError(f"{path}: cannot be read: {error}") from error
    except (OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    for name in ("images", "labels"):
        if name not in found:
            raise UserError(f"{path}: no array {name!r}; found {names}")
    return found


def _check_images(path: Path, images: npt.NDArray[Any]) -> None:
    if images.ndim != 4 or images.shape[0] == 0:
        raise UserError(
            f"{path}: images have shape {images.shape}; (n, C, H, W) with n at least 1 is needed"
        )
    if images.shape[1] not in (1, 3):
        cure = (
            "; they look like (n, H, W, C): write images.transpose(0, 3, 1, 2)"
            if images.shape[3] in (1, 3)
            else ""
        )
        raise UserError(
            f"{path}: images have shape {images.shape}, so {images.shape[1]} channels; "
            f"(n, C, H, W) with C of 1 or 3 is needed{cure}"
        )
    if images.dtype == np.uint8:
        return
    if images.dtype != np.float32:
        raise UserError(
            f"{path}: images are {images.dtype}; uint8, or float32 in [0, 1], is needed"
        )
    finite = np.isfinite(images)
    if not finite.all():
        bad = int((~finite).sum())
        first = int(np.flatnonzero(~finite.all(axis=(1, 2, 3)))[0])
        raise UserError(
            f"{path}: images hold {bad} values that are NaN or infinite, the first in image {first}"
        )
    low, high = float(images.min()), float(images.max())
    if low < 0 or high > 1:
        raise UserError(f"{path}: float32 images reach from {low:g} to {high:g}; [0, 1] is allowed")


def _check_vector(path: Path, name: str, values: npt.NDArray[Any], n: int) -> None:
    if values.ndim != 1 or values.shape[0] != n:
        raise UserError(
            f"{path}: {name} have shape {values.shape}; ({n},) is needed, one for each image"
        )
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise UserError(f"{path}: {name} hold NaN; whole numbers are needed")
    if values.dtype.kind not in "iu":
        raise UserError(f"{path}: {name} are {values.dtype}; whole numbers are needed")


def _class_names(path: Path, found: dict[str, npt.NDArray[Any]]) -> tuple[str, ...]:
    labels = found["labels"]
    if labels.min() < 0:
        raise UserError(f"{path}: labels reach down to {labels.min()}; they must be 0..k-1")
    count = int(labels.max()) + 1
    names = found.get("class_names")
    if names is None:
        if count > labels.size:
            raise UserError(
                f"{path}: labels reach up to {labels.max()} in {labels.size} images; they must be "
                "0..k-1, each of them in use"
            )
        return tuple(str(code) for code in range(count))
    if names.ndim != 1 or names.dtype.kind != "U" or len(set(names.tolist())) != names.size:
        raise UserError(f"{path}: class_names must be a list of k different texts")
    if names.size < count:
        raise UserError(f"{path}: {names.size} class_names for labels up to {labels.max()}")
    return tuple(names.tolist())


def _listing(settings: DatasetSettings) -> Iterator[str]:
    path = _file(settings)
    state = os.stat(path)
    yield f"{path.name} {state.st_size} {state.st_mtime_ns}"


@dataset_kind("arrays", listing=_listing)
def open_arrays(
    settings: DatasetSettings, on_progress: Progress | None, skipped: Skipped
) -> ImageTable:
    """Check an .npz file and open it; its images stay in memory."""
    path = _file(settings)
    return table_of(_read(path), path, settings)


def table_of(
    found: dict[str, npt.NDArray[Any]], path: Path, settings: DatasetSettings
) -> ImageTable:
    """Check arrays by name (images, labels, optional part and class_names) and open them.

    `path` is what messages call them. Raises UserError.
    """
    images, labels = found["images"], found["labels"]
    _check_images(path, images)
    n, channels, height, width = images.shape
    for name in ("labels", "part"):
        if name in found:
            _check_vector(path, name, found[name], n)
    classes = _class_names(path, found)
    label = labels.astype(np.int64)
    check_classes(str(path), classes, label)
    if "part" in found:
        values = np.setdiff1d(found["part"], [0, 1])
        if values.size:
            raise UserError(f"{path}: part holds {values[0]}; allowed are 0 (train) and 1 (valid)")
        part = found["part"].astype(np.int8)
        check_classes(str(path), classes, label, part)
    else:
        part = split(str(path), classes, label, settings.valid_fraction, settings.seed)
    keep = limited(label, part, settings.images_per_class, settings.seed)
    size = settings.image_size
    same = size is None or (height, width) == (size, size)
    if settings.resize is not None and size is None:
        raise UserError("dataset.image_size: missing; dataset.resize needs it for kind arrays")
    notes = []
    if channels == 1:
        notes.append("Grayscale images: the one channel was repeated three times.")
    if not same:
        notes.append(f"Resized from {height} x {width} to {size} x {size} pixels.")
    return ImageTable(
        classes=classes,
        label=label[keep],
        part=part[keep],
        source=tuple(f"{path.name} {index}" for index in keep),
        size=(height, width) if size is None else (size, size),
        reader=_Pixels(images, keep, None if same else size, settings.resize),
        notes=tuple(notes),
        dtype=str(images.dtype),
    )
