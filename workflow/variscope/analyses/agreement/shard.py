"""Run what no other analysis gives, and delete and insert cells by the order of each method."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from variscope.analyses.agreement.choosing import AUTO, VARIANCE
from variscope.analyses.agreement.deleting import curves
from variscope.analyses.agreement.gathered import (
    CONTROLS,
    EDGES,
    METHODS,
    Maps,
    edge_maps,
    given_by_others,
    in_order,
    of_all,
    of_images,
    variance_maps,
    wanted,
)
from variscope.analyses.agreement.orders import orders_of
from variscope.analyses.attributed import batches, looked_at, ordered_images, pixels_of
from variscope.analyses.kept_maps import TRAINED, UNTRAINED, Looked, read_maps, write_maps
from variscope.analyses.source import Source
from variscope.attributions import Attribution, built_in, named
from variscope.attributions.layer_maps import last_of
from variscope.errors import UserError
from variscope.responses.network.opened import Network
from variscope.responses.network.scored import Scored
from variscope.stores.results import write_dataset

# The methods that look at a layer.
LAYERED = ("grad_cam", "hires_cam")


def shard(source: Source, name: str, folder: Path) -> None:
    """Write maps of methods that are run here, edges, and what is left of scores.

    Args:
        source: of the model.
        name: of the shard.
        folder: gets ``trained`` and ``untrained`` with maps, ``controls`` with edges,
            ``curves.zarr`` and ``methods.json``.
    """
    here = run_here(source)
    looked = _of_the_network(source, name, folder, here)
    if source.has_twin and here:  # once the network itself is closed
        _write_maps(here, source, looked, source.network(twin=True), folder / UNTRAINED)
    titles = {method.name: method.title for method in (*built_in().values(), *here)}
    (folder / METHODS).write_text(json.dumps({"titles": titles, "names": looked.names}, indent=1))


def _of_the_network(source: Source, name: str, folder: Path, here: list[Attribution]) -> Looked:
    """Write all that is of the trained network, and return the images."""
    network, settings = source.network(), source.settings
    looked, images = looked_at(source, name, network), source.images
    _write_maps(here, source, looked, network, folder / TRAINED)
    pixels = images.load(looked.ids)
    edges = edge_maps(pixels / 255 if pixels.dtype == np.uint8 else pixels)
    write_maps(folder / CONTROLS, EDGES, edges, looked)
    compared = {**trained_maps(source, looked, folder, here), EDGES: _all(edges, looked)}
    orders = orders_of(compared, looked, settings["cells"], settings["random_orders"], source.seed)
    write_dataset(folder / "curves.zarr", curves(orders, looked, images, network, settings))
    return looked


def _write_maps(
    methods: list[Attribution], source: Source, looked: Looked, network: Network, folder: Path
) -> None:
    for method in methods:
        write_maps(folder, method.name, maps_of(method, source, looked, network), looked)


def run_here(source: Source) -> list[Attribution]:
    """Return the methods that are named and that no other analysis gives.

    Raises:
        UserError: one cannot be run.
    """
    chosen = source.settings["methods"]
    if chosen == AUTO:
        return []
    given = given_by_others(source)
    found = []
    for name in chosen:
        if name in given or name == VARIANCE:
            continue
        try:
            found.append(named(name, Path.cwd()))
        except UserError as error:
            raise UserError(f"analyses.agreement.methods: {error}") from error
    return found


def maps_of(method: Attribution, source: Source, looked: Looked, network: Network) -> np.ndarray:
    """Return a method's maps of all images, ``(n, y, x)``.

    One image after the other: neither shards nor batches change what is in the last bits.

    Raises:
        UserError: the method gives no maps, or those of two images are of different grids.
    """
    model = Scored.of(network)
    settings = _layer_of(method, source, model, network)
    found = [
        method.maps(model, pixels, target, **settings)
        for _, pixels, target in batches(looked, source.images, network, 1)
    ]
    if len({maps.shape for maps in found}) > 1:
        raise UserError(f"{method.name}: its maps of two images are of different grids")
    return torch.cat(found).numpy() if found else np.empty((0, 1, 1), np.float32)


def _layer_of(
    method: Attribution, source: Source, model: Scored, network: Network
) -> dict[str, Any]:
    """Return the layer that class activation maps are of, as the analysis of these chooses it.

    The last studied layer of maps that the first image's answer depends on: by itself a method
    takes the last one of the network, pooled to few cells as it may be.
    """
    layers = [layer for layer in network.layers[:-1] if layer.in_plane]
    first = ordered_images(source.images, 1, source.seed)  # of all shards the same
    if method.name not in LAYERED or not layers or not len(first):
        return {}
    pixels = pixels_of(source.images, first, network.device)
    with torch.no_grad():
        target = model(pixels).argmax(dim=1)
    return {"layer": last_of(model, pixels, target, layers)}


def trained_maps(
    source: Source, looked: Looked, folder: Path, here: list[Attribution]
) -> dict[str, Maps]:
    """Return the trained network's maps by the method's name, those of the study among them."""
    shards = {name: result.shards for name, result in given_by_others(source).items()}
    shards |= {method.name: {"here": folder} for method in here}
    found = {
        name: of_images(name, read_maps(of, name, TRAINED, more=False), looked)
        for name, of in in_order(shards).items()
    }
    variance = {
        name: of_all(values, looked)
        for name, values in variance_maps(source.studies).items()
        if wanted(source, name)
    }
    return {name: maps for name, maps in {**found, **variance}.items() if maps is not None}


def _all(values: np.ndarray, looked: Looked) -> Maps:
    return Maps(values, looked.place, looked.ids, looked.target, looked.cluster)
