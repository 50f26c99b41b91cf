"""From an image file to bytes (C, H, W), RGB or gray."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

T = TypeVar("T")
R = TypeVar("R")

# Names of the modes that are converted, for the notes of a report.
_MODES = {
    "1": "black and white",
    "L": "gray",
    "LA": "gray with alpha",
    "P": "palette",
    "PA": "palette",
    "RGBA": "RGBA",
    "RGBX": "RGBA",
    "CMYK": "CMYK",
    "F": "gray float",
    "I": "16-bit gray",
}


class Undecodable(Exception):
    """An image that cannot be read; the message is the reason, in a line, without the file."""


def mode_name(mode: str) -> str:
    """Return a reader's name of a Pillow mode that is not RGB."""
    return "16-bit gray" if mode.startswith("I") else _MODES.get(mode, mode)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB, 8 bits per channel; 16-bit values are scaled, alpha is dropped.

    Raises:
        Undecodable: the range of the values is not known.
    """
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image).astype(np.float64)
        top = 1.0 if image.mode == "F" else 65535.0
        if values.size and not (values.min() >= 0 and values.max() <= top):
            raise Undecodable(
                f"values from {values.min():g} to {values.max():g}; allowed are 0 to {top:g}"
            )
        gray = np.round(values * (255 / top)).astype(np.uint8)
        return Image.fromarray(gray).convert("RGB")
    if image.mode in ("P", "PA"):  # Pillow wants transparent palettes to go through RGBA
        image = image.convert("RGBA")
    return image.convert("RGB")


def gray_note(channels: int) -> tuple[str, ...]:
    """Say that images were made gray, where one channel is asked for."""
    return ("One channel: images were made gray by their luma.",) if channels == 1 else ()


def read_rgb(path: Path) -> tuple[Image.Image, str]:
    """Read an image, upright (EXIF orientation applied) and RGB, and its mode before.

    Raises:
        Undecodable: it cannot be read; the message is the reason.
    """
    try:
        with Image.open(path) as image:
            mode = image.mode
            image.load()
            upright = ImageOps.exif_transpose(image)
            return to_rgb(upright), mode
    except Undecodable:
        raise
    except UnidentifiedImageError:
        raise Undecodable("not an image that can be read") from None
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds on damaged files
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise Undecodable(reason or type(error).__name__) from error


def resize_and_crop(
    image: Image.Image, *, size: tuple[int, int], resize: int | None
) -> Image.Image:
    """Scale the image so that it covers `size` (H, W), then crop its centre.

    Its shortest side becomes `resize`, as torchvision's Resize and CenterCrop do it. Without
    `resize` it covers H x 256 / 224 and W x 256 / 224, the usual 256 for 224. Where the shortest
    side is not enough for both sides, which no square meets, the image just covers H and W.
    Bilinear and antialiased; sizes and offsets round as torchvision's do.
    """
    width, height = image.size
    if resize is None:
        scaled = _covering((width, height), [round(side * 256 / 224) for side in size])
    else:
        scaled = _covering((width, height), [resize, resize])
        if scaled[1] < size[0] or scaled[0] < size[1]:
            scaled = _covering((width, height), size)
    if scaled != (width, height):
        image = image.resize(scaled, Image.Resampling.BILINEAR)
    left = round((scaled[0] - size[1]) / 2.0)
    top = round((scaled[1] - size[0]) / 2.0)
    return image.crop((left, top, left + size[1], top + size[0]))


def _covering(found: tuple[int, int], box: Sequence[int]) -> tuple[int, int]:
    """Width and height, in the proportion of `found` (W, H), that just cover `box` (H, W)."""
    (width, height), (rows, columns) = found, box
    if columns * height >= rows * width:
        return columns, int(columns * height / width)
    return int(rows * width / height), rows


def to_array(image: Image.Image, channels: int = 3) -> npt.NDArray[np.uint8]:
    """(channels, H, W) uint8 of an RGB image; one channel is its luma, as Pillow rounds it."""
    if channels == 1:
        return np.asarray(image.convert("L"), dtype=np.uint8)[None]
    return np.asarray(image, dtype=np.uint8).transpose(2, 0, 1)


def resize_float(
    images: npt.NDArray[np.float32], *, size: tuple[int, int], resize: int | None
) -> npt.NDArray[Any]:
    """(C, H, W) float32 in [0, 1], resized and cropped channel by channel."""
    planes = [
        np.asarray(resize_and_crop(Image.fromarray(plane), size=size, resize=resize))
        for plane in np.ascontiguousarray(images, dtype=np.float32)
    ]
    return np.clip(np.stack(planes), 0.0, 1.0)


def map_threads(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """`map` on a few threads, in order; Pillow decodes without holding Python's lock."""
    workers = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4)
    if workers == 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(items), 256):  # a million futures at once would be heavy
            yield from pool.map(function, items[start : start + 256])
