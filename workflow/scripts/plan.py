"""Print the plan."""

from snakemake.iocontainers import Snakemake
from variscope.study.jobs import job

snakemake: Snakemake

with job(snakemake.log[0]):
    print(snakemake.params.text)
