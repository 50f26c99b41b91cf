"""Say whether the intervals of a round are narrow enough, and so whether more blocks are wanted."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from snakemake.iocontainers import Snakemake
from variscope.log import LOG
from variscope.study.gates import of_shards, write_gate
from variscope.study.jobs import job

snakemake: Snakemake


def course() -> dict[str, Any]:
    """Return how far the study has come with this round. Without one nothing is imported."""
    from variscope.indices.layer import layer_dataset
    from variscope.indices.precision import Course, Target, precision
    from variscope.inputs.axes import Layer, file_name
    from variscope.stores.moments import MomentsReader

    judged = snakemake.params.judged

    def layers() -> Iterator[tuple[str, Any]]:
        for name, group in judged["groups"].items():
            sums = [path for path in snakemake.input.moments if Path(path).parent.name == name]
            shards = of_shards(sums, group["shards"])
            for layer in map(Layer.from_json, group["layers"]):
                file = f"{file_name(layer.name)}.zarr"
                reader = MomentsReader(*(shard / file for shard in shards))
                dataset = layer_dataset(
                    reader.slabs(),
                    judged["variables"],
                    reader.dims,
                    judged["confidence_level"],
                    {},
                    tokens=layer.tokens,
                    grid=layer.grid,
                )
                yield layer.name, dataset

    found = Course(Target(**judged["target"]))
    for path in snakemake.input.before:
        found = Course.from_json(json.loads(Path(path).read_text()))
    if not found.finished:
        found = found.then(precision(layers(), found.target))
        LOG.info("%s", found.text())
    return found.to_json()


with job(snakemake.log[0]):
    write_gate(snakemake.output[0], course() if snakemake.params.judged else {})
