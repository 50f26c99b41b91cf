"""Run a network under masks, and keep what it answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from variscope.analyses.mapped import Mapped
from variscope.analyses.masking.grid import Target
from variscope.analyses.masking.maps import LayerMaps
from variscope.analyses.masking.outcomes import ORIGINAL, Condition, top_count
from variscope.analyses.masking.subjects import Subjects
from variscope.analyses.source import Source
from variscope.inputs.axes import Layer
from variscope.inputs.values import MEMORY_FORMATS
from variscope.log import Progress
from variscope.responses.network.masked import Masked, class_scores
from variscope.responses.network.opened import Network
from variscope.space.alone import alone, plain

IMAGES_AT_ONCE = 50

# What masked outputs of one pass take on a CPU: they stay in the cache, and so does what follows.
_CPU_BYTES = 8 * 2**20
_MOST_AT_ONCE = 4096

# Distinct conditions whose masks are made at once.
_MASKS_AT_ONCE = 64


def chunks(images: NDArray[np.int64], at_once: int) -> list[NDArray[np.int64]]:
    """Cut images into chunks, whatever shard takes which: a batch decides its last bits."""
    size = max(1, min(IMAGES_AT_ONCE, at_once))
    return [images[start : start + size] for start in range(0, len(images), size)]


def probabilities(scores: torch.Tensor, softmax: bool) -> torch.Tensor:
    """Return class probabilities of scores, which may be ones already.

    Args:
        scores: ``(..., class)``.
        softmax: whether they are known to be probabilities.
    """
    if softmax or (bool((scores >= 0).all()) and torch.allclose(
        scores.sum(dim=-1), torch.ones((), device=scores.device), atol=1e-4
    )):  # fmt: skip
        return scores
    return torch.softmax(scores, dim=-1)


def margins(probability: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the right class' probability less the largest other one.

    Args:
        probability: ``(..., n, class)``.
        target: number of the right class of each image, ``(n,)``.
    """
    right = torch.zeros_like(probability, dtype=torch.bool)
    right[..., torch.arange(len(target)), target] = True
    other = probability.masked_fill(right, -1.0).amax(dim=-1)
    return probability[right].reshape(other.shape) - other


def first_classes(probability: torch.Tensor, k: int) -> torch.Tensor:
    """Return the k likeliest classes, the likeliest first, ``(..., n, k)``."""
    return torch.topk(probability, k, dim=-1).indices


