"""The effect of each augmentation on each unit of a layer, before p-values are adjusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from variscope.analyses.contrast import BEYOND, LEVEL
from variscope.analyses.contrast.stored import Stored, networks_of, stored, variables_of
from variscope.analyses.source import Source
from variscope.estimators.paired import Effects, paired_effects
from variscope.estimators.resampling import cluster_numbers, generator

LONG_NAMES = {
    "rank_biserial": "matched-pairs rank-biserial correlation, treated against plain",
    "low": "lower confidence bound of the rank-biserial correlation",
    "high": "upper confidence bound of the rank-biserial correlation",
    "p_value": "p-value of the signed-rank test, zeros split, over clusters of images",
    "point_biserial": "point-biserial correlation of the output with the treatment",
    "status": "0 fine, 1 constant, 2 not finite",
    "twin_rank_biserial": "rank-biserial correlation in the untrained twin",
    "twin_low": "lower confidence bound in the untrained twin",
    "twin_high": "upper confidence bound in the untrained twin",
    "shuffled": "share of units beyond the limit with the signs of clusters drawn at random",
}
_OF_TWIN = ("rank_biserial", "low", "high")


def layer(source: Source, name: str) -> xr.Dataset:
    """Estimate the effects of a layer's units, by part and variable.

    Returns:
        Arrays ``(part, variable, *unit)``, those of the twin ``(variable, *unit)``, as `LONG_NAMES`
        says, and ``shuffled (part, variable)``. The attributes hold the numbers of images and of
        clusters, of each part. Without augmentations there are no arrays.
    """
    variables = variables_of(source.shards)
    dataset = xr.Dataset(coords={"variable": np.array(variables, dtype=object)})
    dataset.attrs = {
        "layer": name,
        "model": source.studies[0].model,
        "confidence_level": LEVEL,
        "limit": BEYOND,
        "draws": source.settings["draws"],
    }
    if not variables:
        return dataset
    parts = stored(source.shards, "trained")
    effects, shuffled = {}, []
    for part, one in parts.items():
        effects[part] = _effects(one, name, len(variables))
        flips = [generator(source.seed, "contrast null", part, v) for v in variables]
        null = _effects(one, name, len(variables), flips)
        shuffled.append(share_beyond(null["low"], null["high"]))
    dims = next(iter(parts.values())).layer(name).dims
    dataset["part"] = np.array(list(parts), dtype=object)
    for key in Effects._fields:
        values = np.stack([of_part[key] for of_part in effects.values()])
        dataset[key] = (("part", "variable", *dims), values)
    dataset["shuffled"] = (("part", "variable"), np.stack(shuffled))
    dataset.attrs["images"] = [len(one.images) for one in parts.values()]
    dataset.attrs["clusters"] = [cluster_numbers(one.clusters)[1] for one in parts.values()]
    if "twin" in networks_of(source.shards):
        ((part, one),) = stored(source.shards, "twin").items()
        of_twin = _effects(one, name, len(variables))
        for key in _OF_TWIN:
            dataset[f"twin_{key}"] = (("variable", *dims), of_twin[key])
        dataset.attrs["twin_part"] = part
    for array_name, array in dataset.data_vars.items():
        array.attrs = {"units": "1", "long_name": LONG_NAMES[str(array_name)]}
    return dataset


def share_beyond(low: NDArray[Any], high: NDArray[Any]) -> NDArray[np.float64]:
    """Return the share of units whose interval lies beyond the limit, of those that have one.

    Args:
        low, high: bounds, ``(variable, *unit)``.

    Returns:
        ``(variable,)``; NaN where no unit has an interval.
    """
    axes = tuple(range(1, low.ndim))
    tested = np.isfinite(low).sum(axis=axes)
    beyond = ((low > BEYOND) | (high < -BEYOND)).sum(axis=axes)
    return np.divide(beyond, tested, out=np.full(len(low), np.nan), where=tested > 0)


def _effects(
    one: Stored, name: str, variables: int, flips: Sequence[np.random.Generator] = ()
) -> dict[str, NDArray[Any]]:
    """Return the effects of a layer, ``(variable, *unit)`` each by the name of `Effects`.

    Args:
        one: what is stored of a part.
        name: of the layer.
        variables: how many.
        flips: of each variable, what draws the signs of each unit's clusters: effects of nothing.
    """
    shape = one.layer(name).shape
    number, clusters = cluster_numbers(one.clusters)
    found = {
        key: np.empty((variables, np.prod(shape, dtype=int)), "i1" if key == "status" else "f4")
        for key in Effects._fields
    }
    for place, plain, differences in one.chunks(name, variables):
        for variable, difference in enumerate(differences):
            if flips:
                # Unit by unit, so that chunks of units are not seen in what is drawn.
                heads = flips[variable].random((plain.shape[1], clusters)) < 0.5
                difference = np.where(heads.T[number], difference, -difference)
            effects = paired_effects(plain, difference, one.clusters, LEVEL)
            for key, values in effects._asdict().items():
                found[key][variable, place] = values
    return {key: values.reshape(variables, *shape) for key, values in found.items()}
