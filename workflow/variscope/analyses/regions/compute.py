"""Tables of the regions that carry answers: of each image, over images, and across fills."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from variscope.analyses.kept_maps import TRAINED, UNTRAINED
from variscope.analyses.regions import ANALYSIS, grids
from variscope.analyses.regions.estimates import Means, Shared, agreement, means, summarised
from variscope.analyses.source import Source
from variscope.estimators import join
from variscope.estimators.resampling import generator
from variscope.space.regions import OFFSETS, Cells
from variscope.stores.moments import MomentsReader
from variscope.stores.results import read_dataset
from variscope.vocabulary import FINE, STATUSES

Rows = list[dict[str, Any]]
_WORDS = {code: word for word, code in STATUSES.items()}


@dataclass(frozen=True)
class Found:
    """What the shards kept, of all images in their order.

    Attributes:
        looked: the images.
        shared: by network and offset.
        fills: their names, by offset.
        grid: cells a side.
    """

    looked: xr.Dataset
    shared: Mapping[tuple[str, str], Shared]
    fills: Mapping[str, Sequence[str]]
    grid: int

    @property
    def networks(self) -> list[str]:
        """The networks that there are."""
        return list(dict.fromkeys(network for network, _ in self.shared))

    @property
    def offsets(self) -> list[str]:
        """The offsets that there are."""
        return list(dict.fromkeys(offset for _, offset in self.shared))

    @property
    def cluster(self) -> NDArray[np.int64]:
        """The source of each image."""
        return self.looked["cluster"].values

    def cells(self, offset: str) -> Cells:
        """Return the grid at an offset."""
        return Cells(self.grid, OFFSETS[offset])

    def maps(self, network: str, fill: str, offset: str) -> NDArray[np.float64]:
        """Return Shapley effects of both halves, ``(half, cell, image)``."""
        return self.shared[network, offset].halves[..., self.fills[offset].index(fill)]


def read(source: Source) -> Found | None:
    """Read what the shards kept; None where there is no image."""
    folders = list(source.shards.values())
    looked = [read_dataset(folder / "looked.zarr") for folder in folders]
    held = [k for k, one in enumerate(looked) if one.sizes["image"]]
    if not held:
        return None
    images = xr.concat([looked[k] for k in held], dim="image")
    order = np.argsort(images["place"].values)
    shared = {}
    for network in (TRAINED, UNTRAINED):
        for offset in OFFSETS:
            paths = [folders[k] / "sums" / network / f"{offset}.zarr" for k in held]
            if all(path.is_dir() for path in paths):
                sums = join([MomentsReader(path).read() for path in paths])
                ordered = replace(sums, sums=sums.sums[:, :, order])
                shared[network, offset] = Shared.of(ordered, source.confidence_level)
    settings = source.settings
    return Found(
        images.isel(image=order),
        shared,
        {name: fills for name, _, fills in grids(settings)},
        settings["grid"],
    )


def compute(source: Source) -> dict[str, pd.DataFrame]:
    """Return the tables, by name."""
    rows: dict[str, Rows] = {table.name: [] for table in ANALYSIS.tables}
    found = read(source)
    if found is not None:
        images = list(_images(source, found))
        rows["images"] = images
        rows["cells"] = list(_cells(found, images))
        rows["summary"] = list(_summary(source, found, images))
        rows["mean"] = list(_mean(source, found))
        rows["fills"] = list(_fills(source, found))
    return {name: pd.DataFrame(data, columns=ANALYSIS.columns(name)) for name, data in rows.items()}


def _studied(found: Found) -> Iterator[tuple[str, str, str, int, Shared]]:
    """Yield network, fill, offset, number of the fill and what was found."""
    for (network, offset), shared in found.shared.items():
        for number, fill in enumerate(found.fills[offset]):
            yield network, fill, offset, number, shared


def _described(source: Source, found: Found, image: int) -> dict[str, Any]:
    """Return what an image is."""
    one = found.looked.isel(image=image)
    return {
        "image": int(one["ids"]),
        "class": str(source.images.classes[int(one["label"])]),
        "target": str(one["target_name"].item()),
        "cluster": int(one["cluster"]),
    }


def _images(source: Source, found: Found) -> Iterator[dict[str, Any]]:
    for network, fill, offset, number, shared in _studied(found):
        columns = found.cells(offset).shape[1]
        count = len(shared.moments.replicates)
        interaction = shared.interaction
        for image in range(found.looked.sizes["image"]):
            status = int(shared.units.status[image, number])
            estimate = [e[:, image, number] for e in shared.shapley]
            leading = shared.chosen(image, number)
            quarter = shared.chosen(image, number, quarter_of(len(estimate[0])))
            largest = int(np.argmax(estimate[0])) if status == FINE else None
            row = {
                **_described(source, found, image),
                "network": network,
                "fill": fill,
                "offset": offset,
                "score": float(found.looked[f"score_{network}"][image]),
                "masked": shared.units.mean[image, number],
                "variance": shared.units.variance[image, number],
                "cells": len(estimate[0]),
                "leading": len(leading) if leading else None,
                "row": None if largest is None else largest // columns,
                "column": None if largest is None else largest % columns,
                "unseen": int((estimate[1] <= 0).sum()) if status == FINE else None,
                "status": _WORDS[status],
                "n": count,
                "inference": "replicates",
            }
            row |= _bounded("", [np.nan if largest is None else e[largest] for e in estimate])
            row |= _bounded("held", shared.held(leading, image, number))
            row |= _bounded("quarter", shared.held(quarter, image, number))
            row |= _bounded("interaction", [e[image, number] for e in interaction])
            yield row


def quarter_of(cells: int) -> int:
    """Return how many cells are a quarter of them, at least one."""
    return max(1, round(cells / 4))


def _bounded(name: str, estimate: Any) -> dict[str, float]:
    value, low, high = map(float, estimate)
    if not name:
        return {"value": value, "low": low, "high": high}
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _cells(found: Found, images: Rows) -> Iterator[dict[str, Any]]:
    described = {row["image"]: (row["class"], row["target"]) for row in images}
    ids = [int(number) for number in found.looked["ids"].values]
    for network, fill, offset, number, shared in _studied(found):
        columns = found.cells(offset).shape[1]
        count = len(shared.moments.replicates)
        for index in ("shapley", "S1", "ST"):
            estimate = shared.units.estimates[index]
            for image, one in enumerate(ids):
                for cell in range(len(estimate.value)):
                    value, low, high = (e[cell, image, number] for e in estimate)
                    yield {
                        "image": one, "class": described[one][0], "target": described[one][1],
                        "network": network, "fill": fill, "offset": offset,
                        "row": cell // columns, "column": cell % columns, "index": index,
                        "value": value, "low": low, "high": high,
                        "n": count, "inference": "replicates",
                    }  # fmt: skip


def _summary(source: Source, found: Found, images: Rows) -> Iterator[dict[str, Any]]:
    """Yield means over images, and paired differences of the networks."""
    table = pd.DataFrame(images)
    table["share"] = table["leading"].astype(float) / table["cells"]
    columns = {"quarter": "quarter", "interaction": "interaction", "leading": "share"}
    for offset in found.offsets:
        for fill in found.fills[offset]:
            of = table[(table["fill"] == fill) & (table["offset"] == offset)]
            values = {
                network: of[of["network"] == network][list(columns.values())].to_numpy(float)
                for network in found.networks
            }
            if UNTRAINED in values:
                values["difference"] = values[TRAINED] - values[UNTRAINED]
            cells = int(of["cells"].iloc[0])
            chance = {"quarter": quarter_of(cells) / cells, "leading": np.ceil(cells / 2) / cells}
            for network, each in values.items():
                rng = generator(source.seed, "regions", "summary", network, fill, offset)
                mean = means(each, found.cluster, rng, source.confidence_level)
                for k, quantity in enumerate(columns):
                    alike = np.nan if network == "difference" else chance.get(quantity, np.nan)
                    yield {"network": network, "fill": fill, "offset": offset,
                           "quantity": quantity, **_of(mean, k), "chance": alike}  # fmt: skip


def _of(mean: Means, at: int) -> dict[str, Any]:
    return {"value": mean.value[at], "low": mean.low[at], "high": mean.high[at],
            "n": mean.n, "inference": mean.inference}  # fmt: skip


def _mean(source: Source, found: Found) -> Iterator[dict[str, Any]]:
    for network, fill, offset, number, shared in _studied(found):
        rng = generator(source.seed, "regions", "mean", network, fill, offset)
        values = shared.shapley.value[..., number].T
        mean = means(values, found.cluster, rng, source.confidence_level)
        columns = found.cells(offset).shape[1]
        for cell in range(values.shape[1]):
            yield {"network": network, "fill": fill, "offset": offset, "row": cell // columns,
                   "column": cell % columns, **_of(mean, cell)}  # fmt: skip


def _fills(source: Source, found: Found) -> Iterator[dict[str, Any]]:
    """Yield how alike regions are ranked under two fills, two offsets and by two networks."""
    plain = found.offsets[0]
    fills = found.fills[plain]
    pairs: list[tuple[str, tuple[str, str, str], tuple[str, str, str]]] = []
    pairs += [
        ("fills", (TRAINED, before, plain), (TRAINED, after, plain))
        for before, after in combinations(fills, 2)
    ]
    pairs += [("offsets", (TRAINED, fills[0], plain), (TRAINED, fills[0], other))
              for other in found.offsets[1:]]  # fmt: skip
    if UNTRAINED in found.networks:
        pairs += [("networks", (TRAINED, fill, plain), (UNTRAINED, fill, plain))
                  for fill in fills]  # fmt: skip
    for compared, one, two in pairs:
        maps = [_on_quarters(found, *of) if compared == "offsets" else found.maps(*of)
                for of in (one, two)]  # fmt: skip
        rng = generator(source.seed, "regions", "fills", *one, *two)
        alike = agreement(maps[0], maps[1], found.cluster)
        at = {"networks": 0, "fills": 1, "offsets": 2}[compared]
        yield {
            "compared": compared,
            "first": one[at],
            "second": two[at],
            "fill": "" if compared == "fills" else one[1],
            "offset": "" if compared == "offsets" else one[2],
            **summarised(alike, found.cluster, rng, source.confidence_level),
        }


def _on_quarters(found: Found, network: str, fill: str, offset: str) -> NDArray[np.float64]:
    """Return maps of both halves on quarters of cells, ``(half, quarter, image)``."""
    cells = found.cells(offset)
    return np.stack(
        [cells.spread(half).reshape(4 * found.grid**2, -1)
         for half in found.maps(network, fill, offset)]
    )  # fmt: skip
