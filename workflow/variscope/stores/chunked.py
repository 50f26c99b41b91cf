"""Zarr arrays with checksummed chunks: a damaged or lost chunk is an error that names its file."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.core.array_spec import ArrayConfigParams

from variscope.errors import UserError

# Fast to decompress; the checksum is of the compressed bytes, so that reading checks what was
# written to the disk before anything is decoded.
CODECS = (BloscCodec(cname="zstd", clevel=1, shuffle="shuffle"), Crc32cCodec())

# The same for values of which the last bits are 0, which byte by byte would not compress as well.
ROUNDED_CODECS = (BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle"), Crc32cCodec())

# Chunks that are not there would read back as the fill value, so all are written.
WRITE_ALL: ArrayConfigParams = {"write_empty_chunks": True}


def create(
    group: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: str,
    *,
    chunks: tuple[int, ...] | None = None,
    dimensions: tuple[str, ...] | None = None,
    attributes: Mapping[str, Any] | None = None,
    codecs: tuple[BloscCodec, Crc32cCodec] = CODECS,
) -> zarr.Array:
    """Create an array of which every chunk is written, compressed and checksummed."""
    chunks = tuple(max(1, c) for c in (shape if chunks is None else chunks))
    return group.create_array(
        name,
        shape=shape,
        dtype=dtype,
        chunks=chunks,
        compressors=codecs,
        fill_value=float("nan") if np.dtype(dtype).kind == "f" else 0,
        dimension_names=dimensions,
        attributes=dict(attributes or {}),
        config=WRITE_ALL,
    )


def write(group: zarr.Group, name: str, values: NDArray[Any], **kwargs: Any) -> None:
    """Create an array and write it whole."""
    array = create(group, name, values.shape, str(values.dtype), **kwargs)
    array[...] = values


def open_group(path: str | Path) -> zarr.Group:
    """Open a group for reading.

    Raises:
        UserError: it is not there, or not a Zarr group.
    """
    try:
        return zarr.open_group(str(path), mode="r")
    except (FileNotFoundError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not a readable Zarr group ({error}); {_MEND}") from error


def open_array(group: zarr.Group, name: str) -> zarr.Array:
    """Open an array of a group for reading.

    Raises:
        UserError: its metadata is missing or damaged; its file is named.
    """
    try:
        array = group[name]
    except (KeyError, ValueError) as error:
        file = Path(str(group.store_path).removeprefix("file://")) / name / "zarr.json"
        raise UserError(
            f"{file}: this array's description is missing or damaged; {_MEND}"
        ) from error
    assert isinstance(array, zarr.Array)
    return array


def read(array: zarr.Array) -> NDArray[Any]:
    """Read a whole array, each chunk checked.

    Raises:
        UserError: a chunk is damaged or missing; its file is named.
    """
    check_complete(array)
    return read_part(array, ...)


def read_part(array: zarr.Array, part: Any) -> NDArray[Any]:
    """Read a part of an array that is complete, each chunk checked.

    Raises:
        UserError: a chunk is damaged; its file is named.
    """
    try:
        return np.asarray(array[part])
    except Exception as error:
        name_damage(array, error)
        raise


def check_complete(array: zarr.Array) -> None:
    """Raise a UserError that names a chunk file which is not there."""
    for key, _ in _chunks(array):
        if not (file := _file(array, key)).is_file():
            raise UserError(f"{file}: this chunk is missing; {_MEND}")


def name_damage(array: zarr.Array, error: Exception) -> None:
    """After a failed read, raise a UserError that names the first chunk that cannot be read."""
    for key, region in _chunks(array):
        try:
            array[region]
        except Exception:
            raise UserError(
                f"{_file(array, key)}: this chunk is damaged ({error}); {_MEND}"
            ) from error


_MEND = "delete the directory that the workflow made (the one below results/) and run again"


def _chunks(array: zarr.Array) -> Iterator[tuple[str, tuple[slice, ...]]]:
    """Yield each chunk's key and region."""
    counts = [math.ceil(n / c) for n, c in zip(array.shape, array.chunks, strict=True)]
    for at in itertools.product(*map(range, counts)):
        region = tuple(slice(i * c, (i + 1) * c) for i, c in zip(at, array.chunks, strict=True))
        yield "/".join(["c", *map(str, at)]), region


def _file(array: zarr.Array, key: str) -> Path:
    return Path(str(array.store_path).removeprefix("file://")) / key
