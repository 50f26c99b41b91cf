"""A study grows by what is new alone, and has the numbers of one that was run at once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tiny_study import Job, Study, assert_same_numbers, in_the_middle, once

SIXTEEN = {"designs.cycle.blocks": 16}
EIGHT_REPLICATES = {"designs.cycle.blocks": 32, "designs.replicates": 8}
THREE_LAYERS = {"models.net.layers": ["first", "second", "logits"]}


@pytest.fixture(scope="session")
def sixteen(shared: Path, finished: Study) -> Study:
    """Sixteen blocks from the beginning, summed in transit."""

    def make(folder: Path) -> None:
        study = at_its_beginning(finished, folder)
        study.configure({**SIXTEEN, "storage": "moments"})
        study.run("indices", "--cores", "2")

    return Study(once(shared / "sixteen", make), finished.clone)


def at_its_beginning(finished: Study, folder: Path) -> Study:
    """Copy the finished study without what was evaluated."""
    study = finished.copy(folder)
    for path in sorted((study.results / "net" / "small").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    return study


def evaluated(study: Study) -> list[str]:
    """Names of the shards that would be evaluated."""
    jobs = [job for job in study.would_run("indices") if job.rule == "evaluate"]
    return sorted(job.wildcards.partition("shard=")[2] for job in jobs)


def costly(jobs: list[Job]) -> Counter[str]:
    """Count the jobs that evaluate, sum or estimate."""
    return Counter(job.rule for job in jobs if job.rule in ("evaluate", "sums", "estimate"))


def times(*folders: Path) -> dict[Path, int]:
    """When each file below some folders was written."""
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {path: path.stat().st_mtime_ns for path in files if path.suffix != ".pyc"}


def test_more_blocks_and_then_more_replicates_evaluate_the_new_rows_alone(
    finished: Study, sixteen: Study, tmp_path: Path
) -> None:
    study = finished.copy(tmp_path / "study")
    before = times(study.indices.parent / "activations", study.indices.parent / "cost")
    study.configure(SIXTEEN)
    assert evaluated(study) == [
        "replicates-000-001-blocks-000002-000004",
        "replicates-002-003-blocks-000002-000004",
    ]
    study.run("indices", "--cores", "2")
    assert before.items() <= times(study.indices.parent).items()
    assert_same_numbers(sixteen.indices, study.indices)

    study.configure(EIGHT_REPLICATES)
    assert evaluated(study) == [
        f"replicates-00{r}-00{r}-blocks-000000-000004" for r in (4, 5, 6, 7)
    ]
    study.run("indices", "--cores", "2")
    assert before.items() <= times(study.indices.parent).items()
    scratch = at_its_beginning(finished, tmp_path / "scratch")
    scratch.configure({**EIGHT_REPLICATES, "evaluation.rows_per_shard": 10_000})
    scratch.run("indices", "--cores", "2")
    assert_same_numbers(scratch.indices, study.indices)

    # Smaller again: all is there.
    study.configure(SIXTEEN)
    assert evaluated(study) == []


def test_a_run_that_is_killed_goes_on_with_more_blocks(sixteen: Study, unevaluated: Study) -> None:
    with in_the_middle(unevaluated) as (run, _):
        run.kill()
    unevaluated.configure(SIXTEEN)
    unevaluated.run("--unlock", "--cores", "1")
    unevaluated.run("indices", "--cores", "2")
    assert_same_numbers(sixteen.indices, unevaluated.indices)
    assert not list(unevaluated.results.rglob(".partial*"))


def test_a_layer_added_evaluates_itself_and_one_dropped_nothing(
    finished: Study, tmp_path: Path
) -> None:
    study = finished.copy(tmp_path / "study")
    kept = [study.indices / f"{layer}.zarr" for layer in ("first", "logits")]
    before = times(*kept, study.indices.parent / "activations", study.indices.parent / "moments")
    study.configure(THREE_LAYERS)
    jobs = study.would_run("indices")
    assert costly(jobs) == {"evaluate": 2, "sums": 2, "estimate": 1}
    assert not [job for job in jobs if finished.group in job.wildcards]
    study.run("indices", "aggregates", "--cores", "2")
    assert before.items() <= times(study.indices.parent).items()
    assert_same_numbers(finished.indices, study.indices, ["first", "logits"])

    by_one = at_its_beginning(finished, tmp_path / "by one")
    by_one.configure({**THREE_LAYERS, "evaluation.layers_per_pass": 1})
    expected = {"evaluate": 6, "sums": 6, "estimate": 3}
    assert costly(by_one.would_run("indices")) == expected
    by_one.run("indices", "aggregates", "--cores", "2")
    assert_same_numbers(by_one.indices, study.indices)
    rows = (study.results / "net" / "small" / "summary.csv").read_text()
    assert (by_one.results / "net" / "small" / "summary.csv").read_text() == rows

    study.configure({"models.net.layers": ["second"]})
    jobs = study.would_run()
    assert jobs and costly(jobs) == {}
    study.run("aggregates", "--cores", "2")
    assert before.items() <= times(study.indices.parent).items()
    rows = (study.results / "net" / "small" / "summary.csv").read_text()
    assert "second" in rows and "logits" not in rows
    study.configure(THREE_LAYERS)
    assert costly(study.would_run()) == {}


def test_what_is_evaluated_again_is_what_is_wanted_still(finished: Study, tmp_path: Path) -> None:
    study = finished.copy(tmp_path / "study")
    study.configure({"models.net.layers": ["logits"], "seed": 4})
    study.run("indices", "--cores", "2")
    shards = (study.indices.parent / "activations" / finished.group).glob("replicates*")
    assert {path.name for shard in shards for path in shard.glob("*.zarr")} == {"logits.zarr"}
    # A layer that comes back has no outputs of this seed: a group of its own evaluates it.
    study.configure({"seed": 4})
    jobs = study.would_run("indices")
    assert costly(jobs) == {"evaluate": 2, "sums": 2, "estimate": 1}
    assert not [job for job in jobs if finished.group in job.wildcards]
