"""The tables of the segments: maps and shares under each plane, against the original."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from variscope.analyses.segments import ANALYSIS
from variscope.analyses.segments.comparing import (
    Comparison,
    bootstrap_means,
    bounds,
    compare,
    mean_over,
    spread_over,
    triangle,
    triangles_together,
)
from variscope.analyses.segments.fed import Fed
from variscope.analyses.source import Source
from variscope.estimators import paired_difference
from variscope.estimators.intervals import Array
from variscope.estimators.resampling import generator

LEVEL = 0.95

_OVER_CHANNELS, _OVER_REPLICATES = (
    f"{LEVEL:.0%} interval over {of}" for of in ("channels", "replicates")
)


def compute(source: Source) -> dict[str, pd.DataFrame]:
    """Return the tables."""
    rows: dict[str, list[dict[str, Any]]] = {table.name: [] for table in ANALYSIS.tables}
    for variable_set, folder in source.shards.items():
        for network in ("trained", "untrained"):
            if (folder / network).is_dir():
                for table, row in _rows(source.seed, variable_set, network, folder / network):
                    rows[table].append(row)
    return {
        name: pd.DataFrame(found, columns=ANALYSIS.columns(name)) for name, found in rows.items()
    }


def _rows(
    seed: int, variable_set: str, network: str, folder: Path
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of one network's segments, each with the table that it is of."""
    described = json.loads((folder / "feedings.json").read_text())
    variables, original = described["variables"], None
    for number, feeding in enumerate(described["feedings"]):
        what = {"variable_set": variable_set, "network": network, **feeding}
        fed = Fed.read(folder / f"{number:03}.npz", LEVEL)
        rng = generator(seed, "segments", *map(str, what.values()))
        if feeding["via"] == "original":
            original = fed
            yield from _of_pairs(what, variables, compare(fed.maps, fed.maps).fed, rng)
            continue
        if original is None:
            raise ValueError(f"{folder}: the original does not come before what was fed")
        found = compare(original.maps, fed.maps)
        yield from _of_variables(what, variables, found, rng)
        yield from _of_shares(what, variables, original, fed)
        yield from _of_pairs(what, variables, found.fed, rng)
        # What a picture through the whole network shows the first layer is natural to it.
        outside = described["outside"][feeding["segment"]]
        outside = outside[feeding["plane"]] if feeding["via"] == "segment" else np.nan
        yield "planes", {**what, **_of_plane(found, rng), "outside": outside}


def _of_variables(
    what: Mapping[str, Any], variables: Sequence[str], found: Comparison, rng: np.random.Generator
) -> Iterator[tuple[str, dict[str, Any]]]:
    low, high = bounds(bootstrap_means(found.kept, rng), LEVEL)
    columns = {
        "correlation": mean_over(found.kept),
        "spread": spread_over(found.kept),
        "low": low,
        "high": high,
        "n": np.isfinite(found.kept).sum(axis=0),
        "corrected": found.corrected,
        "reliability": found.reliability,
        "other_channels": mean_over(found.others),
    }
    for k, variable in enumerate(variables):
        values = {name: column[k] for name, column in columns.items()}
        yield "variables", {**what, "variable": variable, **values, "inference": _OVER_CHANNELS}


def _of_shares(
    what: Mapping[str, Any], variables: Sequence[str], original: Fed, fed: Fed
) -> Iterator[tuple[str, dict[str, Any]]]:
    difference = paired_difference(
        fed.shares, original.shares, fed.deviations, original.deviations, LEVEL
    )
    for k, variable in enumerate(variables):
        yield (
            "shares",
            {
                **what,
                "variable": variable,
                "share": fed.shares.value[k],
                "original": original.shares.value[k],
                "difference": difference.value[k],
                "low": difference.low[k],
                "high": difference.high[k],
                "n": len(fed.deviations),
                "inference": _OVER_REPLICATES,
            },
        )


def _of_pairs(
    what: Mapping[str, Any], variables: Sequence[str], matrices: Array, rng: np.random.Generator
) -> Iterator[tuple[str, dict[str, Any]]]:
    values = triangle(matrices)
    low, high = bounds(bootstrap_means(values, rng), LEVEL)
    mean, spread = mean_over(values), spread_over(values)
    for k, (first, second) in enumerate(combinations(variables, 2)):
        yield (
            "pairs",
            {
                **what,
                "first": first,
                "second": second,
                "correlation": mean[k],
                "spread": spread[k],
                "low": low[k],
                "high": high[k],
                "n": int(np.isfinite(values[:, k]).sum()),
                "inference": _OVER_CHANNELS,
            },
        )


def _of_plane(found: Comparison, rng: np.random.Generator) -> dict[str, Any]:
    """Return what is said of a plane as a whole."""

    def over_variables(means: Array) -> Array:
        return mean_over(np.moveaxis(means, -1, 0))

    kept = bootstrap_means(found.kept, rng)
    low, high = bounds(over_variables(kept), LEVEL)
    apart = triangle(found.fed) - triangle(found.original)
    apart_low, apart_high = bounds(over_variables(bootstrap_means(apart, rng)), LEVEL)
    together, p, permutations = triangles_together(
        mean_over(found.fed), mean_over(found.original), rng
    )
    return {
        "kept": float(over_variables(mean_over(found.kept))),
        "low": float(low),
        "high": float(high),
        "n": int(np.isfinite(found.kept).any(axis=1).sum()),
        "inference": _OVER_CHANNELS,
        "other_channels": float(over_variables(mean_over(found.others))),
        "difference": float(over_variables(mean_over(apart))),
        "difference_low": float(apart_low),
        "difference_high": float(apart_high),
        "triangles": together,
        "p": p,
        "permutations": permutations,
    }
