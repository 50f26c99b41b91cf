"""What is masked, and on which images: the same in every shard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variscope.analyses.mapped import Mapped, mapped_variables
from variscope.analyses.masking.grid import Target
from variscope.analyses.masking.maps import augmentations
from variscope.analyses.masking.outcomes import TOGETHER
from variscope.analyses.source import Source
from variscope.estimators.resampling import generator
from variscope.indices.reading import layers
from variscope.indices.wording import join_words
from variscope.inputs.axes import Layer
from variscope.inputs.table import ImageTable
from variscope.responses.network.opened import Network
from variscope.vocabulary import PARTS


@dataclass(frozen=True)
class Subjects:
    """What is masked.

    Attributes:
        mapped: the variables that have maps.
        layers: that are masked, in the network's order.
        scores: the layer of class scores; None where there is nothing to be scored.
        labelled: whether the network's classes are those of the data.
        notes: what was left out, a sentence each.
    """

    mapped: tuple[Mapped, ...]
    layers: tuple[Layer, ...]
    scores: Layer | None
    labelled: bool
    notes: tuple[str, ...]

    @property
    def inputs(self) -> list[Mapped]:
        """The augmentations that images are altered by."""
        return augmentations(self.mapped)

    @property
    def targets(self) -> list[Target]:
        """What is masked at once."""
        return targets_of(self.layers)


def targets_of(layers: Sequence[Layer]) -> list[Target]:
    """Return each layer, and all layers of maps at once; of vectors where there are no maps."""
    maps = [layer for layer in layers if of_maps(layer)]
    found = [Target(one.name, (one.name,), of_maps(one)) for one in layers]
    names = tuple(layer.name for layer in maps or layers)
    return [*found, Target(TOGETHER, names, bool(maps))] if found else []


def of_maps(layer: Layer) -> bool:
    """Say whether a layer has units at several positions of several channels, or tokens."""
    return len(layer.shape) > 1 and layer.dims[0] in ("channel", "token")


def subjects_of(source: Source, network: Network, chosen: Sequence[str] | str = "all") -> Subjects:
    """Settle what is masked.

    Args:
        source: of a model.
        network: the model's.
        chosen: names of layers, or "all" that stand before the scores.
    """
    images = source.images
    notes = []
    scores = next((one for one in network.layers if one.name == network.scores), None)
    if scores is not None and scores.units < 2:
        notes.append(f"The network gives one score, {scores.name}: there is no class to predict.")
        scores = None
    elif scores is None:
        notes.append("No layer of class scores is among the network's layers.")
    mapped = tuple(mapped_variables(source, lambda study: study.selection))
    estimated = set(layers(mapped[0].study.selection)) if mapped else set()
    before = network.layers[: network.layers.index(scores)] if scores else ()
    kept = [one for one in before if one.name in estimated and not one.softmax]
    if chosen != "all":
        unknown = [name for name in chosen if name not in [one.name for one in kept]]
        if unknown:
            notes.append(f"Not masked, since they do not stand before the scores: "
                         f"{join_words(unknown)}.")  # fmt: skip
        kept = [one for one in kept if one.name in chosen]
    if scores is not None and not kept:
        notes.append("No layer stands before the scores that could be masked.")
    labelled = scores is not None and images.labelled and len(images.classes) == scores.units
    if scores is not None and not labelled:
        notes.append(
            "The network's classes are not those of the data: the right class of an image is the "
            "network's own answer to the image as it is."
        )
    return Subjects(mapped, tuple(kept), scores, labelled, tuple(notes))


def scored_images(
    images: ImageTable, part: str, each: int, seed: int, purpose: str
) -> NDArray[np.int64]:
    """Draw images of a part, as many of each class, ascending; all where there is no such part.

    Args:
        images: of the experiment.
        part: "train" or "valid".
        each: of a class, at most.
        seed: of the experiment.
        purpose: whose draws they are.
    """
    of_part: NDArray[Any] = images.part == PARTS.index(part)
    if not of_part.any():
        of_part = np.ones(len(images), dtype=bool)
    drawn = []
    for label in np.unique(images.label[of_part]):
        members = np.flatnonzero(of_part & (images.label == label))
        rng = generator(seed, purpose, "images", int(label))
        drawn.append(rng.permutation(members)[:each])
    return np.sort(np.concatenate(drawn)).astype(np.int64)


def confidence_level(source: Source) -> float:
    """Return the level of confidence of a model's studies."""
    data = next(iter(layers(source.studies[0].selection).values()))
    return float(data.attrs["confidence_level"])
