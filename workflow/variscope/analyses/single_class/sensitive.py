"""Which classes are sensitive to what, and which others they are held against."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from variscope.analyses.mapped import Mapped, mapped_variables, selecting
from variscope.analyses.source import Source, Study
from variscope.estimators.overlap import Array, like_sets, most_sensitive, strata
from variscope.estimators.resampling import generator
from variscope.indices.reading import estimate, layers, unit_dims
from variscope.vocabulary import HALVES

KINDS = ("shapley", "S1")
FEWEST_CLASSES = 3  # with two, one of them is predicted whatever is masked
DRAWS = 999  # sets of classes


def kept_count(classes: int) -> int:
    """Return how many classes count as the most sensitive: 5 from 100 on, else a tenth of them."""
    return 5 if classes >= 100 else max(1, round(classes / 10))


def scores_layer(study: Study, classes: int | None) -> str | None:
    """Name the layer of class scores of a study, or None.

    Args:
        study: of a model.
        classes: that the network has, where it was run: without the names of its classes the last
            layer counts, if it has that many outputs.
    """
    found = layers(study.tree)
    named = [name for name in study.unit_names if name in found]
    if named:
        return named[0]
    name, data = list(found.items())[-1]
    fits = unit_dims(data) == ("neuron",) and data.sizes["neuron"] == classes
    return name if fits else None


@dataclass(frozen=True)
class Chosen:
    """The classes that are most sensitive to a variable.

    Attributes:
        classes: their numbers.
        stratum: of every class, by its mean activation.
        allowed: classes that have an index.
        sets: random sets of like mean activation, ``(draw, class)``.
    """

    classes: NDArray[np.int64]
    stratum: NDArray[np.int64]
    allowed: NDArray[np.bool_]
    sets: NDArray[np.bool_]

    @property
    def members(self) -> NDArray[np.bool_]:
        """Whether a class is one of them, ``(class,)``."""
        found = np.zeros(len(self.allowed), dtype=bool)
        found[self.classes] = True
        return found

    @property
    def like(self) -> NDArray[np.int64]:
        """Of each class how many are of like mean activation, itself among them."""
        same = self.stratum[self.classes][:, None] == self.stratum
        return np.asarray((same & self.allowed).sum(axis=1))


@dataclass(frozen=True)
class Scores:
    """The layer of scores as one variable's study has it.

    Attributes:
        of: the variable.
        layer: its name.
        seed: of the experiment.
    """

    of: Mapped
    layer: str
    seed: int

    @cached_property
    def data(self) -> xr.Dataset:
        """The whole study's indices."""
        return layers(self.of.study.tree)[self.layer]

    @cached_property
    def _selection(self) -> xr.Dataset:
        return layers(self.of.study.selection)[self.layer]

    @cached_property
    def _halves(self) -> xr.Dataset:
        return layers(self.of.study.halves)[self.layer]

    @property
    def kinds(self) -> list[str]:
        """The indices that classes can be ranked by."""
        return [kind for kind in KINDS if kind in self.data]

    @cached_property
    def names(self) -> list[str]:
        """The name of each class, "" where it is not known."""
        if "unit_name" in self.data.coords:
            return [str(name) for name in self.data["unit_name"].values]
        return [""] * self.data["variance"].size

    def selecting(self, kind: str) -> Array:
        """Return what classes are ranked by, ``(class,)``: half A, train images."""
        found = selecting(self._selection, lambda: self._halves, self.of.variable, kind)
        return np.full(len(self.names), np.nan) if found is None else found.reshape(-1)

    def other_half(self, kind: str) -> Array:
        """Return the index of half B, ``(class,)``."""
        if kind not in self._halves:
            return np.full(self.data["variance"].size, np.nan)
        found = self._halves[kind].sel(variable=self.of.variable, half=HALVES[1])
        return np.asarray(found, dtype=float).reshape(-1)

    def estimate(self, kind: str) -> tuple[Array, Array, Array]:
        """Return the whole study's index with its bounds, ``(class,)`` each."""
        value, low, high = (
            np.asarray(part.sel(variable=self.of.variable), dtype=float).reshape(-1)
            for part in estimate(self.data, kind)
        )
        return value, low, high

    def moments(self) -> dict[str, Array]:
        """Return mean and coefficient of variation of each output, ``(class,)`` each."""
        mean, variance = (
            np.asarray(self.data[name], dtype=float).reshape(-1) for name in ("mean", "variance")
        )
        size = np.where(mean == 0, np.nan, np.abs(mean))
        return {"mean": mean, "coefficient_of_variation": np.sqrt(variance) / size}

    def chosen(self, kind: str) -> Chosen:
        """Return the most sensitive classes, with what they are held against."""
        index = self.selecting(kind)
        count = kept_count(len(index))
        classes = most_sensitive(index, count)
        mean = np.asarray(self._selection["mean"], dtype=float).reshape(-1)
        stratum, allowed = strata(mean, count), np.isfinite(index)
        rng = generator(self.seed, "single_class", self.of.name, kind)
        return Chosen(classes, stratum, allowed, like_sets(classes, stratum, allowed, DRAWS, rng))


def all_scores(source: Source, classes: int | None) -> Iterator[Scores]:
    """Yield the layer of scores for each variable; nothing where there is none, or few classes."""
    for one in mapped_variables(source):
        layer = scores_layer(one.study, classes)
        if layer is not None:
            found = Scores(one, layer, source.seed)
            if found.data["variance"].size >= FEWEST_CLASSES:
                yield found
