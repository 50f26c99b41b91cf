"""A disk that fills up during a run: the job says what did not fit, and the run goes on later."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_disk import fill, small_disk
from tiny_study import Study, assert_same_numbers

SHARD = "replicates-000-001-blocks-000000-000002"
# Of rules that write much, the last first: what goes before the run, what the full disk does not
# take of it, both from the folder of the study, and the log.
WRITTEN = {
    "summary_present": (
        "analyses/summary",
        "analyses/summary/summary.svg",
        "summary_present-net-small-cycle",
    ),
    "estimate": ("indices", "indices/first.zarr", "indices-net-small-cycle-first"),
    "sums": ("moments/{shard}", "moments/{shard}", "moments-net-small-cycle-{group}-{name}"),
    "evaluate": (
        "activations/{shard}",
        "activations/{shard}",
        "evaluate-net-small-cycle-{group}-{name}",
    ),
}


@pytest.fixture
def study(finished: Study, tmp_path: Path) -> Iterator[Study]:
    """The finished study, with its results on a disk of their own."""
    with small_disk(tmp_path / "study" / "results", mebibytes=64):
        yield finished.copy(tmp_path / "study")


def test_each_stage_names_what_a_full_disk_did_not_take_and_a_later_run_ends_well(
    finished: Study, study: Study
) -> None:
    # The plan counts it as what an earlier run has left: the disk fills up unforeseen.
    filler = study.results / "filler"
    names = {"group": study.group, "name": SHARD, "shard": f"{study.group}/{SHARD}"}
    for rule, texts in WRITTEN.items():
        cleared, place, log = (text.format(**names) for text in texts)
        target = study.indices.parent / place
        shutil.rmtree(study.indices.parent / cleared)
        fill(filler, leave=16_384)
        done = study.run(str(target.relative_to(study.folder)), "--cores", "1", fails=True)
        output = done.stdout + done.stderr
        message = f"{target.relative_to(study.folder)}: cannot be written, the disk is full"
        assert f"error: {message}" in output, output
        assert re.search(rf"Error in rule {rule}\b", output)
        assert "Traceback" not in output
        assert message in (study.results / "logs" / f"{log}.log").read_text()
        assert not target.exists()
        assert not list(study.results.rglob("*partial*"))
        filler.unlink()
    study.run("figures", "--cores", "2")
    assert study.rules_that_would_run("figures") == {}
    assert_same_numbers(finished.indices, study.indices)
