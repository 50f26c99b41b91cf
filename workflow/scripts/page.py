"""Put the report page together."""

from pathlib import Path

import yaml
from snakemake.iocontainers import Snakemake
from variscope.reporting.gather import gather
from variscope.reporting.page import build
from variscope.stores.atomic import new_file
from variscope.study.experiment import Experiment
from variscope.study.jobs import job

snakemake: Snakemake

with job(snakemake.log[0]):
    cache = Path(snakemake.params.cache)
    experiment = Experiment.again(snakemake.config, Path.cwd(), cache)
    config = dict(experiment.config)
    folder = Path(snakemake.output.page).parent
    report = gather(
        config,
        experiment.found,
        folder,
        snakemake.params.digests,
        [chosen.analysis for chosen in experiment.analyses],
    )
    with new_file(snakemake.output.config) as file:
        file.write_text(yaml.safe_dump(config, sort_keys=False))
    with new_file(snakemake.output.page) as file:
        file.write_text(build(report), encoding="utf-8")
