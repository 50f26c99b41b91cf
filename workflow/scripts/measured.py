"""Turn the responses of a region, measured elsewhere, into indices with intervals."""

import json
from pathlib import Path

from snakemake.iocontainers import Snakemake
from variscope.designs import Design
from variscope.indices.measured import measured_dataset
from variscope.inputs.axes import Layer
from variscope.inputs.images import reopen_images
from variscope.inputs.spaces import make_space
from variscope.log import LOG
from variscope.responses.measured.presentations import presentations
from variscope.responses.measured.reading import read_responses
from variscope.responses.measured.sums import measured_sums
from variscope.stores.atomic import new_directory
from variscope.stores.results import write_dataset
from variscope.study.digest import value_digest
from variscope.study.jobs import job
from variscope.study.provenance import versions

snakemake: Snakemake

with job(snakemake.log[0]), new_directory(snakemake.output[0]) as folder:
    params, names, here = snakemake.params, snakemake.wildcards, Path.cwd()
    layer = Layer.from_json(params.layer)
    images = reopen_images(params.dataset, snakemake.input.images, here)
    space = make_space(params.variable_set, images, params.variable_set["augmentations"], here)
    design = Design(groups=space.groups, seed=params.dataset["seed"], **params.design)
    shown = presentations(design, space, params.repeats)
    responses = read_responses(Path(snakemake.input.responses), shown)
    measured = measured_sums(responses.regions[layer.name], responses.present, shown, design)
    dataset = measured_dataset(
        measured,
        [variable.name for variable in space.variables],
        params.confidence_level,
        {
            "experiment": snakemake.config["experiment"],
            "model": names.model,
            "variable_set": names.set,
            "layer": layer.name,
            "layer_number": params.position,
            "apply": params.variable_set["apply"],
            "seed": params.provenance["seed"],
            "images": value_digest(params.provenance["dataset"]),
            "provenance": json.dumps({**params.provenance, "versions": versions()}),
        },
        params.groups,
    )
    write_dataset(folder, dataset)
    LOG.info("%s units, noise %s", dataset.attrs["unit_counts"], dataset.attrs["noise"])
