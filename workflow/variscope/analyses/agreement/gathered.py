"""The maps that are compared, of all methods: read without torch, on the same images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import erf

from variscope.analyses.agreement.choosing import AUTO, VARIANCE
from variscope.analyses.kept_maps import TRAINED, UNTRAINED, Ids, Looked, methods_of, read_maps
from variscope.analyses.source import Result, Source, Study
from variscope.estimators.agreement import Array, Size, levels, pooled
from variscope.indices.maps import as_maps
from variscope.indices.reading import is_map, layers
from variscope.stores.results import read_dataset

# The analyses whose maps are compared, in the order of the page.
OTHERS = ("grad_cam", "pixels", "maximisation", "regions")

# In which order methods stand in tables and pictures; others come after, by name.
ORDER = ("gradient", "difference", "occlusion", "grad_cam", "hires_cam", "maximisation", "regions")

# Of derivatives the magnitude counts: their sign says whether a pixel would have to be brighter or
# darker, and not whether it speaks for the unit. Others say how much a place speaks for it: what
# speaks against it is below 0, and comes last.
MAGNITUDES = ("gradient", "difference")

# The standard deviation of the Gaussian in the middle, of the image's sides.
CENTRE_SPREAD = 0.25

METHODS, CONTROLS, EDGES, CENTRE = "methods.json", "controls", "edges", "centre"

TITLES = {
    "grad_cam": "Grad-CAM",
    "hires_cam": "HiResCAM",
    "maximisation": "maximisation",
    "regions": "regions",
    CENTRE: "centre",
    EDGES: "edges",
}


@dataclass(frozen=True)
class Maps:
    """A method's maps of one network.

    Attributes:
        values: ``(n, y, x)``, or ``(1, y, x)`` where one map is of all images.
        place: of the images among those that are looked at, ascending, ``(n,)``; of one map for all
            those of all.
        ids, target, cluster: of each image, ``(n,)``.
    """

    values: NDArray[np.floating[Any]]
    place: Ids
    ids: Ids
    target: Ids
    cluster: Ids

    @property
    def grid(self) -> Size:
        """Rows and columns."""
        return self.values.shape[1], self.values.shape[2]

    @property
    def of_all(self) -> bool:
        """Whether one map is of all images."""
        return len(self.values) == 1 < len(self.place)

    @cached_property
    def _levels(self) -> dict[Size, Array]:
        return {}

    def levels(self, grid: Size, rows: NDArray[np.int64]) -> Array:
        """Return `variscope.estimators.agreement.levels` of some images' maps on a grid."""
        if grid not in self._levels:
            self._levels[grid] = levels(pooled(self.values, grid))
        found = self._levels[grid]
        return np.repeat(found, len(rows), axis=0) if len(found) < len(self.place) else found[rows]


@dataclass(frozen=True)
class Method:
    """A method whose maps are compared.

    Attributes:
        name: as in the tables.
        trained: its maps.
        untrained: those of the untrained twin, where there are some.
    """

    name: str
    trained: Maps
    untrained: Maps | None = None


@dataclass(frozen=True)
class Gathered:
    """All that is compared.

    Attributes:
        methods: by name, in order.
        titles: of the methods, for people.
        edges: the edge maps of the images, which all that are looked at have.
        elsewhere: methods of which another analysis has maps, of none of these images and targets.
    """

    methods: Mapping[str, Method]
    titles: Mapping[str, str]
    edges: Maps | None
    elsewhere: Sequence[str] = field(default_factory=tuple)


def wanted(source: Source, name: str) -> bool:
    """Say whether the settings take a method; ``variance:<set>`` is called variance there."""
    chosen = source.settings["methods"]
    short = VARIANCE if name.startswith(f"{VARIANCE}:") else name
    return chosen == AUTO or short in [one.rpartition(":")[2] for one in chosen]


def given_by_others(source: Source) -> dict[str, Result]:
    """Return the analyses that keep maps of the methods that are wanted, by the method's name."""
    found: dict[str, Result] = {}
    for analysis in OTHERS:
        result = source.result(analysis)
        if result is None:
            continue
        for name in methods_of(result.shards):
            if wanted(source, name):
                found.setdefault(name, result)
    return found


def values_of(name: str, maps: NDArray[Any]) -> NDArray[Any]:
    """Return what is compared of a method's maps, and what puts cells in order."""
    return np.abs(maps) if name in MAGNITUDES else np.asarray(maps)


def of_images(name: str, data: xr.Dataset | None, looked: Looked) -> Maps | None:
    """Return a method's maps of those images that are looked at, with the same target.

    None where there are none.
    """
    if data is None:
        return None
    at = {int(place): k for k, place in enumerate(looked.place)}
    keep = [
        k
        for k, (place, one, target) in enumerate(
            zip(data["place"].values, data["ids"].values, data["target"].values, strict=True)
        )
        if place in at and looked.ids[at[place]] == one and looked.target[at[place]] == target
    ]
    if not keep:
        return None
    mine = np.array([at[int(data["place"].values[k])] for k in keep])
    return Maps(
        values_of(name, data["map"].values[keep]),
        *(getattr(looked, key)[mine] for key in ("place", "ids", "target", "cluster")),
    )


