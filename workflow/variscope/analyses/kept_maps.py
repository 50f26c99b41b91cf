"""Maps of single images as they are kept: written where the network runs, read without torch.

A shard's folder holds ``trained/<method>.zarr`` and, where the network has an untrained twin,
``untrained/<method>.zarr``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from variscope.stores.results import read_dataset, write_dataset

Ids = NDArray[np.int64]

# The network itself, and its untrained twin.
TRAINED, UNTRAINED = "trained", "untrained"


@dataclass(frozen=True)
class Looked:
    """Images that are looked at, and the unit that is asked for each.

    Attributes:
        place: their places among all that are looked at, ascending, ``(n,)``.
        ids: of the images, ``(n,)``.
        label: their classes, ``(n,)``.
        cluster: their sources, ``(n,)``.
        target: number of the unit, ``(n,)``: of the trained network, and of its twin the same.
        names: of the units, where they are known.
    """

    place: Ids
    ids: Ids
    label: Ids
    cluster: Ids
    target: Ids
    names: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.ids)


def write_maps(
    folder: Path,
    method: str,
    maps: NDArray[Any],
    looked: Looked,
    more: Mapping[str, xr.Variable] | None = None,
) -> None:
    """Write a method's maps of one network.

    Args:
        folder: ``<shard>/trained`` or ``<shard>/untrained``.
        method: name of the method.
        maps: ``(n, y, x)``.
        looked: the images.
        more: further arrays, with a first dimension ``image`` where they are of each image.
    """
    data = {"map": (("image", "y", "x"), np.asarray(maps, dtype=np.float32)), **(more or {})}
    coordinates = {
        name: ("image", getattr(looked, name))
        for name in ("place", "ids", "label", "cluster", "target")
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_dataset(folder / f"{method}.zarr", xr.Dataset(data, coords=coordinates))


def methods_of(shards: Mapping[str, Path], network: str = TRAINED) -> list[str]:
    """Name the methods whose maps were kept."""
    names = {path.stem for folder in shards.values() for path in (folder / network).glob("*.zarr")}
    return sorted(names)


def read_maps(
    shards: Mapping[str, Path], method: str, network: str = TRAINED, *, more: bool = True
) -> xr.Dataset | None:
    """Read a method's maps of all shards, in the order of the images; None where there are none.

    Args:
        shards: folders of the shards, by name.
        method: name of the method.
        network: `TRAINED` or `UNTRAINED`.
        more: read what else was written, too.

    Returns:
        ``map`` (image, y, x) and what else was written, with the coordinates ``place``, ``ids``,
        ``label``, ``cluster`` and ``target`` of each image.
    """
    paths = [folder / network / f"{method}.zarr" for folder in shards.values()]
    keep = None if more else (lambda name: name == "map")
    found = [read_dataset(path, keep) for path in paths if path.is_dir()]
    found = [one for one in found if one.sizes["image"]]
    if not found:
        return None
    whole = xr.concat(found, dim="image", data_vars="minimal", coords="minimal")
    return whole.isel(image=np.argsort(whole["place"].values))
