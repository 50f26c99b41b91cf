"""Train the network of a table."""

from pathlib import Path

from snakemake.iocontainers import Snakemake
from variscope.stores.atomic import new_directory
from variscope.study.jobs import job

snakemake: Snakemake

with job(snakemake.log[0]):
    from variscope.inputs.tables.network import train_table
    from variscope.inputs.tables.opening import open_table

    name, settings = snakemake.wildcards.table, snakemake.params.table["settings"]
    table = open_table(name, settings, Path.cwd())
    with new_directory(Path(snakemake.output.trained)) as folder:
        train_table(table, settings, snakemake.params.seed, folder)
