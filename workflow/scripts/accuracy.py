"""Measure a model's accuracy on each part, or where it has none its agreement with itself."""

import json
from pathlib import Path

from snakemake.iocontainers import Snakemake
from variscope.inputs.images import reopen_images
from variscope.inputs.opening import open_network
from variscope.inputs.spaces import make_space
from variscope.inputs.training import accuracy
from variscope.responses.network.agreement import Answers, agreement, top_answers
from variscope.responses.network.device import repeatable
from variscope.stores.atomic import new_file
from variscope.study.jobs import job
from variscope.vocabulary import PARTS

snakemake: Snakemake

with job(snakemake.log[0]):
    dataset, model = snakemake.params.dataset, snakemake.params.model
    settings = {"mean": model["mean"], "std": model["std"], "device": snakemake.params.device}
    measured = {"measured": snakemake.params.measured}
    if measured["measured"] != "nothing":
        images = reopen_images(dataset, snakemake.input.images, Path.cwd())
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
