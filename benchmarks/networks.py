"""The published networks of config/paper on photographs at 224 px."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from variscope.designs import Design
from variscope.inputs.images import open_images
from variscope.inputs.layers import outputs_of_all, probe
from variscope.inputs.models import build
from variscope.inputs.normalisation import MEAN, STD
from variscope.inputs.spaces import make_space
from variscope.inputs.table import ImageTable
from variscope.responses.network.batches import batch_size_for
from variscope.responses.network.evaluator import Evaluator

NAMES = ("alexnet", "vgg11", "resnet18")
SETS = ("spatial", "color")
PAPER = Path(__file__).resolve().parents[1] / "config" / "paper"


def paper(name: str) -> dict[str, Any]:
    """Return the configuration of a published network."""
    return yaml.safe_load((PAPER / f"{name}.yaml").read_text())


@contextmanager
def photographs(classes: int = 10, each: int = 8) -> Iterator[ImageTable]:
    """Open a folder of JPEGs of 500 x 375 px, about what ImageNet's are, while it lasts."""
    from skimage import data

    pictures = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    random = np.random.default_rng(1)
    with TemporaryDirectory() as folder:
        for label in range(classes):
            picture = Image.fromarray(pictures[label % len(pictures)])
            for part in ("train", "valid"):
                target = Path(folder) / part / f"class-{label}"
                target.mkdir(parents=True)
                for number in range(each):
                    share = random.uniform(0.5, 0.9)
                    width, height = int(share * picture.width), int(share * picture.height)
                    left = int(random.integers(0, picture.width - width))
                    top = int(random.integers(0, picture.height - height))
                    crop = picture.crop((left, top, left + width, top + height))
                    crop.resize((500, 375)).save(target / f"{number}.jpg", quality=90)
        yield open_images(
            {"kind": "image_folder", "path": folder, "image_size": 224, "resize": 256},
            seed=1,
            folder=folder,
        )


def evaluator(name: str, variable_set: str, images: ImageTable) -> Evaluator:
    """Return a published network with initial weights and its layers, ready to evaluate a set."""
    config = paper(name)
    model = config["models"][name]
    network = build(model["factory"], arguments={}, classes=None, folder=PAPER, seed=1)
    layers = probe(network, model["layers"], (3, 224, 224), model["softmax"])
    device = "cuda" if torch.cuda.is_available() else "cpu"
    settings = {"apply_probability": 0.5, "part": "valid", **config["variable_sets"][variable_set]}
    return Evaluator(
        network,
        layers,
        make_space(settings, images, (), PAPER),
        images,
        mean=MEAN,
        std=STD,
        batch_size=batch_size_for(outputs_of_all(network, (3, 224, 224)), device),
        device=device,
    )


def design(of: Evaluator, blocks: int) -> Design:
    """Return a cycle whose first replicate has this many blocks."""
    return Design("cycle", of.space.groups, 2 * blocks, 2, 1)
