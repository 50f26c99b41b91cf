"""What class activation maps agree with, and what they add up to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from variscope.analyses.grad_cam import ANALYSIS
from variscope.analyses.kept_maps import TRAINED, UNTRAINED, read_maps
from variscope.analyses.over_images import means, own_and_others
from variscope.analyses.source import Source
from variscope.estimators.agreement import levels, rank_correlations, top_overlaps

Array = NDArray[np.float64]
Rows = list[dict[str, Any]]

TOP = 0.2  # of the cells: a fifth


@dataclass(frozen=True)
class Kept:
    """What the shards wrote.

    Attributes:
        layer: whose maps they are.
        names: of the classes, where they are known.
        maps: by network and method, as `variscope.analyses.kept_maps.read_maps` gives them.
    """

    layer: str
    names: list[str] | None
    maps: Mapping[tuple[str, str], xr.Dataset]

    def signed(self, network: str) -> Array:
        """Return Grad-CAM's maps before values below 0 are cut off, ``(image, y, x)``."""
        return self.maps[network, "grad_cam"]["signed"].values.astype(np.float64)

    def hires(self, network: str) -> Array:
        """Return HiResCAM's maps, ``(image, y, x)``."""
        return self.maps[network, "hires_cam"]["map"].values.astype(np.float64)

    @property
    def networks(self) -> list[str]:
        """The networks whose maps there are."""
        return [one for one in (TRAINED, UNTRAINED) if (one, "grad_cam") in self.maps]

    @property
    def cluster(self) -> NDArray[Any]:
        """Of each image its source."""
        return self.maps[TRAINED, "grad_cam"]["cluster"].values


def kept(source: Source) -> Kept | None:
    """Return what the shards wrote; None where no map was made."""
    maps = {
        (network, method): found
        for network in (TRAINED, UNTRAINED)
        for method in ("grad_cam", "hires_cam")
        if (found := read_maps(source.shards, method, network)) is not None
    }
    if not maps:
        return None
    abouts = [json.loads((folder / "about.json").read_text()) for folder in source.shards.values()]
    names = next((about["names"] for about in abouts if about["names"]), None)
    return Kept(abouts[0]["layer"], names, maps)


def compute(source: Source) -> dict[str, pd.DataFrame]:
    """Return the tables of the entry."""
    found: dict[str, Rows] = {table.name: [] for table in ANALYSIS.tables}
    one = kept(source)
    if one is None:
        found["notes"] = [
            {"note": "No studied layer before the last one has units in the plane of the image: "
                     "there is no map. Name one that has among models.*.layers."}
        ]  # fmt: skip
    else:
        found["agreement"] = _agreement(source, one)
        found["sums"] = _sums(source, one)
        found["images"] = _images(source, one)
    return {
        table.name: pd.DataFrame(found[table.name], columns=ANALYSIS.columns(table.name))
        for table in ANALYSIS.tables
    }


def _pairs(one: Kept) -> Iterator[tuple[str, str, Array, Array]]:
    """Yield the names of two kinds of maps, and the maps, ``(image, y, x)`` each."""
    own = one.hires(TRAINED)
    yield "grad_cam", "hires_cam", one.signed(TRAINED), own
    if UNTRAINED in one.networks:
        yield "grad_cam", "untrained grad_cam", one.signed(TRAINED), one.signed(UNTRAINED)
        yield "hires_cam", "untrained hires_cam", own, one.hires(UNTRAINED)


def _agreement(source: Source, one: Kept) -> Rows:
    rows: Rows = []
    for first, second, a, b in _pairs(one):
        held = levels(a), levels(b)
        for measure, scores in (
            ("spearman", rank_correlations(*held)),
            ("iou", top_overlaps(*held, TOP)),
        ):
            found = own_and_others(
                scores, one.cluster, level=source.confidence_level, seed=source.seed,
                purpose=f"grad_cam {first} {second}",
            )  # fmt: skip
            rows.append({"first": first, "second": second, "measure": measure, **found})
    return rows


def _against(maps: Array) -> Array:
    """Return the share of absolute values that are below 0, ``(image,)``; NaN where all are 0."""
    flat = maps.reshape(len(maps), -1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.maximum(-flat, 0).sum(axis=1) / np.abs(flat).sum(axis=1)


def _sums(source: Source, one: Kept) -> Rows:
    rows: Rows = []
    values: list[Array] = []
    for network in one.networks:
        hires = one.hires(network)
        largest = one.signed(network).max(axis=(1, 2))
        empty = np.where(np.isnan(largest), np.nan, largest <= 0)
        for measure, found in (
            ("sum", hires.sum(axis=(1, 2))), ("empty", empty), ("against", _against(hires)),
        ):  # fmt: skip
            rows.append({"network": network, "measure": measure})
            values.append(found)
    found_means = means(
        np.array(values), one.cluster,
        level=source.confidence_level, seed=source.seed, purpose="grad_cam",
    )  # fmt: skip
    return [{**row, **mean} for row, mean in zip(rows, found_means, strict=True)]


def _images(source: Source, one: Kept) -> Rows:
    images, rows = source.images, []
    for network in one.networks:
        data, hires, signed = one.maps[network, "grad_cam"], one.hires(network), one.signed(network)
        held = levels(signed), levels(hires)
        spearman, iou = rank_correlations(*held, each=True), top_overlaps(*held, TOP, each=True)
        twin = np.full(len(hires), np.nan)
        if network == TRAINED and UNTRAINED in one.networks:
            twin = rank_correlations(levels(hires), levels(one.hires(UNTRAINED)), each=True)
        against = _against(hires)
        for at, number in enumerate(data["ids"].values):
            target = int(data["target"].values[at])
            rows.append(
                {
                    "image": int(number),
                    "source": str(images.source[number]),
                    "class": str(images.classes[int(data["label"].values[at])]),
                    "target": one.names[target] if one.names else str(target),
                    "network": network,
                    "layer": one.layer,
                    "score": float(data["score"].values[at]),
                    "largest": float(data["map"].values[at].max()),
                    "sum": float(hires[at].sum()),
                    "against": against[at],
                    "spearman": spearman[at],
                    "iou": iou[at],
                    "twin": twin[at],
                }
            )
    return rows
