"""Sums of stored activations."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from variscope.designs.cells import cells
from variscope.estimators import Layout, Moments
from variscope.estimators.spine import Spine
from variscope.stores.activations import ActivationsReader, StoredBlocks


def sum_activations(reader: ActivationsReader) -> Iterator[Moments]:
    """Sum a layer's stored outputs, chunk by chunk, and yield the sums of each replicate.

    Blocks are added in the cells in which they were evaluated, whatever the chunks are: the sums
    are those of the outputs summed in transit, to the last bit.
    """
    layout = Layout(
        str(reader.attributes["design"]), int(str(reader.attributes["number_of_variables"]))
    )
    spine, replicate = None, -1
    for stored in _in_cells(reader, int(str(reader.attributes["blocks_at_once"]))):
        if spine is None or stored.replicate != replicate:
            if spine is not None:
                yield from spine.moments()
            replicate = stored.replicate
            spine = Spine(layout, replicate, reader.unit, stored.start)
        blocks, rows = stored.outputs.shape[:2]
        first = rows * np.arange(blocks)[:, None]
        flat = stored.outputs.reshape(blocks * rows, *reader.unit)
        spine.update(flat, stored.order, first + stored.same_as)
    if spine is not None:
        yield from spine.moments()


def _in_cells(reader: ActivationsReader, at_once: int) -> Iterator[StoredBlocks]:
    """Cut runs of blocks again, into cells of ``at_once`` blocks at most."""
    kept: StoredBlocks | None = None
    ends: list[tuple[int, int]] = []
    for stored in reader:
        if kept is None or kept.replicate != stored.replicate:
            of_replicate = reader.number[reader.replicate == stored.replicate]
            ends = cells(int(of_replicate[0]), int(of_replicate[-1]) + 1, at_once)
            kept = stored
        else:
            kept = _join(kept, stored)
        while ends and ends[0][1] <= kept.stop:
            start, stop = ends.pop(0)
            yield kept.part(start, stop)
            kept = kept.part(stop, kept.stop)


def _join(one: StoredBlocks, other: StoredBlocks) -> StoredBlocks:
    if not len(one.order):
        return other
    return StoredBlocks(
        one.replicate,
        one.start,
        np.concatenate([one.outputs, other.outputs]),
        np.concatenate([one.order, other.order]),
        np.concatenate([one.same_as, other.same_as]),
    )
