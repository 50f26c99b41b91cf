"""Tables of the report as plain rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import xarray as xr

from variscope.indices.reading import has_index, layers, main_index, unit_counts
from variscope.indices.wording import estimate_text
from variscope.reporting.comparisons import Share, players, shares

if TYPE_CHECKING:
    from variscope.reporting.page import PlanRow, TimingRow

INDICES = ("shapley", "shapley_group", "S1", "ST")


def share_table(tree: xr.DataTree, index: str) -> dict[str, Any]:
    """Return layers x variables (or groups): names, and rows of (layer, shares or None)."""
    found = layers(tree)
    names = players(next(iter(found.values())), index)
    rows = []
    for layer, data in found.items():
        by_name: dict[str, Share] = {share.variable: share for share in shares(data, index)}
        rows.append((layer, [by_name.get(name) for name in names]))
    return {"index": index, "variables": names, "rows": rows}


def share_tables(tree: xr.DataTree) -> list[dict[str, Any]]:
    """Return the tables of all indices that every layer holds, the main one first."""
    main = main_index(tree)
    order = [main, *(name for name in INDICES if name != main)]
    return [share_table(tree, index) for index in order if has_index(tree, index)]


def unit_table(tree: xr.DataTree) -> list[dict[str, Any]]:
    """Return a row a layer: its name, sizes and names of its dimensions, counts by status."""
    rows = []
    for layer, data in layers(tree).items():
        counts = unit_counts(data)
        sizes = data["variance"].sizes if "variance" in data else {"unit": sum(counts.values())}
        times = " \N{MULTIPLICATION SIGN} "
        text = times.join(f"{size:,}" for size in sizes.values())
        text += f" ({times.join(map(str, sizes))})"
        rows.append({"layer": layer, "shape": text, "units": sum(counts.values()), **counts})
    return rows


def specialised_rows(table: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Return the rows of a table of specialised units, their numbers as texts."""
    if table is None or table.empty:
        return []
    index = next(name for name in INDICES if f"runner_up_{name}" in table.columns)
    numbers = [name for name in (*INDICES, "low", "high") if name in table.columns]
    # A table read back from a file may hold numbers, or their absence, as text.
    table = table.assign(**{name: pd.to_numeric(table[name], errors="coerce") for name in numbers})
    rows = []
    for row in table.to_dict("records"):
        share = estimate_text(float(row[index]), float(row["low"]), float(row["high"]))
        rows.append({str(key): value for key, value in row.items()} | {"share": share})
    return rows


def plan_total(rows: Sequence["PlanRow"]) -> dict[str, float]:
    """Sum the evaluations, repeats, shards and disk of a plan; memory is the largest."""
    return {
        "evaluations": sum(row.evaluations for row in rows),
        "not_evaluated": sum(row.not_evaluated for row in rows),
        "shards": sum(row.shards for row in rows),
        "disk_bytes": sum(row.disk_bytes for row in rows),
        "memory_bytes": max((row.memory_bytes for row in rows), default=0),
    }


def timing_total(rows: Sequence["TimingRow"]) -> dict[str, float]:
    """Sum the seconds and bytes of all stages."""
    return {
        "seconds": sum(row.seconds for row in rows),
        "bytes": sum(row.bytes or 0 for row in rows),
    }
