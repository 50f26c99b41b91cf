"""What changed settings left behind is taken away where it is asked for; so is an experiment."""

from __future__ import annotations

import re
from pathlib import Path

from tiny_study import Study


def test_nothing_of_a_finished_study_is_left_behind(finished: Study, tmp_path: Path) -> None:
    study = finished.copy(tmp_path / "study")
    before = sorted(study.results.rglob("*"))
    assert "nothing was left behind" in study.run("tidy", "--cores", "1").stdout
    logs = {study.results / "logs" / "tidy.log"}
    assert set(study.results.rglob("*")) == {*before, *logs}
    assert study.rules_that_would_run() == {}


def test_tidy_takes_away_what_the_present_settings_do_not_make(
    finished: Study, tmp_path: Path
) -> None:
    study = finished.copy(tmp_path / "study")
    study.configure({"models.net.layers": ["first"], "analyses": {"pairs": False}})
    done = study.run("tidy", "--cores", "1")
    folder = study.results / "net" / "small" / "cycle"
    assert not (folder / "indices" / "logits.zarr").exists()
    assert not (folder / "analyses" / "pairs").exists()
    for kept in ("indices/first.zarr", "analyses/summary/summary.pdf", "analyses/maps/maps"):
        assert (folder / kept).exists()
    assert len(re.findall("^removed ", done.stdout, re.MULTILINE)) == 2
    assert "freed" in done.stdout


def test_remove_takes_one_experiment_away_and_no_other(finished: Study, tmp_path: Path) -> None:
    study = finished.copy(tmp_path / "study")
    other = study.results.parent / "other"
    other.mkdir()
    study.run("remove", "--cores", "1")
    assert not study.results.exists() and other.is_dir()
    assert "evaluate" in study.rules_that_would_run()
