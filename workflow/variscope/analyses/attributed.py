"""What analyses of single images share: which images and targets, and how maps are kept.

Each of them looks at the same images in the same order, so that the first k of one are the first k
of another, and asks for the same unit of each: their maps can be held against each other. How maps
are kept is in `variscope.analyses.kept_maps`, which imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from variscope.analyses.kept_maps import (
    TRAINED,
    UNTRAINED,
    Ids,
    Looked,
    methods_of,
    read_maps,
    write_maps,
)
from variscope.analyses.passes import place_of_shard
from variscope.analyses.source import Source
from variscope.estimators.resampling import generator
from variscope.inputs.table import ImageTable
from variscope.responses.network.opened import Network
from variscope.responses.network.scored import Scored

__all__ = [
    "TRAINED",
    "UNTRAINED",
    "Ids",
    "Looked",
    "batches",
    "looked_at",
    "methods_of",
    "networks",
    "ordered_images",
    "pixels_of",
    "read_maps",
    "scores_of",
    "write_maps",
]


def ordered_images(images: ImageTable, count: int, seed: int) -> Ids:
    """Return ids of images of part valid, or of all where it has none, one class after another.

    Args:
        images: of the experiment.
        count: at most so many; the first k are the same whatever it is.
        seed: of the experiment.
    """
    of_part = images.ids("valid")
    if not len(of_part):
        of_part = np.arange(len(images), dtype=np.int64)
    rounds = np.empty(len(of_part), dtype=np.int64)
    for label in np.unique(images.label[of_part]):
        members = np.flatnonzero(images.label[of_part] == label)
        rng = generator(seed, "attributions", "images", int(label))
        rounds[members[rng.permutation(len(members))]] = np.arange(len(members))
    order = np.lexsort((images.label[of_part], rounds))
    return of_part[order][:count]


def networks(source: Source) -> Iterator[tuple[str, Network]]:
    """Yield the network and, where there is one, its untrained twin, by name."""
    yield TRAINED, source.network()
    if source.has_twin:
        yield UNTRAINED, source.network(twin=True)


def looked_at(source: Source, shard: str, network: Network | None = None) -> Looked:
    """Return the images of a shard of an analysis with the settings ``images`` and ``shards``.

    The target of an image is the class that the trained network answers, or its label where the
    setting ``target`` says so and the network's classes are those of the data.

    Args:
        source: of a model.
        shard: its name, one of `variscope.analyses.passes.shards_of_images`.
        network: the trained network, where it is open; opening a large one takes seconds.
    """
    images, settings = source.images, source.settings
    number, shards = place_of_shard(shard)
    every = ordered_images(images, settings["images"], source.seed)
    place = np.arange(len(every), dtype=np.int64)[number - 1 :: shards]
    ids = every[place]
    network = network or source.network()
    scores = scores_of(Scored.of(network), images, ids, network)
    units = scores.shape[1] if len(ids) else 0
    own = images.labelled and units == len(images.classes)
    by_label = settings.get("target", "predicted") == "label" and own
    target = images.label[ids] if by_label else scores.argmax(axis=1)
    names = network.names or (list(images.classes) if own else None)
    return Looked(place, ids, images.label[ids], images.cluster[ids], target, names)


def pixels_of(images: ImageTable, ids: Ids, device: str) -> torch.Tensor:
    """Return images ``(n, C, H, W)`` float32 in [0, 1] on a device."""
    pixels = torch.from_numpy(images.load(ids)).to(device)
    return pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels


@torch.no_grad()
def scores_of(model: Scored, images: ImageTable, ids: Ids, network: Network) -> NDArray[Any]:
    """Return the units' outputs for images as they are, ``(n, unit)`` float32."""
    found = [
        model(pixels_of(images, ids[start : start + network.batch_size], network.device)).cpu()
        for start in range(0, len(ids), network.batch_size)
    ]
    return torch.cat(found).numpy() if found else np.empty((0, 1), np.float32)


def batches(
    looked: Looked, images: ImageTable, network: Network, at_once: int
) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
    """Yield places among those looked at, images ``(k, C, H, W)`` and targets ``(k,)``."""
    for start in range(0, len(looked), at_once):
        part = slice(start, min(start + at_once, len(looked)))
        target = torch.from_numpy(looked.target[part]).to(network.device)
        yield part, pixels_of(images, looked.ids[part], network.device), target
