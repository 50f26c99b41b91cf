"""A network built so that known units carry known augmentations, and its contrast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import nn
from variscope.analyses.contrast import ANALYSIS
from variscope.analyses.source import Source, Study
from variscope.analyses.tables import checked
from variscope.inputs.axes import Layer
from variscope.inputs.images import ImageTable, table_from_arrays
from variscope.responses.network.opened import Network
from variscope.space.augmentations import Augmentation, get
from variscope.space.images import ImageIndex
from variscope.space.space import Space
from variscope.stores.results import read_dataset, write_dataset

# What the units of the layer "known" read, in order.
UNITS = ("brightness", "left from right", "saturation", "nothing")

# Brighter in every draw: the mean rises, surely.
BRIGHTER = {"factor": [1.2, 1.5]}


class Known(nn.Module):
    """Each unit of ``known`` follows one thing; ``maps`` are the channels of the image."""

    def __init__(self) -> None:
        super().__init__()
        self.maps, self.known = nn.Identity(), nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maps(x)
        half = x.shape[3] // 2
        units = [
            x.mean(dim=(1, 2, 3)),
            x[..., :half].mean(dim=(1, 2, 3)) - x[..., half:].mean(dim=(1, 2, 3)),
            (x.amax(dim=1) - x.amin(dim=1)).mean(dim=(1, 2)),
            torch.zeros(len(x)),
        ]
        return self.known(torch.stack(units, dim=1))


LAYERS = (Layer("maps", (3, 8, 8), ("channel", "y", "x")), Layer("known", (4,)))


def images(
    each: int = 24, clusters: int = 24, parts: Sequence[int] = (0, 1), seed: int = 0
) -> ImageTable:
    """Dark coloured noise whose left half is the brighter one, `each` of a part."""
    rng = np.random.default_rng(seed)
    n = each * len(parts)
    pixels = rng.random((n, 3, 8, 8)) * 0.5
    pixels[..., 4:] *= 0.5
    return table_from_arrays(
        pixels.astype("f4"),
        np.arange(n) % 2,
        part=np.repeat(parts, each),
        cluster=np.arange(n) % clusters,
    )


def augmentations(*names: str) -> tuple[Augmentation, ...]:
    """Some augmentations, brightness with bounds that always raise it."""
    return tuple(
        get(name).with_overrides(BRIGHTER) if name == "brightness" else get(name) for name in names
    )


def source(
    table: ImageTable,
    sets: Mapping[str, tuple[Augmentation, ...]],
    *,
    model: nn.Module | None = None,
    twin: nn.Module | None = None,
    layers: Sequence[Layer] = LAYERS,
    batch_size: int = 16,
    **settings: int,
) -> Source:
    """A source of one model with some variable sets."""

    def space(name: str, found: ImageTable) -> Space:
        index = ImageIndex.of(found.label, found.part)
        part = "valid" if index.count[1].sum() else "train"
        return Space(sets[name], ("image",), index, found.size, part=part)

    def network(of_twin: bool) -> Network:
        chosen = twin if of_twin else model or Known()
        assert chosen is not None
        return Network(
            name="net",
            model=chosen.eval(),
            layers=tuple(layers),
            mean=(0.0,) * 3,
            std=(1.0,) * 3,
            batch_size=batch_size,
        )

    return Source(
        studies=[Study(model="net", variable_set=name, design="cycle", paths=()) for name in sets],
        settings={"images": 60, "draws": 3} | settings,
        open_images=lambda: table,
        open_space=space,
        open_network=network,
        twin_network=twin is not None,
    )


def run(
    made: Source, folder: Path
) -> tuple[Source, dict[str, xr.Dataset], dict[str, pd.DataFrame]]:
    """Run all steps as the rules do: the final source, datasets by layer, and tables."""
    assert ANALYSIS.shards is not None
    shards = {name: folder / "shards" / name for name in ANALYSIS.shards(made.settings, [])}
    for name, path in shards.items():
        path.mkdir(parents=True)
        ANALYSIS.shard(made, name, path)
    made = replace(made, shards=shards)
    for step in (ANALYSIS.layer, ANALYSIS.complete):
        paths = {}
        for layer in made.network().layers:
            paths[layer.name] = folder / step.__name__ / f"{layer.name}.zarr"
            write_dataset(paths[layer.name], step(made, layer.name))
        made = replace(made, layer_datasets=paths)
    tables = {
        name: checked(ANALYSIS.table(name), data) for name, data in ANALYSIS.compute(made).items()
    }
    return made, {name: read_dataset(path) for name, path in made.layer_datasets.items()}, tables
