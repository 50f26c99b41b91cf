"""The outputs of some replicates, written as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from variscope.designs import Design
from variscope.inputs.axes import file_name
from variscope.responses.network.evaluator import Evaluator
from variscope.stores.activations import ActivationsWriter
from variscope.study.shards.cost import Cost


def store(
    folder: Path,
    evaluator: Evaluator,
    design: Design,
    replicates: Sequence[int],
    on_rows: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Evaluate replicates of a design and write every layer's outputs.

    Args:
        folder: gets one Zarr group per layer, ``<layer>.zarr`` (`variscope.inputs.axes.file_name`).
        evaluator: network, layers and space.
        design: whose replicates are evaluated.
        replicates: their numbers, in order.
        on_rows: called with the number of rows done after each batch.

    Returns:
        What it cost: ``rows``, ``evaluations``, ``seconds``, ``bytes`` on the disk.
    """
    cost = Cost(design, replicates)
    blocks = [design.replicate(number) for number in replicates]
    replicate = np.repeat(replicates, [len(b.points) for b in blocks]).astype(np.int64)
    writers = {
        layer.name: ActivationsWriter(
            folder / f"{file_name(layer.name)}.zarr",
            blocks=len(replicate),
            rows=design.rows,
            unit=layer.shape,
            dims=layer.dims,
            replicate=replicate,
            order=np.concatenate([b.order for b in blocks]),
            attributes={
                "design": design.kind,
                "number_of_variables": len(design.groups),
                "seed": design.seed,
                "blocks_at_once": evaluator.blocks_at_once(design.rows),
            },
        )
        for layer in evaluator.layers
    }
    for one in blocks:
        for evaluated in evaluator.replicate(one, on_rows):
            cost.evaluations += evaluated.evaluations
            for name, writer in writers.items():
                writer.append(evaluated.of_rows(name).cpu().numpy(), evaluated.same_as)
    for writer in writers.values():
        writer.close()
    return cost.total(folder)
