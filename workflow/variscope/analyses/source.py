"""What an analysis is made from: the studies of its scope, read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import xarray as xr

from variscope.indices.reading import main_index, with_unit_names
from variscope.stores.results import read_study


@dataclass(frozen=True, kw_only=True)
class Study:
    """One study: a model with a variable set under a design.

    Attributes:
        model, variable_set, design: their names.
        paths: of its layers' datasets, in order.
        unit_names: what the units of a layer of scores stand for, by the layer: the classes.
    """

    model: str
    variable_set: str
    design: str
    paths: tuple[Path, ...]
    unit_names: Mapping[str, Sequence[str]] = field(default_factory=dict)

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
        return with_unit_names(read_study(self.paths), self.unit_names)

    @cached_property
    def index(self) -> str:
        """The index whose values are disjoint shares."""
        return main_index(self.tree)


@dataclass(frozen=True, kw_only=True)
class Source:
    """What an analysis is made from.

    Attributes:
        studies: of the scope, in the order of the configuration.
        settings: of the analysis, completed.
        open_images: opens the images of the experiment, for analyses that read them.
        open_space: makes the space of a variable set by its name, with the images.
        sets: names of the experiment's variable sets.
        seed: of the experiment.
    """

    studies: Sequence[Study]
    settings: Mapping[str, Any] = field(default_factory=dict)
    open_images: Callable[[], Any] | None = None
    open_space: Callable[[str, Any], Any] | None = None
    sets: Sequence[str] = ()
    seed: int = 1

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
