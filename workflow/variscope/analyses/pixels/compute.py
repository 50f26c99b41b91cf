"""What maps of pixels agree with, how they are spread, and their means over images."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from variscope.analyses.kept_maps import TRAINED, UNTRAINED, read_maps
from variscope.analyses.over_images import means, own_and_others
from variscope.analyses.pixels import ANALYSIS, MEAN_CELLS, STEPS
from variscope.analyses.source import Source
from variscope.estimators.agreement import (
    levels,
    pooled,
    rank_correlations,
    top_membership,
)
from variscope.estimators.edges import edge_maps

Array = NDArray[np.float64]
Rows = list[dict[str, Any]]

CLASS_SCORE = "class score"
METHODS = ("gradient", "difference")
TENTH = 0.1
# The central square of half the sides.
CENTRAL = 0.25


@dataclass(frozen=True)
class Kept:
    """The maps of one unit, or of the class scores.

    Attributes:
        of: what is asked for.
        maps: by network and method, as `variscope.analyses.kept_maps.read_maps` gives them.
        edges: of the images, ``(image, y, x)``.
        names: of the classes, where they are known.
    """

    of: str
    maps: Mapping[tuple[str, str], xr.Dataset]
    edges: Array
    names: list[str] | None

    @property
    def some(self) -> xr.Dataset:
        """The gradients of the trained network."""
        return self.maps[TRAINED, "gradient"]

    @property
    def cluster(self) -> NDArray[Any]:
        """Of each image its source."""
        return self.some["cluster"].values

    def absolute(self, network: str, method: str) -> Array | None:
        """Return absolute maps, ``(image, y, x)``; None where there are none."""
        found = self.maps.get((network, method))
        return None if found is None else np.abs(found["map"].values.astype(np.float64))


def kept(source: Source) -> Iterator[Kept]:
    """Yield what the shards wrote: of the class scores first, then of each unit."""
    abouts = [json.loads((folder / "about.json").read_text()) for folder in source.shards.values()]
    if not abouts:
        return
    names = next((about["names"] for about in abouts if about["names"]), None)
    folders: dict[str, dict[str, Path]] = {CLASS_SCORE: dict(source.shards)}
    for number, unit in enumerate(abouts[0]["units"]):
        folders[unit] = {
            name: folder / "units" / str(number) for name, folder in source.shards.items()
        }
    edges: Array | None = None
    for of, inside in folders.items():
        found = {
            (network, method): maps
            for network in (TRAINED, UNTRAINED)
            for method in METHODS
            if (maps := read_maps(inside, method, network)) is not None
        }
        if (TRAINED, "gradient") not in found:
            return
        if edges is None:
            pixels = source.images.load(found[TRAINED, "gradient"]["ids"].values)
            edges = edge_maps(pixels / 255 if pixels.dtype == np.uint8 else pixels)
        yield Kept(of, found, edges, names if of == CLASS_SCORE else None)


def compute(source: Source) -> dict[str, pd.DataFrame]:
    """Return the tables of the entry."""
    found: dict[str, Rows] = {table.name: [] for table in ANALYSIS.tables}
    for one in kept(source):
        found["agreement"] += _agreement(source, one)
        found["where"] += _where(source, one)
        found["sampled"] += _sampled(source, one)
        found["images"] += _images(source, one)
        found["mean"] += _means(source, one)
    found["notes"] = [{"note": note} for note in _notes(source, found)]
    return {
        table.name: pd.DataFrame(found[table.name], columns=ANALYSIS.columns(table.name))
        for table in ANALYSIS.tables
    }


def _pairs(one: Kept) -> Iterator[tuple[str, str, Array, Array]]:
    """Yield the names of two kinds of maps, and the maps on one grid, ``(image, y, x)`` each."""
    own = one.absolute(TRAINED, "gradient")
    difference = one.absolute(TRAINED, "difference")
    twin = one.absolute(UNTRAINED, "gradient")
    assert own is not None
    yield "gradient", "edges", own, one.edges
    if difference is not None:
        yield "difference", "edges", difference, pooled(one.edges, difference.shape[1:])
    if twin is not None:
        yield "untrained gradient", "edges", twin, one.edges
        yield "gradient", "untrained gradient", own, twin
    if difference is not None:
        # Both with their signs: the derivative by a cell's brightness.
        signed = one.some["signed"].values.astype(np.float64)
        yield "gradient", "difference", signed, one.maps[TRAINED, "difference"]["map"].values


def _agreement(source: Source, one: Kept) -> Rows:
    rows: Rows = []
    for first, second, a, b in _pairs(one):
        found = own_and_others(
            rank_correlations(levels(a), levels(b)), one.cluster,
            level=source.confidence_level, seed=source.seed, purpose=f"pixels {first} {second}",
        )  # fmt: skip
        rows.append({"of": one.of, "first": first, "second": second, **found})
    return rows


def _spread(maps: Array) -> tuple[Array, Array]:
    """Return the columns top and centre of absolute maps, ``(image,)`` each; NaN where all 0."""
    members = top_membership(levels(maps), TENTH)
    flat = maps.reshape(len(maps), -1)
    height, width = maps.shape[1:]
    rows, columns = (
        np.abs((np.arange(side) + 0.5) / side - 0.5) < 0.25 for side in (height, width)
    )
    central = (rows[:, None] & columns).reshape(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        top = (members * flat).sum(axis=1) / flat.sum(axis=1)
        centre = (members * central).sum(axis=1) / members.sum(axis=1)
    return top, centre


def _where(source: Source, one: Kept) -> Rows:
    rows: Rows = []
    values: list[Array] = []
    for network, method in one.maps:
        maps = one.absolute(network, method)
        assert maps is not None
        for measure, found, chance in zip(
            ("top", "centre"), _spread(maps), (TENTH, CENTRAL), strict=True
        ):
            rows.append({"of": one.of, "network": network, "method": method,
                         "measure": measure, "chance": chance})  # fmt: skip
            values.append(found)
    return _with_means(rows, np.array(values), one, source)


def _with_means(rows: Rows, values: Array, one: Kept, source: Source) -> Rows:
    found = means(
        values, one.cluster, level=source.confidence_level, seed=source.seed, purpose="pixels"
    )
    return [{**row, **mean} for row, mean in zip(rows, found, strict=True)]


def _sampled(source: Source, one: Kept) -> Rows:
    held = one.maps.get((TRAINED, "difference"))
    if held is None or "sampled_gradient" not in held:
        return []
    gradients = held["sampled_gradient"].values
    rows: Rows = []
    values: list[Array] = []
    for at, step in enumerate(STEPS):
        differences = held["sampled_difference"].values[:, at]
        with np.errstate(invalid="ignore", divide="ignore"):
            error = np.abs(differences - gradients).sum(axis=1) / np.abs(gradients).sum(axis=1)
        for measure, found in (
            ("correlation", _correlations(differences, gradients)),
            ("error", np.where(np.isfinite(error), error, np.nan)),
        ):
            rows.append({"of": one.of, "step": step, "measure": measure,
                         "pixels": gradients.shape[1]})  # fmt: skip
            values.append(found)
    return _with_means(rows, np.array(values), one, source)


def _correlations(first: Array, second: Array) -> Array:
    """Return Pearson's correlation of each image's rows, NaN where one of them is constant."""
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (first, second))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))


def _own(first: Array, second: Array) -> Array:
    """Return rank correlations of each image's two maps, ``(image,)``."""
    return rank_correlations(levels(first), levels(second), each=True)


