"""Units whose variance is most one variable's.

The criterion. In each layer, for each augmentation of the set, the unit with the highest *lower
confidence bound* of that variable's share is taken: a unit is not chosen for an estimate that may
be luck. A unit whose lower bound is not above 0.01 is not chosen, nor one that is constant or not
finite. The choices of a layer are then ordered by their *margin*: the lower bound of the share's
difference from the runner-up's, the other variable with the highest share in the same unit,
auxiliary variables included. Where the margin is positive the unit's variance is more that
variable's than the runner-up's.

In layers of maps a unit is a channel, and in layers of tokens a feature (over the patches, where
there are some), judged by its variance-weighted aggregate, and the difference has its paired
interval. In other layers it is a single unit, of which no sums of
replicates are kept: the margin is then the variable's lower bound minus the runner-up's upper
bound, below which the difference's lower bound never falls. The bounds are those of one unit: that
the best of many was chosen is not corrected for, so a chosen unit's share is, on average, somewhat
flattered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from variscope.analyses.source import Source
from variscope.analyses.specialised import ANALYSIS
from variscope.estimators.intervals import Estimate
from variscope.indices.differences import aggregate, subtract
from variscope.indices.reading import (
    confidence_percent,
    estimate,
    judged_dim,
    layers,
    main_index,
    unit_dims,
    unit_name,
    variables,
)
from variscope.indices.wording import estimate_text, share_text, variable_phrase
from variscope.vocabulary import AUXILIARY, INDEX_NAMES

SMALLEST_BOUND = 0.01


class Rival(NamedTuple):
    """The other variable with the highest share in a unit."""

    variable: str
    share: Estimate
    difference: Estimate


def compute(source: Source) -> dict[str, pd.DataFrame]:
    """Return the table ``units``."""
    return {"units": specialised_units(source.tree, unit_names=source.study.unit_names)}


def specialised_units(
    tree: xr.DataTree,
    *,
    index: str | None = None,
    among: Sequence[str] | None = None,
    per_layer: int | None = None,
    unit_names: Mapping[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """List, for each layer, the units whose variance is most one variable's.

    Args:
        tree: a study, one child node for each layer.
        index: "shapley", "S1" or "ST"; without it, Shapley effects, or S1 where the design has
            none.
        among: the variables to find units for; without it, all but order, class, image and part,
            or all where the study has no other.
        per_layer: keep that many rows of a layer, those of the largest margin; without it, all.
        unit_names: what the units of a layer of scores stand for, by the layer: the classes.

    Returns:
        A table with the columns of the entry, one row for each layer and variable, the largest
        margin first within a layer. ``unit`` is text, "3, 17" where units have several
        dimensions; ``runner_up`` is "" where there is no other variable, and ``reason`` is one
        sentence made from the numbers. The module says the criterion.

    Raises:
        ValueError: a variable that the study does not have.
    """
    chosen = index or main_index(tree)
    rows: list[dict[str, object]] = []
    for layer, data in layers(tree).items():
        found = _layer_rows(layer, data, chosen, among)
        names = (unit_names or {}).get(layer, ())
        for row in found[:per_layer]:
            unit = str(row["unit"])
            known = unit.isdigit() and int(unit) < len(names)
            rows.append({**row, "name": names[int(unit)] if known else ""})
    return pd.DataFrame(rows, columns=ANALYSIS.columns("units"))


def _layer_rows(
    layer: str, data: xr.Dataset, index: str, among: Sequence[str] | None
) -> list[dict[str, object]]:
    """Return the rows of one layer, the largest margin first."""
    names = variables(data)
    wanted = list(among) if among is not None else [v for v in names if v not in AUXILIARY]
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise ValueError(
            f"no variable {unknown[0]!r} in layer {layer!r}; it has {', '.join(names)}"
        )
    value, low, high = by_unit(data, index)
    first, total = by_unit(data, "S1")[0], by_unit(data, "ST")[0]
    # Variables that never moved in the sample have no index in any unit.
    varied = np.isfinite(value).any(axis=1)
    usable = np.isfinite(value[varied]).all(axis=0) & np.isfinite(low[varied]).all(axis=0)
    if not judged_dim(data):
        usable &= np.asarray(data["status"]).reshape(-1) == 0
    rows: list[dict[str, object]] = []
    for variable in wanted or names:
        k = names.index(variable)
        bound = np.where(usable & varied[k], low[k], -np.inf)
        if bound.size == 0 or bound.max() <= SMALLEST_BOUND:
            continue
        unit = int(bound.argmax())
        shares = {
            j: Estimate(*(part[j, unit] for part in (value, low, high))) for j in range(len(names))
        }
        others = [j for j in range(len(names)) if j != k and varied[j]]
        second = max(others, key=lambda j: value[j, unit], default=None)
        rival = None
        if second is not None:
            difference = _difference(
                data, index, unit, (names[k], names[second]), shares[k], shares[second]
            )
            rival = Rival(names[second], shares[second], difference)
        row: dict[str, object] = {
            "layer": layer,
            "unit": _unit_text(data, unit),
            "variable": variable,
            "index": index,
            "share": value[k, unit],
            "low": low[k, unit],
            "high": high[k, unit],
            "runner_up": rival.variable if rival else "",
            "runner_up_share": rival.share.value if rival else np.nan,
            "margin": float(rival.difference.low) if rival else low[k, unit],
            "S1": first[k, unit],
            "ST": total[k, unit],
            "n": int(usable.sum()),
            "inference": f"{confidence_percent(data)} interval of one unit, over replicates",
        }
        row["reason"] = _reason(row, index, unit_name(data), int(usable.sum()), rival)
        rows.append(row)
    rows.sort(key=lambda row: -float(row["margin"]))  # type: ignore[arg-type]
    return rows


def _difference(
    data: xr.Dataset,
    index: str,
    unit: int,
    names: tuple[str, str],
    share: Estimate,
    other: Estimate,
) -> Estimate:
    """Return by how much a unit's share exceeds another: paired, or what holds in any case."""
    if not (dim := judged_dim(data)):
        return Estimate(share.value - other.value, share.low - other.high, share.high - other.low)
    level = float(data.attrs["confidence_level"])
    first, second = (aggregate(data.isel({dim: unit}), name, index, dim) for name in names)
    return subtract(first, second, level).estimate


