"""What the images of the data set make of units: the yardstick of what an ascent reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from variscope.analyses.attributed import pixels_of
from variscope.attributions.layer_maps import in_plane
from variscope.attributions.pooled import Pool, pooled
from variscope.estimators.resampling import generator
from variscope.inputs.axes import Layer
from variscope.inputs.layers import capture
from variscope.inputs.table import ImageTable
from variscope.responses.network.opened import Network

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]

# Natural images that are shown of each unit.
SHOWN = 4


@dataclass(frozen=True)
class Natural:
    """A layer's units for the images of the data set.

    Attributes:
        value: of each unit, ``(image, unit)``, as it is maximised; where that is the unit at the
            centre of a map, the greatest of the map's.
        greatest: the greatest value of a map, ``(image, unit)``; None where there are no places.
        place: where it is, row and column, ``(image, unit, 2)``.
    """

    value: Floats
    greatest: Floats | None = None
    place: NDArray[np.int64] | None = None


def natural_ids(images: ImageTable, most: int, seed: int) -> Ids:
    """Return ids of images of all parts, ascending: all, or so many drawn at random."""
    if len(images) <= most:
        return np.arange(len(images), dtype=np.int64)
    rng = generator(seed, "maximisation", "natural")
    return np.sort(rng.permutation(len(images))[:most]).astype(np.int64)


@torch.no_grad()
def natural(
    network: Network, layers: Sequence[Layer], images: ImageTable, ids: Ids, pool: Pool
) -> Mapping[str, Natural]:
    """Run images through a network, and keep what they make of the units of layers, by name."""
    plain = [replace(layer, softmax=False) for layer in layers]
    by_name = {layer.name: layer for layer in plain}
    values: dict[str, list[torch.Tensor]] = {name: [] for name in by_name}
    greatest: dict[str, list[torch.Tensor]] = {name: [] for name in by_name}
    places: dict[str, list[torch.Tensor]] = {name: [] for name in by_name}

    def receive(name: str, outputs: torch.Tensor) -> None:
        layer = by_name[name]
        value = pooled(layer, outputs, pool)
        if layer.in_plane:
            maps = in_plane(replace(layer, axes=()), outputs)
            found = maps.flatten(2).max(dim=2)
            columns = maps.shape[3]
            place = torch.stack([found.indices // columns, found.indices % columns], dim=2)
            greatest[name].append(found.values.float().cpu())
            places[name].append(place.cpu())
            if pool == "centre":
                value = found.values
        values[name].append(value.float().cpu().clone())

    mean, std = (
        torch.tensor(part, device=network.device)[:, None, None]
        for part in (network.mean, network.std)
    )
    with capture(network.model, plain, receive):
        for start in range(0, len(ids), network.batch_size):
            pixels = pixels_of(images, ids[start : start + network.batch_size], network.device)
            network.model((pixels - mean) / std)
    return {
        name: Natural(
            torch.cat(values[name]).numpy(),
            torch.cat(greatest[name]).numpy() if greatest[name] else None,
            torch.cat(places[name]).numpy() if places[name] else None,
        )
        for name in by_name
    }


def strongest(values: Floats, cluster: Ids, count: int = SHOWN) -> Ids:
    """Return the places of the greatest values, at most one of each cluster, the greatest first.

    Args:
        values: of each image, ``(image,)``; those that are not finite are left out.
        cluster: of each image, ``(image,)``.
        count: how many.

    Returns:
        ``(count,)``, -1 where there are no more clusters.
    """
    found: list[int] = []
    seen: set[int] = set()
    for place in np.argsort(-np.asarray(values, dtype=np.float64), kind="stable"):
        if len(found) == count or not np.isfinite(values[place]):
            break
        if int(cluster[place]) not in seen:
            seen.add(int(cluster[place]))
            found.append(int(place))
    return np.array(found + [-1] * (count - len(found)), dtype=np.int64)


def most_varied(values: Floats, count: int) -> list[int]:
    """Return the units whose values vary most over the images, the most varied first.

    Those that do not vary, or are not finite, are left out.
    """
    variance = np.var(np.asarray(values, dtype=np.float64), axis=0)
    order = np.argsort(-variance, kind="stable")
    return [int(unit) for unit in order if variance[unit] > 0 and np.isfinite(variance[unit])][
        :count
    ]


def most_answered(scores: Floats, count: int) -> list[int]:
    """Return the classes that are answered most often, the most frequent first."""
    answered = np.bincount(scores.argmax(axis=1), minlength=scores.shape[1])
    order = np.argsort(-answered, kind="stable")
    return [int(unit) for unit in order if answered[unit]][:count]
