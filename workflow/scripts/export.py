"""Write a design for a laboratory: stimuli, the order of presentation, what comes back."""

from pathlib import Path

from snakemake.iocontainers import Snakemake
from variscope.designs import Design
from variscope.inputs.images import reopen_images
from variscope.inputs.spaces import make_space
from variscope.log import LOG, Progress
from variscope.responses.measured.export import export
from variscope.responses.measured.presentations import presentations
from variscope.stores.atomic import new_directory
from variscope.study.jobs import job

snakemake: Snakemake

with job(snakemake.log[0]):
    params, here = snakemake.params, Path.cwd()
    images = reopen_images(params.dataset, snakemake.input.images, here)
    space = make_space(params.variable_set, images, params.variable_set["augmentations"], here)
    design = Design(groups=space.groups, seed=params.dataset["seed"], **params.design)
    shown = presentations(design, space, params.export["repeats"])
    with (
        Progress(len(shown.recipes), "stimuli") as progress,
        new_directory(snakemake.output[0]) as folder,
    ):
        export(
            folder,
            shown,
            space,
            images,
            form=params.export["format"],
            on_stimuli=progress,
        )
    LOG.info("%d presentations of %d stimuli", len(shown), len(shown.recipes))
