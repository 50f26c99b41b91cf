"""A study of 200 thousand units summed in transit: what it writes, and its time over the network's.

Run it by ``python -m benchmarks.transit``.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import torch
from variscope.designs import Design
from variscope.indices.layer import layer_dataset
from variscope.inputs.axes import file_name
from variscope.responses.network.device import repeatable
from variscope.responses.network.evaluator import Evaluator
from variscope.stores.moments import MomentsReader
from variscope.stores.results import write_dataset
from variscope.study.shards.moments import store

from benchmarks.measuring import Row, arguments, write
from benchmarks.networks import evaluator, photographs

NOTES = """
AlexNet at 224 px with the published layers and initial weights, the published spatial set with
order, class, image and part ({variables} variables), the blocks of config/paper. `storage:
moments`, one shard per replicate, one thread, float32; then the indices of all layers with their
intervals. `forward` is the bare network as torchvision gives it on such images in memory, timed on
a batch after each replicate; `over forward` is the evaluation with all that it writes, for an
evaluated image, over that. Rows that repeat take no evaluation; the first replicate warms up and is
not timed. `written` is what lies on the disk at the end: the sums of {replicates} replicates, and
the indices. `activations` is what those of the same rows would take, uncompressed. Sums and indices
have about this size for any number of blocks.
"""


def main(given: Sequence[str] | None = None) -> list[Row]:
    """Run the benchmark and return its table."""
    options = arguments(__doc__ or "", given)
    blocks, replicates, at_once = (4, 2, 4) if options.quick else (2048, 16, 0)
    with photographs(*((2, 2) if options.quick else (10, 8))) as images, repeatable(1):
        of = evaluator("alexnet", "spatial", images)
        if options.quick:
            of.layers, of.batch_size = of.layers[-2:], at_once
        design = Design("cycle", of.space.groups, blocks, replicates, 1)
        with TemporaryDirectory() as folder:
            row = _run(of, design, Path(folder))
    notes = NOTES.format(variables=len(of.space.groups), replicates=replicates)
    write("transit", "A study summed in transit", notes, [row], options)
    return [row]


def _run(of: Evaluator, design: Design, folder: Path) -> Row:
    ready = _inputs(of, design)
    bare = deepcopy(of.model).to(memory_format=torch.contiguous_format)
    seconds, evaluations, forward = 0.0, 0, []
    for number in range(design.replicates):
        shard = folder / "moments" / str(number)
        cost = store(shard, of, design.part([number], 0, design.sizes[number]))
        if number:  # the first warms up
            seconds += cost["seconds"]
            evaluations += cost["evaluations"]
        start = perf_counter()
        with torch.inference_mode():
            bare(ready)
        forward.append((perf_counter() - start) / len(ready))
    start = perf_counter()
    names = [variable.name for variable in of.space.variables]
    shards = [folder / "moments" / str(number) for number in range(design.replicates)]
    for number, layer in enumerate(of.layers):
        file = f"{file_name(layer.name)}.zarr"
        reader = MomentsReader(*(shard / file for shard in shards))
        about = {"layer": layer.name, "layer_number": number}
        dataset = layer_dataset(reader.slabs(), names, reader.dims, 0.95, about)
        write_dataset(folder / "indices" / file, dataset)
    estimated = perf_counter() - start
    moments, indices = (
        sum(f.stat().st_size for f in (folder / part).rglob("*") if f.is_file()) / 1e6
        for part in ("moments", "indices")
    )
    units = sum(layer.units for layer in of.layers)
    rows = design.blocks * design.rows
    return {
        "units": units,
        "blocks": design.blocks,
        "rows": rows,
        "evaluations": evaluations,
        "ms an evaluation": 1e3 * seconds / evaluations,
        "forward, ms": 1e3 * median(forward),
        "over forward": seconds / evaluations / median(forward),
        "indices, s": estimated,
        "moments, MB": moments,
        "indices, MB": indices,
        "written, MB": moments + indices,
        "activations, MB": 4 * rows * units / 1e6,
    }


def _inputs(of: Evaluator, design: Design) -> torch.Tensor:
    """Return a batch of altered, normalised images, laid out as torchvision's networks expect."""
    batch = list(of._batches(design.replicate(0)))[-1]
    with torch.inference_mode():
        return of.inputs(batch.recipes, batch.ids, of.images.load(batch.ids)).contiguous()


if __name__ == "__main__":
    main()
