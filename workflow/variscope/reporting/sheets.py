"""Tables of analyses as the page shows them."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from variscope.analyses.registry import Column, Table
from variscope.indices.wording import estimate_text, interval_text, share_text, variable_label
from variscope.reporting.model import Cell, Sheet

# Columns that hold names of variables.
_VARIABLES = ("variable", "first", "second", "runner_up")

# Columns that stand in the caption where they are the same in all rows.
_OF_ALL = ("n", "inference", "index")


def sheets_of(table: Table, found: pd.DataFrame, path: str = "") -> list[Sheet]:
    """Return a table as one sheet, or as one for each value of the column that it names.

    Args:
        table: its entry.
        found: its data, from `variscope.analyses.tables.read_table`.
        path: of the file, for whoever wants the rows that are not shown.
    """
    if table.shown == 0 or found.empty:
        return []
    if not table.sheets:
        return [_sheet(table, found, table.title, path)]
    return [
        _sheet(table, found[found[table.sheets] == value], f"{table.title}: {value}", path)
        for value in dict.fromkeys(found[table.sheets])
    ]


def _sheet(table: Table, found: pd.DataFrame, title: str, path: str) -> Sheet:
    same = [
        name
        for name in _OF_ALL
        if name in found and name != table.sheets and found[name].nunique() == 1
    ]
    notes = [str(found[name].iloc[0]) if name == "inference" else f"{name} {found[name].iloc[0]}"
             for name in same]  # fmt: skip
    caption = f"{title} ({', '.join(notes)})" if notes else title
    left_out = {*same, table.sheets}
    columns = [column for column in table.columns if column.name not in left_out]
    if table.grid:
        return _grid(table, found, caption, path)
    both = {column.name for column in columns} >= {"low", "high"}
    shown = [column for column in columns if not (both and column.name == "high")]
    rows = found.head(table.shown).to_dict("records")
    return Sheet(
        caption=caption,
        header=["interval" if both and c.name == "low" else _title(c) for c in shown],
        rows=[
            [
                Cell(text=interval_text(float(row["low"]), float(row["high"])))
                if both and column.name == "low"
                else Cell(text=_text(row[column.name], column))
                for column in shown
            ]
            for row in rows
        ],
        words=[column.kind == "text" for column in shown],
        left=len(found) - len(rows),
        path=path,
    )


def _grid(table: Table, found: pd.DataFrame, caption: str, path: str) -> Sheet:
    """Lay a tidy table out: one column's values as rows, another's as columns."""
    assert table.grid is not None
    down, across = table.grid
    number = next(c.name for c in table.columns if c.kind == "number")
    columns = list(dict.fromkeys(found[across]))
    rows = []
    for name in dict.fromkeys(found[down]):
        of = found[found[down] == name].set_index(across)
        cells = [Cell(text=str(name))]
        for column in columns:
            if column not in of.index:
                cells.append(Cell(text="\N{EN DASH}"))
                continue
            row = of.loc[column]
            text = estimate_text(float(row[number]), float(row["low"]), float(row["high"]))
            value, _, interval = text.partition(" ")
            cells.append(Cell(text=value, small=interval))
        rows.append(cells)
    header = [down, *map(variable_label, columns)]
    return Sheet(caption=caption, header=header, rows=rows, words=[False] * len(header), path=path)


def _title(column: Column) -> str:
    return column.name.replace("_", " ")


def _text(value: Any, column: Column) -> str:
    if column.kind == "text":
        return variable_label(str(value)) if column.name in _VARIABLES else str(value)
    if pd.isna(value):
        return "\N{EN DASH}"
    if column.kind == "integer":
        return f"{int(value):,}"
    if column.unit == "share":
        return share_text(float(value))
    return f"{value:.4g}" if math.isfinite(value) else str(value)
