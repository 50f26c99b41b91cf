"""Grad-CAM and HiResCAM of the network and its untrained twin, image by image."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from variscope.analyses.attributed import (
    TRAINED,
    Looked,
    looked_at,
    networks,
    ordered_images,
    pixels_of,
    write_maps,
)
from variscope.analyses.grad_cam.choosing import candidates
from variscope.analyses.source import Source
from variscope.attributions.grad_cam import weighted_maps
from variscope.attributions.hires_cam import products
from variscope.attributions.layer_maps import last_of, seen
from variscope.inputs.axes import Layer
from variscope.responses.network.opened import Network
from variscope.responses.network.scored import Scored


def shard(source: Source, name: str, folder: Path) -> None:
    """Store the maps of a shard's images, ``<network>/<method>.zarr``, and the layer's name.

    Args:
        source: of a model.
        name: of the shard, one of `variscope.analyses.passes.shards_of_images`.
        folder: where the maps go.
    """
    looked: Looked | None = None
    layer: Layer | None = None
    for which, network in networks(source):
        model = Scored.of(network)
        if which == TRAINED:
            looked = looked_at(source, name, network)
            layer = _layer(source, network, model)
            names = list(looked.names) if looked.names else None
            about = {"layer": layer.name if layer else "", "names": names}
            (folder / "about.json").write_text(json.dumps(about))
        if looked is not None and layer is not None:
            _maps_of(source, model, network, looked, layer, folder / which)


def _layer(source: Source, network: Network, model: Scored) -> Layer | None:
    """Return the layer that is looked at: the last one that the first image's answer depends on."""
    found = candidates(source.settings, network.name, network.layers)
    first = ordered_images(source.images, 1, source.seed)  # of all shards the same
    if len(found) == 1 or not len(first):
        return found[0] if found else None
    pixels = pixels_of(source.images, first, network.device)
    with torch.no_grad():
        target = model(pixels).argmax(dim=1)
    return last_of(model, pixels, target, found)


def _maps_of(
    source: Source, model: Scored, network: Network, looked: Looked, layer: Layer, folder: Path
) -> None:
    """Store both methods' maps of a network, and Grad-CAM's before its values below 0 are cut."""
    signed, hires, scores = [], [], []
    # One image at a time: the last bits of a convolution depend on the batch, and in shards of
    # another number an image would have other neighbours.
    for at in range(len(looked)):
        pixels = pixels_of(source.images, looked.ids[at : at + 1], network.device)
        target = torch.from_numpy(looked.target[at : at + 1]).to(network.device)
        found = seen(model, pixels, target, layer)
        signed.append(weighted_maps(found).cpu().numpy())
        hires.append(products(found).cpu().numpy())
        with torch.no_grad():
            scores.append(float(model(pixels)[0, target]))
    size = layer.grid or layer.shape[1:]
    weighted, product = (
        np.concatenate(maps) if maps else np.empty((0, *size), np.float32)
        for maps in (signed, hires)
    )
    score = {"score": xr.Variable("image", np.array(scores, dtype=np.float64))}
    before = {"signed": xr.Variable(("image", "y", "x"), weighted)}
    write_maps(folder, "grad_cam", np.maximum(weighted, 0), looked, {**score, **before})
    write_maps(folder, "hires_cam", product, looked, score)
