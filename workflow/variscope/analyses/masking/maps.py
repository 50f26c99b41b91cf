"""Maps of variables, and the masks that are made from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from variscope.analyses.mapped import Mapped, selecting
from variscope.analyses.masking.outcomes import Condition
from variscope.estimators.resampling import generator
from variscope.estimators.sampling import count_of, matching_cells, ranks, shuffled
from variscope.indices.reading import layers
from variscope.inputs.axes import Layer
from variscope.responses.network.masked import Change
from variscope.vocabulary import AUXILIARY

KINDS = ("shapley", "S1", "ST")


class LayerMaps:
    """The maps of a layer, and masks of it.

    What selects units is estimated from half A of the replicates and train images alone
    (`Study.selection`); where that does not vary a variable, as it does not the part, its maps are
    those of half A of all images.

    Args:
        layer: whose units they are.
        mapped: the variables.
        seed: of the experiment: of ties and shuffled maps.
    """

    def __init__(self, layer: Layer, mapped: Sequence[Mapped], seed: int) -> None:
        self.layer, self._seed = layer, seed
        self._mapped = {one.name: one for one in mapped}
        self._kept: dict[tuple[Any, ...], np.ndarray] = {}
        self._datasets: dict[int, xr.Dataset] = {}

    def has(self, name: str, kind: str) -> bool:
        """Say whether a variable has a map of a kind that is not undefined everywhere."""
        values = self.values(name, kind)
        return values is not None and bool(np.isfinite(values).any())

    def values(self, name: str, kind: str) -> np.ndarray | None:
        """Return a map ``(*unit)``, or None where the study does not give the kind."""
        one = self._mapped[name]
        selected = self._data(one.study.selection)
        return selecting(selected, lambda: self._data(one.study.halves), one.variable, kind)

    def change(self, conditions: Sequence[Condition]) -> Change:
        """Return what masks do to the layer's units, ``(mask, *unit)``."""
        shape = (len(conditions), *self.layer.shape)
        factor, shift = np.ones(shape, np.float32), np.zeros(shape, np.float32)
        for row, condition in enumerate(conditions):
            self._mask(condition, factor[row], shift[row])
        return Change(torch.from_numpy(factor), torch.from_numpy(shift) if shift.any() else None)

    def hit(self, condition: Condition) -> np.ndarray:
        """Return which units a mask hits that scales a share, or puts it at its mean, bool."""
        ranked = self._ranks(condition.mask, condition.kind)
        hit = ranked < count_of(condition.share, ranked.size)
        source = self._exchanged(condition)
        return hit if source is None else hit.ravel()[source]

    def _mask(self, condition: Condition, factor: np.ndarray, shift: np.ndarray) -> None:
        """Write one mask's factors and shifts ``(*unit)``."""
        if condition.operation in ("multiply", "complement"):
            values = self._shares(condition.mask, condition.kind)
            source = self._exchanged(condition)
            values = values if source is None else values.ravel()[source]
            factor[...] = values if condition.operation == "multiply" else 1 - values
            return
        hit = self.hit(condition)
        factor[hit] = condition.strength
        if condition.operation == "mean":
            data = self._data(self._mapped[condition.mask].study.selection)
            shift[hit] = np.nan_to_num(data["mean"].values)[hit]

    def _exchanged(self, condition: Condition) -> np.ndarray | None:
        """Return the place that each unit takes its value of a shuffled map from, ``(*unit)``."""
        if condition.control not in ("random", "matched", "channels"):
            return None
        study = self._mapped[condition.mask].study
        key = (study.variable_set, condition.control, condition.seed)
        if key not in self._kept:
            data = self._data(study.selection)
            rng = generator(self._seed, "shuffled", self.layer.name, *key)
            places = np.arange(self.layer.units).reshape(self.layer.shape)
            axis = 1 if self.layer.dims == ("token", "feature") else 0  # the channels
            if condition.control == "channels":
                found = np.take(places, rng.permutation(places.shape[axis]), axis)
            elif condition.control == "random":
                found = shuffled(np.zeros_like(places), rng)
            else:
                moments = data["mean"].values ** 2 + data["variance"].values
                cells = np.moveaxis(matching_cells(np.moveaxis(moments, axis, 0)), 0, axis)
                found = shuffled(cells, rng)
            self._kept[key] = found.astype(np.int32)
        return self._kept[key]

    def _ranks(self, name: str, kind: str) -> np.ndarray:
        key = ("ranks", name, kind)
        if key not in self._kept:
            rng = generator(self._seed, "ties", self.layer.name, name, kind)
            values = self.values(name, kind)
            assert values is not None  # `has` was asked
            self._kept[key] = ranks(values, rng).astype(np.int32)
        return self._kept[key]

    def _shares(self, name: str, kind: str) -> np.ndarray:
        """Return a map as factors: cut to [0, 1], and 0 where units have no index."""
        key = ("shares", name, kind)
        if key not in self._kept:
            values = self.values(name, kind)
            assert values is not None
            self._kept[key] = np.clip(np.nan_to_num(values), 0, 1).astype(np.float32)
        return self._kept[key]

    def _data(self, tree: xr.DataTree) -> xr.Dataset:
        if id(tree) not in self._datasets:
            self._datasets[id(tree)] = layers(tree)[self.layer.name]
        return self._datasets[id(tree)]


def usable(mapped: Sequence[Mapped], maps: Sequence[LayerMaps], kind: str) -> list[str]:
    """Return the names of the variables that have maps of a kind in every layer."""
    return [one.name for one in mapped if all(layer.has(one.name, kind) for layer in maps)]


def augmentations(mapped: Sequence[Mapped]) -> list[Mapped]:
    """Return those that are augmentations, which an input can be altered by."""
    return [one for one in mapped if one.variable not in AUXILIARY]