class Runner:
    """A network, its maps and its layers, for as many chunks of images as a shard has.

    Args:
        source: of a model, with its images.
        network: the model's.
        subjects: what is masked.
        maps: of each layer.
    """

    def __init__(
        self,
        source: Source,
        network: Network,
        subjects: Subjects,
        maps: Mapping[str, LayerMaps],
    ) -> None:
        assert subjects.scores is not None
        self._source, self._network = source, network
        self._scores: Layer = subjects.scores
        self._labelled = subjects.labelled
        self._inputs: dict[str, Mapped] = {one.name: one for one in subjects.inputs}
        self.maps = maps
        self._layers = {layer.name: layer for layer in subjects.layers}
        self._masked: dict[str, Masked] = {}
        self._evaluators: dict[str, Any] = {}

    @property
    def classes(self) -> int:
        """The number of the network's classes."""
        return self._scores.units

    def images(self, given: str, ids: NDArray[np.int64], pixels: NDArray[Any]) -> torch.Tensor:
        """Return what the network is given: images as they are, or under one augmentation.

        Args:
            given: `ORIGINAL`, or the name of an input.
            ids: of the images, ascending.
            pixels: of the images.
        """
        if given == ORIGINAL:
            name = next(iter(self._source.studies)).variable_set
            recipes = plain(self._space(name), ids)
        else:
            one = self._inputs[given]
            name = one.study.variable_set
            recipes = alone(self._space(name), one.variable, ids, 1, self._source.seed)
        found: torch.Tensor = self._evaluators[name].inputs(recipes, ids, pixels)
        return found

    def plain(self, images: torch.Tensor) -> torch.Tensor:
        """Return class probabilities without a mask, ``(n, class)``."""
        scores = class_scores(self._network.model, self._scores, images)
        return probabilities(scores, self._scores.softmax)

    def masked(
        self, images: torch.Tensor, target: Target, conditions: Sequence[Condition]
    ) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yield class probabilities under masks, ``(mask, n, class)``, with the masks' places.

        Args:
            images: what the network is given.
            target: what is masked.
            conditions: of the target, whose masks are made.
        """
        engine = self._engine(target)
        recording = engine.record(images)
        for start in range(0, len(conditions), _MASKS_AT_ONCE):
            some = slice(start, start + _MASKS_AT_ONCE)
            changes = {name: self.maps[name].change(conditions[some]) for name in target.layers}
            scores = engine.scores(images, recording, changes)
            yield some, probabilities(scores, self._scores.softmax)

    @torch.inference_mode()
    def outcomes(
        self,
        conditions: Sequence[Condition],
        targets: Sequence[Target],
        parts: Sequence[NDArray[np.int64]],
    ) -> tuple[dict[str, np.ndarray], NDArray[np.int64]]:
        """Return the outcomes of chunks of images, and the right class of each image.

        Args:
            conditions: original input without a mask before all others.
            targets: what is masked.
            parts: chunks of images, of which each runs through the network at once.

        Returns:
            By name ``(condition, image)`` and ``(image,)``, images in the order of their ids.
        """
        if not parts:
            return {}, np.empty(0, np.int64)
        ids = np.concatenate(parts)
        places = np.argsort(np.argsort(ids))  # of the images among all, by their ids
        arrays: dict[str, np.ndarray] = {}
        labels, start = np.empty(len(ids), np.int64), 0
        with Progress(len(conditions) * len(ids), "masked images") as progress:
            for part in parts:
                at = places[start : start + len(part)]
                start += len(part)
                found, labels[at] = self._outcomes(conditions, targets, part, progress)
                for name, values in found.items():
                    if name not in arrays:  # once for all chunks: they may be most of the memory
                        shape = (len(values), len(ids), *values.shape[2:])
                        arrays[name] = np.empty(shape, values.dtype)
                    arrays[name][:, at] = values
        return arrays, labels

    def _outcomes(
        self,
        conditions: Sequence[Condition],
        targets: Sequence[Target],
        ids: NDArray[np.int64],
        progress: Progress,
    ) -> tuple[dict[str, np.ndarray], NDArray[np.int64]]:
        """Return the outcomes of one chunk of images."""
        rows: dict[tuple[str, str], list[int]] = defaultdict(list)
        for row, condition in enumerate(conditions):
            rows[condition.input, condition.layer].append(row)
        pixels = self._source.images.load(ids)
        arrays: dict[str, np.ndarray] = {}

        def keep(places: list[int], outcomes: dict[str, np.ndarray]) -> None:
            for name, values in outcomes.items():
                shape = (len(conditions), *values.shape[1:])
                arrays.setdefault(name, np.empty(shape, values.dtype))[places] = values
            progress(len(places) * len(ids))

        right: torch.Tensor | None = None
        for given in dict.fromkeys(condition.input for condition in conditions):
            altered = self.images(given, ids, pixels)
            plain = self.plain(altered)
            if right is None:
                right = self.right_classes(ids, plain)
            first = first_classes(plain, 1)[:, 0]
            keep(rows[given, ""], answers(plain[None], right, first))
            for target in targets:
                places = rows[given, target.name]
                some = [conditions[row] for row in places]
                for part, probability in self.masked(altered, target, some):
                    keep(places[part], answers(probability, right, first))
        assert right is not None  # there is a condition
        return arrays, right.cpu().numpy()

    def right_classes(self, ids: NDArray[np.int64], plain: torch.Tensor) -> torch.Tensor:
        """Return the right class of each image: its label, or the network's answer.

        Args:
            ids: of the images.
            plain: probabilities of the images as they are, ``(n, class)``.
        """
        if self._labelled:
            return torch.from_numpy(self._source.images.label[ids].astype(np.int64)).to(
                plain.device
            )
        return first_classes(plain, 1)[:, 0]

    def _space(self, variable_set: str) -> Any:
        space = self._source.space(variable_set)
        if variable_set not in self._evaluators:
            evaluator = self._network.evaluator(space, self._source.images)
            self._evaluators[variable_set] = evaluator
        return space

    def _engine(self, target: Target) -> Masked:
        if target.name not in self._masked:
            layers = [self._layers[name] for name in target.layers]
            at_once = replayed = self._network.batch_size
            if torch.device(self._network.device).type == "cpu":
                largest = 4 * max(layer.units for layer in layers)
                replayed = min(_MOST_AT_ONCE, max(1, _CPU_BYTES // largest))
            self._masked[target.name] = Masked(
                self._network.model,
                layers,
                self._scores,
                at_once=at_once,
                replayed_at_once=replayed,
                memory=MEMORY_FORMATS[self._network.memory],
            )
        return self._masked[target.name]


def answers(
    probability: torch.Tensor, target: torch.Tensor, unmasked: torch.Tensor
) -> dict[str, np.ndarray]:
    """Return the outcomes of conditions on images, as `outcomes_dataset` takes them.

    Args:
        probability: ``(condition, n, class)``.
        target: the right class of each image, ``(n,)``.
        unmasked: the first class of the same input without a mask, ``(n,)``.
    """
    classes = probability.shape[-1]
    top = first_classes(probability, top_count(classes))
    first = top[..., 0]
    found = {
        "correct": first == target,
        "margin": margins(probability, target),
        "agree": first == unmasked,
        "predicted": first.to(torch.int32),
        "top": top.to(torch.int32),
    }
    if classes >= 100:
        found["correct5"] = (top == target[:, None]).any(dim=-1)
    return {name: values.cpu().numpy() for name, values in found.items()}