def by_unit(data: xr.Dataset, index: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an index and its bounds as three arrays (variable, unit): channels, or features."""
    found = estimate(data, f"{index}_{judged_dim(data)}" if judged_dim(data) else index)
    count = data.sizes["variable"]
    value, low, high = (
        np.asarray(part.transpose("variable", ...), dtype=float).reshape(count, -1)
        for part in found
    )
    return value, low, high


def _unit_text(data: xr.Dataset, unit: int) -> str:
    """Write a unit's place in its layer: "12", or "3, 17" where it has several dimensions."""
    if judged_dim(data):
        return str(unit)
    shape = [data.sizes[dim] for dim in unit_dims(data)]
    return ", ".join(str(int(k)) for k in np.unravel_index(unit, shape))


def _reason(row: dict[str, object], index: str, noun: str, count: int, rival: Rival | None) -> str:
    """Say in one sentence why the unit was chosen."""
    value, low, high = (float(row[key]) for key in ("share", "low", "high"))  # type: ignore[arg-type]
    variable = variable_phrase(str(row["variable"]))
    start = (
        f"Of {count:,} {noun}s with defined indices, this one has the highest lower bound for "
        f"{variable} ({share_text(low)}): its {INDEX_NAMES[index]} is "
        f"{estimate_text(value, low, high)}"
    )
    if rival is None:
        return f"{start}."
    other = f"{variable_phrase(rival.variable)} with {estimate_text(*map(float, rival.share))}"
    by = estimate_text(*map(float, rival.difference))
    if rival.difference.low > 0:
        return f"{start}, more than the next variable's, {other}; the difference is {by}."
    if rival.difference.high < 0:
        return (
            f"{start}; even so more of its variance is another variable's, {other}; the difference "
            f"is {by}."
        )
    return (
        f"{start}; it is not known to be more or less than the closest variable's, {other}: the "
        f"interval of the difference, {by}, holds 0."
    )
