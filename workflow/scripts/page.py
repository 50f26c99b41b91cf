"""Put the report page together."""

from pathlib import Path

import yaml
from variscope.jobs import job
from variscope.reporting.gather import gather
from variscope.reporting.page import write
from variscope.stores.atomic import new_file

with job(snakemake.log[0]):
    config = dict(snakemake.params.config)
    folder = Path(snakemake.output.page).parent
    report = gather(config, snakemake.params.found, folder, snakemake.params.digests)
    with new_file(snakemake.output.config) as file:
        file.write_text(yaml.safe_dump(config, sort_keys=False))
    write(report, snakemake.output.page)
