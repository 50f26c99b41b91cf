"""What an analysis is made from: the studies of its scope, read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from variscope.analyses.registry import Analysis
from variscope.analyses.tables import read_table
from variscope.indices.reading import layers, main_index, with_unit_names
from variscope.stores.results import read_study, study_tree
from variscope.vocabulary import HALVES

# What arrays of halves are called, behind the index.
HALVES_SUFFIX = "_halves"


@dataclass(frozen=True, kw_only=True)
class Study:
    """One study: a model with a variable set under a design.

    Attributes:
        model, variable_set, design: their names.
        paths: of its layers' datasets, in order.
        unit_names: what the units of a layer of scores stand for, by the layer: the classes.
        selection_paths: of the datasets of half A on train images, where that was evaluated.
        twin: the same study of the untrained twin, where there is one.
    """

    model: str
    variable_set: str
    design: str
    paths: tuple[Path, ...]
    unit_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    selection_paths: tuple[Path, ...] = ()
    twin: Study | None = None

    @property
    def name(self) -> str:
        """The study's name for a reader: "convnet, spatial set, cycle design"."""
        return f"{self.model}, {self.variable_set} set, {self.design} design"

    @classmethod
    def of(cls, tree: xr.DataTree, **names: str) -> Study:
        """Return the study of a tree that is in memory, as `variscope.decompose` gives it.

        Args:
            tree: one node for each layer.
            names: ``model``, ``variable_set`` or ``design``, where they are not in the layers'
                attributes.
        """
        attributes = next(iter(tree.children.values())).attrs
        known = {key: str(attributes.get(key, "")) for key in ("model", "variable_set", "design")}
        study = cls(**{**known, **names}, paths=())  # type: ignore[arg-type]
        vars(study)["tree"] = tree  # in the place of what would be read
        return study

    @cached_property
    def tree(self) -> xr.DataTree:
        """Everything that was estimated, one node for each layer (contract 4.3 of the design)."""
        return with_unit_names(read_study(self.paths, _is_no_half), self.unit_names)

    @cached_property
    def halves(self) -> xr.DataTree:
        """Each index from half of the replicates: ``S1`` ... ``(half, variable, *unit)`` by layer.

        Half A is of the even replicates, half B of the odd ones; they share no rows.
        """
        tree = read_study(self.paths, _is_half) if self.paths else self.tree
        found = {}
        for name, data in layers(tree).items():
            names = {str(key): str(key).removesuffix(HALVES_SUFFIX) for key in data.data_vars}
            kept = [key for key in names if key.endswith(HALVES_SUFFIX)]
            found[name] = data[kept].rename({key: names[key] for key in kept})
        return with_unit_names(study_tree(found), self.unit_names)

    @cached_property
    def selection(self) -> xr.DataTree:
        """What selects units: half A's rows, with all images of part train where there are some.

        As `tree`, of which it is a part where half A was not evaluated again: where the study is of
        train images in any case, or there are none.
        """
        if self.selection_paths:
            return with_unit_names(read_study(self.selection_paths, _is_no_half), self.unit_names)
        halves, found = layers(self.halves), {}
        for name, data in layers(self.tree).items():
            half = {str(key): halves[name][key].sel(half=HALVES[0], drop=True)
                    for key in halves[name].data_vars}  # fmt: skip
            found[name] = data[["mean", "variance", "status"]].assign(half)
        return with_unit_names(study_tree(found), self.unit_names)

    @cached_property
    def index(self) -> str:
        """The index whose values are disjoint shares."""
        return main_index(self.tree)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What an analysis made, for another one that reads it.

    Attributes:
        analysis: its entry.
        tables: paths, by name.
        shards, layer_datasets: as of `Source`.
        settings: of the analysis, completed.
    """

    analysis: Analysis
    tables: Mapping[str, Path] = field(default_factory=dict)
    shards: Mapping[str, Path] = field(default_factory=dict)
    layer_datasets: Mapping[str, Path] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def table(self, name: str) -> pd.DataFrame:
        """Read one of its tables."""
        return read_table(self.tables[name], self.analysis.table(name))


@dataclass(frozen=True, kw_only=True)
class GivenTable:
    """A table of the configuration, as an analysis is given it.

    Attributes:
        settings: its entry under ``tables``, completed.
        trained: the folder that the rule ``train_table`` made.
    """

    settings: Mapping[str, Any]
    trained: Path


@dataclass(frozen=True, kw_only=True)
class Source:
    """What an analysis is made from.

    Attributes:
        studies: of the scope, in the order of the configuration.
        settings: of the analysis, completed.
        open_images: opens the images of the experiment, for analyses that read them.
        open_space: makes the space of a variable set by its name, with the images.
        open_network: makes the network of the scope's model, or its untrained twin if asked to.
        sets: names of the experiment's variable sets.
        seed: of the experiment.
        shards: folders of what the analysis' own jobs on the network wrote, by their names.
        layer_datasets: of the analysis' own datasets of layers the paths, by layer.
        results: what other analyses made that it reads, by their names.
        twin_network: whether the model's network has an untrained twin.
        level: of confidence, where it may be known: a job that runs the network does not depend on
            it, so that a changed level runs no network again.
        tables: the tables of the configuration that the analysis is about, by name.
    """

    studies: Sequence[Study]
    settings: Mapping[str, Any] = field(default_factory=dict)
    open_images: Callable[[], Any] | None = None
    open_space: Callable[[str, Any], Any] | None = None
    open_network: Callable[[bool], Any] | None = None
    sets: Sequence[str] = ()
    seed: int = 1
    shards: Mapping[str, Path] = field(default_factory=dict)
    layer_datasets: Mapping[str, Path] = field(default_factory=dict)
    results: Mapping[str, Result] = field(default_factory=dict)
    twin_network: bool = False
    level: float | None = None
    tables: Mapping[str, GivenTable] = field(default_factory=dict)

    @property
    def confidence_level(self) -> float:
        """The level of confidence of intervals."""
        if self.level is None:
            raise ValueError("a job that runs the network, or has images alone, knows no level")
        return self.level

    @property
    def study(self) -> Study:
        """The study of an analysis whose scope is one."""
        (one,) = self.studies
        return one

    @property
    def tree(self) -> xr.DataTree:
        """The indices of an analysis whose scope is one study."""
        return self.study.tree

    @property
    def index(self) -> str:
        """The index whose values are disjoint shares, of an analysis of one study."""
        return self.study.index

    @cached_property
    def images(self) -> Any:
        """The images of the experiment."""
        if self.open_images is None:
            raise ValueError('the analysis opens images, and "images" is not among what it reads')
        return self.open_images()

    def space(self, variable_set: str) -> Any:
        """Return the space of a variable set."""
        if self.open_space is None:
            raise ValueError('the analysis opens a space, and "images" is not among what it reads')
        return self.open_space(variable_set, self.images)

    def network(self, twin: bool = False) -> Any:
        """Return the network, `variscope.responses.network.opened.Network`.

        Args:
            twin: the untrained one instead.

        Raises:
            ValueError: it is not among what the analysis reads, or there is no twin.
        """
        if self.open_network is None:
            raise ValueError('the analysis opens it, and "network" is not among what it reads')
        return self.open_network(twin)

    @property
    def has_twin(self) -> bool:
        """Whether there is an untrained twin."""
        return self.twin_network or any(study.twin is not None for study in self.studies)

    def result(self, name: str) -> Result | None:
        """Return what another analysis made; None where it is read only if it is on."""
        return self.results.get(name)


def _is_half(name: Hashable) -> bool:
    return str(name).endswith(HALVES_SUFFIX)


def _is_no_half(name: Hashable) -> bool:
    return not _is_half(name)
