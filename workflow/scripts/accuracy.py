"""Measure a model's accuracy on each part, or where it has none its agreement with itself."""

import json
from pathlib import Path

from variscope.evaluate.agreement import Answers, agreement, top_answers
from variscope.evaluate.device import repeatable
from variscope.inputs.opening import make_space, open_network, open_table
from variscope.inputs.training import accuracy
from variscope.jobs import job
from variscope.space.images import PARTS
from variscope.stores.atomic import new_file

with job(snakemake.log[0]):
    dataset, model = snakemake.params.dataset, snakemake.params.model
    settings = {"mean": model["mean"], "std": model["std"], "device": snakemake.params.device}
    measured = {"measured": snakemake.params.measured}
    if measured["measured"] != "nothing":
        skipped = json.loads(Path(snakemake.input.images).read_text())["skipped"]
        images = open_table(dataset["settings"], dataset["seed"], Path.cwd(), skipped)
        trained = Path(snakemake.input.weights) if snakemake.input.weights else None
        network = open_network(
            model,
            len(images.classes),
            Path.cwd(),
            dataset["seed"],
            trained,
            image_shape=(images.channels, *images.size),
        )
        with repeatable(snakemake.params.threads):
            if measured["measured"] == "accuracy":
                for part in PARTS:
                    ids = images.ids(part)
                    measured[part] = accuracy(network, images, ids, **settings)
            else:
                answers = Answers(network, images, **settings)
                measured["sets"] = {}
                for name, entry in snakemake.params.variable_sets.items():
                    space = make_space(entry, images, entry["augmentations"], Path.cwd())
                    measured["sets"][name] = {
                        "answers": top_answers(answers, images, space),
                        "agreement": agreement(answers, space, dataset["seed"]),
                    }
    with new_file(snakemake.output[0]) as file:
        file.write_text(json.dumps(measured, indent=1))
