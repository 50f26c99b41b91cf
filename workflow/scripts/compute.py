"""Compute the tables of an analysis."""

from snakemake.iocontainers import Snakemake
from variscope.analyses.tables import checked, write_table
from variscope.errors import UserError
from variscope.study.jobs import LOG, job
from variscope.study.sources import find, open_source

snakemake: Snakemake

with job(snakemake.log[0]):
    analysis = find(snakemake.params.analysis)
    found = analysis.compute(open_source(analysis, snakemake.params, snakemake.input))
    for table in analysis.tables:
        try:
            data = checked(table, found[table.name])
        except (TypeError, ValueError) as error:
            raise UserError(f"{analysis.called}: {error}") from error
        write_table(snakemake.output[table.name], table, data)
        LOG.info("%s: %d rows", table.name, len(found[table.name]))
