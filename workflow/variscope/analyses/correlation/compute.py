"""The tables of the correlations of maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from variscope.analyses.correlation import ANALYSIS
from variscope.analyses.correlation.estimates import (
    MOST_PIXELS,
    Correlated,
    bounds,
    correlate,
    deviations,
    filled,
    null_correlations,
)
from variscope.analyses.correlation.layers import (
    FEWEST_CHANNELS,
    RANK,
    LayerMaps,
    by_set,
    layer_kind,
    layer_maps,
    layer_names,
)
from variscope.analyses.source import Source, Study
from variscope.estimators.resampling import generator, permutation_p
from variscope.indices.reading import layers
from variscope.stores.results import read_dataset

CENTRAL = (0.025, 0.975)


class Places(NamedTuple):
    """The numbers of the first and of the second series of each pair, ``(pair,)``."""

    first: np.ndarray
    second: np.ndarray


def compute(source: Source) -> dict[str, pd.DataFrame]:
    """Return the tables ``pairs`` and ``layers``."""
    studies = by_set(source.studies)
    contrast = source.result("contrast")
    paths = {} if contrast is None else contrast.layer_datasets
    found = [
        layer_tables(
            studies,
            layer,
            read_dataset(paths[layer], RANK.__eq__) if layer in paths else None,
            source.settings,
            source.seed,
        )
        for layer in layer_names(studies)
    ]
    return {
        name: pd.concat([tables[k] for tables in found], ignore_index=True)
        for k, name in enumerate(("pairs", "layers"))
    }


def layer_tables(
    studies: Sequence[Study],
    layer: str,
    contrast: xr.Dataset | None,
    settings: Mapping[str, Any],
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables ``pairs`` and ``layers`` of one layer."""
    data = layers(studies[0].tree)[layer]
    maps, across = layer_maps(studies, layer, contrast), layer_kind(data)
    fewest = f"left out: {maps.channels} {across} that vary, {FEWEST_CHANNELS} are needed"
    row = {"layer": layer, "n": maps.channels, "pixels": maps.whole.shape[1], "inference": across}
    if maps.channels < FEWEST_CHANNELS or not maps.pairs():
        none = {"kind": "", "kind_second": "", "pairs": 0, "reliable": 0, "apart": 0, "differ": 0}
        empty = {**none, "median": np.nan, "twin": np.nan, "constant": 0, "note": fewest}
        return pd.DataFrame(columns=ANALYSIS.columns("pairs")), pd.DataFrame([{**row, **empty}])
    level = float(data.attrs["confidence_level"])
    table = _pairs(studies, layer, maps, settings, level, seed)
    held = table[table["raw"].notna()].assign(n=maps.channels, inference=across)
    note = "" if row["pixels"] > 1 else f"one value for each of the {across}: no pixels"
    summary = [
        {**row, **_summary(found, 1 - level), "constant": _constant(maps, str(kind)), "note": note}
        | {"kind": kind, "kind_second": second}
        for (kind, second), found in held.groupby(["kind", "kind_second"], sort=False)
    ]
    return held, pd.DataFrame(summary, columns=ANALYSIS.columns("layers"))


def _pairs(
    studies: Sequence[Study],
    layer: str,
    maps: LayerMaps,
    settings: Mapping[str, Any],
    level: float,
    seed: int,
) -> pd.DataFrame:
    """Return a row for each pair of a layer's maps, those without a correlation among them."""
    method, draws = settings["method"], settings["resamples"]
    at = Places(*np.array(maps.pairs(), dtype=int).T)
    found = correlate(maps, method)
    apart = deviations(maps, method, draws, generator(seed, "correlation", layer))[(..., *at)]
    corrected = found.halves.corrected[at]
    low, high = bounds(corrected, apart, maps.channels, level)
    twin, twin_apart = _twin(studies, layer, maps, settings, seed)
    difference = bounds(corrected - twin[at], apart - twin_apart[(..., *at)], maps.channels, level)
    one, other = ([maps.series[k] for k in part] for part in at)
    return pd.DataFrame(
        {
            "layer": layer,
            "kind": [s.kind for s in one],
            "set": [s.variable_set for s in one],
            "first": [s.variable for s in one],
            "kind_second": [s.kind for s in other],
            "set_second": [s.variable_set for s in other],
            "second": [s.variable for s in other],
            **_observed(found, at, maps),
            "corrected": corrected,
            "low": low,
            "high": high,
            **_null(maps, method, settings["permutations"], at, seed, layer),
            "twin": twin[at],
            "difference_low": difference[0],
            "difference_high": difference[1],
        }
    )


