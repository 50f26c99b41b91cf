"""Sums of stored activations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from variscope.estimators import Layout, Moments
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
        blocks, rows = stored.outputs.shape[:2]
        first = rows * np.arange(blocks)[:, None]
        flat = stored.outputs.reshape(blocks * rows, *reader.unit)
        moments.update(stored.replicate, flat, stored.order, first + stored.same_as)
    return moments.rounded()


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
        np.concatenate([part.same_as for part in parts]),
    )
