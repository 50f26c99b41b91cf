"""Join the aggregates of a model and a variable set into one table."""

from pathlib import Path

import pandas as pd
from snakemake.iocontainers import Snakemake
from variscope.analyses.summary import summary_table
from variscope.stores.atomic import new_file
from variscope.stores.results import read_study
from variscope.study.jobs import job

snakemake: Snakemake

with job(snakemake.log[0]), new_file(snakemake.output[0]) as file:
    tables = [summary_table(read_study(Path(path))) for path in snakemake.input]
    pd.concat(tables).to_csv(file, index=False)
