"""What the shards left, as later steps read it; imports no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import xarray as xr

from variscope.inputs.axes import file_name
from variscope.stores.results import read_dataset


class Maximised(NamedTuple):
    """A layer's units, as `variscope.analyses.maximisation.ascents` left them."""

    network: str
    layer: str
    data: xr.Dataset


def layer_path(folder: Path, network: str, layer: str) -> Path:
    """Return where a shard keeps a layer of a network."""
    return folder / "units" / network / f"{file_name(layer)}.zarr"


def about(shards: Mapping[str, Path]) -> dict[str, Any]:
    """Return what all shards say of the networks; with no shard, nothing is chosen."""
    for folder in shards.values():
        found: dict[str, Any] = json.loads((folder / "about.json").read_text())
        return found
    return {"notes": [], "names": None, "layers": [], "scores": None, "natural": 0, "images": 0}


def maximised(shards: Mapping[str, Path], network: str) -> Iterator[Maximised]:
    """Yield the layers of a network, classes first, then in the order of the network."""
    known = about(shards)
    for layer in [known["scores"], *known["layers"]]:
        for folder in shards.values():
            path = layer_path(folder, network, str(layer))
            if layer is not None and path.is_dir():
                yield Maximised(network, layer, read_dataset(path))


def unit_name(known: Mapping[str, Any], scores: bool, unit: int) -> str:
    """Name a unit: the class, or its number."""
    names = known["names"]
    return str(names[unit]) if scores and names and unit < len(names) else str(unit)
