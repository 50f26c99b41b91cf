"""Moments of one shard: one Zarr group a layer, checksummed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import zarr

from variscope.estimators import Layout, Moments
from variscope.stores import chunked
from variscope.stores.activations import ActivationsReader, StoredBlocks


def sum_activations(reader: ActivationsReader) -> Moments:
    """Sum a layer's stored outputs, chunk by chunk.

    Blocks are added in the batches in which they were evaluated, whatever the chunks are: the sums
    are those of the outputs summed in transit, to the last bit.
    """
    layout = Layout(
        str(reader.attributes["design"]), int(str(reader.attributes["number_of_variables"]))
    )
    moments = Moments.zeros(layout, reader.replicate.tolist(), reader.unit)
    for stored in _batches(reader, int(str(reader.attributes["blocks_at_once"]))):
        moments.update(stored.replicate, stored.outputs, stored.order)
    return moments


def _batches(reader: Iterable[StoredBlocks], size: int) -> Iterator[StoredBlocks]:
    """Cut runs of blocks anew: ``size`` blocks each, the last of a replicate what is left."""
    kept: list[StoredBlocks] = []
    for stored in reader:
        if kept and kept[0].replicate != stored.replicate:
            yield _join(kept)
            kept = []
        kept.append(stored)
        while sum(len(part.order) for part in kept) >= size:
            whole = _join(kept)
            yield whole.part(slice(0, size))
            kept = [whole.part(slice(size, None))] if len(whole.order) > size else []
    if kept:
        yield _join(kept)


def _join(parts: list[StoredBlocks]) -> StoredBlocks:
    if len(parts) == 1:
        return parts[0]
    return StoredBlocks(
        parts[0].replicate,
        np.concatenate([part.outputs for part in parts]),
        np.concatenate([part.order for part in parts]),
    )


class MomentsWriter:
    """Writes the sums of a layer replicate by replicate, so that each can be freed as it ends.

    Args:
        path: of the new group.
        layout: of the sums.
        replicates: all that will be written, increasing.
        unit: shape of the units.
        dims: names of the units' dimensions.
    """

    def __init__(
        self,
        path: Path,
        layout: Layout,
        replicates: Sequence[int],
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
        self._replicates = np.asarray(replicates, dtype=np.int64)
        n = len(self._replicates)
        chunked.write(group, "replicate", self._replicates, dimensions=("replicate",))
        self._arrays = {
            name: chunked.create(
                group,
                name,
                (n, *shape),
                dtype,
                chunks=(1, *shape),
                dimensions=("replicate", *names),
            )
            for name, dtype, shape, names in (
                ("blocks", "int64", (), ()),
                ("sums", "float64", (layout.sum_rows, *unit), ("sum", *dims)),
                ("pair_counts", "int64", (len(layout.pairs),), ("pair",)),
            )
        }

    def write(self, moments: Moments) -> None:
        """Write all replicates that ``moments`` holds."""
        for k, at in enumerate(np.searchsorted(self._replicates, moments.replicates)):
            for name, array in self._arrays.items():
                array[int(at)] = getattr(moments, name)[k]


def write_moments(path: Path, moments: Moments, dims: tuple[str, ...]) -> None:
    """Write the sums of a layer."""
    replicates = moments.replicates.tolist()
    MomentsWriter(path, moments.layout, replicates, moments.unit, dims).write(moments)


def read_moments(path: Path) -> tuple[Moments, tuple[str, ...]]:
    """Read the sums of a layer and the names of the units' dimensions.

    Raises:
        UserError: a chunk is missing or damaged.
    """
    group = chunked.open_group(path)
    arrays: dict[str, np.ndarray] = {
        name: chunked.read(chunked.open_array(group, name))
        for name in ("replicate", "blocks", "sums", "pair_counts")
    }
    layout = Layout(str(group.attrs["design"]), int(str(group.attrs["number_of_variables"])))
    moments = Moments(
        layout,
        arrays["replicate"],
        arrays["blocks"],
        arrays["sums"],
        arrays["pair_counts"],
    )
    names = chunked.open_array(group, "sums").metadata.dimension_names or ()  # type: ignore[union-attr]
    return moments, tuple(map(str, names[2:]))
