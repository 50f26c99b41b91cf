"""Run the network on distorted images with sensitive units scaled down, of both parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from variscope.analyses.masking.maps import LayerMaps, usable
from variscope.analyses.masking.outcomes import ORIGINAL, Condition, unmasked
from variscope.analyses.masking.running import Runner, chunks
from variscope.analyses.masking.shard import store
from variscope.analyses.masking.subjects import Subjects, scored_images, subjects_of
from variscope.analyses.passes import place_of_shard
from variscope.analyses.source import Source
from variscope.vocabulary import PARTS


def shard(source: Source, name: str, folder: Path) -> None:
    """Store the outcomes of a shard's images, of each part in a folder of its name.

    Args:
        source: of a model.
        name: of the shard, one of `variscope.analyses.passes.shards_of_images`.
        folder: where the outcomes go.
    """
    number, count = place_of_shard(name)
    settings, network = source.settings, source.network()
    subjects = subjects_of(source, network, settings["layers"])
    maps = {one.name: LayerMaps(one, subjects.mapped, source.seed) for one in subjects.layers}
    conditions, notes = _conditions(source, subjects, maps)
    runner = Runner(source, network, subjects, maps) if conditions else None
    for part in PARTS:
        each = settings["images_per_class"]
        scored = scored_images(source.images, part, each, source.seed, f"mitigation {part}")
        parts = chunks(scored, network.batch_size) if conditions else []
        (folder / part).mkdir()
        store(
            folder / part, source, subjects, runner, conditions, parts[number - 1 :: count], notes
        )


def _conditions(
    source: Source, subjects: Subjects, maps: dict[str, LayerMaps]
) -> tuple[list[Condition], list[str]]:
    """Return all conditions, and what was left out."""
    settings, notes = source.settings, list(subjects.notes)
    if subjects.scores is None or not subjects.layers:
        return [], notes
    if len(np.unique(source.images.part)) < len(PARTS):
        return [], [*notes, "The images are of one part: on the images that a factor is chosen on "
                            "it cannot be tested."]  # fmt: skip
    kind = settings["kind"]
    with_maps = usable(subjects.mapped, list(maps.values()), kind)
    names = [one.name for one in subjects.inputs if one.name in with_maps]
    if not names:
        return [], [*notes, f"No augmentation has maps of the kind {kind} in every layer."]
    made = [unmasked(given) for given in (ORIGINAL, *names)]
    for target in subjects.targets:
        for name in names:
            for strength in settings["strengths"]:
                own = Condition(
                    name, name, "own", kind, target.name, "scale", float(strength),
                    float(settings["share"]), 0,
                )  # fmt: skip
                made.append(own)
                made += [
                    own._replace(control="matched", seed=seed) for seed in range(settings["seeds"])
                ]
    return made, notes
