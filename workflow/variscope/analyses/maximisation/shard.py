"""Maximise units of the network and of its untrained twin, from noise and from images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from variscope.analyses.attributed import (
    TRAINED,
    Looked,
    looked_at,
    networks,
    pixels_of,
    write_maps,
)
from variscope.analyses.maximisation.ascents import Ascents
from variscope.analyses.maximisation.choosing import kind_of, layers_of, units_of
from variscope.analyses.maximisation.natural import (
    Natural,
    most_answered,
    most_varied,
    natural,
    natural_ids,
)
from variscope.analyses.maximisation.stored import layer_path
from variscope.analyses.passes import place_of_shard
from variscope.analyses.source import Source
from variscope.attributions.maximisation import ascended
from variscope.inputs.axes import Layer
from variscope.responses.network.opened import Network
from variscope.responses.network.scored import Scored
from variscope.stores.results import write_dataset

Units = Mapping[str, Sequence[int]]


def shard(source: Source, name: str, folder: Path) -> None:
    """Write what the ascents of a shard reach: of its layers' units, and of its images.

    Args:
        source: of a model.
        name: of the shard, one of `variscope.analyses.passes.shards_of_images`.
        folder: gets ``units/<network>/<layer>.zarr``, ``<network>/maximisation.zarr`` and
            ``about.json``.
    """
    number, shards = place_of_shard(name)
    settings, images = source.settings, source.images
    ids = natural_ids(images, settings["natural"], source.seed)
    looked: Looked | None = None
    classes: list[int] | None = None
    about: dict[str, Any] = {"notes": []}
    job = 0
    for which, network in networks(source):
        looked = looked_at(source, name, network) if looked is None else looked
        scores = _scores_of(network)
        chosen = layers_of(settings, network.name, network.layers, scores.name if scores else None)
        layers = [*chosen, *([scores] if scores else [])]
        seen = natural(network, layers, images, ids, settings["channel"]) if layers else {}
        if scores and classes is None:
            classes = most_answered(seen[scores.name].value, settings["classes"])
        units = _units(settings, network, chosen, seen, scores, classes or [])
        ascents = Ascents(source, network, ids, which)
        for layer in layers:
            if not units[layer.name]:
                about["notes"].append(_nothing(layer, which))
                continue
            if job % shards == number - 1:
                found = ascents.of_layer(layer, units[layer.name], seen[layer.name])
                path = layer_path(folder, which, layer.name)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_dataset(path, found.assign_attrs(scores=int(layer is scores)))
            job += 1
        of_scores = seen[scores.name].value if scores else None
        _from_images(source, network, looked, folder / which, of_scores)
        if which == TRAINED:
            about |= {
                "names": list(looked.names) if looked.names else None,
                "layers": [layer.name for layer in chosen],
                "scores": scores.name if scores else None,
                "natural": len(ids),
                "images": len(images),
            }
    (folder / "about.json").write_text(json.dumps(about))


def _scores_of(network: Network) -> Layer | None:
    return next((layer for layer in network.layers if layer.name == network.scores), None)


def _units(
    settings: Mapping[str, Any],
    network: Network,
    chosen: Sequence[Layer],
    seen: Mapping[str, Natural],
    scores: Layer | None,
    classes: Sequence[int],
) -> Units:
    """Return the numbers of the units of each layer: those named, or those that vary most."""
    named = units_of(settings, network.name, network.layers)
    found: dict[str, Sequence[int]] = {
        layer.name: most_varied(seen[layer.name].value, settings["channels"])
        if named is None
        else named[layer.name]
        for layer in chosen
    }
    if scores:
        found[scores.name] = classes if named is None else named.get(scores.name, [])
    return found


def _nothing(layer: Layer, which: str) -> str:
    of = "" if which == TRAINED else " of the untrained twin"
    return f"No {kind_of(layer)} of {layer.name}{of} is maximised: none was chosen, or none varies."


def _from_images(
    source: Source,
    network: Network,
    looked: Looked,
    folder: Path,
    natural_scores: np.ndarray | None,
) -> None:
    """Write the map of each image, the unit before and after, and what the image has become."""
    settings, images = source.settings, source.images
    model = Scored.of(network)
    height, width = images.size
    count = len(looked)
    maps = np.zeros((count, height, width), np.float32)
    became = np.zeros((count, images.channels, height, width), np.uint8)
    before, after, above = (np.full(count, np.nan) for _ in range(3))
    # One at a time: the last bits of a convolution depend on the batch, and a shard of another
    # size would put other images beside it.
    for at in range(count):
        pixels = pixels_of(images, looked.ids[at : at + 1], network.device)
        target = torch.from_numpy(looked.target[at : at + 1]).to(network.device)
        found = ascended(
            model,
            pixels,
            target,
            steps=settings["image_steps"],
            distance=settings["distance"],
        )
        if torch.isfinite(found).all():
            maps[at] = (found - pixels).abs().mean(dim=1)[0].cpu().numpy()
        else:
            maps[at] = np.nan
        became[at] = (found[0].nan_to_num() * 255).round().byte().cpu().numpy()
        with torch.no_grad():
            before[at], after[at] = (float(model(one)[0, target]) for one in (pixels, found))
        if natural_scores is not None:
            above[at] = np.mean(natural_scores[:, looked.target[at]] <= after[at])
    write_maps(
        folder,
        "maximisation",
        maps,
        looked,
        {
            "before": xr.Variable("image", before),
            "after": xr.Variable("image", after),
            "quantile": xr.Variable("image", above),
            "became": xr.Variable(("image", "color", "y", "x"), became),
        },
    )
