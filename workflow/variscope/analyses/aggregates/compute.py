"""The summary table: what layers, channels, tokens and features are sensitive to."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from variscope.analyses.aggregates import ANALYSIS
from variscope.analyses.source import Source
from variscope.analyses.tables import checked
from variscope.indices.reading import layers
from variscope.vocabulary import FIRST

# Of the units' indices within a layer or channel.
QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}

# Dimensions whose aggregates the stores hold.
KEPT = ("channel", "token", "feature")


def compute(source: Source) -> dict[str, pd.DataFrame]:
    """Return the table ``summary``, of all designs of the set."""
    return {"summary": pd.concat([summary_table(study.tree) for study in source.studies])}


def summary_table(study: xr.DataTree) -> pd.DataFrame:
    """Summarise every layer, then every channel, token and feature of every layer that has some.

    Args:
        study: one node a layer (contract 4.3).

    Returns:
        One row for each layer (``channel``, ``token`` and ``feature`` empty), variable (pair for
        S2, group for ``shapley_group``) and index, then one for each channel, and of layers of
        tokens for each token, and for each feature over the patches. ``weighted_mean`` is the
        variance-weighted mean over the units, a ratio of summed numerators to summed variances,
        with ``low`` and ``high`` its confidence bounds; the quantiles are those of the units' own
        indices, and ``units`` how many are fine.
    """
    of_study = list(layers(study).values())
    rows = [row for layer in of_study for row in _layer_rows(layer)]
    rows += [row for layer in of_study for dim in KEPT for row in _kept_rows(layer, dim)]
    found = pd.DataFrame(rows, columns=ANALYSIS.columns("summary"))
    return checked(ANALYSIS.table("summary"), found)  # numbers of channels stay integers


def _layer_rows(layer: xr.Dataset) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for index, first in FIRST.items():
        if not {index, f"{index}_layer"} <= set(layer.data_vars):
            continue
        values = layer[index].to_numpy().reshape(layer.sizes[first], -1)
        rows += _rows(layer, index, {}, f"{index}_layer", values, layer[first].to_numpy())
    return rows


def _kept_rows(layer: xr.Dataset, dim: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    if f"S1_{dim}" not in layer:
        return rows
    if dim == "feature" and "patch" in (kinds := layer.get("token_kind", layer["token"])).values:
        layer = layer.isel(token=np.flatnonzero(kinds.values == "patch"))
    for place in range(layer.sizes[dim]):
        one = layer.isel({dim: place})
        for index, first in FIRST.items():
            if {index, f"{index}_{dim}"} <= set(layer.data_vars):
                values = one[index].to_numpy().reshape(layer.sizes[first], -1)
                names = layer[first].to_numpy()
                rows += _rows(one, index, {dim: place}, f"{index}_{dim}", values, names)
    return rows


def _rows(
    layer: xr.Dataset,
    index: str,
    place: dict[str, int],
    aggregate: str,
    values: np.ndarray,
    names: np.ndarray,
) -> list[dict[str, object]]:
    fine = ~np.isnan(values)
    counts = fine.sum(axis=1)
    quantiles = np.full((len(QUANTILES), len(values)), np.nan)
    some = counts > 0
    if some.any():
        quantiles[:, some] = np.nanquantile(values[some], list(QUANTILES.values()), axis=1)
    means, lows, highs = (layer[aggregate + end].to_numpy() for end in ("", "_low", "_high"))
    return [
        {
            "design": layer.attrs["design"],
            "layer": layer.attrs["layer"],
            **{dim: place.get(dim) for dim in KEPT},
            "variable": str(name),
            "index": index,
            "weighted_mean": means[k],
            "low": lows[k],
            "high": highs[k],
            "confidence_level": layer.attrs["confidence_level"],
            **dict(zip(QUANTILES, quantiles[:, k], strict=True)),
            "units": int(counts[k]),
        }
        for k, name in enumerate(names)
    ]
