"""Compute the tables of an analysis."""

from snakemake.iocontainers import Snakemake
from variscope.analyses.tables import write_table
from variscope.study.jobs import LOG, job
from variscope.study.sources import find, open_source

snakemake: Snakemake

with job(snakemake.log[0]):
    analysis = find(snakemake.params.analysis)
    found = analysis.compute(open_source(analysis, snakemake.params, snakemake.input))
    if set(found) != {table.name for table in analysis.tables}:
        raise ValueError(f"compute gave the tables {', '.join(found)}; its entry names others")
    for table in analysis.tables:
        write_table(snakemake.output[table.name], table, found[table.name])
        LOG.info("%s: %d rows", table.name, len(found[table.name]))
