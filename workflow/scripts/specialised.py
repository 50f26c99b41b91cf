"""List the units whose variance is most one variable's."""

from pathlib import Path

from snakemake.iocontainers import Snakemake
from variscope.analyses.specialised import specialised_units
from variscope.stores.atomic import new_file
from variscope.stores.results import read_study
from variscope.study.jobs import job

snakemake: Snakemake

with job(snakemake.log[0]), new_file(snakemake.output[0]) as file:
    study = read_study(Path(snakemake.input[0]))
    table = specialised_units(study, unit_names=snakemake.params.names)
    table.to_csv(file, index=False)
