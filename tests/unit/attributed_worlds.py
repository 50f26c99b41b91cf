"""What an analysis of single images is given: a network, its twin, and images in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from variscope.analyses.registry import built_in
from variscope.analyses.source import Source, Study
from variscope.analyses.tables import checked
from variscope.inputs.layers import probe
from variscope.inputs.scores import Answers
from variscope.inputs.table import ImageTable
from variscope.responses.network.opened import Network


def images(
    count: int = 6, size: int = 12, *, channels: int = 3, clusters: int | None = None, seed: int = 0
) -> ImageTable:
    """Smooth noise, of two classes."""
    rng = np.random.default_rng(seed)
    pixels = rng.uniform(0, 1, (count, channels, size, size)).astype(np.float32)
    return ImageTable(
        classes=("cat", "dog"),
        label=np.arange(count) % 2,
        part=np.ones(count, np.int8),
        source=tuple(f"image {k}" for k in range(count)),
        size=(size, size),
        reader=lambda ids: pixels[ids],
        dtype="float32",
        channels=channels,
        clusters=None if clusters is None else np.arange(count) % clusters,
    )


def source(
    analysis: str,
    model: nn.Module,
    layers: list[str],
    table: ImageTable,
    *,
    twin: nn.Module | None = None,
    scores: bool = True,
    **settings: Any,
) -> Source:
    """What the analysis is made from; the last layer gives the class scores."""

    def network(of: nn.Module) -> Network:
        return Network(
            name="built",
            model=of.eval(),
            layers=probe(of, layers, (table.channels, *table.size)),
            mean=[0.4] * table.channels,
            std=[0.25] * table.channels,
            batch_size=16,
            answers=Answers(scores=layers[-1] if scores else None),
        )

    entry = built_in()[analysis]
    defaults = {key: value["default"] for key, value in entry.settings.items()}
    return Source(
        studies=[Study(model="built", variable_set="color", design="cycle", paths=())],
        settings={**defaults, **settings},
        open_images=lambda: table,
        open_network=lambda of_twin: network(twin if of_twin and twin is not None else model),
        twin_network=twin is not None,
        level=0.95,
    )


def run(
    given: Source, analysis: str, folder: Path, shards: int = 1
) -> tuple[Source, dict[str, pd.DataFrame]]:
    """Run the shards and the tables of an analysis."""
    entry, made = built_in()[analysis], {}
    given = replace(given, settings={**given.settings, "shards": shards})
    for name in (f"images_{number}_of_{shards}" for number in range(1, shards + 1)):
        made[name] = folder / name
        made[name].mkdir(parents=True)
        entry.shard(replace(given, level=None), name, made[name])
    given = replace(given, shards=made)
    found = entry.compute(given)
    return given, {table.name: checked(table, found[table.name]) for table in entry.tables}


class Small(nn.Module):
    """Two convolutions and a linear head."""

    def __init__(self, size: int = 12, channels: int = 3, classes: int = 2, seed: int = 1) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.maps = nn.Conv2d(channels, 4, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.pool = nn.AvgPool2d(2)
        self.head = nn.Linear(4 * (size // 2) ** 2, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.pool(self.act(self.maps(x))).flatten(1))


class Deaf(nn.Module):
    """Ignores its input."""

    def __init__(self) -> None:
        super().__init__()
        self.maps, self.head = nn.Conv2d(3, 2, 1), nn.Linear(1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.maps(x)
        return self.head(x.new_ones((len(x), 1)))
