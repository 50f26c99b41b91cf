"""Print the plan."""

from variscope.jobs import job

with job(snakemake.log[0]):
    print(snakemake.params.text)
