"""Activations: one Zarr group per layer, ``(block, row, *unit)``, written block by block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from variscope.stores import chunked
from variscope.stores.sizes import CHUNK_BYTES


class ActivationsWriter:
    """Appends the outputs of one layer, and cuts them into chunks of whole blocks.

    Args:
        path: of the new group.
        blocks: how many blocks will be written in all.
        rows: of one block.
        unit: shape of the units.
        dims: names of the units' dimensions.
        replicate: of each block, ``(block,)``.
        number: of each block within its replicate, ``(block,)``.
        order: the permutation of each block, ``(block, D)``; ``(block, 0)`` of a design that has
            none.
        attributes: provenance.
    """

    def __init__(
        self,
        path: Path,
        *,
        blocks: int,
        rows: int,
        unit: tuple[int, ...],
        dims: tuple[str, ...],
        replicate: NDArray[np.int64],
        number: NDArray[np.int64],
        order: NDArray[np.int64],
        attributes: Mapping[str, Any],
    ) -> None:
        group = zarr.open_group(str(path), mode="w", attributes=dict(attributes))
        block_bytes = 4 * rows * int(np.prod(unit))
        self._size = int(np.clip(CHUNK_BYTES // max(1, block_bytes), 1, blocks))
        unit_chunk = unit
        if unit and block_bytes > CHUNK_BYTES:
            first = max(1, unit[0] * CHUNK_BYTES // block_bytes)
            unit_chunk = (first, *unit[1:])
        self._array = chunked.create(
            group,
            "activations",
            (blocks, rows, *unit),
            "float32",
            chunks=(self._size, rows, *unit_chunk),
            dimensions=("block", "row", *dims),
            attributes={"long_name": "output of the layer", "units": "1"},
        )
        chunked.write(group, "replicate", replicate, dimensions=("block",))
        chunked.write(group, "number", number, dimensions=("block",))
        chunked.write(group, "order", order, dimensions=("block", "position"))
        self._group, self._same_as = group, np.zeros((blocks, rows), dtype=np.int32)
        self._buffer = np.empty((self._size, rows, *unit), dtype=np.float32)
        self._filled = self._written = 0

    def append(
        self, outputs: NDArray[np.floating[Any]], same_as: NDArray[np.integer[Any]] | None = None
    ) -> None:
        """Add the next blocks.

        Args:
            outputs: ``(block, row, *unit)``.
            same_as: the first row of the block with the same stimulus, ``(block, row)``; by
                default its own number, no row repeats another.
        """
        start = self._written + self._filled
        rows = np.arange(self._same_as.shape[1])
        self._same_as[start : start + len(outputs)] = rows if same_as is None else same_as
        while len(outputs):
            taken = min(self._size - self._filled, len(outputs))
            self._buffer[self._filled : self._filled + taken] = outputs[:taken]
            self._filled += taken
            outputs = outputs[taken:]
            if self._filled == self._size:
                self._flush()

    def close(self) -> None:
        """Write what is left.

        Raises:
            ValueError: fewer or more blocks came than were announced.
        """
        self._flush()
        if self._written != self._array.shape[0]:
            raise ValueError(f"{self._written} blocks written, {self._array.shape[0]} announced")
        chunked.write(self._group, "same_as", self._same_as, dimensions=("block", "row"))

    def _flush(self) -> None:
        stop = self._written + self._filled
        self._array[self._written : stop] = self._buffer[: self._filled]
        self._written, self._filled = stop, 0


@dataclass(frozen=True)
class StoredBlocks:
    """Blocks of one replicate as read back.

    Attributes:
        replicate: its number.
        start: number of the first of them within the replicate.
        outputs: ``(block, row, *unit)``.
        order: ``(block, D)``.
        same_as: the first row of the block with the same stimulus, ``(block, row)``.
    """

    replicate: int
    start: int
    outputs: NDArray[np.float32]
    order: NDArray[np.int64]
    same_as: NDArray[np.int32]

    @property
    def stop(self) -> int:
        """The number that would come next."""
        return self.start + len(self.order)

    def part(self, start: int, stop: int) -> StoredBlocks:
        """Return the blocks of these numbers."""
        chosen = slice(start - self.start, stop - self.start)
        return StoredBlocks(
            self.replicate, start, self.outputs[chosen], self.order[chosen], self.same_as[chosen]
        )


class ActivationsReader:
    """Reads the outputs of one layer chunk by chunk, each checked.

    Raises:
        UserError: a chunk is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        group = chunked.open_group(path)
        self._array = chunked.open_array(group, "activations")
        self.attributes = dict(group.attrs)
        self.replicate = chunked.read(chunked.open_array(group, "replicate"))
        self.number = chunked.read(chunked.open_array(group, "number"))
        self.order = chunked.read(chunked.open_array(group, "order"))
        self.same_as = chunked.read(chunked.open_array(group, "same_as"))
        self.unit = tuple(self._array.shape[2:])
        self.dims = tuple(map(str, (self._array.metadata.dimension_names or ())[2:]))  # type: ignore[union-attr]
        chunked.check_complete(self._array)

    def __iter__(self) -> Iterator[StoredBlocks]:
        """Yield runs of consecutive blocks of one replicate, in order."""
        size = self._array.chunks[0]
        for start in range(0, self._array.shape[0], size):
            stop = min(start + size, self._array.shape[0])
            try:
                outputs = np.asarray(self._array[start:stop])
            except Exception as error:
                chunked.name_damage(self._array, error)
                raise
            replicate = self.replicate[start:stop]
            for number in np.unique(replicate):
                chosen = replicate == number
                yield StoredBlocks(
                    int(number),
                    int(self.number[start:stop][chosen][0]),
                    outputs[chosen],
                    self.order[start:stop][chosen],
                    self.same_as[start:stop][chosen],
                )
