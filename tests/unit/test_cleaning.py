"""What is left behind is found, and nothing else."""

from __future__ import annotations

from pathlib import Path

from variscope.study.cleaning import orphans, remove


def test_what_no_rule_makes_is_left_behind_and_its_topmost_folder_is_named(tmp_path: Path) -> None:
    top = tmp_path / "results" / "own"
    for name in (
        "logs/a.log",
        ".lock",
        "net/set/cycle/indices/a.zarr/zarr.json",
        "net/set/cycle/indices/b.zarr/zarr.json",
        "net/set/star/indices/a.zarr/zarr.json",
        "old/weights.pt",
        "report.html",
        "notes.txt",
    ):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text("12345")
    kept = [top / "net/set/cycle/indices/a.zarr", top / "report.html", top / "gone.json"]
    found = orphans(top, kept)
    assert [path.relative_to(top).as_posix() for path in found] == [
        "net/set/cycle/indices/b.zarr",
        "net/set/star",
        "notes.txt",
        "old",
    ]
    assert remove(found) == 4 * 5
    assert orphans(top, kept) == []
    assert (top / "net/set/cycle/indices/a.zarr/zarr.json").is_file()
    assert (top / "logs/a.log").is_file() and (top / ".lock").is_file()


def test_an_experiment_that_is_not_there_has_left_nothing(tmp_path: Path) -> None:
    assert orphans(tmp_path / "none", []) == []
