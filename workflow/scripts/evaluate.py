"""Evaluate the network on one shard of a design, and store its outputs or their sums."""

import json
from pathlib import Path

from snakemake.iocontainers import Snakemake
from variscope.log import LOG
from variscope.stores.atomic import new_directory, new_file
from variscope.study.gates import is_closed, sign
from variscope.study.jobs import job

snakemake: Snakemake


def evaluate() -> None:
    """Evaluate the shard. What takes seconds to import is imported here."""
    import importlib

    from variscope.designs import DesignPart
    from variscope.inputs.axes import Layer
    from variscope.inputs.images import reopen_images
    from variscope.inputs.opening import open_network
    from variscope.inputs.spaces import make_space
    from variscope.log import Progress
    from variscope.responses.network.device import name_of, repeatable
    from variscope.responses.network.evaluator import Evaluator
    from variscope.stores.manifest import write_layers

    here = Path.cwd()
    dataset, model = snakemake.params.dataset, snakemake.params.model
    evaluation = snakemake.params.evaluation
    layers = list(map(Layer.from_json, snakemake.params.layers))
    images = reopen_images(dataset, snakemake.input.images, here)
    variable_set = snakemake.params.variable_set
    space = make_space(variable_set, images, variable_set["augmentations"], here)
    trained = Path(snakemake.input.weights) if snakemake.input.weights else None
    evaluator = Evaluator(
        open_network(
            model,
            len(images.classes),
            here,
            dataset["seed"],
            trained,
            image_shape=(images.channels, *images.size),
        ),
        layers,
        space,
        images,
        mean=model["mean"],
        std=model["std"],
        batch_size=snakemake.params.at_once,
        device=snakemake.params.device,
        precision=evaluation["precision"],
        compile=evaluation["compile"],
        memory=model["memory"],
    )
    part = DesignPart(groups=space.groups, seed=dataset["seed"], **snakemake.params.part)
    with (
        repeatable(evaluation["threads"]),
        Progress(part.blocks * part.rows, "images") as progress,
        new_directory(snakemake.output.stored) as folder,
    ):
        write_layers(Path(snakemake.output.stored), layers)
        shards = importlib.import_module(f"variscope.study.shards.{snakemake.params.storage}")
        cost = shards.store(folder, evaluator, part, progress)
        cost |= {"device": name_of(evaluator.device), "batch_size": snakemake.params.at_once}
        if evaluation["precision"] != "float32":
            cost["noise_floor"] = evaluator.noise_floor(part.blocks_of(part.replicates[0]))
            LOG.info("shares of variance that are rounding: %s", cost["noise_floor"])
        sign(folder, snakemake.params.recipe)
    with new_file(snakemake.output.cost) as file:
        file.write_text(json.dumps(cost, indent=1))


def skip() -> None:
    """Leave the shard empty: no more blocks are wanted."""
    LOG.info("the intervals are narrow, or there are the most blocks: nothing is evaluated")
    with new_directory(snakemake.output.stored) as folder:
        sign(folder, snakemake.params.recipe, skipped=True)
    with new_file(snakemake.output.cost) as file:
        file.write_text(json.dumps({"skipped": True}))


with job(snakemake.log[0]):
    if any(map(is_closed, snakemake.input.gate)):
        skip()
    else:
        evaluate()
