"""Tables are read by stated rules; what does not fit is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import datasets
from variscope.errors import UserError
from variscope.inputs.tables.opening import open_table
from variscope.inputs.tables.table import Table

SETTINGS: dict[str, Any] = {
    "source": "t.csv", "target": "y", "task": None, "threshold": None, "leave_out": [],
    "missing": "refuse", "margins": "empirical", "bounds": {}, "correlated": 0.6,
}  # fmt: skip
N = 60


def frame(**columns: Any) -> pd.DataFrame:
    """A table of two numbers and a target of two texts, and more columns."""
    rng = np.random.default_rng(0)
    made = {"a": rng.normal(size=N), "b": rng.normal(size=N)}
    y = np.array(["ill", "well"])[rng.integers(2, size=N)]
    return pd.DataFrame({**made, "y": y, **columns})


def opened(folder: Path, data: pd.DataFrame, **settings: Any) -> Table:
    """The table of a frame that is written as CSV."""
    data.to_csv(folder / "t.csv", index=False)
    return open_table("mine", SETTINGS | settings, folder)


def refused(folder: Path, data: pd.DataFrame | str | bytes, match: str, **settings: Any) -> None:
    """What is said of a frame, or of a text, that is written as t.csv."""
    if isinstance(data, pd.DataFrame):
        data.to_csv(folder / "t.csv", index=False)
    elif isinstance(data, bytes):
        (folder / "t.csv").write_bytes(data)
    else:
        (folder / "t.csv").write_text(data)
    with pytest.raises(UserError, match=match) as caught:
        open_table("mine", SETTINGS | settings, folder)
    assert str(caught.value).startswith("tables.mine")


def test_the_bundled_tables_are_scikit_learns(tmp_path: Path) -> None:
    given = SETTINGS | {"target": None}
    cancer = open_table("c", given | {"source": "breast_cancer"}, tmp_path)
    truth = datasets.load_breast_cancer()
    np.testing.assert_array_equal(cancer.values, truth.data)
    assert cancer.classes == ("benign", "malignant")
    np.testing.assert_array_equal(cancer.target, 1 - truth.target)
    assert [f.name for f in cancer.features] == truth.feature_names.tolist()
    diabetes = open_table("d", given | {"source": "diabetes"}, tmp_path)
    truth = datasets.load_diabetes(scaled=False)
    np.testing.assert_array_equal(diabetes.values, truth.data)
    np.testing.assert_array_equal(diabetes.target, truth.target)
    assert not diabetes.is_classification
    above = open_table("d", given | {"source": "diabetes", "threshold": "median"}, tmp_path)
    np.testing.assert_array_equal(above.target, truth.target > np.median(truth.target))
    assert above.classes == ("progression at most 140.5", "progression above 140.5")


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_the_separator_is_found_and_a_mark_of_bytes_passed_over(
    tmp_path: Path, mark: str, encoding: str
) -> None:
    data = frame()
    data.columns = ["größe, gemessen", "b", "y"]
    data.to_csv(tmp_path / "t.csv", index=False, sep=mark, encoding=encoding)
    table = open_table("mine", SETTINGS, tmp_path)
    assert [f.name for f in table.features] == ["größe, gemessen", "b"]
    np.testing.assert_allclose(table.values, data.iloc[:, :2])
    assert table.classes == ("ill", "well")
    assert (np.array(table.classes)[table.target] == data["y"]).all()


def test_parquet_is_read(tmp_path: Path) -> None:
    data = frame(g=pd.Categorical(["u", "v"] * (N // 2)), k=pd.array(np.arange(N) % 7, "Int64"))
    data.to_parquet(tmp_path / "t.parquet")
    table = open_table("mine", SETTINGS | {"source": "t.parquet"}, tmp_path)
    assert [f.levels for f in table.features] == [(), (), ("u", "v"), ()]
    assert table.values.shape == (N, 5)
    (tmp_path / "bad.parquet").write_text("a,b")
    with pytest.raises(UserError, match=r"^tables.mine.source: bad.parquet cannot be read as Parq"):
        open_table("mine", SETTINGS | {"source": "bad.parquet"}, tmp_path)


def test_text_and_booleans_are_categories_with_a_column_for_each_level(tmp_path: Path) -> None:
    data = frame(c=["red ", "blue", "green"] * (N // 3), d=[True, False, False] * (N // 3))
    table = opened(tmp_path, data)
    assert [f.levels for f in table.features[2:]] == [("blue", "green", "red"), ("False", "True")]
    assert [f.columns for f in table.features[2:]] == [(2, 3, 4), (5, 6)]
    np.testing.assert_array_equal(table.values[:3, 2:], [[0, 0, 1, 0, 1], [1, 0, 0, 1, 0],
                                                         [0, 1, 0, 1, 0]])  # fmt: skip


@pytest.mark.parametrize(
    ("y", "settings", "classes"),
    [
        ([0, 1], {}, ("0", "1")),
        ([3, 1, 2], {}, ("1", "2", "3")),
        ([3.0, 12.0], {}, ("3", "12")),
        ([True, False], {}, ("False", "True")),
        (["b", "a"], {}, ("a", "b")),
        ([0, 1, 2], {"task": "regression"}, ()),
        ([0.5, 1.5], {}, ()),
        (list(range(11)), {}, ()),
        ([1, 2, 3, 4], {"threshold": 2.5}, ("y at most 2.5", "y above 2.5")),
        ([1, 2, 3, 4], {"threshold": "median", "task": "classification"},
         ("y at most 2.5", "y above 2.5")),
    ],
)  # fmt: skip
def test_the_task_is_found_by_the_target(
    tmp_path: Path, y: list[Any], settings: dict[str, Any], classes: tuple[str, ...]
) -> None:
    table = opened(tmp_path, frame(y=(y * N)[:N]), **settings)
    assert table.classes == classes
    if not settings.get("threshold"):
        assert len(np.unique(table.target)) == len(set(y))


def missing() -> pd.DataFrame:
    data = frame(c=["u", "v", "v"] * (N // 3))
    data.loc[[1, 2], "a"] = np.nan
    data.loc[[2, 5], "c"] = None
    data.loc[7, "y"] = None
    return data


def test_missing_values_are_refused_dropped_or_filled_in(tmp_path: Path) -> None:
    refused(tmp_path, missing(), r"^tables.mine.missing: found refuse, and t.csv misses values in "
            r"3 of 59 rows, in the columns 'a' \(2\), 'c' \(2\); allowed: drop")  # fmt: skip
    dropped = opened(tmp_path, missing(), missing="drop")
    assert len(dropped) == N - 1 - 3
    assert any("Rows without a target are left out: 1 of 60." in note for note in dropped.notes)
    filled = opened(tmp_path, missing(), missing="median")
    assert len(filled) == N - 1
    median = missing().drop(index=7)["a"].median()
    np.testing.assert_allclose(filled.values[[1, 2], 0], median)
    assert filled.features[2].levels == ("missing", "u", "v")
    np.testing.assert_array_equal(filled.values[[2, 5], 2:], [[1, 0, 0], [1, 0, 0]])
    empty = frame(c=[None] * N)
    refused(tmp_path, empty, "t.csv has no value in the column 'c'; name it in leave_out",
            missing="median")  # fmt: skip
    assert len(opened(tmp_path, empty, leave_out=["c"]).features) == 2


def test_constants_and_numberings_are_left_out_and_copies_named(tmp_path: Path) -> None:
    data = frame()
    data["c"], data["same"], data["row"] = 3, data["a"], range(N)
    data["patient id"] = np.random.default_rng(1).permutation(N) * 17
    data["year"] = np.cumsum(np.arange(N) % 3 + 1)
    table = opened(tmp_path, data)
    assert [f.name for f in table.features] == ["a", "b", "same", "year"]
    notes = " ".join(table.notes)
    for said in (
        "c: left out, since the value never changes.",
        "row, patient id: left out, since it numbers the rows.",
        "year: whole numbers that rise or fall from row to row",
        "same holds the same values as a: they are one player.",
    ):
        assert said in notes


def test_a_column_without_a_name_that_numbers_the_rows_is_left_out(tmp_path: Path) -> None:
    frame().to_csv(tmp_path / "t.csv")  # with the index, as pandas and R write it
    table = open_table("mine", SETTINGS, tmp_path)
    assert [f.name for f in table.features] == ["a", "b"]
    assert any("column 1: left out, since it numbers the rows" in note for note in table.notes)


def test_rows_that_stand_twice_are_counted_once(tmp_path: Path) -> None:
    data = frame()
    table = opened(tmp_path, pd.concat([data, data.iloc[:5]]))
    assert len(table) == N
    assert any("5 are left out" in note for note in table.notes)


def test_features_that_determine_the_target_are_named(tmp_path: Path) -> None:
    data = frame()
    data["leak"] = np.where(data["y"] == "ill", 5, 3) + np.linspace(0, 1, N)
    data["level"] = np.where(data["y"] == "ill", "p", "q")
    notes = " ".join(opened(tmp_path, data).notes)
    assert "leak, level: alone, by thresholds or levels, this determines the target" in notes
    number = frame(y=np.random.default_rng(2).normal(size=N))
    number["leak"] = number["y"] ** 3
    assert "leak: alone" in " ".join(opened(tmp_path, number).notes)
    assert "alone" not in " ".join(opened(tmp_path, frame()).notes)


BAD_COLUMNS: list[tuple[Callable[[], Any], str]] = [
    (lambda: [np.inf] + [1.0] * (N - 1), "column 'c', holds 1 value that is infinite"),
    (lambda: [f"p{k}" for k in range(N)], "column 'c', is text with 60 different values"),
    (lambda: [f"2024-01-{k % 28 + 1:02d}" for k in range(N)], "column 'c', holds dates"),
    (lambda: [f"{k},5" for k in range(N)], "has decimal commas .*; allowed: decimal points, 0.5"),
    (lambda: ["?"] + ["1.5", "2"] * (N // 2 - 1) + ["3"], r"holds numbers and '\?'; allowed"),
]


@pytest.mark.parametrize(("values", "match"), BAD_COLUMNS)
def test_columns_that_are_neither_numbers_nor_categories_are_refused_by_name(
    tmp_path: Path, values: Callable[[], Any], match: str
) -> None:
    refused(tmp_path, frame(c=values()), rf"^tables.mine: t.csv, .*{match}")
    assert len(opened(tmp_path, frame(c=values()), leave_out=["c"]).features) == 2


def test_kinds_that_only_parquet_has_are_refused(tmp_path: Path) -> None:
    for c, match in (
        (pd.date_range("2024-01-01", periods=N), "holds dates"),
        ([[1, 2]] * N, "holds values of the kind ndarray"),
    ):
        frame(c=c).to_parquet(tmp_path / "t.parquet")
        with pytest.raises(UserError, match=f"^tables.mine: t.parquet, column 'c', {match}"):
            open_table("mine", SETTINGS | {"source": "t.parquet"}, tmp_path)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "t.csv is empty; allowed: a header"),
        ("\n\n", "t.csv is empty"),
        ("a,b,y\n", "t.csv has a header and no rows"),
        ("y\n1\n2\n", "has one column, 'y'; allowed: a target and at least one feature"),
        ("1,2,3\n4,5,6\n", "has no header: its first line holds numbers alone"),
        ("a,a,y\n1,2,3\n", "has more than one column named 'a'"),
        ("a,b,y\n1,2,3\n1,2,3,4\n", "cannot be read as text with columns"),
        ("a,b,y\n" + "1,2,u\n" * 50, "t.csv changes"),
    ],
)
def test_files_that_are_no_tables_are_refused(tmp_path: Path, text: str, match: str) -> None:
    refused(tmp_path, text, rf"^tables.mine.source: .*{match}")


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "", r"found 'gone.csv', which is no such file; allowed: breast_cancer, diab",
            source="gone.csv")  # fmt: skip
    (tmp_path / "f").mkdir()
    refused(tmp_path, "", "found 'f', which is a folder", source="f")
    (tmp_path / "t.xlsx").write_text("x")
    refused(tmp_path, "", r"found 't.xlsx'; allowed: files .csv, .tsv, .parquet",
            source="t.xlsx")  # fmt: skip
    refused(tmp_path, "größe,b,y\n1,2,3\n".encode("latin-1"), "t.csv is no UTF-8 text")


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"target": None}, "^tables.mine.target: left out; allowed: a column of t.csv: 'a', 'b'"),
        ({"target": "Y"}, "^tables.mine.target: found 'Y'; allowed: 'a', 'b', 'y'"),
        ({"target": "yy"}, "^tables.mine.target: found 'yy'; did you mean 'y'?"),
        ({"leave_out": ["z"]}, "^tables.mine.leave_out: found 'z'"),
        ({"leave_out": ["y"]}, "^tables.mine.leave_out: found 'y', which is the target"),
        ({"leave_out": ["a", "b"]}, "^tables.mine.leave_out: no feature is left"),
        ({"task": "regression"}, "^tables.mine.task: found 'regression', and the target 'y' of"),
        ({"threshold": 3}, "^tables.mine.threshold: found 3, and the target 'y' of t.csv is no"),
        ({"bounds": {"a": [0, 1]}}, "^tables.mine.bounds: found bounds of 'a', and the margins"),
        ({"margins": "uniform", "bounds": {"q": [0, 1]}}, "^tables.mine.bounds: found 'q'"),
        ({"margins": "uniform", "bounds": {"a": [1, 1]}}, r"^tables.mine.bounds.a: found \[1, 1\]"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    tmp_path: Path, settings: dict[str, Any], match: str
) -> None:
    refused(tmp_path, frame(), match, **settings)


@pytest.mark.parametrize(
    ("y", "settings", "match"),
    [
        (["u"] * N, {}, "^tables.mine.target: .* has one value only, 'u'"),
        (["u"] * (N - 3) + ["v"] * 3, {}, r"has classes of fewer than 10 rows: 'v' \(3\)"),
        ([1.5] * N, {}, "has one value only, 1.5"),
        (list(range(N)), {"task": "classification"}, "^tables.mine.task: .*60 different numbers"),
        (list(range(N)), {"task": "regression", "threshold": 5}, "^tables.mine.threshold: found 5"),
        (list(range(N)), {"threshold": 99}, "^tables.mine.threshold: .*no value .* above 99"),
        (list(range(N)), {"threshold": -1}, "^tables.mine.threshold: .*every value"),
        ([None] * N, {}, "^tables.mine.target: the column 'y' of t.csv is empty"),
        ([np.inf, *range(1, N)], {}, "^tables.mine.target: .* infinite"),
    ],
)
def test_targets_that_cannot_be_predicted_are_refused(
    tmp_path: Path, y: list[Any], settings: dict[str, Any], match: str
) -> None:
    refused(tmp_path, frame(y=y), match, **settings)


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    refused(tmp_path, frame().iloc[:30], "has 30 rows that can be used; at least 40 are needed")