def _images(source: Source, one: Kept) -> Rows:
    images, rows = source.images, []
    for (network, method), data in one.maps.items():
        maps = one.absolute(network, method)
        assert maps is not None
        top, centre = _spread(maps)
        edges = _own(maps, pooled(one.edges, maps.shape[1:]))
        twin = other = np.full(len(maps), np.nan)
        if network == TRAINED and (untrained := one.absolute(UNTRAINED, method)) is not None:
            twin = _own(maps, untrained)
        if (second := one.maps.get((network, "difference"))) is not None:
            other = _own(one.maps[network, "gradient"]["signed"].values, second["map"].values)
        for at, number in enumerate(data["ids"].values):
            target = int(data["target"].values[at])
            rows.append(
                {
                    "of": one.of,
                    "image": int(number),
                    "source": str(images.source[number]),
                    "class": str(images.classes[int(data["label"].values[at])]),
                    "target": one.names[target] if one.names else str(target),
                    "network": network,
                    "method": method,
                    "score": float(data["score"].values[at]),
                    "largest": float(maps[at].max()),
                    "top": top[at],
                    "centre": centre[at],
                    "edges": edges[at],
                    "twin": twin[at],
                    "other": other[at],
                }
            )
    return rows


def _means(source: Source, one: Kept) -> Rows:
    """Return mean absolute maps on a grid of few cells, place by place."""
    rows: Rows = []
    for network, method in one.maps:
        maps = one.absolute(network, method)
        assert maps is not None
        size = min(maps.shape[1], MEAN_CELLS), min(maps.shape[2], MEAN_CELLS)
        coarse = pooled(maps, size)
        places = [
            {"of": one.of, "network": network, "method": method, "row": row, "column": column}
            for row, column in np.ndindex(size)
        ]
        rows += _with_means(places, coarse.reshape(len(coarse), -1).T, one, source)
    return rows


def _notes(source: Source, found: Mapping[str, Rows]) -> list[str]:
    notes = [
        note
        for folder in source.shards.values()
        for note in json.loads((folder / "about.json").read_text())["notes"]
    ]
    rows = pd.DataFrame(found["images"])
    if rows.empty:
        return list(dict.fromkeys(notes))
    own = rows[rows["network"] == TRAINED].set_index(["of", "image", "method"])["largest"].unstack()
    for of, some in own.groupby(level="of"):
        broken = int(some["gradient"].isna().sum())
        if broken:
            notes.append(f"Of the {of} the gradients of {broken} of {len(some)} images are not "
                         "finite: they are left out.")  # fmt: skip
        still = int((some["gradient"] == 0).sum())
        moved = int(((some["gradient"] == 0) & (some["difference"] > 0)).sum())
        if moved:
            notes.append(f"Of the {of} the gradients of {moved} of {len(some)} images are 0, and "
                         "finite differences are not: the network has no gradient as it runs, or "
                         "one that vanishes.")  # fmt: skip
        elif still:
            notes.append(f"The pixels of {still} of {len(some)} images do not change the {of}: its "
                         "maps are 0 everywhere.")  # fmt: skip
    return list(dict.fromkeys(notes))
