"""Run the network on some of the images, under all conditions, and store what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from variscope.analyses.masking.grid import Grid
from variscope.analyses.masking.maps import LayerMaps, usable
from variscope.analyses.masking.outcomes import (
    REFERENCE,
    Condition,
    outcomes_dataset,
    write_outcomes,
)
from variscope.analyses.masking.running import Runner, chunks
from variscope.analyses.masking.subjects import (
    Subjects,
    confidence_level,
    scored_images,
    subjects_of,
)
from variscope.analyses.passes import place_of_shard
from variscope.analyses.source import Source
from variscope.indices.wording import join_words


def shard(source: Source, name: str, folder: Path) -> None:
    """Store the outcomes of a shard's images.

    Args:
        source: of a model.
        name: of the shard, one of `variscope.analyses.passes.shards_of_images`.
        folder: where the outcomes go.
    """
    number, count = place_of_shard(name)
    settings = source.settings
    network = source.network()
    subjects = subjects_of(source, network, settings["layers"])
    maps = {one.name: LayerMaps(one, subjects.mapped, source.seed) for one in subjects.layers}
    conditions, notes = _conditions(source, subjects, maps)
    scored = scored_images(
        source.images, "valid", settings["images_per_class"], source.seed, "masking"
    )
    parts = chunks(scored, network.batch_size) if conditions else []
    runner = Runner(source, network, subjects, maps) if conditions else None
    store(folder, source, subjects, runner, conditions, parts[number - 1 :: count], notes)


def store(
    folder: Path,
    source: Source,
    subjects: Subjects,
    runner: Runner | None,
    conditions: Sequence[Condition],
    parts: Sequence[NDArray[np.int64]],
    notes: Sequence[str],
) -> None:
    """Run conditions on chunks of images, and write what comes of it.

    Args:
        folder: where the outcomes go.
        source: of a model.
        subjects: what is masked.
        runner: of the network; None where there are no conditions.
        conditions: that are run.
        parts: chunks of images, ids ascending in each.
        notes: what was left out.
    """
    ids = np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64)
    arrays: dict[str, np.ndarray] = {}
    label = source.images.label[ids]
    if runner is not None:
        arrays, label = runner.outcomes(conditions, subjects.targets, parts)
        arrays["shared"] = _shared(conditions, subjects, runner.maps)
    write_outcomes(
        folder,
        outcomes_dataset(
            conditions,
            arrays,
            image=ids,
            label=label,
            cluster=source.images.cluster[ids],
            classes=subjects.scores.units if subjects.scores else 0,
            target="label" if subjects.labelled else "answer",
            level=confidence_level(source),
            notes=notes,
        ),
    )


def _conditions(
    source: Source, subjects: Subjects, maps: dict[str, LayerMaps]
) -> tuple[list[Condition], list[str]]:
    """Return all conditions, and what was left out."""
    settings, notes = source.settings, list(subjects.notes)
    if subjects.scores is None or not subjects.layers:
        return [], notes
    masks = {kind: usable(subjects.mapped, list(maps.values()), kind) for kind in settings["kinds"]}
    for kind in [kind for kind, names in masks.items() if not names]:
        notes.append(f"No variable has maps of the kind {kind} in every layer.")
        del masks[kind]
    for kind, names in masks.items():
        missing = [one.name for one in subjects.mapped if one.name not in names]
        if missing:
            notes.append(f"Without maps of the kind {kind}: {join_words(missing)}.")
    grid = Grid(
        tuple(masks), tuple(settings["controls"]), settings["seeds"], settings["grid"] == "all"
    )
    inputs = [one.name for one in subjects.inputs]
    return grid.conditions(inputs, masks, subjects.targets) if masks else [], notes


def _shared(
    conditions: Sequence[Condition], subjects: Subjects, maps: Mapping[str, LayerMaps]
) -> np.ndarray:
    """Return which share of a mask's units its matched units are, too; of others NaN."""
    layers_of = {target.name: target.layers for target in subjects.targets}
    found = np.full(len(conditions), np.nan, dtype=np.float32)
    known: dict[Condition, float] = {}
    for row, condition in enumerate(conditions):
        if condition.control == "matched" and condition[5:8] == REFERENCE:
            key = condition._replace(input="")
            if key not in known:
                own = [maps[name].hit(key._replace(control="own"))
                       for name in layers_of[key.layer]]  # fmt: skip
                matched = [maps[name].hit(key) for name in layers_of[key.layer]]
                both = sum(int((a & b).sum()) for a, b in zip(own, matched, strict=True))
                known[key] = both / sum(int(a.sum()) for a in own)
            found[row] = known[key]
    return found
