"""Tables of a study: shares of each layer, and units by status."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from variscope.analyses.comparisons import players
from variscope.analyses.source import Source
from variscope.indices.reading import (
    confidence_percent,
    estimate,
    has_index,
    layers,
    main_index,
    unit_counts,
)

INDICES = ("shapley", "shapley_group", "S1", "ST")


def compute(source: Source) -> dict[str, pd.DataFrame]:
    """Return the tables ``shares`` and ``units``."""
    return {"shares": shares_table(source.tree), "units": units_table(source.tree)}


def shares_table(tree: xr.DataTree) -> pd.DataFrame:
    """Return each layer's aggregates, the main index first: a row per layer, index, variable."""
    main = main_index(tree)
    order = [main, *(name for name in INDICES if name != main)]
    rows = []
    for index in (name for name in order if has_index(tree, name)):
        for layer, data in layers(tree).items():
            value, low, high = estimate(data, f"{index}_layer")
            for k, variable in enumerate(players(data, index)):
                rows.append(
                    {
                        "layer": layer,
                        "index": index,
                        "variable": variable,
                        "value": float(value[k]),
                        "low": float(low[k]),
                        "high": float(high[k]),
                        "n": int(data.attrs["replicates"]),
                        "inference": f"{confidence_percent(data)} interval over replicates",
                    }
                )
    return pd.DataFrame(rows)


def units_table(tree: xr.DataTree) -> pd.DataFrame:
    """Return a row for each layer: its name, sizes and names of its dimensions, units by status."""
    rows = []
    times = " \N{MULTIPLICATION SIGN} "
    for layer, data in layers(tree).items():
        counts = unit_counts(data)
        sizes = data["variance"].sizes
        text = times.join(f"{size:,}" for size in sizes.values())
        text += f" ({times.join(map(str, sizes))})"
        rows.append({"layer": layer, "shape": text, "units": sum(counts.values()), **counts})
    return pd.DataFrame(rows)
