"""Train a model on the train part."""

import io
from pathlib import Path

import pandas as pd
import torch
from snakemake.iocontainers import Snakemake
from variscope.inputs.images import reopen_images
from variscope.inputs.opening import open_network
from variscope.inputs.training import train
from variscope.log import Progress
from variscope.responses.network.device import repeatable
from variscope.stores.atomic import new_file
from variscope.study.jobs import job

snakemake: Snakemake

with job(snakemake.log[0]):
    dataset, model = snakemake.params.dataset, snakemake.params.model
    images = reopen_images(dataset, snakemake.input.images, Path.cwd())
    network = open_network(
        model,
        len(images.classes),
        Path.cwd(),
        dataset["seed"],
        image_shape=(images.channels, *images.size),
    )
    epochs = snakemake.params.training["epochs"]
    with repeatable(snakemake.params.threads), Progress(epochs, "epochs") as progress:
        history = train(
            network,
            images,
            mean=model["mean"],
            std=model["std"],
            seed=dataset["seed"],
            device=snakemake.params.device,
            on_progress=lambda done, total: progress(1),
            **snakemake.params.training,
        )
    # torch's own writer does not say why it failed, and the file system does.
    weights = io.BytesIO()
    torch.save(network.cpu().state_dict(), weights)
    with new_file(snakemake.output.weights) as file:
        file.write_bytes(weights.getbuffer())
    with new_file(snakemake.output.history) as file:
        pd.DataFrame(history).to_csv(file, index=False)
