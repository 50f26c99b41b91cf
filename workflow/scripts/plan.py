"""Print the plan."""

from variscope.study.jobs import job

with job(snakemake.log[0]):
    print(snakemake.params.text)
