"""Arrays of an .npz file: images (n, C, H, W); optional labels, part, cluster (n,), class_names."""

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
from variscope.inputs.decoding import gray_note, resize_and_crop, resize_float, to_array
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


@dataclass(frozen=True)
class _Pixels:
    """Read from images (n, 1 or 3, H, W) in memory, converted, and resized if a size is given."""

    images: npt.NDArray[Any] = field(repr=False)
    kept: npt.NDArray[np.int64] = field(repr=False)
    size: tuple[int, int] | None
    resize: int | None
    channels: int

    def __call__(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        chosen = self.images[self.kept[ids]]
        pixels = chosen
        if chosen.shape[1] < self.channels:
            pixels = np.repeat(chosen, 3, axis=1)
        elif chosen.shape[1] > self.channels:
            pixels = _luma(chosen)
        if pixels.dtype == np.float64:  # here, so that the whole array is not held twice
            pixels = pixels.astype(np.float32)
        size = self.size
        if size is None:
            return pixels
        resize = self.resize or min(size)  # without one, the image just covers the size
        if pixels.dtype == np.float32:
            return np.stack([resize_float(p, size=size, resize=resize) for p in pixels])
        rows = [
            np.stack(
                [
                    np.asarray(resize_and_crop(Image.fromarray(plane), size=size, resize=resize))
                    for plane in np.ascontiguousarray(p)
                ]
            )
            for p in pixels
        ]
        return np.stack(rows)


def _luma(images: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(n, 1, H, W) of (n, 3, H, W): the luma of ITU-R BT.601, bytes as Pillow rounds them."""
    if images.dtype == np.uint8:
        rows = [
            to_array(Image.fromarray(np.ascontiguousarray(i.transpose(1, 2, 0))), 1) for i in images
        ]
        return np.stack(rows)
    weights = np.array([0.299, 0.587, 0.114], images.dtype)[:, None, None]
    return (images * weights).sum(axis=1, keepdims=True)


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
            for name in ("images", "labels", "part", "cluster", "class_names"):
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
    if "images" not in found:
        raise UserError(f"{path}: no array 'images'; found {names}")
    if "class_names" in found and "labels" not in found:
        raise UserError(f"{path}: class_names without labels; give both or neither")
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
    if images.dtype not in (np.float32, np.float64):
        raise UserError(
            f"{path}: images are {images.dtype}; uint8, or float32 or float64 in [0, 1], is needed"
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
        raise UserError(
            f"{path}: {images.dtype} images reach from {low:g} to {high:g}; [0, 1] is allowed"
        )


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
    """Check arrays by name (images, labels, optional part, cluster, class_names) and open them.

    `path` is what messages call them.

    Raises:
        UserError: an array is missing or wrong; it is named.
    """
    images = found["images"]
    _check_images(path, images)
    n, channels, height, width = images.shape
    for name in ("labels", "part", "cluster"):
        if name in found:
            _check_vector(path, name, found[name], n)
    classes = _class_names(path, found) if "labels" in found else UNLABELLED
    label = np.zeros(n, np.int64)
    if "labels" in found:
        label = found["labels"].astype(np.int64)
    parts = "given"
    check_classes(str(path), classes, label)
    if "part" in found:
        values = np.setdiff1d(found["part"], [0, 1])
        if values.size:
            raise UserError(f"{path}: part holds {values[0]}; allowed are 0 (train) and 1 (valid)")
        part = found["part"].astype(np.int8)
        check_classes(str(path), classes, label, part)
    else:
        part, parts = parts_of(str(path), classes, label, settings)
    keep = limited(label, part, settings.images_per_class, settings.seed)
    size = settings.image_size
    same = size is None or (height, width) == size
    if settings.resize is not None and size is None:
        raise UserError("dataset.image_size: missing; dataset.resize needs it for kind arrays")
    notes = []
    if channels < settings.channels:
        notes.append("Grayscale images: the one channel was repeated three times.")
    if channels > settings.channels:
        notes += gray_note(settings.channels)
    if size is not None and not same:
        notes.append(f"Resized from {height} x {width} to {size[0]} x {size[1]} pixels.")
    return ImageTable(
        classes=classes,
        label=label[keep],
        part=part[keep],
        source=tuple(f"{path.name} {index}" for index in keep),
        size=(height, width) if size is None else size,
        reader=_Pixels(images, keep, None if same else size, settings.resize, settings.channels),
        notes=(*notes, *class_note(classes)),
        dtype="uint8" if images.dtype == np.uint8 else "float32",
        channels=settings.channels,
        parts=parts,
        clusters=found["cluster"].astype(np.int64)[keep] if "cluster" in found else None,
    )
