"""Run the network for a shard of an analysis."""

from pathlib import Path

from snakemake.iocontainers import Snakemake
from variscope.stores.atomic import new_directory
from variscope.study.jobs import job
from variscope.study.sources import find, open_source

snakemake: Snakemake

with job(snakemake.log[0]):
    from variscope.responses.network.device import repeatable
    from variscope.responses.network.opened import reopen_network

    params = snakemake.params
    analysis = find(params.analysis)
    source = open_source(
        analysis,
        params,
        snakemake.input,
        lambda twin: reopen_network(params.network, params.running, Path.cwd(), twin=twin),
    )
    with (
        repeatable(params.running["threads"]),
        new_directory(Path(snakemake.output.stored)) as folder,
    ):
        analysis.shard(source, snakemake.wildcards.piece, folder)
