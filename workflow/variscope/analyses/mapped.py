"""The variables of a model's sets, and what selects units for each of them; imports no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from variscope.analyses.source import Source, Study
from variscope.indices.reading import layers, variables
from variscope.vocabulary import HALVES


@dataclass(frozen=True)
class Mapped:
    """A variable that has maps.

    Attributes:
        name: of the masks that are made from them: the variable's, with its set where several sets
            have it.
        variable: its name in the study.
        study: that the maps are of.
    """

    name: str
    variable: str
    study: Study


def study_of_each_set(
    source: Source, tree: Callable[[Study], xr.DataTree] = lambda study: study.tree
) -> list[Study]:
    """Return one study of each variable set of a model, in order.

    Of a set's designs the first that gives Shapley effects is taken, else the first.

    Args:
        source: of a model.
        tree: what of a study is read to know it.
    """
    studies: dict[str, Study] = {}
    for study in source.studies:
        known = studies.setdefault(study.variable_set, study)
        if not _has_shapley(tree(known)) and _has_shapley(tree(study)):
            studies[study.variable_set] = study
    return list(studies.values())


def _has_shapley(tree: xr.DataTree) -> bool:
    return "shapley" in next(iter(layers(tree).values()))


def mapped_variables(
    source: Source, tree: Callable[[Study], xr.DataTree] = lambda study: study.tree
) -> list[Mapped]:
    """Return the variables of all sets of a model, in order, each of one study of its set.

    Args:
        source: of a model.
        tree: what of a study is read to know them.
    """
    pairs = [
        (variable, study)
        for study in study_of_each_set(source, tree)
        for variable in variables(next(iter(layers(tree(study)).values())))
    ]
    names = [variable for variable, _ in pairs]
    return [
        Mapped(
            variable if names.count(variable) == 1 else f"{variable} ({study.variable_set})",
            variable,
            study,
        )
        for variable, study in pairs
    ]


def selecting(
    selection: xr.Dataset, halves: Callable[[], xr.Dataset], variable: str, kind: str
) -> np.ndarray | None:
    """Return the index that selects a layer's units for a variable, ``(*unit)``.

    That of half A of the replicates and train images; where that does not vary the variable, as it
    does not the part, half A of all images. None where the study does not give the kind.

    Args:
        selection: the layer's part of `Study.selection`.
        halves: gives the layer's part of `Study.halves`.
        variable: of the study.
        kind: S1, ST or shapley.
    """
    if kind not in selection:
        return None
    if variable in variables(selection):
        found = np.asarray(selection[kind].sel(variable=variable), dtype=float)
        if np.isfinite(found).any():
            return found
    half = halves()
    if kind not in half:
        return None
    return np.asarray(half[kind].sel(variable=variable, half=HALVES[0]), dtype=float)
