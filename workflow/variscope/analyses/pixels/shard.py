"""Gradients and finite differences of the network and its untrained twin, image by image."""

from __future__ import annotations

import json
from dataclasses import replace
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
from variscope.analyses.pixels import STEPS
from variscope.analyses.pixels.choosing import units_of
from variscope.analyses.source import Source
from variscope.attributions.cells import cell_means
from variscope.attributions.difference import central_differences, difference, in_double
from variscope.attributions.gradient import pixel_gradient
from variscope.errors import UserError
from variscope.estimators.resampling import generator
from variscope.responses.network.opened import Network
from variscope.responses.network.scored import Scored

Arrays = dict[str, xr.Variable]


def shard(source: Source, name: str, folder: Path) -> None:
    """Store the maps of a shard's images, ``<network>/<method>.zarr``.

    Those of the class score stand in the folder itself, those of the units that the settings name
    in ``units/<number>/``, and ``about.json`` says what they are.

    Args:
        source: of a model.
        name: of the shard, one of `variscope.analyses.passes.shards_of_images`.
        folder: where the maps go.
    """
    looked: Looked | None = None
    about: dict[str, Any] = {"notes": []}
    for which, network in networks(source):
        if looked is None:
            looked = looked_at(source, name, network)
            about["names"] = list(looked.names) if looked.names else None
        units = units_of(source.settings, network.name, network.layers)
        about["units"] = [unit.name for unit in units]
        _maps_of(source, Scored.of(network), network, looked, folder / which, about["notes"])
        for number, unit in enumerate(units):
            of_unit = replace(looked, target=np.full(len(looked), unit.number), names=None)
            inside = folder / "units" / str(number) / which
            model = Scored.of(network, unit.layer)
            _maps_of(source, model, network, of_unit, inside, about["notes"])
    about["notes"] = list(dict.fromkeys(about["notes"]))
    (folder / "about.json").write_text(json.dumps(about))


def _maps_of(
    source: Source,
    model: Scored,
    network: Network,
    looked: Looked,
    folder: Path,
    notes: list[str],
) -> None:
    """Store both methods' maps of a network, and of the trained one the check of single pixels."""
    settings, images = source.settings, source.images
    gradients, by_cell, differences, scores = [], [], [], []
    # One image at a time: the last bits of a convolution depend on the batch, and in shards of
    # another number an image would have other neighbours.
    for at in range(len(looked)):
        pixels = pixels_of(images, looked.ids[at : at + 1], network.device)
        target = torch.from_numpy(looked.target[at : at + 1]).to(network.device)
        found = pixel_gradient(model, pixels, target)
        gradients.append(_finite(found.abs().sum(dim=1)))
        by_cell.append(_finite(cell_means(found.sum(dim=1), settings["cells"])))
        differences.append(
            _finite(
                difference(
                    model, pixels, target,
                    cells=settings["cells"], step=settings["step"],
                    at_once=max(1, network.batch_size // 2),
                )
            )
        )  # fmt: skip
        with torch.no_grad():
            scores.append(float(model(pixels)[0, target]))
    height, width = images.size
    few = min(settings["cells"], height), min(settings["cells"], width)
    score = {"score": xr.Variable("image", np.array(scores, dtype=np.float64))}
    signed = xr.Variable(("image", "row", "column"), _joined(by_cell, few))
    maps = _joined(gradients, (height, width))
    write_maps(folder, "gradient", maps, looked, {**score, "signed": signed})
    more: Arrays = {}
    if folder.name == TRAINED and settings["sampled"]:
        try:
            more = _sampled(source, model, network, looked)
        except UserError as error:
            notes.append(f"Gradients were not held against differences of single pixels: {error}.")
    write_maps(folder, "difference", _joined(differences, few), looked, {**score, **more})


def _finite(maps: torch.Tensor) -> torch.Tensor:
    """Return maps ``(1, y, x)`` on the CPU, all NaN where a value is not finite: undefined."""
    return (maps if torch.isfinite(maps).all() else torch.full_like(maps, torch.nan)).cpu()


def _joined(maps: list[torch.Tensor], size: tuple[int, int]) -> np.ndarray:
    return torch.cat(maps).numpy() if maps else np.empty((0, *size), np.float32)


def _sampled(source: Source, model: Scored, network: Network, looked: Looked) -> Arrays:
    """Return gradients and differences of single pixels in float64.

    Returns:
        ``sampled_gradient`` (image, sample) and ``sampled_difference`` (image, step, sample).
    """
    count, images = source.settings["sampled"], source.images
    gradients = np.empty((len(looked), count))
    differences = np.empty((len(looked), len(STEPS), count))
    double: torch.nn.Module | None = None
    for at, number in enumerate(looked.ids):
        given = pixels_of(images, looked.ids[at : at + 1], network.device)
        target = torch.from_numpy(looked.target[at : at + 1]).to(network.device)
        if double is None:
            double, _ = in_double(model, given)
        found = pixel_gradient(double, given.double(), target)[0].cpu().numpy()
        # A unit of an early layer reads few pixels, which a sample of all would miss.
        read = np.flatnonzero(found) if found.any() else np.arange(found.size)
        rng = generator(source.seed, "pixels", "sampled", int(number))  # whatever else is looked at
        places = np.stack(np.unravel_index(rng.choice(read, size=count), found.shape), axis=1)
        gradients[at] = found[tuple(places.T)]
        for step_at, step in enumerate(STEPS):
            differences[at, step_at] = (
                central_differences(
                    double, given.double(), target, torch.from_numpy(places)[None],
                    step=step, at_once=max(1, network.batch_size // 4),
                )[0].cpu().numpy()
            )  # fmt: skip
    return {
        "sampled_gradient": xr.Variable(("image", "sample"), gradients),
        "sampled_difference": xr.Variable(("image", "step", "sample"), differences),
    }
