"""Outputs of images as they are, and what each augmentation alone changes in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from numpy.typing import NDArray

from variscope.analyses.contrast import IMAGES_OF_SHARD, first_image
from variscope.analyses.contrast.treatments import chosen_images, names_of, sets_of, treatments
from variscope.analyses.source import Source
from variscope.inputs.axes import Layer, file_name
from variscope.responses.network.evaluator import Evaluator
from variscope.space.alone import alone, draws_of, joined, plain
from variscope.stores import chunked

# Numbers of one variable, of as many units as one chunk has and of all images: read at once later.
_READ = 2**25
# Of a chunk: it is written in a few pieces where a batch has fewer images.
_LARGEST, _FEWEST_IMAGES = 2**22, 16


def shard(source: Source, name: str, folder: Path) -> None:
    """Evaluate some of the chosen images by the network, and those of one part by its twin.

    What is written is a Zarr group: by network (``trained``, ``twin``), part and layer the arrays
    ``plain (image, unit)`` and ``difference (variable, image, unit)``, the mean over draws less
    plain, float32 each. Attributes name the variables, the images and their clusters. To a network
    that was not trained, parts are all one.
    """
    images, settings = source.images, source.settings
    space = treatments({name: source.space(name) for name in sets_of(source)})
    start = first_image(name)
    root = zarr.open_group(str(folder), mode="w")
    root.attrs["variables"] = list(names_of(space)) if space else []
    if space is None:
        return
    chosen = chosen_images(images, settings["images"], source.seed)
    parts = {"trained": list(chosen)}
    if source.has_twin:
        parts["twin"] = list(chosen)[-1:]
    width = max(1, min(_READ // settings["images"], _LARGEST // IMAGES_OF_SHARD))
    for which in parts:
        evaluator = source.network(twin=which == "twin").evaluator(space, images)
        for part in parts[which]:
            own = chosen[part][start : start + IMAGES_OF_SHARD]
            group = root.create_group(f"{which}/{part}")
            group.attrs["images"] = own.tolist()
            group.attrs["clusters"] = images.cluster[own].tolist()
            _write(group, evaluator, own, settings["draws"], source.seed, width)


def _write(
    group: zarr.Group,
    evaluator: Evaluator,
    ids: NDArray[np.int64],
    draws: int,
    seed: int,
    width: int,
) -> None:
    """Write the outputs of some images, a batch of them at a time, in chunks of some units."""
    space, at_once = evaluator.space, max(1, evaluator.batch_size // (draws + 1))
    chunks = (min(max(at_once, _FEWEST_IMAGES), max(1, len(ids))), width)
    stores = {
        layer.name: _arrays(group, layer, len(ids), len(space.augmentations), chunks)
        for layer in evaluator.layers
    }
    for start in range(0, len(ids), at_once):
        place = slice(start, min(start + at_once, len(ids)))
        batch = ids[place]
        for number, changes in enumerate(_changes(evaluator, batch, draws, seed)):
            for layer, (as_is, difference) in changes.items():
                plain_store, difference_store = stores[layer]
                if number == 0:
                    plain_store[place] = as_is
                difference_store[number, place] = difference


def _arrays(
    group: zarr.Group, layer: Layer, images: int, variables: int, chunks: tuple[int, int]
) -> tuple[zarr.Array, zarr.Array]:
    inner = group.create_group(file_name(layer.name))
    inner.attrs["layer"] = layer.to_json()
    chunks = (chunks[0], min(chunks[1], layer.units))
    shape = (images, layer.units)
    return (
        chunked.create(inner, "plain", shape, "float32", chunks=chunks),
        chunked.create(inner, "difference", (variables, *shape), "float32", chunks=(1, *chunks)),
    )


def _changes(
    evaluator: Evaluator, ids: NDArray[np.int64], draws: int, seed: int
) -> Iterator[dict[str, tuple[NDArray[Any], NDArray[Any]]]]:
    """Yield for each augmentation, by layer, plain outputs and differences ``(image, unit)``.

    The images as they are go through the network together with the altered ones: the rounding of
    an output may depend on how many images a batch has, and an augmentation that changes nothing
    shall differ by nothing.
    """
    space, sorted_ids = evaluator.space, np.sort(ids)
    pixels = evaluator.images.load(sorted_ids)
    as_is = plain(space, ids)
    for name in names_of(space):
        recipes = joined([as_is, alone(space, name, ids, draws, seed)])
        outputs = evaluator.of_recipes(recipes, sorted_ids, pixels)
        yield {
            layer.name: _difference(
                layer, outputs[layer.name], len(ids), draws_of(space, name, draws)
            )
            for layer in evaluator.layers
        }


def _difference(
    layer: Layer, outputs: torch.Tensor, images: int, draws: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return plain outputs, and the mean over an image's draws less these, in float32."""
    units = outputs.reshape(len(outputs), -1)
    first = units[:images]
    total = torch.zeros(first.shape, dtype=torch.float64, device=units.device)
    altered = units[images:].reshape(images, draws, -1)
    for draw in range(draws):
        total += altered[:, draw].double() - first.double()
    mean = (total / draws).to(torch.float32)
    return first.cpu().numpy(), mean.cpu().numpy()
