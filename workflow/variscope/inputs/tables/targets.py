"""A table's target: classes or numbers, by a stated rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from variscope.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

# Of a target of whole numbers, classes where there are no more than these.
MOST_CLASSES = 10
ROWS_OF_A_CLASS = 10


@dataclass(frozen=True)
class Target:
    """What is predicted.

    Attributes:
        values: ``(row,)``, int64 numbers of classes, or float64.
        classes: their names; none of a regression.
        notes: the rules that were applied.
    """

    values: NDArray[Any]
    classes: tuple[str, ...]
    notes: tuple[str, ...]


def target_of(series: pd.Series[Any], settings: Mapping[str, Any], shown: str) -> Target:
    """Return the target by the settings ``task`` and ``threshold``.

    Without a task: numbers above a threshold or not, text, booleans, and up to `MOST_CLASSES`
    different whole numbers are classes; other numbers are a regression's.

    Args:
        series: the column, no value missing.
        settings: of the table.
        shown: how messages call the column.

    Raises:
        UserError: the target does not fit the task or the threshold, has one value only, or a class
            has too few rows.
    """
    from pandas.api import types

    task, threshold = settings["task"], settings["threshold"]
    is_number = types.is_numeric_dtype(series) and not types.is_bool_dtype(series)
    if not is_number and threshold is not None:
        raise UserError(
            f"threshold: found {threshold!r}, and {shown} is no number; allowed: null, since its "
            "values are classes already"
        )
    if not is_number and task == "regression":
        raise UserError(f"task: found 'regression', and {shown} is no number")
    if task == "regression" and threshold is not None:
        raise UserError(
            f"threshold: found {threshold!r} for a regression; allowed: null, or the task "
            "classification"
        )
    if not is_number:
        return _classes(series.map(str).to_numpy(dtype=object), "", shown)
    numbers = series.to_numpy(dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise UserError(f"{shown} holds infinite values; allowed: finite numbers")
    if threshold is not None:
        return _above(numbers, threshold, str(series.name), shown)
    distinct = np.unique(numbers)
    few = len(distinct) <= MOST_CLASSES and np.array_equal(distinct, np.round(distinct))
    if task == "classification" and not few:
        raise UserError(
            f"task: found 'classification', and {shown} holds {len(distinct)} different numbers; "
            f"allowed: up to {MOST_CLASSES} whole numbers as classes, text, or a threshold, above "
            "which a number is one of two classes (threshold: median)"
        )
    if task == "regression" or not few:
        if len(distinct) < 2:
            raise UserError(f"{shown} has one value only, {distinct[0]:g}; nothing is to predict")
        found = "" if task else "Its target is predicted as a number: no task is stated."
        return Target(numbers, (), (found,) if found else ())
    texts = np.array([f"{number:g}" for number in numbers], dtype=object)
    order = [f"{number:g}" for number in distinct]
    rule = "" if task else (
        f"Its target is predicted as a class: no task is stated, and it holds {len(distinct)} "
        "different whole numbers."
    )  # fmt: skip
    return _classes(texts, rule, shown, order)


def _above(numbers: NDArray[np.float64], threshold: Any, name: str, shown: str) -> Target:
    value = float(np.median(numbers)) if threshold == "median" else float(threshold)
    classes = (f"{name} at most {value:g}", f"{name} above {value:g}")
    above = (numbers > value).astype(np.int64)
    if above.min() == above.max():
        raise UserError(
            f"threshold: found {threshold!r}, and {'no' if not above.any() else 'every'} value of "
            f"{shown} is above {value:g} ({numbers.min():g} to {numbers.max():g})"
        )
    _check_rows(above, classes, shown)
    of = ", the median of all rows" if threshold == "median" else ""
    return Target(above, classes, (f"The classes are {classes[0]} and {classes[1]}{of}.",))


def _classes(texts: NDArray[Any], rule: str, shown: str, order: list[str] | None = None) -> Target:
    names = order or sorted(set(texts))
    if len(names) < 2:
        raise UserError(f"{shown} has one value only, {names[0]!r}; nothing is to predict")
    number = {name: k for k, name in enumerate(names)}
    values = np.array([number[text] for text in texts], dtype=np.int64)
    _check_rows(values, tuple(names), shown)
    return Target(values, tuple(names), (rule,) if rule else ())


def _check_rows(values: NDArray[np.int64], classes: tuple[str, ...], shown: str) -> None:
    counts = np.bincount(values, minlength=len(classes))
    few = [
        f"{name!r} ({count})"
        for name, count in zip(classes, counts, strict=True)
        if count < ROWS_OF_A_CLASS
    ]
    if few:
        more = ", ..." if len(few) > 5 else ""
        raise UserError(
            f"{shown} has classes of fewer than {ROWS_OF_A_CLASS} rows: {', '.join(few[:5])}"
            f"{more}; leave these rows out of the file, or join classes"
        )
