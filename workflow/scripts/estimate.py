"""Turn the sums of all shards of a layer into indices with intervals."""

import json

from snakemake.iocontainers import Snakemake
from variscope.indices.layer import layer_dataset
from variscope.inputs.axes import Layer, file_name
from variscope.log import LOG
from variscope.stores.atomic import new_directory
from variscope.stores.moments import MomentsReader
from variscope.stores.results import write_dataset
from variscope.study.digest import value_digest
from variscope.study.gates import last_shards, of_shards
from variscope.study.jobs import job
from variscope.study.provenance import versions

snakemake: Snakemake

with job(snakemake.log[0]), new_directory(snakemake.output[0]) as folder:
    params, names = snakemake.params, snakemake.wildcards
    layer = Layer.from_json(params.layer)
    wanted = last_shards(params.rounds, snakemake.input.precision)
    costs = [json.loads(path.read_text()) for path in of_shards(snakemake.input.cost, wanted)]
    provenance = {
        **params.provenance,
        "devices": sorted({cost["device"] for cost in costs}),
        "batch_size": costs[0]["batch_size"],
        "versions": versions(),
    }
    shards = of_shards(snakemake.input.moments, wanted)
    reader = MomentsReader(*(shard / f"{file_name(layer.name)}.zarr" for shard in shards))
    dataset = layer_dataset(
        reader.slabs(),
        params.variables,
        reader.dims,
        params.confidence_level,
        {
            "experiment": snakemake.config["experiment"],
            "model": names.model,
            "variable_set": names.set,
            "layer": layer.name,
            "layer_number": params.position,
            "apply": params.apply,
            "seed": params.provenance["seed"],
            "images": value_digest(params.provenance["dataset"]),
            "provenance": json.dumps(provenance),
            "shards": [f"{shard.parent.name}/{shard.name}" for shard in shards],
        },
        params.groups,
        layer.tokens,
        layer.grid,
    )
    write_dataset(folder, dataset)
    LOG.info("%s units", dataset.attrs["unit_counts"])
