"""Networks built so that known units carry known variables, and what an analysis is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import nn
from variscope.analyses.masking.outcomes import read_outcomes
from variscope.analyses.registry import built_in
from variscope.analyses.source import Source, Study
from variscope.inputs.layers import probe
from variscope.inputs.scores import Answers
from variscope.inputs.spaces import make_space
from variscope.inputs.table import ImageTable
from variscope.responses.network.opened import Network
from variscope.vocabulary import HALVES

SIZE = 8


def table(pixels: np.ndarray, label: np.ndarray, part: np.ndarray | None = None) -> ImageTable:
    """Images in memory, all of the valid part unless their parts are given."""
    return ImageTable(
        classes=tuple(f"class {k}" for k in range(int(label.max()) + 1)),
        label=label.astype(np.int64),
        part=np.ones(len(label), np.int8) if part is None else part.astype(np.int8),
        source=tuple(map(str, range(len(label)))),
        size=pixels.shape[2:],
        reader=lambda ids: pixels[ids],
        dtype=str(pixels.dtype),
    )


def colorful(count: int, classes: int = 2, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noise in which red exceeds green by 0.4 everywhere, and labels."""
    rng = np.random.default_rng(seed)
    pixels = rng.uniform(0.0, 0.3, (count, 3, SIZE, SIZE)).astype(np.float32)
    pixels[:, 0] = pixels[:, 1] + 0.4
    return pixels, np.arange(count) % classes


def study(
    maps: Mapping[str, Mapping[str, np.ndarray]],
    *,
    dims: Mapping[str, Sequence[str]] | None = None,
    moments: Mapping[str, np.ndarray] | None = None,
    variable_set: str = "color",
    kinds: Sequence[str] = ("shapley", "S1", "ST"),
) -> Study:
    """A study whose selecting maps are given: by layer and variable ``(*unit)``."""
    found, halves = {}, {}
    for layer, by_name in maps.items():
        values = np.stack(list(by_name.values()))
        names = (dims or {}).get(layer, ("channel", "y", "x")[: values.ndim - 1])
        coordinates = {"variable": np.array(list(by_name), dtype=object)}
        square = (moments or {}).get(layer, np.ones(values.shape[1:]))
        units = {"mean": (names, np.zeros(values.shape[1:])), "variance": (names, square)}
        indices = {kind: (("variable", *names), values) for kind in kinds}
        found[layer] = xr.Dataset({**units, **indices}, coordinates)
        found[layer]["shapley_layer"] = (("variable",), values.reshape(len(values), -1).mean(1))
        found[layer].attrs = {"layer": layer, "confidence_level": 0.95}
        both = {kind: (("half", "variable", *names), np.stack([values, values])) for kind in kinds}
        halves[layer] = xr.Dataset(both, {**coordinates, "half": list(HALVES)})
        halves[layer].attrs = {"layer": layer}
    made = Study.of(_tree(found), model="built", variable_set=variable_set, design="cycle")
    vars(made)["selection"] = made.tree
    vars(made)["halves"] = _tree(halves)
    return made


def _tree(layers: Mapping[str, xr.Dataset]) -> xr.DataTree:
    return xr.DataTree.from_dict(dict(layers), name="study")


def source(
    model: nn.Module,
    layers: Sequence[str],
    images: ImageTable,
    studies: Mapping[str, tuple[Study, Sequence[str]]],
    *,
    analysis: str = "masking",
    scores: bool = True,
    batch_size: int = 64,
    seed: int = 1,
    **settings: Any,
) -> Source:
    """What an analysis of a model is made from; studies by set, with its augmentations."""
    entry = built_in()[analysis]
    model.eval()
    shape = (images.channels, *images.size)
    network = Network(
        name="built",
        model=model,
        layers=probe(model, layers, shape),
        mean=[0.0] * 3,
        std=[1.0] * 3,
        batch_size=batch_size,
        answers=Answers(scores=layers[-1] if scores else None),
    )
    defaults = {key: value["default"] for key, value in entry.settings.items()}

    def space(name: str, table: ImageTable) -> Any:
        given = {"variables": studies[name][1], "auxiliary": ["image"], "apply": "always"}
        return make_space({**given, "apply_probability": 0.5, "part": "valid"}, table)

    return Source(
        studies=[one for one, _ in studies.values()],
        settings={**defaults, **settings},
        open_images=lambda: images,
        open_space=space,
        open_network=lambda twin: network,
        sets=list(studies),
        seed=seed,
    )


def run(given: Source, folder: Path, count: int = 1) -> tuple[Source, xr.Dataset]:
    """Run the shards of masking, and return a source that has them, and their outcomes."""
    made = run_shards(given, "masking", folder, count)
    return made, read_outcomes(made.shards)


def run_shards(given: Source, analysis: str, folder: Path, count: int = 1) -> Source:
    """Run the shards of an analysis, and return a source that has them."""
    made = {}
    for name in (f"images_{number}_of_{count}" for number in range(1, count + 1)):
        made[name] = folder / name
        made[name].mkdir(parents=True)
        built_in()[analysis].shard(given, name, made[name])
    return replace(given, shards=made)


class Colour(nn.Module):
    """Channel 0 is red less green: of grayscale images 0. Half of its pixels are read by class 0.

    Class 1 wins where less than a sixteenth of what class 0 reads is left.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 5, 1, bias=False)
        self.head = nn.Linear(5 * SIZE * SIZE, 2)
        with torch.no_grad():
            self.features.weight.zero_()
            self.features.weight[0, 0], self.features.weight[0, 1] = 1.0, -1.0
            for channel in range(1, 5):
                self.features.weight[channel, 2] = 0.1 * channel
            self.head.weight.zero_()
            self.head.weight[0, : SIZE * SIZE // 2] = 1.0
            self.head.bias.copy_(torch.tensor([0.0, 0.4 * SIZE * SIZE / 32]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(images).flatten(1))


def colour_maps() -> dict[str, np.ndarray]:
    """Of `Colour`: grayscale acts on what class 0 reads, hue on channel 4, of which nothing is."""
    gray, hue = np.zeros((2, 5, SIZE, SIZE))
    gray[0, : SIZE // 2] = np.linspace(0.8, 0.9, SIZE * SIZE // 2).reshape(SIZE // 2, SIZE)
    hue[4] = 0.7
    return {"grayscale": gray, "hue": hue}
