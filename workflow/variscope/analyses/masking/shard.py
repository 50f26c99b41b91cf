"""Run the network on some of the images, under all conditions, and store what it answers."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from variscope.analyses.masking.grid import Grid
from variscope.analyses.masking.maps import LayerMaps, usable
from variscope.analyses.masking.outcomes import (
    REFERENCE,
    Condition,
    outcomes_dataset,
    write_outcomes,
)
from variscope.analyses.masking.running import Runner, answers, chunks, first_classes
from variscope.analyses.masking.subjects import (
    Subjects,
    confidence_level,
    scored_images,
    subjects_of,
)
from variscope.analyses.source import Source
from variscope.indices.wording import join_words
from variscope.log import Progress


def shard(source: Source, name: str, folder: Path) -> None:
    """Store the outcomes of a shard's images.

    Args:
        source: of a model.
        name: of the shard, one of `variscope.analyses.masking.shards`.
        folder: where the outcomes go.
    """
    number, count = (int(part) for part in name.removeprefix("images_").split("_of_"))
    settings = source.settings
    network = source.network()
    subjects = subjects_of(source, network, settings["layers"])
    maps = {one.name: LayerMaps(one, subjects.mapped, source.seed) for one in subjects.layers}
    conditions, notes = _conditions(source, subjects, maps)
    scored = scored_images(
        source.images, "valid", settings["images_per_class"], source.seed, "masking"
    )
    parts = chunks(scored, network.batch_size) if conditions else []
    mine = parts[number - 1 :: count]
    ids = np.sort(np.concatenate(mine)) if mine else scored[:0]
    arrays: dict[str, np.ndarray] = {}
    label = source.images.label[ids]
    if conditions:
        runner = Runner(source, network, subjects, maps)
        arrays, label = _run(runner, source, subjects, conditions, mine)
        arrays["shared"] = _shared(conditions, subjects, maps)
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
    conditions: list[Condition], subjects: Subjects, maps: dict[str, LayerMaps]
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


def _run(
    runner: Runner,
    source: Source,
    subjects: Subjects,
    conditions: list[Condition],
    parts: list[np.ndarray],
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the outcomes ``(condition, image)`` of chunks of images, and the right classes."""
    rows: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, condition in enumerate(conditions):
        rows[condition.input, condition.layer].append(row)
    inputs = list(dict.fromkeys(condition.input for condition in conditions))
    found: list[dict[str, np.ndarray]] = []
    labels = []
    images = sum(len(ids) for ids in parts)
    with Progress(len(conditions) * images, "masked images") as progress, torch.inference_mode():
        for ids in parts:
            pixels = source.images.load(ids)
            arrays: dict[str, np.ndarray] = {}

            def keep(
                places: list[int], outcomes: dict[str, np.ndarray], arrays: dict = arrays
            ) -> None:
                for name, values in outcomes.items():
                    if name not in arrays:
                        shape = (len(conditions), *values.shape[1:])
                        arrays[name] = np.empty(shape, values.dtype)
                    arrays[name][places] = values
                progress(len(places) * next(iter(outcomes.values())).shape[1])

            target = None
            for given in inputs:
                altered = runner.images(given, ids, pixels)
                plain = runner.plain(altered)
                if target is None:  # the first input is the original one
                    target = runner.right_classes(ids, plain)
                    labels.append(target.cpu().numpy())
                first = first_classes(plain, 1)[:, 0]
                keep(rows[given, ""], answers(plain[None], target, first))
                for masked in subjects.targets:
                    places = rows[given, masked.name]

                    def receive(
                        some: slice,
                        probability: torch.Tensor,
                        places: list[int] = places,
                        right: torch.Tensor = target,
                        first: torch.Tensor = first,
                    ) -> None:
                        keep(places[some], answers(probability, right, first))

                    runner.masked(altered, masked, [conditions[row] for row in places], receive)
            found.append(arrays)
    order = np.argsort(np.concatenate(parts)) if parts else np.empty(0, int)
    joined = {
        name: np.concatenate([one[name] for one in found], axis=1)[:, order]
        for name in (found[0] if found else ())
    }
    return joined, np.concatenate(labels)[order] if labels else np.empty(0, np.int64)
