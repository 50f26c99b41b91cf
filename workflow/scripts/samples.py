"""Draw sample images under each augmentation, alone and together."""

import json
from pathlib import Path

from variscope import figures
from variscope.inputs.opening import make_space, open_table
from variscope.jobs import job
from variscope.space.samples import sample_rows

with job(snakemake.log[0]):
    dataset, variable_set = snakemake.params.dataset, snakemake.params.variable_set
    skipped = json.loads(Path(snakemake.input.images).read_text())["skipped"]
    images = open_table(dataset["settings"], dataset["seed"], Path.cwd(), skipped)
    space = make_space(variable_set, images, variable_set["augmentations"], Path.cwd())
    rows = sample_rows(space, images, dataset["seed"])
    title = f"Sample images, {snakemake.wildcards.set} set"
    columns = min(6, -(-(len(space.augmentations) + 2) // 2))
    picture = figures.samples(rows, columns=columns, title=title)
    figures.save(picture, Path(snakemake.output.svg).with_suffix(""))
