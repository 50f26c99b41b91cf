"""Run a model's segments on the rows of a variable set, and keep maps and sums of their outputs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from variscope.analyses.segments import TOGETHER
from variscope.analyses.segments.choosing import INPUT, segments_of, sets_of
from variscope.analyses.segments.fed import Kept
from variscope.analyses.source import Source
from variscope.designs import Design
from variscope.estimators import Layout, merge
from variscope.inputs.images import ImageTable
from variscope.responses.network.evaluator import Evaluator
from variscope.responses.network.opened import Network
from variscope.responses.network.segments import Fed, Segment
from variscope.responses.network.sums import layer_sums
from variscope.space.hsv import Color, typical
from variscope.space.space import Space

# Images that say which color is typical.
LOOKED_AT = 64


def shard(source: Source, name: str, folder: Path) -> None:
    """Run the segments of the network, and of its untrained twin, on the rows of a set.

    Args:
        source: of the model.
        name: of the variable set.
        folder: gets ``trained`` and, where there is a twin, ``untrained``: ``feedings.json`` and
            what is kept of each feeding, ``000.npz`` and so on.
    """
    for twin in (False, True) if source.has_twin else (False,):
        run(source, name, folder / ("untrained" if twin else "trained"), twin)


def run(source: Source, variable_set: str, folder: Path, twin: bool) -> None:
    """Run the segments of one network on the rows of a set."""
    network, settings = source.network(twin), source.settings
    study = sets_of(source.studies)[variable_set]
    space, images = source.space(variable_set), source.images
    layers = {layer.name: layer for layer in network.layers}
    segments = [
        Segment(
            one.name,
            None if one.start == INPUT else layers[one.start],
            layers[one.end],
            one.channels,
        )
        for one in segments_of(settings, study.model, network.layers)
    ]
    folder.mkdir(parents=True)
    described: dict[str, Any] = {
        "feedings": [],
        "variables": [variable.name for variable in space.variables],
        "outside": {},
    }
    for group in together(segments):
        fed = Fed(
            network.model, group, mean=network.mean, std=network.std, rest=_typical(images)
        ).eval()
        kept = _sums(fed, network, space, images, study.design, settings, source.seed)
        for feeding, one in zip(fed.feedings, kept, strict=True):
            one.write(folder / f"{len(described['feedings']):03}.npz")
            described["feedings"].append(asdict(feeding))
        described["outside"] |= {segment.name: fed.outside(segment.name) for segment in group}
    (folder / "feedings.json").write_text(json.dumps(described, indent=1))


def together(segments: Sequence[Segment]) -> list[list[Segment]]:
    """Return the segments in groups that are run in one pass: as many as their sums allow."""
    groups: list[list[Segment]] = []
    for segment in segments:
        if groups and sum(one.units for one in groups[-1]) + segment.units <= TOGETHER:
            groups[-1].append(segment)
        else:
            groups.append([segment])
    return groups


def _sums(
    fed: Fed,
    network: Network,
    space: Space,
    images: ImageTable,
    kind: str,
    settings: Mapping[str, Any],
    seed: int,
) -> list[Kept]:
    """Run segments on the rows of a design, and return what is kept of each feeding."""
    evaluator = Evaluator(
        fed,
        fed.layers,
        space,
        images,
        mean=[0.0] * images.channels,  # what runs the segments normalises by itself
        std=[1.0] * images.channels,
        batch_size=network.batch_size,
        device=network.device,
        precision=network.precision,
        memory=network.memory,
    )
    replicates = settings["replicates"]
    blocks = max(1, settings["blocks"] // replicates)
    design = Design(kind, space.groups, blocks * replicates, replicates, seed)
    layout = Layout(kind, len(space.groups))
    kept = [Kept() for _ in fed.layers]
    for replicate in range(replicates):
        sums = {
            layer.name: layer_sums(layout, replicate, layer.shape, evaluator.device)
            for layer in fed.layers
        }
        for evaluated in evaluator.replicate(design.replicate(replicate)):
            for tap, outputs in evaluated.outputs.items():
                sums[tap].update(outputs, evaluated.rows, evaluated.order)
        for one, layer in zip(kept, fed.layers, strict=True):
            one.add(merge(sums.pop(layer.name).moments()))
    return kept


def _typical(images: Any) -> Color:
    """Return the color that does not vary where another coordinate does."""
    if images.channels == 1:
        return Color(0.0, 0.0, 0.0)
    ids = np.unique(np.linspace(0, len(images) - 1, LOOKED_AT).astype(np.int64))
    pixels = torch.from_numpy(images.load(ids))
    return typical(pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels)
