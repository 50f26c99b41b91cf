"""How a study is started: configurations, single settings, targets, the plan, what does not fit."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import yaml
from tiny_study import CONFIG, Study, changed, rules_of_analyses
from variscope.errors import UserError
from variscope.study import experiment

ALL = {
    "images", "train", "accuracy", "evaluate", "sums", "estimate", *rules_of_analyses(), "page",
}  # fmt: skip


def test_a_configfile_is_another_experiment_whole(fresh: Study) -> None:
    (fresh.folder / "config").mkdir()
    default = changed(CONFIG, {"models.default": {"factory": "net.py:tiny"}, "experiment": "other"})
    (fresh.folder / "config" / "config.yaml").write_text(yaml.safe_dump(default))
    jobs = fresh.would_run()
    assert {job.rule for job in jobs} == ALL
    assert not [job for job in jobs if "model=default" in job.wildcards]
    # Without one, the default is loaded.
    jobs = fresh.would_run(config=None)
    assert [job for job in jobs if "model=default" in job.wildcards]


def test_the_default_study_runs_in_another_folder_without_a_copy_of_its_file(
    fresh: Study, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    done = fresh.run("plan", "--cores", "1", "--directory", str(elsewhere), config=None)
    assert "Plan of photographs" in done.stdout
    assert (elsewhere / ".snakemake" / "variscope").is_dir()
    assert not (fresh.folder / "results").exists()


def test_a_python_whose_path_has_a_space_is_refused_in_one_line(
    fresh: Study, tmp_path: Path
) -> None:
    (tmp_path / "One Drive").mkdir()
    (tmp_path / "One Drive" / ".venv").symlink_to(sys.prefix)
    python = str(tmp_path / "One Drive" / ".venv" / "bin" / "python")
    done = subprocess.run(
        [python, *fresh.command("--cores", "1")[1:]],
        cwd=fresh.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert f"error: {python}: Snakemake cannot start scripts with a Python" in done.stderr
    assert "Traceback" not in done.stderr and "bash" not in done.stderr
    assert not (fresh.folder / "results").exists()


def test_config_changes_one_setting_and_leaves_its_neighbours(fresh: Study) -> None:
    fresh.configure({"designs": {"cycle": {"blocks": 6}, "replicates": 3}})
    done = fresh.run(
        "plan", "--cores", "1", "--config", "designs={cycle: {blocks: 12}}", "seed=5"
    )  # fmt: skip
    assert re.search(r"blocks +12\n", done.stdout)
    # Three replicates in shards of about 50 rows: one replicate per shard.
    assert re.search(r"shards +3\n", done.stdout)


@pytest.mark.parametrize(
    "target, rules",
    [
        ("indices", ALL - {"accuracy", *rules_of_analyses(), "page"}),
        ("analyses", ALL - {"accuracy", "page"}),
        ("figures", ALL - {"accuracy", "aggregates_compute", "page"}),
        ("report", ALL),
        ("all", ALL),
    ],
)
def test_a_target_runs_what_it_needs(
    finished: Study, tmp_path: Path, target: str, rules: set[str]
) -> None:
    study = finished.copy(tmp_path / "study")
    shutil.rmtree(study.folder / "results")
    assert set(study.rules_that_would_run(target)) == rules


def test_the_plan_is_printed_each_time_that_it_is_asked_for(fresh: Study) -> None:
    first = fresh.run("plan", "--cores", "1").stdout
    second = fresh.run("plan", "--cores", "1").stdout
    for words in (
        r"net/small/cycle",
        r"rows +96\n",
        r"no-op rows +\d+ \(\d+%\)",
        r"evaluations +\d+\n",
        r"shards +2\n",
        r"activations disk +\d.* KiB",
        r"evaluate memory +\d.* MiB",
        r"disk, at most +\d.* KiB",
        r"disk, free +\d.* GiB",
        r"evaluate jobs +2\n",
    ):
        assert re.search(words, first), words
        assert re.search(words, second), words
    evaluations = int(re.search(r"evaluations +(\d+)\n", first)[1])  # type: ignore[index]
    repeats = int(re.search(r"no-op rows +(\d+) ", first)[1])  # type: ignore[index]
    assert evaluations + repeats == 96
    assert not list((fresh.folder / "results").rglob("*.zarr"))


def test_keys_left_out_take_the_defaults_of_the_schema(fresh: Study) -> None:
    done = fresh.run(
        "plan", "--cores", "1", "--config", "designs={replicates: 16, cycle: {blocks: 512}}"
    )  # fmt: skip
    explicit = re.search(r"rows +6,144\n", done.stdout)
    fresh.configure({"designs": None})
    assert explicit and re.search(r"rows +6,144\n", fresh.run("plan", "--cores", "1").stdout)


def test_a_study_that_does_not_fit_the_memory_is_refused_with_the_numbers(fresh: Study) -> None:
    done = fresh.run("--cores", "1", "--config", "resources={memory_gb: 0.5}", fails=True)
    assert re.search(
        r"configuration error: resources\.memory_gb: found 0\.5, but a job of evaluate of "
        r"net/small/cycle needs 0\.9",
        done.stderr,
    )
    assert not (fresh.folder / "results").exists()


def test_a_study_that_does_not_fit_the_disk_is_refused_with_the_numbers(
    fresh: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 10**5, 10**5))
    with pytest.raises(UserError, match=r"needs up to \d+\.\d KiB of disk, and 97\.7 KiB are free"):
        experiment.Experiment.open(CONFIG, fresh.folder, fresh.folder / "cache")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 0, 10**9))
    experiment.Experiment.open(CONFIG, fresh.folder, fresh.folder / "cache")


def test_a_study_of_terabytes_is_refused_before_anything_is_drawn(fresh: Study) -> None:
    huge = changed(CONFIG, {"designs.cycle.blocks": 2**24, "resources": {"memory_gb": 64}})
    with pytest.raises(UserError, match=r"needs up to .* (GiB|TiB) of disk"):
        experiment.Experiment.open(huge, fresh.folder, fresh.folder / "cache")
    assert not Path(fresh.folder / "results").exists()
