"""Noise and drift of regions and units, and indices with the noise and without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from variscope.analyses.noise import ANALYSIS
from variscope.analyses.source import Source
from variscope.indices.reading import confidence_percent, layers, variables

BOUNDS = ("", "_low", "_high")
INDICES = ("S1", "ST", "shapley")


def compute(source: Source) -> dict[str, pd.DataFrame]:
    """Return the tables."""
    rows: dict[str, list[dict[str, Any]]] = {table.name: [] for table in ANALYSIS.tables}
    for layer, data in layers(source.tree).items():
        if "noise" not in data.attrs:
            continue
        common = {
            "layer": layer,
            "n": int(data.attrs["replicates"]),
            "inference": f"{confidence_percent(data)} interval over replicates",
        }
        rows["regions"].append(common | _region(data))
        rows["indices"] += [common | row for row in _indices(data)]
        noise, low, high = (data[f"noise_share{bound}"].values for bound in BOUNDS)
        drift, variance = data["drift_share"].values, data["variance"].values
        rows["units"] += [
            common
            | {
                "unit": unit,
                "noise": noise[unit],
                "low": low[unit],
                "high": high[unit],
                "drift": drift[unit],
                "variance": variance[unit],
            }
            for unit in range(len(noise))
        ]
    return {
        name: pd.DataFrame(found, columns=ANALYSIS.columns(name)) for name, found in rows.items()
    }


def _region(data: xr.Dataset) -> dict[str, Any]:
    noise, low, high = (float(data[f"noise_share_layer{bound}"]) for bound in BOUNDS)
    drift = data["drift_share"].values
    known = drift[np.isfinite(drift)]
    return {
        "noise": noise,
        "low": low,
        "high": high,
        "drift": float(np.median(known)) if len(known) else np.nan,
        "held": str(data.attrs["noise"]),
        "repeats": int(data.attrs["repeats"]),
        "blocks_dropped": int(data.attrs["blocks_dropped"]),
    }


def _indices(data: xr.Dataset) -> Iterator[dict[str, Any]]:
    """Yield a row for each index and variable; without repeats both are as measured."""
    for index in INDICES:
        name = f"{index}_layer"
        if name not in data:
            continue
        without = [data[f"{name}{bound}"].values for bound in BOUNDS]
        raw = f"{name}_raw" if f"{name}_raw" in data else name
        measured = [data[f"{raw}{bound}"].values for bound in BOUNDS]
        if raw == name:
            without = [np.full_like(part, np.nan) for part in without]
        for k, variable in enumerate(variables(data)):
            yield {
                "variable": variable,
                "index": index,
                **{
                    f"measured{bound}": part[k]
                    for bound, part in zip(BOUNDS, measured, strict=True)
                },
                **{
                    key: part[k]
                    for key, part in zip(("value", "low", "high"), without, strict=True)
                },
            }
