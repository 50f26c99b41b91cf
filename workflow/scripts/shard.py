"""Run the network for a shard of an analysis."""

from pathlib import Path

from snakemake.iocontainers import Snakemake
from variscope.stores.atomic import new_directory
from variscope.study.jobs import job
from variscope.study.sources import find, open_source

snakemake: Snakemake

with job(snakemake.log[0]):
    from variscope.responses.network.device import repeatable

    analysis = find(snakemake.params.analysis)
    source = open_source(analysis, snakemake.params, snakemake.input)
    with (
        repeatable(snakemake.params.running["threads"]),
        new_directory(Path(snakemake.output.stored)) as folder,
    ):
        analysis.shard(source, snakemake.wildcards.piece, folder)