def _observed(found: Correlated, at: Places, maps: LayerMaps) -> dict[str, np.ndarray]:
    """Return the columns of what was observed."""
    halved = np.array([series.kind not in maps.unhalved for series in maps.series])
    reliability = np.where(halved, found.halves.reliability, np.nan)
    return {
        "raw": found.raw[at],
        "spread": found.spread[at],
        "cross": found.halves.cross[at],
        "reliability_first": reliability[at.first],
        "reliability_second": reliability[at.second],
        "pixels": found.pixels[at].astype(int),
    }


def _null(
    maps: LayerMaps, method: Any, draws: int, at: Places, seed: int, layer: str
) -> dict[str, Any]:
    """Return the columns of the test against exchanged channels.

    Adjusted p-values hold each pair against the farthest of all pairs of its kinds, in units of
    each pair's own null (Westfall and Young 1993, Resampling-based multiple testing, section 2.5):
    so few permutations could pass no threshold that is divided by the number of pairs.
    """
    whole = filled(maps.thinned(MOST_PIXELS))
    random = generator(seed, "correlation permuted", layer)
    observed, null = (part[(..., *at)] for part in null_correlations(whole, method, draws, random))
    # With what is observed among them, so that it stands out no more than any of the null would.
    together = np.concatenate([observed[None], null])
    centre, spread = together.mean(axis=0), together.std(axis=0, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        far, far_null = abs(observed - centre) / spread, abs(null - centre) / spread
    adjusted = np.full(len(far), np.nan)
    kinds = np.array(
        [f"{maps.series[i].kind} {maps.series[j].kind}" for i, j in zip(*at, strict=True)]
    )
    for kind in dict.fromkeys(kinds):
        tested = (kinds == kind) & np.isfinite(far) & np.isfinite(far_null).all(axis=0)
        if tested.any():
            farthest = far_null[:, tested].max(axis=1, keepdims=True)
            adjusted[tested] = permutation_p(far[tested], np.repeat(farthest, tested.sum(), 1))
    low, high = np.quantile(null, CENTRAL, axis=0)
    return {
        "null_low": low,
        "null_high": high,
        "p": permutation_p(far, far_null),
        "p_adjusted": adjusted,
        "permutations": draws,
    }


def _twin(
    studies: Sequence[Study], layer: str, maps: LayerMaps, settings: Mapping[str, Any], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the untrained twin's corrected correlations, and its resamples' deviations.

    Of the same series ``(series, series)`` and ``(draw, series, series)``; NaN where the twin has
    none, or there is no twin.
    """
    count, draws = len(maps.series), settings["resamples"]
    value, apart = np.full((count, count), np.nan), np.full((draws, count, count), np.nan)
    twins = [study.twin for study in studies if study.twin is not None]
    if not twins:
        return value, apart
    of_twin = layer_maps(twins, layer)
    number = {series: k for k, series in enumerate(of_twin.series)}
    here = np.array([k for k, series in enumerate(maps.series) if series in number], dtype=int)
    there = np.array([number[maps.series[k]] for k in here], dtype=int)
    random = generator(seed, "correlation twin", layer)
    found = correlate(of_twin, settings["method"]).halves.corrected
    value[np.ix_(here, here)] = found[np.ix_(there, there)]
    differ = deviations(of_twin, settings["method"], draws, random)
    apart[np.ix_(np.arange(draws), here, here)] = differ[np.ix_(np.arange(draws), there, there)]
    return value, apart


def _summary(found: pd.DataFrame, rate: float) -> dict[str, Any]:
    """Return what the pairs of one kind come to."""
    reliable = found[found["corrected"].notna()]
    both = reliable[reliable["twin"].notna()]
    alike = np.nan
    if len(both) > 2 and both["corrected"].nunique() > 1 and both["twin"].nunique() > 1:
        alike = float(both["corrected"].corr(both["twin"], method="spearman"))
    differ = (both["difference_low"] > 0) | (both["difference_high"] < 0)
    return {
        "pairs": len(found),
        "reliable": len(reliable),
        "median": reliable["corrected"].median() if len(reliable) else np.nan,
        "apart": int((found["p_adjusted"] <= rate).sum()),
        "differ": int(differ.sum()),
        "twin": alike,
    }


def _constant(maps: LayerMaps, kind: str) -> int:
    """Count the maps of a kind at single pixels that are the same in all channels."""
    of_kind = maps.whole[[series.kind == kind for series in maps.series]]
    with np.errstate(invalid="ignore"):
        ends = [np.where(np.isfinite(of_kind), of_kind, end) for end in (np.inf, -np.inf)]
        return int((ends[0].min(axis=-1) == ends[1].max(axis=-1)).sum())
