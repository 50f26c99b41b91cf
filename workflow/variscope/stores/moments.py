"""Moments of one shard: one Zarr group per layer, checksummed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray

from variscope.estimators import Layout, Moments, merge
from variscope.estimators.moments import SLAB_BYTES
from variscope.stores import chunked
from variscope.stores.sizes import CHUNK_BYTES


class MomentsWriter:
    """Writes the sums of a layer entry by entry, so that each can be freed as it ends.

    An entry is of some consecutive blocks of one replicate
    (`variscope.designs.cells.summed_ranges`).

    Args:
        path: of the new group.
        layout: of the sums.
        entries: how many will be written.
        unit: shape of the units.
        dims: names of the units' dimensions.
    """

    def __init__(
        self,
        path: Path,
        layout: Layout,
        entries: int,
        unit: tuple[int, ...],
        dims: tuple[str, ...],
    ) -> None:
        group = zarr.open_group(
            str(path),
            mode="w",
            attributes={
                "design": layout.design,
                "number_of_variables": layout.variables,
                "sums": {name: [s.start, s.stop] for name, s in layout.sums.items()},
                "scale": layout.scale,
            },
        )
        self._written, self._entries = 0, entries
        # Cut along the leading dimension, so that a slab of units is read without the rest.
        at_once = max(1, int(CHUNK_BYTES // (8 * layout.sum_rows * np.prod(unit[1:], initial=1))))
        slab = (min(unit[0], at_once), *unit[1:]) if unit else unit
        pairs = len(layout.pairs)
        self._arrays = {
            name: chunked.create(
                group,
                name,
                (entries, *shape),
                dtype,
                chunks=(1, *chunk),
                dimensions=("entry", *names),
                codecs=chunked.ROUNDED_CODECS,
            )
            for name, dtype, shape, chunk, names in (
                ("replicates", "int64", (), (), ()),
                ("first", "int64", (), (), ()),
                ("blocks", "int64", (), (), ()),
                (
                    "sums",
                    "float64",
                    (layout.sum_rows, *unit),
                    (layout.sum_rows, *slab),
                    ("sum", *dims),
                ),
                ("pair_counts", "int64", (pairs,), (pairs,), ("pair",)),
                (
                    "moved",
                    "int64",
                    (layout.variables,),
                    (layout.variables,),
                    ("variable",),
                ),
            )
        }

    def write(self, moments: Moments) -> None:
        """Write the next entries: those of all replicates that ``moments`` holds."""
        for k in range(len(moments.replicates)):
            for name, array in self._arrays.items():
                array[self._written] = getattr(moments, name)[k]
            self._written += 1

    def close(self) -> None:
        """Check that all is there.

        Raises:
            ValueError: fewer entries came than were announced.
        """
        if self._written != self._entries:
            raise ValueError(f"{self._written} entries written, {self._entries} announced")


def write_moments(path: Path, parts: Sequence[Moments], dims: tuple[str, ...]) -> None:
    """Write the sums of a layer."""
    entries = sum(len(part.replicates) for part in parts)
    writer = MomentsWriter(path, parts[0].layout, entries, parts[0].unit, dims)
    for part in parts:
        writer.write(part)
    writer.close()


class MomentsReader:
    """Reads the sums of a layer from one group or, of several shards, from all of them.

    Args:
        paths: of the shards' groups; each holds blocks of its own.

    Attributes:
        layout: of the sums.
        replicates: their number.
        stored: how many entries there are of all of them.
        unit: shape of the units.
        dims: names of the units' dimensions.

    Raises:
        UserError: a chunk is missing, or what is read first is damaged.
    """

    def __init__(self, *paths: Path) -> None:
        groups = [chunked.open_group(path) for path in paths]
        self._sums = [chunked.open_array(group, "sums") for group in groups]
        for array in self._sums:
            chunked.check_complete(array)
        self._others: list[dict[str, NDArray[np.int64]]] = [
            {
                name: chunked.read(chunked.open_array(group, name))
                for name in ("replicates", "first", "blocks", "pair_counts", "moved")
            }
            for group in groups
        ]
        attributes, first = groups[0].attrs, self._sums[0]
        self.layout = Layout(str(attributes["design"]), int(str(attributes["number_of_variables"])))
        numbers = [others["replicates"] for others in self._others]
        self.replicates = len(np.unique(np.concatenate(numbers)))
        self.stored = sum(map(len, numbers))
        self.unit: tuple[int, ...] = tuple(first.shape[2:])
        self.dims = tuple(map(str, (first.metadata.dimension_names or ())[2:]))  # type: ignore[union-attr]

    def read(self, slab: slice = slice(None)) -> Moments:
        """Read the sums of all units, or of those of a part of the leading dimension.

        Raises:
            UserError: a chunk is damaged; its file is named.
        """
        part = (slice(None), slice(None), slab) if self.unit else ...
        entries = []
        for array, others in zip(self._sums, self._others, strict=True):
            sums = chunked.read_part(array, part)
            for k in range(len(sums)):
                entry = slice(k, k + 1)
                entries.append(
                    Moments(
                        self.layout,
                        others["replicates"][entry],
                        others["first"][entry],
                        others["blocks"][entry],
                        sums[entry],
                        others["pair_counts"][entry],
                        others["moved"][entry],
                    )
                )
        return merge(entries)

    def slabs(self, size: int = SLAB_BYTES) -> Iterator[Moments]:
        """Read slab by slab, each of about this many bytes of sums."""
        if not self.unit:
            yield self.read()
            return
        for start in range(0, self.unit[0], step := self.entries(size)):
            yield self.read(slice(start, start + step))

    def entries(self, size: int) -> int:
        """Return how many entries of the leading dimension have about this many bytes of sums."""
        one = 8 * self.stored * self.layout.sum_rows * int(np.prod(self.unit[1:]))
        return max(1, size // one)
