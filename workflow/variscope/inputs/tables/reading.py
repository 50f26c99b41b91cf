"""Files of tables as frames: CSV with the separator found, Parquet, and scikit-learn's own."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from variscope.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

BUNDLED = {"breast_cancer": "diagnosis", "diabetes": "progression"}
SUFFIXES = (".csv", ".tsv", ".parquet")
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab"}

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def bundled(source: str) -> tuple[pd.DataFrame, list[str]]:
    """Return one of scikit-learn's tables with its target by name, and notes on it.

    Diabetes (Efron, Hastie, Johnstone and Tibshirani 2004, Ann. Stat. 32: 407-499) is in the units
    that were measured; the target of breast cancer (Wolberg, Street and Mangasarian 1995) is text.
    """
    from sklearn import datasets  # costly to import

    target = BUNDLED[source]
    if source == "diabetes":
        found = datasets.load_diabetes(as_frame=True, scaled=False)
        return found.frame.rename(columns={"target": target}), [
            "scikit-learn's diabetes data: progression of the disease a year after baseline; s1 to "
            "s6 are serum measurements: total cholesterol, LDL, HDL, total cholesterol over HDL, "
            "the log of triglycerides (probably), and blood sugar."
        ]
    found = datasets.load_breast_cancer(as_frame=True)
    names = np.array(found.target_names, dtype=object)[found.frame.pop("target").to_numpy()]
    return found.frame.assign(**{target: names}), [
        "scikit-learn's breast cancer data: the mean, the standard error and the worst of ten "
        "measurements of the nuclei in an image of each biopsy."
    ]


def read_file(path: Path, shown: str) -> tuple[pd.DataFrame, list[str]]:
    """Read a file by its suffix.

    Args:
        path: of the file.
        shown: how messages call it.

    Returns:
        The frame as the file has it, and notes on how it was read.

    Raises:
        UserError: there is no such file, it is empty, or it cannot be read as what it claims to be.
    """
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise UserError(
            f"found {shown!r}, which is {what}; allowed: {', '.join(BUNDLED)}, or the path of a "
            f"file {', '.join(SUFFIXES)}"
        )
    if path.suffix.lower() not in SUFFIXES:
        raise UserError(f"found {shown!r}; allowed: files {', '.join(SUFFIXES)}")
    frame, notes = (_parquet if path.suffix.lower() == ".parquet" else _text)(path, shown)
    if not len(frame):
        raise UserError(f"{shown} has a header and no rows")
    if frame.shape[1] < 2:
        found = f"{shown} has one column, {frame.columns[0]!r}"
        separators = "" if path.suffix == ".parquet" else " separated by comma, semicolon or tab"
        raise UserError(f"{found}; allowed: a target and at least one feature{separators}")
    return frame, notes


def _parquet(path: Path, shown: str) -> tuple[pd.DataFrame, list[str]]:
    import pyarrow
    from pyarrow import parquet

    try:
        names = parquet.read_schema(path).names
        _check_names([str(name) for name in names], shown)
        frame = parquet.read_table(path).to_pandas()
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{shown} cannot be read as Parquet ({error})") from error
    frame.columns = [str(name) for name in frame.columns]
    return frame.reset_index(drop=True), []


def _text(path: Path, shown: str) -> tuple[pd.DataFrame, list[str]]:
    import pandas as pd

    try:
        # newline="": csv sees line ends inside quotes as they are; utf-8-sig passes over a BOM.
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = next((line for line in file if line.strip()), "")
    except UnicodeDecodeError as error:
        raise UserError(f"{shown} is no UTF-8 text ({error}); save it as UTF-8") from error
    if not first:
        raise UserError(f"{shown} is empty; allowed: a header, and a line for each row")
    found = {mark: len(next(csv.reader([first], delimiter=mark))) for mark in SEPARATORS}
    mark = max(found, key=lambda key: found[key])
    header = [name.strip() for name in next(csv.reader([first], delimiter=mark))]
    if all(_NUMBER.fullmatch(name.replace(",", ".")) for name in header):
        raise UserError(
            f"{shown} has no header: its first line holds numbers alone ({', '.join(header[:3])}); "
            "name the columns in the first line"
        )
    # Tables of R have no name over the column that numbers the rows.
    header = [name or f"column {k + 1}" for k, name in enumerate(header)]
    _check_names(header, shown)
    try:
        frame = pd.read_csv(
            path,
            sep=mark,
            encoding="utf-8-sig",
            header=0,
            names=header,
            index_col=False,
            skipinitialspace=True,
            low_memory=False,
            # A line longer than the header is an error, and not an index or a loss of columns.
            on_bad_lines="error",
        )
    except (pd.errors.ParserError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{shown} cannot be read as text with columns ({error})") from error
    for name in frame.columns:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            frame[name] = frame[name].map(_stripped, na_action="ignore")
    return frame, [] if mark == "," else [
        f"The file's columns are separated by {SEPARATORS[mark]}."
    ]


def _stripped(value: Any) -> Any:
    """Return text without the blanks around it, which no reader sees; what is empty is missing."""
    return (value.strip() or np.nan) if isinstance(value, str) else value


def _check_names(names: Sequence[str], shown: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(
            f"{shown} has more than one column named {', '.join(map(repr, twice[:5]))}; allowed: a "
            "name of its own for each"
        )


def unknown(name: str, known: Sequence[str]) -> str:
    """Say of a name that is none of those known which were meant, or which there are."""
    near = difflib.get_close_matches(str(name), list(known), 3, 0.5)
    if near:
        return f"found {name!r}; did you mean {' or '.join(map(repr, near))}?"
    some = ", ".join(map(repr, known[:12])) + (", ..." if len(known) > 12 else "")
    return f"found {name!r}; allowed: {some}"


def numbers_as_text(values: Any) -> tuple[int, list[str], int]:
    """Look at a column of text: how many values are numbers, some others, how many decimal commas.

    Args:
        values: of the column, without those that are missing.
    """
    texts = [str(value).strip() for value in values]
    numbers = sum(bool(_NUMBER.fullmatch(text)) for text in texts)
    commas = sum(
        bool(_NUMBER.fullmatch(text.replace(",", "."))) and text.count(",") == 1 for text in texts
    )
    others = sorted({text for text in texts if not _NUMBER.fullmatch(text)})
    return numbers, others, commas
