"""Run the network for a shard of an analysis."""

from pathlib import Path
from typing import Any

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

    def network(twin: bool) -> Any:
        """Open the model's network, or its untrained twin."""
        return reopen_network(params.network, params.running, Path.cwd(), twin=twin)

    opened = None if analysis.of_tables else network
    source = open_source(analysis, params, snakemake.input, opened)
    with (
        repeatable(params.running["threads"]),
        new_directory(Path(snakemake.output.stored)) as folder,
    ):
        analysis.shard(source, snakemake.wildcards.piece, folder)
