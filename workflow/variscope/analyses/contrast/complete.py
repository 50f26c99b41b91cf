"""The effects of a layer's units with p-values that are adjusted for all units and layers."""

from __future__ import annotations

import numpy as np
import xarray as xr

from variscope.analyses.source import Source
from variscope.estimators.resampling import benjamini_hochberg, benjamini_yekutieli
from variscope.stores.results import read_dataset

_ADJUSTED = {
    "p_adjusted": ("Benjamini and Yekutieli", benjamini_yekutieli),
    "p_adjusted_bh": ("Benjamini and Hochberg", benjamini_hochberg),
}


def complete(source: Source, name: str) -> xr.Dataset:
    """Add to the effects of a layer the adjusted p-values, ``(part, variable, *unit)``.

    The family of tests is that of all units of all layers under all augmentations, of each part by
    itself; constant units are none of it.
    """
    dataset = read_dataset(source.layer_datasets[name])
    if "p_value" not in dataset:
        return dataset
    every = {
        layer: read_dataset(path, keep=lambda key: key == "p_value")["p_value"].values
        for layer, path in source.layer_datasets.items()
    }
    own = dataset["p_value"]
    for key, (method, adjust) in _ADJUSTED.items():
        adjusted = np.stack(
            [
                adjust(np.concatenate([p[part].ravel() for p in every.values()]))
                for part in range(own.sizes["part"])
            ]
        )
        before = list(every)[: list(every).index(name)]
        start = sum(every[layer][0].size for layer in before)
        part_of_all = adjusted[:, start : start + own[0].size]
        dataset[key] = (own.dims, part_of_all.reshape(own.shape).astype(np.float32))
        dataset[key].attrs = {
            "units": "1",
            "long_name": f"p-value adjusted for all units and layers ({method})",
        }
    return dataset
