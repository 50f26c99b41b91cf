"""Shares of estimates and intervals that are impossible, and variables that do not act."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from variscope.analyses.checks import ANALYSIS
from variscope.analyses.source import Source
from variscope.indices.reading import confidence_percent, estimate, layers, variables

UNITS = "all units and variables of the layer, counted"


class Check(NamedTuple):
    """Something that is impossible of an index.

    Attributes:
        name: of an estimate that is so.
        of_interval: of an interval that is so as a whole.
        needs: the indices that it is of.
        excess: by how much the estimates exceed what is possible; of intervals the end that is
            closest to it. Takes the value, or the bounds, of each index.
    """

    name: str
    of_interval: str
    needs: tuple[str, ...]
    excess: Callable[..., np.ndarray]


# For intervals: the upper bound of what is too low, the lower bound of what is too high.
CHECKS = (
    Check("S1 below 0", "S1 wholly below 0", ("S1",), lambda s1: -s1[1]),
    Check("Shapley below 0", "Shapley wholly below 0", ("shapley",), lambda share: -share[1]),
    Check("ST above 1", "ST wholly above 1", ("ST",), lambda st: st[0] - 1),
    Check("S1 above ST", "S1 wholly above ST", ("S1", "ST"), lambda s1, st: s1[0] - st[1]),
)


def compute(source: Source) -> dict[str, pd.DataFrame]:
    """Return the tables ``estimates``, ``intervals`` and ``variables``."""
    found = layers(source.tree)
    estimates: list[dict[str, Any]] = []
    intervals: list[dict[str, Any]] = []
    for layer, data in found.items():
        estimates += _estimates(layer, data, source.settings["tolerances"])
        intervals += _intervals(layer, data)
    rows = {
        "estimates": estimates,
        "intervals": intervals,
        "variables": [_variable(found, name) for name in variables(next(iter(found.values())))],
    }
    return {name: pd.DataFrame(rows[name], columns=ANALYSIS.columns(name)) for name in rows}


def _estimates(layer: str, data: xr.Dataset, tolerances: Sequence[float]) -> list[dict[str, Any]]:
    """Return how many estimates of a layer are impossible by more than each tolerance."""
    rows = []
    for check in _checks(data):
        parts = [np.asarray(estimate(data, name).value, dtype=float) for name in check.needs]
        excess = check.excess(*((part, part) for part in parts))
        rows += [
            {"layer": layer, "check": check.name, "tolerance": tolerance}
            | _counted(excess > tolerance, np.isfinite(excess))
            for tolerance in tolerances
        ]
    return rows


def _intervals(layer: str, data: xr.Dataset) -> list[dict[str, Any]]:
    """Return how many intervals of a layer leave out what is possible."""
    allowed = (1 - float(data.attrs["confidence_level"])) / 2
    rows = []
    for check in _checks(data):
        parts = [estimate(data, name) for name in check.needs]
        excess = check.excess(*((np.asarray(part.low), np.asarray(part.high)) for part in parts))
        rows.append(
            {"layer": layer, "check": check.of_interval, "allowed": allowed}
            | _counted(excess > 0, np.isfinite(excess))
        )
    return rows


def _checks(data: xr.Dataset) -> list[Check]:
    return [check for check in CHECKS if all(name in data for name in check.needs)]


def _counted(exceeds: np.ndarray, held: np.ndarray) -> dict[str, Any]:
    """Return the columns of a share that is counted over all estimates that are defined."""
    count, total = int((exceeds & held).sum()), int(held.sum())
    share = count / total if total else np.nan
    return {"share": share, "count": count, "n": total, "inference": UNITS}


def _variable(found: Mapping[str, xr.Dataset], name: str) -> dict[str, Any]:
    """Return the row of a variable: whether it acts, and where the most."""
    first = next(iter(found.values()))
    moved = int(first["moved"].sel(variable=name)) if "moved" in first else None
    whole = {layer: _total(data, name) for layer, data in found.items()}
    known = {layer: total for layer, total in whole.items() if np.isfinite(total[0])}
    layer, total = max(
        known.items(), key=lambda item: item[1][0], default=("", (np.nan, np.nan, np.nan))
    )
    units = np.concatenate(
        [
            np.asarray(data["ST"].sel(variable=name), dtype=float).ravel()
            for data in found.values()
            if "ST" in data
        ]
        or [np.empty(0)]
    )
    units = units[np.isfinite(units)]
    if moved == 0 or not known:
        verdict = "not varied" if moved == 0 else "undefined"
    elif len(units) and not units.any():
        verdict = "inert"
    else:
        verdict = "acts" if any(low > 0 for _, low, _ in known.values()) else "unseen"
    return {
        "variable": name,
        "verdict": verdict,
        "moved": moved,
        "zero": (units == 0).mean() if len(units) else np.nan,
        "layer": layer,
        "ST": total[0],
        "low": total[1],
        "high": total[2],
        "n": int(first.attrs["replicates"]),
        "inference": f"{confidence_percent(first)} interval over replicates",
    }


def _total(data: xr.Dataset, name: str) -> tuple[float, float, float]:
    """Return a variable's total index of a layer with its bounds."""
    value, low, high = (float(part.sel(variable=name)) for part in estimate(data, "ST_layer"))
    return value, low, high
