"""Measure a model's accuracy on each part."""

import json
from pathlib import Path

from variscope.evaluate.device import repeatable
from variscope.inputs.opening import open_network, open_table
from variscope.inputs.training import accuracy
from variscope.jobs import job
from variscope.space.images import PARTS
from variscope.stores.atomic import new_file

with job(snakemake.log[0]):
    dataset, model = snakemake.params.dataset, snakemake.params.model
    skipped = json.loads(Path(snakemake.input.images).read_text())["skipped"]
    images = open_table(dataset["settings"], dataset["seed"], Path.cwd(), skipped)
    trained = Path(snakemake.input.weights) if snakemake.input.weights else None
    network = open_network(model, len(images.classes), Path.cwd(), dataset["seed"], trained)
    with repeatable(snakemake.params.threads):
        measured = {
            part: accuracy(
                network,
                images,
                images.ids(part),
                mean=model["mean"],
                std=model["std"],
                device=snakemake.params.device,
            )
            for part in PARTS
        }
    with new_file(snakemake.output[0]) as file:
        file.write_text(json.dumps(measured, indent=1))
