"""The pairs of variables whose interval leaves out 0."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from variscope.analyses.pairs import ANALYSIS
from variscope.analyses.source import Source
from variscope.indices.pairs import separated_pairs
from variscope.indices.reading import confidence_percent, estimate, layers


def compute(source: Source) -> dict[str, pd.DataFrame]:
    """Return the table ``pairs``."""
    return {"pairs": pairs_table(source.tree)}


def pairs_table(tree: xr.DataTree) -> pd.DataFrame:
    """Return each layer's pairs whose interval leaves out 0, the largest first in each layer."""
    rows = []
    for layer, data in layers(tree).items():
        if "S2_layer" not in data:
            continue
        value, low, high = estimate(data, "S2_layer")
        apart = np.flatnonzero(separated_pairs(data))
        for k in apart[np.argsort(-value.values[apart], kind="stable")]:
            first, second = str(data["pair"].values[k]).split(":")
            rows.append(
                {
                    "layer": layer,
                    "first": first,
                    "second": second,
                    "S2": float(value[k]),
                    "low": float(low[k]),
                    "high": float(high[k]),
                    "n": int(data.attrs["replicates"]),
                    "inference": f"{confidence_percent(data)} interval over replicates",
                }
            )
    return pd.DataFrame(rows, columns=ANALYSIS.columns("pairs"))
