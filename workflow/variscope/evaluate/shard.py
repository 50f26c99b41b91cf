"""One shard: the outputs of some replicates, written as they come, or summed as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from variscope.designs import Design
from variscope.estimators import Layout
from variscope.evaluate.evaluator import Evaluator
from variscope.evaluate.sums import layer_sums
from variscope.inputs.axes import file_name
from variscope.stores.activations import ActivationsWriter
from variscope.stores.moments import MomentsWriter


def store_activations(
    folder: Path,
    evaluator: Evaluator,
    design: Design,
    replicates: Sequence[int],
    on_rows: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Evaluate replicates of a design and write every layer's outputs.

    Args:
        folder: gets one Zarr group a layer, ``<layer>.zarr`` (`variscope.inputs.axes.file_name`).
        evaluator: network, layers and space.
        design: whose replicates are evaluated.
        replicates: their numbers, in order.
        on_rows: called with the number of rows done after each batch.

    Returns:
        What it cost: ``rows``, ``evaluations``, ``seconds``, ``bytes`` on the disk.
    """
    cost = _Cost(design, replicates)
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


def store_moments(
    folder: Path,
    evaluator: Evaluator,
    design: Design,
    replicates: Sequence[int],
    on_rows: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Evaluate replicates of a design and write every layer's sums; no output is kept.

    The sums are those of `variscope.stores.moments.sum_activations` on what `store_activations`
    writes: on the CPU to the last bit, since blocks are added in the same order by the same code,
    on a GPU to the rounding of float64. The sums of a replicate are written and freed as it ends.

    Args and returns as for `store_activations`.
    """
    cost = _Cost(design, replicates)
    layout = Layout(design.kind, len(design.groups))
    writers = {
        layer.name: MomentsWriter(
            folder / f"{file_name(layer.name)}.zarr", layout, replicates, layer.shape, layer.dims
        )
        for layer in evaluator.layers
    }
    for number in replicates:
        sums = {
            layer.name: layer_sums(layout, number, layer.shape, evaluator.device)
            for layer in evaluator.layers
        }
        for evaluated in evaluator.replicate(design.replicate(number), on_rows):
            cost.evaluations += evaluated.evaluations
            for name, outputs in evaluated.outputs.items():
                sums[name].update(outputs, evaluated.rows, evaluated.order)
        for name, writer in writers.items():
            writer.write(sums[name].moments())
    return cost.total(folder)


@dataclass
class _Cost:
    """Counts what a shard costs."""

    design: Design
    replicates: Sequence[int]
    evaluations: int = 0
    start: float = field(default_factory=monotonic)

    def total(self, folder: Path) -> dict[str, Any]:
        blocks = sum(self.design.sizes[number] for number in self.replicates)
        return {
            "rows": blocks * self.design.rows,
            "evaluations": self.evaluations,
            "seconds": monotonic() - self.start,
            "bytes": sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()),
        }
