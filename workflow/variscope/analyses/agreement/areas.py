"""The tables of the deletion and insertion curves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from variscope.analyses.agreement.gathered import CENTRE, EDGES
from variscope.analyses.agreement.orders import RANDOM
from variscope.analyses.agreement.pairs import RESAMPLES
from variscope.analyses.conditions import inference
from variscope.analyses.source import Source
from variscope.estimators.agreement import Array
from variscope.estimators.own_images import area_under, mean_interval
from variscope.estimators.resampling import cluster_numbers, generator, sign_flip_p
from variscope.stores.results import read_dataset

# What the areas are held against.
CONTROLS = (RANDOM, CENTRE, EDGES)


def read_curves(source: Source) -> xr.Dataset | None:
    """Read the scores of all shards, in the order of the images; None where there are none.

    Methods that one shard has no map of are NaN there.
    """
    found = [read_dataset(folder / "curves.zarr") for folder in source.shards.values()]
    found = [one for one in found if one.sizes["image"]]
    if not found:
        return None
    names = list(dict.fromkeys(str(name) for one in found for name in one["order"].values))
    whole = xr.concat(
        [one.reindex(order=names) for one in found],
        dim="image",
        data_vars="minimal",
        coords="minimal",
        combine_attrs="override",
    )
    return whole.isel(image=np.argsort(whole["place"].values))


def curves_by_method(data: xr.Dataset) -> dict[str, Array]:
    """Return scores ``(image, kind, fill, step)`` by method: methods, then edges, centre, random.

    That of random orders is their mean, of each image.
    """
    names = [str(name) for name in data["order"].values]
    score = np.asarray(data["score"].values, dtype=np.float64)
    random = [k for k, name in enumerate(names) if name.startswith(f"{RANDOM}_")]
    methods = [name for name in names if name not in (CENTRE, EDGES) and ":" not in name]
    methods = [name for name in methods if not name.startswith(f"{RANDOM}_")]
    methods += [name for name in names if ":" in name]
    found = {name: score[:, names.index(name)] for name in (*methods, EDGES, CENTRE)}
    return {**found, RANDOM: score[:, random].mean(axis=1)}


def rows_of_curves(source: Source) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield rows of the tables ``curves`` and ``areas``, each with the table that it is of."""
    data = read_curves(source)
    if data is None:
        return
    by_method = curves_by_method(data)
    cluster, fraction = data["cluster"].values, data["fraction"].values
    areas = {name: area_under(fraction, scores) for name, scores in by_method.items()}
    for name, scores in by_method.items():
        known = np.isfinite(scores).all(axis=(1, 2, 3))
        if not known.any():
            continue
        of = _Over(source, cluster[known])
        curve, area = of.mean(scores[known]), of.mean(areas[name][known])
        held = {
            control: areas[name][known] - areas[control][known]
            for control in CONTROLS
            if control != name
        }
        for k, kind in enumerate(data["kind"].values):
            for f, fill in enumerate(data["fill"].values):
                what = {"method": name, "kind": str(kind), "fill": str(fill)}
                for step, share in enumerate(fraction):
                    at = (k, f, step)
                    values = dict(
                        zip(("score", "low", "high"), (b[at] for b in curve), strict=True)
                    )
                    yield "curves", {**what, "fraction": share, **values, **of.columns()}
                values = dict(zip(("area", "low", "high"), (b[k, f] for b in area), strict=True))
                for control in CONTROLS:
                    given = held.get(control)
                    values |= of.difference(control, None if given is None else given[:, k, f])
                values["random_p"] = of.p(held[RANDOM][:, k, f]) if RANDOM in held else np.nan
                yield "areas", {**what, **values, "images": int(known.sum()), **of.columns()}


class _Over:
    """Means over images, with intervals over their clusters."""

    def __init__(self, source: Source, cluster: NDArray[np.int64]) -> None:
        self.source, self.cluster = source, cluster

    def _rng(self) -> np.random.Generator:
        return generator(self.source.seed, "agreement", "curves")

    def mean(self, values: Array) -> Any:
        level = self.source.confidence_level
        return mean_interval(
            values, self.cluster, rng=self._rng(), level=level, resamples=RESAMPLES
        )

    def difference(self, control: str, values: Array | None) -> dict[str, float]:
        names = (f"{control}_difference", f"{control}_low", f"{control}_high")
        found = (np.nan,) * 3 if values is None else map(float, self.mean(values))
        return dict(zip(names, found, strict=True))

    def p(self, values: Array) -> float:
        return float(sign_flip_p(values, self.cluster, rng=self._rng()))

    def columns(self) -> dict[str, Any]:
        clusters = cluster_numbers(self.cluster)[1]
        return {"n": clusters, "inference": inference(clusters, len(self.cluster), RESAMPLES)}
