"""Mask the regions of a shard's images, and keep sums of the network's scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from variscope.analyses.attributed import batches, looked_at, networks
from variscope.analyses.kept_maps import Looked, write_maps
from variscope.analyses.regions import grids
from variscope.analyses.source import Source
from variscope.attributions.regions import region_maps, region_sums, shapley_maps
from variscope.estimators import Moments, join
from variscope.inputs.images import ImageTable
from variscope.responses.network.opened import Network
from variscope.responses.network.scored import Scored
from variscope.space.regions import Cells
from variscope.stores.moments import write_moments
from variscope.stores.results import write_dataset

# Images whose outputs are summed together, under the same masks.
TOGETHER = 16


def shard(source: Source, name: str, folder: Path) -> None:
    """Store the sums of a shard's images, and their maps.

    Args:
        source: of a model.
        name: of the shard, one of `variscope.analyses.passes.shards_of_images`.
        folder: gets ``looked.zarr``, ``sums/<network>/<offset>.zarr`` with units ``(image, fill)``,
            and ``<network>/regions.zarr``, the mean of the maps over fills and offsets.
    """
    looked, images = looked_at(source, name), source.images
    scores: dict[str, np.ndarray] = {}
    for called, network in networks(source):
        model, settings = Scored.of(network), source.settings
        maps, scores[called] = [], _scores(model, network, images, looked)
        for offset, cells, fills in grids(settings) if len(looked) else []:
            sums = _sums(model, network, images, looked, cells, fills, settings, source.seed)
            path = folder / "sums" / called / f"{offset}.zarr"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_moments(path, [sums], ("image", "fill"))
            maps += region_maps(cells, shapley_maps(sums), whole=settings["offsets"] == 1)
        found = np.mean(maps, axis=0) if maps else np.zeros((0, settings["grid"], settings["grid"]))
        write_maps(folder / called, "regions", found, looked)
    write_dataset(folder / "looked.zarr", _described(looked, scores))


def _sums(
    model: Scored,
    network: Network,
    images: ImageTable,
    looked: Looked,
    cells: Cells,
    fills: Sequence[str],
    settings: Mapping[str, Any],
    seed: int,
) -> Moments:
    """Sum the scores of all images of the shard, ``(image, fill)``."""
    return join(
        [
            region_sums(
                model,
                pixels,
                target,
                cells=cells,
                fills=fills,
                blocks=settings["blocks"],
                replicates=settings["replicates"],
                seed=seed,
                at_once=network.batch_size,
            )
            for _, pixels, target in batches(looked, images, network, TOGETHER)
        ]
    )


@torch.no_grad()
def _scores(model: Scored, network: Network, images: ImageTable, looked: Looked) -> np.ndarray:
    """Return the score of each image as it is, ``(image,)``; one by one, as they are masked."""
    found = [
        model(pixels)[0, target[0]].item()
        for _, pixels, target in batches(looked, images, network, 1)
    ]
    return np.array(found, dtype=np.float64)


def _described(looked: Looked, scores: Mapping[str, np.ndarray]) -> xr.Dataset:
    """Return which images are looked at, and their scores."""
    columns = {
        name: getattr(looked, name) for name in ("place", "ids", "label", "cluster", "target")
    }
    data = columns | {f"score_{name}": values for name, values in scores.items()}
    names = [
        f"unit {unit}" if looked.names is None else str(looked.names[unit])
        for unit in looked.target
    ]
    data |= {"target_name": np.array(names, dtype=object)}
    return xr.Dataset({name: ("image", values) for name, values in data.items()})
