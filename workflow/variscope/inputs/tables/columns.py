"""A frame's columns as features: what is a number, what a category, what is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from variscope.errors import UserError
from variscope.inputs.tables.reading import numbers_as_text
from variscope.inputs.tables.table import Feature

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["number", "category"]

MOST_LEVELS = 10
# The level of a category that stands for missing values.
MISSING = "missing"
LARGEST = 1e30  # a network's float32 holds its square, near enough

_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}.*|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}.*")
_IDENTIFIER = re.compile(r"(.*[\s_.-])?(id|uid|uuid|index|number|nr|no|row)", re.IGNORECASE)


@dataclass(frozen=True)
class Columns:
    """Features as numbers.

    Attributes:
        features: of the columns.
        values: ``(row, column)`` float64.
        notes: what was left out, a sentence each.
    """

    features: tuple[Feature, ...]
    values: NDArray[np.float64]
    notes: tuple[str, ...]


def kind_of(series: pd.Series[Any], shown: str) -> Kind:
    """Say whether a column is of numbers or a category.

    Args:
        series: the column.
        shown: how messages call it: file and column.

    Raises:
        UserError: it is neither, or holds what is not finite.
    """
    import pandas as pd
    from pandas.api import types

    present = series.dropna()
    advice = "name it in leave_out, or change the column"
    if types.is_bool_dtype(series) or present.map(lambda value: isinstance(value, bool)).all():
        return "category"
    if types.is_datetime64_any_dtype(series) or types.is_timedelta64_dtype(series):
        raise UserError(f"{shown} holds dates; allowed: numbers and text; {advice}")
    if types.is_complex_dtype(series):
        raise UserError(f"{shown} holds complex numbers; allowed: numbers and text; {advice}")
    if types.is_numeric_dtype(series):
        numbers = present.to_numpy(dtype=float)
        infinite = int((np.abs(numbers) > LARGEST).sum())
        if infinite:
            raise UserError(
                f"{shown} holds {_count(infinite)} that {_are(infinite)} infinite or beyond "
                f"{LARGEST:g}; allowed: finite numbers"
            )
        return "number"
    plain = present.map(lambda value: isinstance(value, str))
    if not isinstance(series.dtype, pd.CategoricalDtype) and not plain.all():
        found = type(present[~plain].iloc[0]).__name__
        raise UserError(
            f"{shown} holds values of the kind {found}; allowed: numbers, text, booleans"
        )
    _check_levels(present, shown, advice)
    return "category"


def _check_levels(present: pd.Series[Any], shown: str, advice: str) -> None:
    """Raise a UserError where text is a number, a date, or more levels than a category has."""
    levels = sorted(map(str, present.unique()))
    numbers, others, commas = numbers_as_text(present)
    if commas and commas + numbers == len(present):
        raise UserError(
            f"{shown} has decimal commas ({others[0]}); allowed: decimal points, "
            f"{others[0].replace(',', '.')}"
        )
    if numbers > len(present) / 2 and others:
        raise UserError(
            f"{shown} holds numbers and {', '.join(map(repr, others[:5]))}; allowed: numbers "
            "alone, with an empty cell where a value is missing"
        )
    if len(levels) > MOST_LEVELS:
        if sum(bool(_DATE.fullmatch(level)) for level in levels) > len(levels) / 2:
            raise UserError(
                f"{shown} holds dates ({levels[0]}); allowed: numbers and text; {advice}"
            )
        raise UserError(
            f"{shown} is text with {len(levels)} different values ({levels[0]!r}, {levels[1]!r}, "
            f"...); allowed: up to {MOST_LEVELS}, as a category; {advice}"
        )


def filled(
    frame: pd.DataFrame, kinds: Mapping[str, Kind], rule: str, shown: str
) -> tuple[pd.DataFrame, list[str]]:
    """Handle missing values by the rule ``missing``: refuse, drop or median.

    Args:
        frame: the features alone.
        kinds: of them.
        rule: of the configuration.
        shown: how messages call the file.

    Returns:
        The frame without missing values, and notes. Rows keep their index.

    Raises:
        UserError: a column has no value at all, or values are missing under the rule refuse.
    """
    missing = frame.isna().sum()
    missing = missing[missing > 0]
    if missing.empty:
        return frame, []
    empty = [str(name) for name in missing.index if missing[name] == len(frame)]
    if empty:
        raise UserError(f"{shown} has no value in the column {empty[0]!r}; name it in leave_out")
    listed = ", ".join(f"{name!r} ({count})" for name, count in list(missing.items())[:5])
    listed += ", ..." if len(missing) > 5 else ""
    rows = int(frame.isna().any(axis=1).sum())
    if rule == "refuse":
        raise UserError(
            f"missing: found refuse, and {shown} misses values in {rows} of {len(frame)} rows, in "
            f"the columns {listed}; allowed: drop (these rows are left out) or median (filled in)"
        )
    if rule == "drop":
        note = f"Rows with missing values are left out: {rows} of {len(frame)} ({listed})."
        return frame.dropna(), [note]
    medians = {
        name: frame[name].astype(float).median()
        for name in map(str, missing.index)
        if kinds[name] == "number"
    }
    levels = {name: MISSING for name in map(str, missing.index) if name not in medians}
    note = (
        "Missing numbers are filled in by the median of their column, over all rows, the test "
        f"rows among them, and missing categories are a level of their own, {MISSING}: {listed}."
    )
    kind = dict.fromkeys(medians, float) | dict.fromkeys(levels, object)
    return frame.astype(kind).fillna({**medians, **levels}), [note]


def as_columns(frame: pd.DataFrame, kinds: Mapping[str, Kind], *, every: bool = False) -> Columns:
    """Return features as columns of numbers: a category has one for each of its levels.

    Columns that never change, and those that number the rows, are left out with a note.

    Args:
        frame: the features alone, no value missing.
        kinds: of them.
        every: none is left out: a model exists, and takes them.
    """
    features: list[Feature] = []
    blocks: list[NDArray[np.float64]] = []
    constant: list[str] = []
    numbering: list[str] = []
    alike: list[str] = []
    at = 0
    for name in map(str, frame.columns):
        levels: tuple[str, ...] = ()
        if kinds[name] == "category":
            texts = frame[name].map(str).to_numpy()
            levels = tuple(sorted(set(texts)))
            block = (texts[:, None] == np.array(levels)).astype(np.float64)
            changes = len(levels) > 1
        else:
            block = frame[name].to_numpy(dtype=np.float64)[:, None]
            changes = bool(block.min() < block.max())
            if changes and (kind := _numbers_rows(name, block[:, 0])):
                (numbering if kind == "numbers" else alike).append(name)
                changes = kind != "numbers"
        if not changes and not every:
            if name not in numbering:
                constant.append(name)
            continue
        features.append(
            Feature(name=name, columns=tuple(range(at, at + block.shape[1])), levels=levels)
        )
        blocks.append(block)
        at += block.shape[1]
    notes = [
        f"{_listed(names)}: {what}."
        for names, what in (
            (constant, "left out, since the value never changes"),
            (numbering, "left out, since it numbers the rows"),
            (alike, "whole numbers that rise or fall from row to row, each once: if it names the "
                    "rows, it belongs into leave_out"),
        )
        if names
    ]  # fmt: skip
    values = np.concatenate(blocks, axis=1) if blocks else np.empty((len(frame), 0))
    return Columns(tuple(features), values, tuple(notes))


def _numbers_rows(name: str, values: NDArray[np.float64]) -> str:
    """Say "numbers" of a column that numbers or names the rows, "alike" of one that may do so."""
    if len(values) < 3 or not np.array_equal(values, np.round(values)):
        return ""
    steps = np.diff(values)
    if (steps == 1).all() or (steps == -1).all():
        return "numbers"
    if len(np.unique(values)) < len(values):
        return ""
    if _IDENTIFIER.fullmatch(name.strip()):
        return "numbers"
    return "alike" if (steps > 0).all() or (steps < 0).all() else ""


def _listed(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _count(number: int) -> str:
    return "1 value" if number == 1 else f"{number} values"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
