"""Tables of analyses: one writer and one reader, which hold them to the columns of their entry."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from pandas.api.types import pandas_dtype

from variscope.analyses.registry import Table
from variscope.stores.atomic import new_file

_KINDS = {"text": "str", "integer": "Int64", "number": "float64"}


def checked(table: Table, found: pd.DataFrame) -> pd.DataFrame:
    """Return a table's data in the order of its columns, and of their kinds.

    Raises:
        ValueError: columns are missing or unknown, or values are not of their kind.
    """
    names = [column.name for column in table.columns]
    if set(found.columns) != set(names):
        raise ValueError(
            f"table {table.name} has the columns {', '.join(map(str, found.columns))}; its entry "
            f"says {', '.join(names)}"
        )
    ordered = found[names].copy()
    for column in table.columns:
        try:
            ordered[column.name] = ordered[column.name].astype(pandas_dtype(_KINDS[column.kind]))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"table {table.name}, column {column.name}: not all values are of the kind "
                f"{column.kind} ({error})"
            ) from error
    return ordered


def write_table(path: Path | str, table: Table, found: pd.DataFrame) -> None:
    """Write a table as CSV, once its columns are those of its entry."""
    with new_file(path) as file:
        checked(table, found).to_csv(file, index=False)


def read_table(path: Path | str, table: Table) -> pd.DataFrame:
    """Read a table: its columns are of their kinds, and empty text is "" and not missing."""
    texts = {column.name: str for column in table.columns if column.kind == "text"}
    found = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=_numbers(table))
    return checked(table, found)


def _numbers(table: Table) -> dict[str, list[str]]:
    missing = ["", "nan", "NaN"]
    return {column.name: missing for column in table.columns if column.kind != "text"}
