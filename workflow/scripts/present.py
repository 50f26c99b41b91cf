"""Draw the pictures of an analysis, and say in sentences what it found."""

from pathlib import Path

from snakemake.iocontainers import Snakemake
from variscope import figures
from variscope.analyses.tables import read_table
from variscope.indices.reading import layers
from variscope.inputs.axes import file_name
from variscope.stores.atomic import new_directory
from variscope.study.jobs import LOG, job
from variscope.study.sources import find, open_source

snakemake: Snakemake

with job(snakemake.log[0]):
    analysis = find(snakemake.params.analysis)
    source = open_source(analysis, snakemake.params, snakemake.input)
    tables = {
        table.name: read_table(snakemake.input[f"table_{table.name}"], table)
        for table in analysis.tables
    }
    for picture in analysis.pictures:
        target = Path(snakemake.output[f"picture_{picture.name}"])
        if picture.of == "all":
            figures.save(analysis.draw(picture, source, tables), target.with_suffix(""))
            LOG.info("%s", picture.name)
            continue
        series = (
            {file_name(layer): data for layer, data in layers(source.tree).items()}
            if picture.of == "layer"
            else {name: name for name in source.sets}
        )
        with new_directory(target) as folder:
            for name, of in series.items():
                drawn = analysis.draw(picture, of, source, tables)
                if drawn is not None:
                    figures.save(drawn, folder / name)
                LOG.info("%s of %s", picture.name, name)
    if analysis.has_words:
        analysis.words(source, tables).write(snakemake.output.words)
