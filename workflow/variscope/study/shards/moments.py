"""The sums of the outputs of some replicates, made as they come; no output is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from variscope.designs import Design
from variscope.estimators import Layout
from variscope.inputs.axes import file_name
from variscope.responses.network.evaluator import Evaluator
from variscope.responses.network.sums import layer_sums
from variscope.stores.moments import MomentsWriter
from variscope.study.shards.cost import Cost


def store(
    folder: Path,
    evaluator: Evaluator,
    design: Design,
    replicates: Sequence[int],
    on_rows: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Evaluate replicates of a design and write every layer's sums; no output is kept.

    The sums are those of `variscope.indices.sums.sum_activations` on what
    `variscope.study.shards.activations` writes: on the CPU to the last bit, since blocks are added
    in the same order by the same code, on a GPU to the rounding of float64. The sums of a replicate
    are written and freed as it ends.

    Args and returns as for `variscope.study.shards.activations.store`.
    """
    cost = Cost(design, replicates)
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
