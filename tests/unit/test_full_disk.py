"""Writing to a full disk: an error that names what could not be written, and nothing is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from matplotlib.figure import Figure
from small_disk import fill, no_file_larger_than, small_disk
from variscope import figures
from variscope.errors import UserError
from variscope.estimators import Layout, Moments
from variscope.log import LOG
from variscope.stores import activations, chunked
from variscope.stores.atomic import new_directory, new_file
from variscope.stores.moments import write_moments
from variscope.stores.results import write_dataset
from variscope.study.jobs import job

UNIT = (8, 16, 16)
DIMS = ("channel", "y", "x")


def noise(*shape: int) -> np.ndarray:
    """What does not compress."""
    return np.random.default_rng(0).random(shape)


def write_activations(target: Path) -> None:
    with new_directory(target) as folder:
        writer = activations.ActivationsWriter(
            folder / "layer.zarr", blocks=16, rows=8, unit=UNIT, dims=DIMS,
            replicate=np.zeros(16, np.int64), number=np.arange(16),
            order=np.zeros((16, 4), np.int64), attributes={},
        )  # fmt: skip
        for block in noise(16, 8, *UNIT).astype(np.float32):
            writer.append(block[None])
        writer.close()


def write_sums(target: Path) -> None:
    layout = Layout("cycle", 4)
    moments = Moments.zeros(layout, list(range(8)), UNIT)
    moments.sums[...] = noise(*moments.sums.shape)
    with new_directory(target) as folder:
        write_moments(folder / "layer.zarr", [moments], DIMS)


def write_indices(target: Path) -> None:
    data = {name: (("variable", *DIMS), noise(4, *UNIT)) for name in ("S1", "ST", "shapley")}
    with new_directory(target) as folder:
        write_dataset(folder / "layer.zarr", xr.Dataset(data))


def write_figure(target: Path) -> None:
    figure = Figure(figsize=(8, 8))
    figure.add_subplot().imshow(noise(300, 300))
    figures.save(figure, target)


def write_table(target: Path) -> None:
    with new_file(target) as file:
        pd.DataFrame(noise(20_000, 2)).to_csv(file)


WRITERS: dict[str, Callable[[Path], None]] = {
    "activations": write_activations,
    "moments": write_sums,
    "indices": write_indices,
    "figure": write_figure,
    "table": write_table,
}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", mebibytes=8) as folder:
        yield folder


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_what_does_not_fit_is_named_and_leaves_nothing_and_succeeds_once_there_is_room(
    disk: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(activations, "CHUNK_BYTES", 2**17)
    # Room enough for the first files of each.
    fill(disk / "other", leave=50_000)
    with pytest.raises(
        UserError, match=rf"^{disk}/mine(\.svg)?: cannot be written, the disk is full;"
    ):
        write(disk / "mine")
    assert [path.name for path in disk.iterdir()] == ["other"]
    (disk / "other").unlink()
    write(disk / "mine")
    assert not list(disk.glob(".*"))
    assert sum(path.stat().st_size for path in disk.rglob("*") if path.is_file()) > 50_000


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_file_that_is_too_large_is_named_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path], None]
) -> None:
    monkeypatch.setattr(activations, "CHUNK_BYTES", 2**17)
    with (
        no_file_larger_than(20_000),
        pytest.raises(
            UserError, match=rf"^{tmp_path}/mine(\.svg)?: cannot be written, the file is larger"
        ),
    ):
        write(tmp_path / "mine")
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_before_stays_where_its_successor_does_not_fit(tmp_path: Path) -> None:
    write_sums(tmp_path / "mine")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with no_file_larger_than(2000), pytest.raises(UserError, match="mine: cannot be written"):
        write_sums(tmp_path / "mine")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_chunks_that_were_on_their_way_do_not_make_the_directory_anew(tmp_path: Path) -> None:
    with (
        no_file_larger_than(20_000),
        pytest.raises(UserError, match="mine: cannot be written"),
        new_directory(tmp_path / "mine") as folder,
    ):
        group = zarr.open_group(str(folder / "layer.zarr"), mode="w")
        chunked.write(group, "x", noise(300, 4000), chunks=(1, 4000))
    time.sleep(0.3)
    assert list(tmp_path.iterdir()) == []


def test_another_error_passes_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), new_directory(tmp_path / "mine"):
        1 / 0  # noqa: B018
    with pytest.raises(FileNotFoundError), new_file(tmp_path / "mine"):
        (tmp_path / "none").read_text()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def quiet_log() -> Iterator[None]:
    before = list(LOG.handlers)
    yield
    for handler in [handler for handler in LOG.handlers if handler not in before]:
        handler.close()
        LOG.removeHandler(handler)


def test_a_job_on_a_full_disk_ends_with_the_message_alone_and_its_log_says_it_once_it_can(
    disk: Path, capsys: pytest.CaptureFixture[str], quiet_log: None
) -> None:
    fill(disk / "other", leave=0)
    with pytest.raises(SystemExit) as ended, job(str(disk / "job.log")):
        write_table(disk / "mine")
    message = f"{disk}/mine: cannot be written, the disk is full"
    assert str(ended.value).startswith(f"error: {message}")
    assert "Traceback" not in capsys.readouterr().err
    (disk / "other").unlink()
    LOG.handlers[-1].close()  # as at the end of a process
    assert message in (disk / "job.log").read_text()
