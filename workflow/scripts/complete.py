"""Complete the dataset of a layer that an analysis gives, from those of all layers."""

from pathlib import Path

from snakemake.iocontainers import Snakemake
from variscope.stores.atomic import new_directory
from variscope.stores.results import write_dataset
from variscope.study.jobs import job
from variscope.study.sources import find, open_source

snakemake: Snakemake

with job(snakemake.log[0]):
    analysis = find(snakemake.params.analysis)
    source = open_source(analysis, snakemake.params, snakemake.input)
    with new_directory(Path(snakemake.output.dataset)) as folder:
        write_dataset(folder, analysis.complete(source, snakemake.params.layer))
