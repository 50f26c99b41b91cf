"""Sum the activations of one shard."""

from pathlib import Path

from snakemake.iocontainers import Snakemake
from variscope.indices.sums import sum_activations
from variscope.log import LOG
from variscope.stores.activations import ActivationsReader
from variscope.stores.atomic import new_directory
from variscope.stores.moments import write_moments
from variscope.study.gates import sign, was_skipped
from variscope.study.jobs import job

snakemake: Snakemake

with job(snakemake.log[0]), new_directory(snakemake.output[0]) as folder:
    activations = Path(snakemake.input.activations)
    for path in sorted(activations.glob("*.zarr")):
        reader = ActivationsReader(path)
        write_moments(folder / path.name, list(sum_activations(reader)), reader.dims)
        LOG.info("%s: %d blocks of %s units", path.name, len(reader.replicate), reader.unit)
    sign(folder, snakemake.params.code, was_skipped(activations))
