"""A run that is killed leaves nothing half done, and the same command ends what it began."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from tiny_study import Study, assert_same_numbers, in_the_middle
from variscope.errors import UserError
from variscope.stores.activations import ActivationsReader
from variscope.stores.moments import MomentsReader
from variscope.stores.results import read_dataset


def assert_complete_or_absent(study: Study) -> None:
    """Every directory that is there can be read to its end."""
    stores = (study.results / "net").rglob("activations/*/*/*.zarr")
    for store in stores:
        if not any(part.startswith(".partial") for part in store.parts):
            assert sum(len(blocks.outputs) for blocks in ActivationsReader(store)) == 4


def assert_resumes(study: Study, finished: Study) -> None:
    study.run("indices", "--cores", "2")
    assert_same_numbers(finished.indices, study.indices)
    assert not list(study.results.rglob(".partial*"))


def test_a_run_ended_with_control_c_resumes(finished: Study, unevaluated: Study) -> None:
    with in_the_middle(unevaluated) as (run, _):
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to all of its processes
        run.wait(60)
        assert run.returncode != 0
    assert_complete_or_absent(unevaluated)
    assert_resumes(unevaluated, finished)


@pytest.mark.slow
def test_a_request_to_end_snakemake_alone_resumes(finished: Study, unevaluated: Study) -> None:
    with in_the_middle(unevaluated) as (run, _):
        run.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        (unevaluated.folder / "wait").rename(unevaluated.folder / "go")
        run.wait(60)
        (unevaluated.folder / "go").rename(unevaluated.folder / "wait")
    assert_complete_or_absent(unevaluated)
    assert_resumes(unevaluated, finished)


def test_a_killed_job_is_named_and_its_run_resumes(finished: Study, unevaluated: Study) -> None:
    with in_the_middle(unevaluated) as (run, jobs):
        for job in jobs:
            job.kill()
        output = run.communicate(timeout=60)[0]
        assert run.returncode != 0
        assert "Error in rule evaluate" in output
    assert_complete_or_absent(unevaluated)
    assert_resumes(unevaluated, finished)


def test_a_killed_snakemake_takes_its_jobs_along_and_resumes(
    finished: Study, unevaluated: Study
) -> None:
    with in_the_middle(unevaluated) as (run, _):
        run.kill()  # and nobody waits for it: the jobs notice all the same
    assert_complete_or_absent(unevaluated)
    refused = unevaluated.run("indices", "--cores", "2", fails=True)
    assert "--unlock" in refused.stdout + refused.stderr
    unevaluated.run("--unlock", "--cores", "1")
    assert_resumes(unevaluated, finished)


def chunks(folder: Path, array: str) -> Path:
    """A chunk file of an array."""
    return next(path for path in sorted((folder / array / "c").rglob("*")) if path.is_file())


STORES = {
    "activations": (
        "activations/{group}/replicates-000-001-blocks-000000-000002/first.zarr",
        "activations",
        "sums",
    ),
    "moments": (
        "moments/{group}/replicates-000-001-blocks-000000-000002/logits.zarr",
        "sums",
        "estimate",
    ),
    "indices": ("indices/first.zarr", "S1", "aggregates_compute"),
}


def damage(chunk: Path, how: str) -> None:
    if how == "missing":
        chunk.unlink()
    else:
        content = bytearray(chunk.read_bytes())
        content[len(content) // 2] ^= 0xFF
        chunk.write_bytes(content)


@pytest.mark.parametrize(
    "store, how", [("activations", "damaged"), ("moments", "missing"), ("indices", "damaged")]
)
def test_a_job_that_meets_a_bad_chunk_names_its_file(
    finished: Study, tmp_path: Path, store: str, how: str
) -> None:
    study = finished.copy(tmp_path / "study")
    place, array, rule = STORES[store]
    chunk = chunks(study.indices.parent / place.format(group=study.group), array)
    damage(chunk, how)
    targets = ("indices", "aggregates")
    done = study.run(*targets, "--cores", "1", "--forcerun", rule, fails=True)
    output = done.stdout + done.stderr
    assert f"error: {chunk.relative_to(study.folder)}: this chunk is {how}" in output
    assert f"Error in rule {rule}" in output
    assert "Traceback" not in output


def read(store: str, path: Path) -> object:
    if store == "activations":
        return list(ActivationsReader(path))
    return MomentsReader(path).read() if store == "moments" else read_dataset(path)


@pytest.mark.parametrize("how", ["damaged", "missing"])
@pytest.mark.parametrize("store", STORES)
def test_no_file_of_a_store_can_be_damaged_or_lost_without_an_error_that_names_it(
    finished: Study, tmp_path: Path, store: str, how: str
) -> None:
    whole = finished.indices.parent / STORES[store][0].format(group=finished.group)
    files = sorted(p.relative_to(whole) for p in whole.rglob("*") if "c" in p.parts and p.is_file())
    for number, file in enumerate(files):
        shutil.copytree(whole, tmp_path / f"{number}.zarr")
        damage(tmp_path / f"{number}.zarr" / file, how)
        with pytest.raises(UserError, match=f"{file}: this chunk is {how}"):
            read(store, tmp_path / f"{number}.zarr")


@pytest.mark.parametrize("store", ["activations", "moments"])
def test_a_lost_description_of_an_array_is_an_error_that_names_it(
    finished: Study, tmp_path: Path, store: str
) -> None:
    place, array, _ = STORES[store]
    whole = finished.indices.parent / place.format(group=finished.group)
    copy = shutil.copytree(whole, tmp_path / "copy.zarr")
    (copy / array / "zarr.json").unlink()
    with pytest.raises(UserError, match=rf"{array}/zarr\.json: this array's description"):
        read(store, copy)
