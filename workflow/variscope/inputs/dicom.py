"""DICOM files: one frame of one file as an RGB image of 8 bits.

Gray values go the way of the standard (DICOM PS3.3): through the modality transformation (C.11.1),
then through the look-up table or the first window that the file brings (C.11.2), or through a
window that is given. Where there is none, the whole range of the stored bits is shown. MONOCHROME1
is turned over, so that 0 is black in all images; colors become RGB by pydicom.

pydicom is imported when a file is read: it is no requirement of the package.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from variscope.errors import UserError
from variscope.inputs.decoding import Undecodable

Values = npt.NDArray[np.float64]
Window = tuple[float, float]
T = TypeVar("T")

COLORS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
GRAYS = ("MONOCHROME1", "MONOCHROME2")
NO_WINDOW = "without window"

# What frames of a file are told apart by; the rest of a header may be long.
_SUMMARY = [
    "NumberOfFrames", "Rows", "Columns", "PatientID", "Modality", "PhotometricInterpretation"
]  # fmt: skip


@dataclass(frozen=True)
class Film:
    """What a file holds.

    Attributes:
        frames: how many.
        patient: PatientID, empty where the file does not say it.
    """

    frames: int
    patient: str


def require_pydicom(where: str) -> None:
    """Refuse DICOM files where pydicom is not installed.

    Args:
        where: the key and the file that the message starts with.

    Raises:
        UserError: it is not; the message has the cure.
    """
    try:
        importlib.import_module("pydicom")
    except ImportError as error:
        raise UserError(
            f"{where}: a DICOM file, which pydicom reads, and it is not installed; "
            'pip install "variscope[ultrasound]", or in a clone '
            "pip install -r envs/requirements-ultrasound.txt"
        ) from error


def read_film(path: Path) -> Film:
    """Read how many frames a file has, and whose they are; its pixels are not read.

    Raises:
        Undecodable: it is no DICOM file, or one without images.
    """
    return _reading(lambda: _film(path))


def _film(path: Path) -> Film:
    from pydicom import dcmread

    header = dcmread(path, stop_before_pixels=True, specific_tags=list(_SUMMARY))
    if not header.get("Rows") or not header.get("Columns"):
        raise Undecodable(f"a DICOM file without an image (modality {header.get('Modality')})")
    count = header.get("NumberOfFrames")
    frames = 1 if count is None else int(count)
    if frames < 1:
        raise Undecodable(f"NumberOfFrames is {frames}; at least 1 is needed")
    return Film(frames, str(header.get("PatientID") or "").strip())


def read_frame(path: Path, frame: int, window: Window | None = None) -> tuple[Image.Image, str]:
    """Read one frame as RGB, and say what it was before.

    Args:
        path: of the file.
        frame: its number, from 0.
        window: centre and width for gray images, in their units after the modality
            transformation; None for what the file says.

    Returns:
        The image, and "RGB" or a text such as "DICOM MONOCHROME2", for the notes of a report.

    Raises:
        Undecodable: it cannot be read; the message is the reason.
    """
    return _reading(lambda: _frame(path, frame, window))


def _frame(path: Path, frame: int, window: Window | None) -> tuple[Image.Image, str]:
    from pydicom import dcmread
    from pydicom.pixels import pixel_array

    header = dcmread(path, stop_before_pixels=True)
    kind = str(header.get("PhotometricInterpretation"))
    if kind not in (*COLORS, *GRAYS, "PALETTE COLOR"):
        allowed = ", ".join((*GRAYS, *COLORS, "PALETTE COLOR"))
        raise Undecodable(f"PhotometricInterpretation is {kind}; allowed are {allowed}")
    stored = pixel_array(path, index=frame)
    if stored.dtype.kind == "f":
        raise Undecodable("pixels are floating point numbers; whole numbers are needed")
    mode = "RGB" if kind == "RGB" else f"DICOM {kind}"
    if kind in GRAYS:
        shown, how = _gray(stored, header, frame, window)
        mode += how
    elif kind == "PALETTE COLOR":
        shown = _palette(stored, header)
    else:
        shown = stored / (2.0**header.BitsStored - 1)
    pixels = np.rint(np.clip(shown, 0.0, 1.0) * 255).astype(np.uint8)
    return Image.fromarray(pixels).convert("RGB"), mode


def _gray(
    stored: npt.NDArray[Any], header: Any, frame: int, window: Window | None
) -> tuple[Values, str]:
    """Return gray values in [0, 1] (rows, columns), 0 black, and a text if there is no window."""
    values, (low, high) = _modality(stored, header, frame)
    how = ""
    voi = _of_frame(header, frame, "FrameVOILUTSequence")
    if window is not None:
        shown = windowed(values, *window)
    elif voi.get("VOILUTSequence"):
        shown = _looked_up(values, voi)
    elif voi.get("WindowCenter") is not None and voi.get("WindowWidth") is not None:
        function = str(voi.get("VOILUTFunction") or "LINEAR").upper()
        shown = windowed(values, _first(voi.WindowCenter), _first(voi.WindowWidth), function)
    else:
        shown = (values - low) / (high - low)
        if header.BitsStored > 8:  # of bytes it is what is meant
            how = f", {header.BitsStored} bits {NO_WINDOW}"
    shown = np.clip(shown, 0.0, 1.0)
    return (1 - shown if header.PhotometricInterpretation == "MONOCHROME1" else shown), how


def _modality(
    stored: npt.NDArray[Any], header: Any, frame: int
) -> tuple[Values, tuple[float, float]]:
    """Return the values of the modality (PS3.3, C.11.1) and the range that they may have."""
    from pydicom.pixels import apply_modality_lut

    at = _of_frame(header, frame, "PixelValueTransformationSequence")
    if at.get("ModalityLUTSequence"):
        top = 2.0 ** at.ModalityLUTSequence[0].LUTDescriptor[2] - 1
        return apply_modality_lut(stored, at).astype(np.float64), (0.0, top)
    bits = int(header.BitsStored)
    low, high = (
        (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1)
        if header.PixelRepresentation
        else (0.0, 2.0**bits - 1)
    )
    slope = float(1 if at.get("RescaleSlope") is None else at.RescaleSlope)
    intercept = float(at.get("RescaleIntercept") or 0)
    if slope == 0:
        raise Undecodable("RescaleSlope is 0: all pixels are the same")
    first, second = sorted((slope * low + intercept, slope * high + intercept))
    return stored * slope + intercept, (first, second)


def windowed(
    values: npt.NDArray[Any], centre: float, width: float, function: str = "LINEAR"
) -> Values:
    """Return gray values in [0, 1] by a window.

    Args:
        values: of the modality, any shape.
        centre, width: of the window, in the values' units.
        function: LINEAR, LINEAR_EXACT or SIGMOID (DICOM PS3.3, C.11.2.1.2.1, C.11.2.1.3.2 and
            C.11.2.1.3.1). LINEAR takes a half and a whole gray step off centre and width.

    Raises:
        Undecodable: the function is another, or the window is too narrow for it.
    """
    values = np.asarray(values, np.float64)
    smallest = 1.0 if function == "LINEAR" else 0.0
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise Undecodable(
            f"VOILUTFunction is {function}; allowed are LINEAR, LINEAR_EXACT, SIGMOID"
        )
    if not (np.isfinite([centre, width]).all() and (width > 0 and width >= smallest)):
        at_least = "at least 1" if smallest else "above 0"
        raise Undecodable(f"WindowWidth is {width:g}; {at_least} is needed for {function}")
    if function == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (values - centre) / width))
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    if width == 0:  # of LINEAR with a width of 1: a threshold
        return (values > centre).astype(np.float64)
    return np.clip((values - centre) / width + 0.5, 0.0, 1.0)


def _looked_up(values: Values, voi: Any) -> Values:
    """Return what a look-up table of values of interest gives, in [0, 1] (PS3.3, C.11.2.1.1)."""
    from pydicom.pixels import apply_voi

    table = voi.VOILUTSequence[0]
    found = apply_voi(np.rint(values).astype(np.int64), voi)
    return np.asarray(found, np.float64) / (2.0 ** table.LUTDescriptor[2] - 1)


def _palette(stored: npt.NDArray[Any], header: Any) -> Values:
    from pydicom.pixels import apply_color_lut

    colors = apply_color_lut(stored, header)[..., :3]
    return colors / float(np.iinfo(colors.dtype).max)


def _of_frame(header: Any, frame: int, sequence: str) -> Any:
    """Return what holds a frame's elements: its functional group, the shared one, or the header."""
    for groups, place in (
        ("PerFrameFunctionalGroupsSequence", frame),
        ("SharedFunctionalGroupsSequence", 0),
    ):
        items = header.get(groups) or ()
        if place < len(items) and items[place].get(sequence):
            return items[place].get(sequence)[0]
    return header


def _first(value: Any) -> float:
    """Return the first of alternatives."""
    try:
        return float(value)
    except TypeError:
        return float(value[0])


def _reading(read: Callable[[], T]) -> T:
    """Read, and say in a line why it cannot be done."""
    try:
        return read()
    except (Undecodable, MemoryError):
        raise
    except Exception as error:  # pydicom and its decoders raise many kinds on damaged files
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        if "plugins are missing" in reason:
            compression = reason.partition("'")[2].partition("'")[0]
            reason = (
                f"compressed as {compression}, whose decoder is not installed; pydicom "
                "takes pyjpegls, pylibjpeg and python-gdcm"
            )
        elif type(error).__name__ == "InvalidDicomError":
            reason = "not a DICOM file that can be read (no mark DICM)"
        raise Undecodable(reason[:300] or type(error).__name__) from error
