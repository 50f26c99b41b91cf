"""Draw sample images under each augmentation, alone and together."""

from pathlib import Path

from snakemake.iocontainers import Snakemake
from variscope import figures
from variscope.inputs.images import reopen_images
from variscope.inputs.spaces import make_space
from variscope.space.samples import sample_rows
from variscope.study.jobs import job

snakemake: Snakemake

with job(snakemake.log[0]):
    dataset, variable_set = snakemake.params.dataset, snakemake.params.variable_set
    images = reopen_images(dataset, snakemake.input.images, Path.cwd())
    space = make_space(variable_set, images, variable_set["augmentations"], Path.cwd())
    rows = sample_rows(space, images, dataset["seed"])
    title = f"Sample images, {snakemake.wildcards.set} set"
    columns = min(6, -(-(len(space.augmentations) + 2) // 2))
    picture = figures.samples(rows, columns=columns, title=title)
    figures.save(picture, Path(snakemake.output.svg).with_suffix(""))
