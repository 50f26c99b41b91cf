"""A layer's maps as series that can be correlated: of all variable sets, kinds and halves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from variscope.analyses.source import Study
from variscope.indices.maps import as_maps, by_channel
from variscope.indices.reading import has_index, is_map, layers, unit_dims, variables
from variscope.vocabulary import HALVES

KINDS = ("shapley", "S1", "ST")
RANK = "rank_biserial"  # its magnitude: shares have no sign
CV = "cv"  # the coefficient of variation, sqrt(variance) / abs(mean)
# With fewer, a correlation across channels says nothing.
FEWEST_CHANNELS = 5


@dataclass(frozen=True)
class Series:
    """Which map it is.

    Attributes:
        kind: "shapley", "S1", "ST", "rank_biserial", or "cv" of the coefficient of variation.
        variable_set: of the study.
        variable: its name; "" of the coefficient of variation.
    """

    kind: str
    variable_set: str
    variable: str


@dataclass(frozen=True, eq=False)
class LayerMaps:
    """All maps of a layer.

    Attributes:
        series: what each is.
        whole, half_a, half_b: values ``(series, pixel, channel)`` from all replicates, and from
            the even and the odd ones; rank-biserial correlations are from images of part train and
            of part valid. Of `unhalved` kinds all three are the same.
        plane: height and width of the maps; None where the layer is of none.
        unhalved: kinds that are not estimated half by half.
    """

    series: tuple[Series, ...]
    whole: np.ndarray
    half_a: np.ndarray
    half_b: np.ndarray
    plane: tuple[int, int] | None
    unhalved: tuple[str, ...] = (CV,)

    def halves(self, pixels: slice = slice(None)) -> np.ndarray:
        """Return both halves, one after the other, ``(2 * series, pixel, channel)``."""
        return np.concatenate([self.half_a[:, pixels], self.half_b[:, pixels]])

    @property
    def channels(self) -> int:
        """How many channels are defined anywhere."""
        return int(np.isfinite(self.whole).any(axis=(0, 1)).sum())

    def pairs(self) -> list[tuple[int, int]]:
        """Return which two are compared, by their numbers.

        Variables of one kind, of all sets; the kinds of one variable; and each with the
        coefficient of variation of its set.
        """
        found = []
        for i, one in enumerate(self.series):
            for j, other in enumerate(self.series[i + 1 :], start=i + 1):
                same_set = one.variable_set == other.variable_set
                same = same_set and one.variable == other.variable
                if one.kind == CV:
                    continue
                if one.kind == other.kind or same or (other.kind == CV and same_set):
                    found.append((i, j))
        return found

    def thinned(self, most: int) -> LayerMaps:
        """Return the maps at so many pixels at most, evenly spaced row by row."""
        pixels = self.whole.shape[1]
        kept = np.unique(np.linspace(0, pixels - 1, min(most, pixels)).round().astype(int))
        whole, half_a, half_b = (part[:, kept] for part in (self.whole, self.half_a, self.half_b))
        return LayerMaps(self.series, whole, half_a, half_b, plane=None)


def by_set(studies: Sequence[Study]) -> list[Study]:
    """Return one study for each variable set, one with Shapley effects where there is one."""
    found: dict[str, Study] = {}
    for study in sorted(studies, key=lambda study: not has_index(study.tree, "shapley")):
        found.setdefault(study.variable_set, study)
    names = list(dict.fromkeys(study.variable_set for study in studies))
    return [found[name] for name in names]


def layer_names(studies: Sequence[Study]) -> list[str]:
    """Name the layers that all studies have, in order."""
    first, *others = (layers(study.tree) for study in studies)
    return [name for name in first if all(name in other for other in others)]


def layer_maps(
    studies: Sequence[Study], layer: str, contrast: xr.Dataset | None = None
) -> LayerMaps:
    """Read the maps of a layer.

    Variables that were not varied in the sample have no maps.

    Args:
        studies: one for each variable set.
        layer: its name.
        contrast: what each augmentation does alone to the layer's units, where that is known.
    """
    series: list[Series] = []
    parts: list[np.ndarray] = []
    ends: list[np.ndarray] = []
    plane = None
    for study in studies:
        data = with_halves(layers(study.tree)[layer], layers(study.halves)[layer])
        if contrast is not None and RANK in contrast:
            data = with_contrast(data, contrast, study.variable_set)
        if is_map(data):
            data = as_maps(data)
            plane = (data.sizes["y"], data.sizes["x"])
        for kind in (kind for kind in (*KINDS, RANK) if kind in data):
            values = by_channel(data[kind].transpose("variable", ...))
            halves = by_channel(data[f"{kind}_half"].transpose("half", "variable", ...))
            for k, variable in enumerate(variables(data)):
                if np.isfinite(values[k]).any() and np.isfinite(halves[:, k]).any((1, 2)).all():
                    series.append(Series(kind, study.variable_set, variable))
                    parts.append(np.stack([values[k], *halves[:, k]]))
        series_cv = by_channel(coefficient_of_variation(data))
        ends.append(np.stack([series_cv] * 3))
    series += [Series(CV, study.variable_set, "") for study in studies]
    whole, half_a, half_b = np.stack([*parts, *ends], axis=1)
    single = contrast is None or contrast.sizes.get("part", 0) < 2
    return LayerMaps(tuple(series), whole, half_a, half_b, plane, (CV, RANK) if single else (CV,))


def with_halves(data: xr.Dataset, halves: xr.Dataset) -> xr.Dataset:
    """Put a layer's halves beside its indices, as ``shapley_half`` ... ``(half, variable, *unit)``.

    What is undefined in the whole is so in the halves.
    """
    ordered = halves.sel(half=list(HALVES))
    kept = {"variance", "mean", "status", *KINDS} & set(map(str, data.data_vars))
    added = {
        f"{kind}_half": ordered[kind].drop_vars(list(ordered.coords)).where(data[kind].notnull())
        for kind in KINDS
        if kind in ordered and kind in kept
    }
    return data[sorted(kept)].assign(added)


def with_contrast(data: xr.Dataset, contrast: xr.Dataset, variable_set: str) -> xr.Dataset:
    """Put the magnitude of the rank-biserial correlations beside a layer's indices.

    The halves are the parts train and valid, where both were looked at. They may be of the same
    sources of images, and so be more alike than other images would be: what is corrected by them
    is then corrected too little. Units that no image moved have 0.

    Args:
        data: of `with_halves`.
        contrast: ``rank_biserial (part, variable, *unit)``.
        variable_set: an augmentation with bounds of its own is named after its set as well.
    """
    known = set(map(str, contrast["variable"].values))
    fine, found = data["status"] == 0, []
    for name in variables(data):
        own = next((own for own in (f"{name}_{variable_set}", name) if own in known), None)
        values = contrast[RANK].sel(variable=own or contrast["variable"].values[0], drop=True)
        values = abs(values).drop_vars("part").fillna(0).where(fine)
        found.append(values if own else values * np.nan)
    parts = xr.concat(found, "variable")
    whole = parts.mean("part")
    halves = parts if parts.sizes["part"] == len(HALVES) else xr.concat([whole] * 2, "part")
    return data.assign({RANK: whole, f"{RANK}_half": halves.rename(part="half")})


def coefficient_of_variation(data: xr.Dataset) -> xr.DataArray:
    """Return sqrt(variance) / abs(mean) of each unit; NaN where it is constant or has mean 0."""
    mean = abs(data["mean"]).where(data["status"] == 0)
    return data["variance"] ** 0.5 / mean.where(mean > 0)


def main_kind(studies: Sequence[Study]) -> str:
    """Name the kind of value that pictures and words are of: Shapley effects, or S1 without."""
    return "shapley" if all(has_index(study.tree, "shapley") for study in studies) else "S1"


def layer_kind(data: xr.Dataset) -> str:
    """Say across what the units of a layer are correlated."""
    dims = unit_dims(data)
    if dims[0] == "channel":
        return "channels"
    return {"token": "features", "neuron": "neurons"}.get(dims[0], "units")
