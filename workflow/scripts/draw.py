"""Draw a study."""

from pathlib import Path

import pandas as pd
from snakemake.iocontainers import Snakemake
from variscope import figures
from variscope.indices.reading import layers, main_index
from variscope.inputs.axes import file_name
from variscope.log import LOG
from variscope.stores.atomic import new_directory
from variscope.stores.results import read_study
from variscope.study.jobs import job

snakemake: Snakemake

with job(snakemake.log[0]):
    study = read_study(Path(snakemake.input.indices))
    table = pd.read_csv(
        snakemake.input.specialised, dtype={"layer": str, "unit": str}, keep_default_na=False
    )
    index = main_index(study)
    draw_study = {
        "summary": lambda: figures.summary(study, index),
        "depth": lambda: figures.depth(study, index),
        "comparison": lambda: figures.comparison(study),
        "convergence": lambda: figures.convergence(study, index),
        "pairs": lambda: figures.pairs(study),
    }
    for kind in snakemake.params.study:
        figures.save(draw_study[kind](), Path(snakemake.output[kind]).with_suffix(""))
        LOG.info("%s", kind)
    draw_layer = {
        "maps": lambda data: figures.maps(data, index),
        "pair_maps": figures.pair_maps,
        "moments": figures.moments,
        "specialised": lambda data: figures.specialised(data, table),
    }
    for kind in snakemake.params.layer:
        with new_directory(snakemake.output[f"layer_{kind}"]) as folder:
            for layer, data in layers(study).items():
                figures.save(draw_layer[kind](data), folder / file_name(layer))
                LOG.info("%s of %s", kind, layer)