def variance_maps(studies: Sequence[Study]) -> dict[str, NDArray[np.float64]]:
    """Return the variance maps of a model's sets, ``(y, x)`` each, by ``variance:<set>``.

    The variance of the units of the last layer of maps under the study's distribution, summed over
    channels; of a set's designs the first one's, since all are of one distribution. Units that are
    not finite are left out. A set without a layer of maps has none.
    """
    found: dict[str, NDArray[np.float64]] = {}
    for study in studies:
        name = f"{VARIANCE}:{study.variable_set}"
        if name in found:
            continue
        for data in _from_the_last(study):
            of_maps = as_maps(data) if is_map(data) else None
            if of_maps is None:
                continue
            variance = of_maps["variance"].where(of_maps["status"] != 2, 0.0)
            found[name] = variance.sum("channel").transpose("y", "x").values
            break
    return found


def _from_the_last(study: Study) -> Any:
    """Yield what is needed of a study's layers, the last one first."""
    if not study.paths:
        yield from reversed(layers(study.tree).values())
    for path in reversed(study.paths):
        yield read_dataset(path, lambda name: name in ("variance", "status"))


def gather(source: Source) -> Gathered:
    """Return all maps that are compared, of the images that the analysis' own shards looked at."""
    data = read_maps(source.shards, EDGES, CONTROLS)
    if data is None:
        return Gathered({}, {}, None)
    looked = looked_of(data)
    edges = of_images(EDGES, data, looked)
    methods: dict[str, Method] = {}
    given, elsewhere = given_by_others(source), []
    own = {name: source.shards for name in methods_of(source.shards) if name not in given}
    shards_of = {**{name: result.shards for name, result in given.items()}, **own}
    for name, shards in in_order(shards_of).items():
        trained, untrained = (
            of_images(name, read_maps(shards, name, network, more=False), looked)
            for network in (TRAINED, UNTRAINED)
        )
        if trained is None:
            elsewhere.append(name)
        else:
            methods[name] = Method(name, trained, untrained)
    twins = [study.twin for study in source.studies if study.twin is not None]
    of_twin = variance_maps(twins)
    for name, values in variance_maps(source.studies).items():
        if wanted(source, name):
            twin = of_twin.get(name)
            methods[name] = Method(
                name,
                of_all(values, looked),
                None if twin is None else of_all(twin, looked),
            )
    return Gathered(methods, titles_of(source, list(methods)), edges, elsewhere)


def in_order(by_name: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is of methods in the order in which they stand."""
    names = [name for name in ORDER if name in by_name]
    return {name: by_name[name] for name in (*names, *sorted(set(by_name) - set(ORDER)))}


def of_all(values: NDArray[Any], looked: Looked) -> Maps:
    """Return one map ``(y, x)`` as that of all images."""
    return Maps(values[None], looked.place, looked.ids, looked.target, looked.cluster)


def looked_of(data: xr.Dataset) -> Looked:
    """Return the images that kept maps are of."""
    place, ids, label, cluster, target = (
        data[key].values for key in ("place", "ids", "label", "cluster", "target")
    )
    return Looked(place, ids, label, cluster, target)


def titles_of(source: Source, names: Sequence[str]) -> dict[str, str]:
    """Return what methods are called."""
    known: dict[str, str] = {}
    for folder in source.shards.values():
        known |= described(folder)["titles"]
    known |= TITLES
    return {name: known.get(name) or name.replace("_", " ").replace(":", " of ") for name in names}


def described(folder: Path) -> dict[str, Any]:
    """Return what a shard says of itself."""
    found: dict[str, Any] = json.loads((folder / METHODS).read_text())
    return found


def centre(grid: Size) -> NDArray[np.float64]:
    """Return a Gaussian in the middle of the image, means over the cells of a grid, ``(y, x)``."""

    def along(cells: int) -> NDArray[np.float64]:
        edge = (np.arange(cells + 1) / cells - 0.5) / (CENTRE_SPREAD * np.sqrt(2))
        return np.diff(erf(edge))

    return np.outer(along(grid[0]), along(grid[1]))


def edge_maps(images: NDArray[Any]) -> NDArray[np.float64]:
    """Return how strong the edges of images ``(n, C, H, W)`` are, ``(n, H, W)``.

    The length of the gradient by Sobel's filters (Sobel and Feldman 1968, as in Duda and Hart 1973,
    Pattern Classification and Scene Analysis, p. 271) of the mean over channels; beyond the border
    the image goes on as it ends.
    """
    gray = np.asarray(images, dtype=np.float64).mean(axis=1)
    gray = np.pad(gray, ((0, 0), (1, 1), (1, 1)), mode="edge")

    def sobel(values: NDArray[np.float64]) -> NDArray[np.float64]:
        smooth = values[:, :-2] + 2 * values[:, 1:-1] + values[:, 2:]
        return smooth[:, :, 2:] - smooth[:, :, :-2]

    across = sobel(gray)
    down = sobel(gray.transpose(0, 2, 1)).transpose(0, 2, 1)
    return np.hypot(across, down)
