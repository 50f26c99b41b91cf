"""Write the table of the images, and what was left out of it."""

import csv
import json
from pathlib import Path

from snakemake.iocontainers import Snakemake
from variscope.inputs.images import open_images
from variscope.stores.atomic import new_file
from variscope.study.jobs import job
from variscope.vocabulary import PARTS

snakemake: Snakemake

with job(snakemake.log[0]):
    dataset = snakemake.params.dataset
    skipped = [tuple(entry) for entry in snakemake.params.skipped]
    images = open_images(
        dataset["settings"], seed=dataset["seed"], folder=Path.cwd(), skipped=skipped
    )
    with new_file(snakemake.output.table) as file, file.open("w", newline="") as stream:
        table = csv.writer(stream)
        cluster = images.cluster
        table.writerow(["image", "source", "class", "part", "cluster"])
        for number, source in enumerate(images.source):
            label = images.classes[images.label[number]]
            part = PARTS[images.part[number]]
            table.writerow([number, source, label, part, cluster[number]])
    with new_file(snakemake.output.summary) as file:
        file.write_text(json.dumps(images.summary(), indent=1))
