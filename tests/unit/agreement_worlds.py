"""Networks whose maps are known, and what the agreement is given of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import masking_worlds
import numpy as np
import pandas as pd
import synthetic
import torch
from torch import nn
from variscope.analyses.agreement import ANALYSIS
from variscope.analyses.kept_maps import Looked, write_maps
from variscope.analyses.source import Result, Source, Study
from variscope.analyses.tables import checked
from variscope.inputs.table import ImageTable

SIZE = 16
PATCH = slice(4, 8), slice(8, 12)  # one of 4 x 4 cells


class Linear(nn.Module):
    """The score is a weighted sum of the pixels, and 0 for the other class."""

    def __init__(self, weight: np.ndarray, outputs: int = 2) -> None:
        super().__init__()
        self.head = nn.Linear(3 * SIZE * SIZE, outputs, bias=False)
        with torch.no_grad():
            self.head.weight.zero_()
            of_pixel = np.broadcast_to(weight, (3, SIZE, SIZE)).reshape(-1)
            self.head.weight[0] = torch.from_numpy(np.array(of_pixel, dtype=np.float32))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(images.flatten(1))


def patch_weight() -> np.ndarray:
    """Of a model that reads one patch alone."""
    weight = np.zeros((SIZE, SIZE), np.float32)
    weight[PATCH] = np.linspace(0.5, 1.0, 16).reshape(4, 4)
    return weight


def images(count: int = 6, classes: int = 2, seed: int = 0) -> ImageTable:
    """Noise, images each of its own."""
    rng = np.random.default_rng(seed)
    pixels = rng.uniform(0.05, 1.0, (count, 3, SIZE, SIZE)).astype(np.float32)
    return masking_worlds.table(pixels, np.arange(count) % classes)


def source(
    model: nn.Module,
    table: ImageTable,
    *,
    layers: Sequence[str] = ("head",),
    tree: Any = None,
    scores: bool = True,
    **settings: Any,
) -> Source:
    """What the agreement is given of a network; its study's maps are made up."""
    study = Study.of(
        synthetic.tree() if tree is None else tree,
        model="built",
        variable_set="spatial",
        design="cycle",
    )
    given = masking_worlds.source(
        model, layers, table, {"spatial": (study, [])}, analysis="agreement", scores=scores,
        **{"cells": 4, "steps": 4, "random_orders": 3, **settings},
    )  # fmt: skip
    return replace(given, level=0.95)


def run(given: Source, folder: Path, count: int = 1) -> tuple[Source, dict[str, pd.DataFrame]]:
    """Run the shards, and return a source that has them, and the tables."""
    made = masking_worlds.run_shards(given, "agreement", folder, count)
    found = ANALYSIS.compute(made)
    return made, {table.name: checked(table, found[table.name]) for table in ANALYSIS.tables}


def given_maps(
    folder: Path, looked: Looked, maps: Mapping[str, np.ndarray], untrained: Mapping[str, Any] = {}
) -> Result:
    """What another analysis keeps: maps by method."""
    for which, by_name in (("trained", maps), ("untrained", untrained)):
        for name, values in by_name.items():
            write_maps(folder / which, name, values, looked)
    return Result(analysis=ANALYSIS, shards={"images_1_of_1": folder})
