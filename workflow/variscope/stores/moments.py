"""Moments of one shard: one Zarr group a layer, checksummed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import zarr

from variscope.estimators import Layout, Moments
from variscope.stores import chunked
from variscope.stores.activations import ActivationsReader


def sum_activations(reader: ActivationsReader) -> Moments:
    """Sum a layer's stored outputs, chunk by chunk.

    Blocks are added in their order, whatever the chunks are: the sums are the same to the last bit.
    """
    layout = Layout(
        str(reader.attributes["design"]), int(str(reader.attributes["number_of_variables"]))
    )
    moments = Moments.zeros(layout, reader.replicate.tolist(), reader.unit)
    for stored in reader:
        moments.update(stored.replicate, stored.outputs, stored.order)
    return moments


def write_moments(path: Path, moments: Moments, dims: tuple[str, ...]) -> None:
    """Write the sums of a layer."""
    layout = moments.layout
    group = zarr.open_group(
        str(path),
        mode="w",
        attributes={
            "design": layout.design,
            "number_of_variables": layout.variables,
            "sums": {name: [s.start, s.stop] for name, s in layout.sums.items()},
            "counts": {name: [s.start, s.stop] for name, s in layout.counts.items()},
        },
    )
    # One chunk a replicate: a reader takes replicates apart.
    for name, values, row in (("sums", moments.sums, "sum"), ("counts", moments.counts, "count")):
        chunked.write(
            group, name, values, chunks=(1, *values.shape[1:]), dimensions=("replicate", row, *dims)
        )
    chunked.write(group, "replicate", moments.replicates, dimensions=("replicate",))
    chunked.write(group, "blocks", moments.blocks, dimensions=("replicate",))
    chunked.write(group, "pair_counts", moments.pair_counts, dimensions=("replicate", "pair"))


def read_moments(path: Path) -> tuple[Moments, tuple[str, ...]]:
    """Read the sums of a layer and the names of the units' dimensions.

    Raises:
        UserError: a chunk is missing or damaged.
    """
    group = chunked.open_group(path)
    arrays: dict[str, np.ndarray] = {
        name: chunked.read(group[name])  # type: ignore[arg-type]
        for name in ("replicate", "blocks", "sums", "counts", "pair_counts")
    }
    layout = Layout(str(group.attrs["design"]), int(str(group.attrs["number_of_variables"])))
    moments = Moments(
        layout,
        arrays["replicate"],
        arrays["blocks"],
        arrays["sums"],
        arrays["counts"],
        arrays["pair_counts"],
    )
    names = group["sums"].metadata.dimension_names or ()  # type: ignore[union-attr]
    return moments, tuple(map(str, names[2:]))
