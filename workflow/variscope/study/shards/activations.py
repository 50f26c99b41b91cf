"""The outputs of a part of a design, written as they come."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from variscope.designs import DesignPart
from variscope.inputs.axes import file_name
from variscope.responses.network.evaluator import Evaluator
from variscope.stores.activations import ActivationsWriter
from variscope.study.shards.cost import Cost


def store(
    folder: Path,
    evaluator: Evaluator,
    part: DesignPart,
    on_rows: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Evaluate a part of a design and write every layer's outputs.

    Args:
        folder: gets one Zarr group per layer, ``<layer>.zarr`` (`variscope.inputs.axes.file_name`).
        evaluator: network, layers and space.
        part: which blocks of which replicates.
        on_rows: called with the number of rows done after each batch.

    Returns:
        What it cost: ``rows``, ``evaluations``, ``seconds``, ``bytes`` on the disk.
    """
    cost = Cost(part)
    blocks = [part.blocks_of(replicate) for replicate in part.replicates]
    numbers = np.arange(part.start, part.stop, dtype=np.int64)
    writers = {
        layer.name: ActivationsWriter(
            folder / f"{file_name(layer.name)}.zarr",
            blocks=part.blocks,
            rows=part.rows,
            unit=layer.shape,
            dims=layer.dims,
            replicate=np.repeat(np.array(part.replicates, dtype=np.int64), len(numbers)),
            number=np.tile(numbers, len(part.replicates)),
            order=np.concatenate([b.order for b in blocks]),
            attributes={
                "design": part.kind,
                "number_of_variables": len(part.groups),
                "seed": part.seed,
                "blocks_at_once": evaluator.blocks_at_once(part.rows),
            },
        )
        for layer in evaluator.layers
    }
    for one in blocks:
        for evaluated in evaluator.replicate(one, on_rows):
            cost.evaluations += evaluated.evaluations
            for name, writer in writers.items():
                writer.append(evaluated.of_rows(name).cpu().numpy(), evaluated.same_as)
            del evaluated  # before the next outputs are made
    for writer in writers.values():
        writer.close()
    return cost.total(folder)
