"""The sums of the outputs of a part of a design, made as they come; no output is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from variscope.designs import DesignPart
from variscope.designs.cells import summed_ranges
from variscope.estimators import Layout
from variscope.inputs.axes import file_name
from variscope.responses.network.evaluator import Evaluator
from variscope.responses.network.sums import layer_sums
from variscope.stores.moments import MomentsWriter
from variscope.study.shards.cost import Cost


def store(
    folder: Path,
    evaluator: Evaluator,
    part: DesignPart,
    on_rows: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Evaluate a part of a design and write every layer's sums; no output is kept.

    The sums are those of `variscope.indices.sums.sum_activations` on what
    `variscope.study.shards.activations` writes: on the CPU to the last bit, since blocks are added
    in the same order by the same code, on a GPU to the rounding of float64. The sums of a replicate
    are written and freed as it ends.

    Args and returns as for `variscope.study.shards.activations.store`.
    """
    cost = Cost(part)
    layout = Layout(part.kind, len(part.groups))
    entries = len(part.replicates) * len(summed_ranges(part.start, part.stop))
    writers = {
        layer.name: MomentsWriter(
            folder / f"{file_name(layer.name)}.zarr", layout, entries, layer.shape, layer.dims
        )
        for layer in evaluator.layers
    }
    for replicate in part.replicates:
        sums = {
            layer.name: layer_sums(layout, replicate, layer.shape, evaluator.device, part.start)
            for layer in evaluator.layers
        }
        for evaluated in evaluator.replicate(part.blocks_of(replicate), on_rows):
            cost.evaluations += evaluated.evaluations
            for name, outputs in evaluated.outputs.items():
                sums[name].update(outputs, evaluated.rows, evaluated.order)
            del evaluated, outputs  # before the next ones are made
        for name, writer in writers.items():
            for moments in sums.pop(name).moments():
                writer.write(moments)
    for writer in writers.values():
        writer.close()
    return cost.total(folder)
