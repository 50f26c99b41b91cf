"""Disk of one study, activations against their sums.

Run it by ``python -m benchmarks.disk``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from variscope.designs import Design
from variscope.estimators import Layout
from variscope.inputs.images import open_images
from variscope.inputs.layers import probe
from variscope.inputs.networks import convnet
from variscope.inputs.normalisation import MEAN, STD
from variscope.inputs.spaces import make_space
from variscope.responses.network.device import repeatable
from variscope.responses.network.evaluator import Evaluator
from variscope.study.shards import activations, moments

from benchmarks.measuring import Row, arguments, write

NOTES = """
The embedded study's network with initial weights, its {units:,} units of five layers, photographs
at 64 px, the spatial set, 16 replicates. Bytes are those on the disk, compressed. `activations
over moments` grows with the blocks, since sums have the same size for any number of them: {sums}
float64 per unit and replicate. `seconds` is the whole evaluation with its writing.
"""


def main(given: Sequence[str] | None = None) -> list[Row]:
    """Run the benchmark and return its table."""
    options = arguments(__doc__ or "", given)
    replicates, sizes = (2, (4,)) if options.quick else (16, (64, 256, 1024))
    of = _evaluator(2 if options.quick else 48)
    layout = Layout("cycle", len(of.space.groups))
    rows: list[Row] = []
    with repeatable(1):
        for blocks in sizes:
            table = Design("cycle", of.space.groups, blocks, replicates, 1)
            row: Row = {"blocks": blocks, "rows": blocks * table.rows}
            for name, store in (("activations", activations.store), ("moments", moments.store)):
                with TemporaryDirectory() as folder:
                    cost = store(Path(folder), of, table.part(range(replicates), 0, table.sizes[0]))
                row[f"{name}, MB"] = cost["bytes"] / 1e6
                row[f"{name}, seconds"] = cost["seconds"]
            row["activations over moments"] = row["activations, MB"] / row["moments, MB"]
            row["seconds, moments over activations"] = (
                row["moments, seconds"] / row["activations, seconds"]
            )
            rows.append(row)
    notes = NOTES.format(units=sum(layer.units for layer in of.layers), sums=layout.sum_rows)
    write("disk", "Disk of one study", notes, rows, options)
    return rows


def _evaluator(images_per_class: int) -> Evaluator:
    images = open_images(
        {"kind": "photographs", "image_size": 64, "images_per_class": images_per_class},
        seed=1,
        folder=".",
    )
    torch.manual_seed(1)
    model = convnet(num_classes=len(images.classes)).eval()
    layers = probe(model, ["stage1", "stage2", "stage3", "head", "logits"], (3, 64, 64))
    variable_set = {
        "variables": ["erasing", "sharpness", "rolling", "grayscale", "gaussian_blur"],
        "auxiliary": ["order", "class", "image", "part"],
        "apply": "always",
        "apply_probability": 0.5,
        "part": "valid",
    }
    space = make_space(variable_set, images)
    return Evaluator(model, layers, space, images, mean=MEAN, std=STD, batch_size=128)


if __name__ == "__main__":
    main()
