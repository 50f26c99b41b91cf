"""DICOM files that tests make, with pydicom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

ULTRASOUND = "1.2.840.10008.5.1.4.1.1.3.1"


def write_dicom(path: Path, pixels: NDArray[Any], **elements: Any) -> Path:
    """Write pixels, (rows, columns), (frames, rows, columns), or with a last axis of 3.

    Unsigned and signed whole numbers; `elements` are added or take the place of what is usual,
    and those that are None are left out.
    """
    colored = pixels.ndim > 2 and pixels.shape[-1] == 3
    shape = pixels.shape[:-1] if colored else pixels.shape
    bits = 8 * pixels.dtype.itemsize
    usual: dict[str, Any] = {
        "SOPClassUID": ULTRASOUND,
        "SOPInstanceUID": generate_uid(),
        "Modality": "US",
        "Rows": shape[-2],
        "Columns": shape[-1],
        "SamplesPerPixel": 3 if colored else 1,
        "PhotometricInterpretation": "RGB" if colored else "MONOCHROME2",
        "PlanarConfiguration": 0 if colored else None,
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "NumberOfFrames": shape[0] if len(shape) == 3 else None,
        "PixelData": pixels.tobytes(),
    }
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for name, value in {**usual, **elements}.items():
        if value is not None:
            setattr(header, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    header.save_as(path, enforce_file_format=True)
    return path


def film(seed: int, frames: int = 3, height: int = 24, width: int = 32) -> NDArray[np.uint8]:
    """Return frames of noise, each of its own brightness, (frames, height, width)."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 60, (frames, height, width))
    return (noise + 30 * np.arange(frames)[:, None, None]).astype(np.uint8)
