"""Reads measured responses back: checked against what was presented."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variscope.errors import UserError
from variscope.responses.measured.presentations import Presentations

# Names in the file that are no regions.
_DIGEST, _POSITION = "digest", "position"


@dataclass(frozen=True)
class Responses:
    """What was measured, in the order of presentation.

    Attributes:
        regions: by name ``(presentation, unit)``; NaN where a presentation is missing.
        present: which presentations are there in all regions, ``(presentation,)``.
    """

    regions: Mapping[str, NDArray[np.floating[Any]]]
    present: NDArray[np.bool_]

    @property
    def missing(self) -> int:
        """Presentations that are not there."""
        return int((~self.present).sum())


def read_responses(path: Path, shown: Presentations) -> Responses:
    """Read a file of responses, and hold it against what was presented.

    Args:
        path: of an .npz file or a Zarr group, as the export's README says.
        shown: what was presented.

    Raises:
        UserError: the file cannot be read, has another number of rows or another digest, or holds
            numbers that are not finite; the message says what was found and what is allowed.
    """
    arrays = _arrays(path)
    digest = str(np.asarray(arrays.pop(_DIGEST, "")).item()).strip()
    if digest != shown.digest:
        raise UserError(
            f"{path}: digest: found {digest or 'none'}; allowed: {shown.digest}, that of the "
            "exported order. Responses to another order, design, seed or share of repeats cannot "
            "be taken for it: export again, or give the configuration that they were shown with"
        )
    position = _positions(path, arrays.pop(_POSITION, None), len(shown))
    if not arrays:
        raise UserError(f"{path}: found no responses; allowed: arrays (presentations, units)")
    regions = {
        name: _region(path, name, array, position, len(shown)) for name, array in arrays.items()
    }
    missing = np.any([np.isnan(region).all(axis=1) for region in regions.values()], axis=0)
    for name, region in regions.items():
        wrong = ~np.isfinite(region) & ~missing[:, None]
        if wrong.any():
            at, unit = np.argwhere(wrong)[0]
            raise UserError(
                f"{path}: {name}: found {region[at, unit]} at position {at}, unit {unit}; allowed: "
                "finite numbers, or NaN in all units of a presentation that is missing"
            )
    if missing.all():
        raise UserError(f"{path}: all presentations are missing")
    return Responses(regions, ~missing)


def region_sizes(path: Path) -> dict[str, int]:
    """Return the units of each region of a file, by name, without reading what was measured."""
    arrays = _arrays(path)
    return {
        name: array.shape[1]
        for name, array in arrays.items()
        if name not in (_DIGEST, _POSITION) and len(array.shape) == 2
    }


def _arrays(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise UserError(f"{path}: there is no such file; allowed: an .npz file or a Zarr group")
    try:
        if path.is_dir():
            import zarr

            group = zarr.open_group(str(path), mode="r")
            arrays: dict[str, Any] = dict(group.arrays())
            if _DIGEST in group.attrs:
                arrays[_DIGEST] = np.array(str(group.attrs[_DIGEST]))
            return arrays
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise UserError(
            f"{path}: cannot be read as .npz or Zarr ({type(error).__name__}: {error})"
        ) from error


def _positions(path: Path, given: Any, n: int) -> NDArray[np.int64]:
    """Return the position of each row of the file."""
    if given is None:
        return np.arange(n)
    position = np.asarray(given)
    if position.ndim != 1 or not np.issubdtype(position.dtype, np.integer):
        raise UserError(
            f"{path}: position: found {position.dtype} of shape {position.shape}; allowed: "
            "integers (rows,)"
        )
    if len(position) and not 0 <= position.min() <= position.max() < n:
        raise UserError(
            f"{path}: position: found {position.min()} to {position.max()}; allowed: 0 to {n - 1}"
        )
    if len(np.unique(position)) < len(position):
        values, count = np.unique(position, return_counts=True)
        raise UserError(f"{path}: position: found {values[count > 1][0]} twice; allowed: once each")
    return position.astype(np.int64)


def _region(
    path: Path, name: str, array: Any, position: NDArray[np.int64], n: int
) -> NDArray[np.floating[Any]]:
    """Return a region's responses in the order of presentation, NaN where a row is not there."""
    if len(array.shape) != 2 or array.shape[0] != len(position) or not array.shape[1]:
        raise UserError(
            f"{path}: {name}: found the shape {tuple(array.shape)}; allowed: "
            f"({len(position)}, units), one row a presentation"
        )
    if array.dtype.kind not in "fiub":
        raise UserError(f"{path}: {name}: found {array.dtype}; allowed: real numbers")
    values = np.asarray(array)
    if values.dtype != np.float32:
        values = values.astype(np.float64)
    found = np.full((n, values.shape[1]), np.nan, dtype=values.dtype)
    found[position] = values
    return found
