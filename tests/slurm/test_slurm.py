"""A study through profiles/slurm, on a Slurm of this one machine: the numbers of a local run.

`tests/slurm/one_machine.sh install` gets what it needs, as root; `pytest -m slurm` runs it,
`make slurm` without the slow ones. The GPU is a stand-in that Slurm counts and hands out: the
settings name the CPU. Nearly all of the time is waiting: the plugin asks after 2 s, and then each
time 10 s later than before, until a job has ended.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml
from tiny import LAYERS, NETWORK, REPOSITORY, photographs, run_workflow

ONE_MACHINE = Path(__file__).parent / "one_machine.sh"
INDICES = Path("results", "tiny", "net", "set", "cycle", "indices")
CACHE = Path(".snakemake", "variscope", "preflight-tiny.json")

# In the jobs of Slurm, the network stops while a file `wait` lies in the working directory, and
# takes memory where a file `hungry` does: with all else more than a job of the evaluation asks for,
# and less than twice that.
FAULTS = """
import os
import time
from pathlib import Path

HUNGER = 800  # MiB
_network = network


def network(num_classes=3):
    model = _network(num_classes)
    if "SLURM_JOB_ID" in os.environ:
        model.register_forward_pre_hook(wait)
    return model


def wait(module, arguments):
    while Path("wait").exists():
        Path("waiting").write_text(os.environ["SLURM_JOB_ID"])
        time.sleep(0.1)
    if Path("hungry").exists():
        taken = bytearray(b"x") * (HUNGER * 2**20)
        time.sleep(6)  # Slurm looks every second
"""

CONFIG: dict[str, Any] = {
    "experiment": "tiny",
    "seed": 3,
    "dataset": {"kind": "arrays", "path": "images.npz"},
    "models": {"net": {"factory": "net.py:network", "weights": "none", "layers": [*LAYERS]}},
    "variable_sets": {"set": {"variables": ["hue", "rolling", "hflip"]}},
    "designs": {"cycle": {"blocks": 32}, "replicates": 4},
    "evaluation": {"device": "cpu", "rows_per_shard": 224},
}

# Of this Slurm, which keeps no accounts, and of a test, which would rather ask often.
SETTINGS = (
    "--slurm-status-command=squeue",
    "--slurm-init-seconds-before-status-checks=2",
    "--latency-wait=10",
)

pytestmark = pytest.mark.slurm


def missing() -> str | None:
    """Say why there can be no Slurm here."""
    if os.geteuid() != 0:
        return "starting a Slurm needs root"
    for program in ("munged", "slurmctld", "slurmd", "sbatch"):
        if shutil.which(program) is None:
            return f"{program} is not installed: tests/slurm/one_machine.sh install"
    if importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        return "the plugin is not installed: pip install -r envs/requirements-slurm.txt"
    if Path("/etc/slurm/slurm.conf").exists():
        return "a Slurm is here; what a killed test left goes with tests/slurm/one_machine.sh stop"
    return None


@pytest.fixture(scope="module")
def slurm() -> Iterator[None]:
    """A Slurm of one machine, stopped whatever happens."""
    if reason := missing():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)  # munged runs as a user of its own
        folder = str(Path(parent, "slurm"))
        try:
            subprocess.run([str(ONE_MACHINE), "start", folder], check=True, timeout=60)
            yield
        finally:
            subprocess.run([str(ONE_MACHINE), "stop", folder], check=True, timeout=60)


def write_study(folder: Path) -> None:
    """Write images, network and configuration: the same in each working directory."""
    images, labels = photographs()
    np.savez(folder / "images.npz", images=images, labels=labels, part=np.ones(len(labels), int))
    (folder / "net.py").write_text(NETWORK + FAULTS)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, slurm: None) -> Path:
    """The working directory of a run on this machine without Slurm."""
    folder = tmp_path_factory.mktemp("local")
    write_study(folder)
    run_workflow(folder, CONFIG, "indices")
    return folder


@pytest.fixture
def unfinished(local: Path, tmp_path: Path) -> Path:
    """A copy of it without one shard's activations and all that follows from them."""
    folder = tmp_path / "unfinished"
    shutil.copytree(local, folder)
    shutil.rmtree(folder / INDICES)
    for kind in ("activations", "moments"):
        shards = sorted((folder / INDICES.with_name(kind)).glob("*/replicates*"))
        assert len(shards) == 2
        shutil.rmtree(shards[1])
    return folder


@contextmanager
def started(folder: Path, *targets: str) -> Iterator[subprocess.Popen[str]]:
    """Run Snakemake on Slurm as a user does; it does not outlive the block."""
    words = [sys.executable, "-m", "snakemake", *targets, "--configfile", "config.yaml"]
    words += ["--snakefile", str(REPOSITORY / "Snakefile"), "--cores", "2"]
    words += ["--workflow-profile", str(REPOSITORY / "profiles" / "slurm"), *SETTINGS]
    with (folder / "output").open("a+") as output:
        run = subprocess.Popen(
            words,
            cwd=folder,
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            # What runs in the background of a shell ignores the interrupt; a terminal's does not.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        try:
            yield run
        finally:
            if run.poll() is None:
                run.send_signal(signal.SIGINT)  # it cancels its jobs
                try:
                    run.wait(timeout=60)
                except subprocess.TimeoutExpired:
                    run.kill()
                    run.wait()


def output_of(run: subprocess.Popen[str], folder: Path) -> str:
    """Wait for its end, which must be a good one, and return what it printed."""
    try:
        status = run.wait(timeout=600)
    except subprocess.TimeoutExpired:
        status = None
    output = (folder / "output").read_text()
    assert status == 0, output[-6000:]
    return output


def command(*words: str) -> str:
    """Run a command and return what it prints."""
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout


def waiting_job(run: subprocess.Popen[str], folder: Path) -> str:
    """Wait for the first job whose network waits, and return its number."""
    deadline = time.monotonic() + 240
    while not (folder / "waiting").exists() or not (folder / "waiting").read_text():
        assert run.poll() is None, (folder / "output").read_text()[-6000:]
        assert time.monotonic() < deadline, "no job came to the network"
        time.sleep(0.2)
    return (folder / "waiting").read_text()


def jobs() -> list[dict[str, str]]:
    """What Slurm remembers of the jobs it ran, the oldest first: its MinJobAge is 300 s."""
    lines = command("scontrol", "show", "jobs", "--oneliner").splitlines()
    fields = [[word.partition("=") for word in line.split()] for line in lines if "JobId=" in line]
    return [{key: value for key, _, value in words} for words in fields]


def megabytes(job: dict[str, str]) -> int:
    """What a job asked for."""
    return int(job["MinMemoryNode"].removesuffix("M"))


def assert_same_numbers(one: Path, other: Path) -> None:
    """Fail unless two folders of indices hold the same arrays to the last bit."""
    layers = sorted(path.name for path in one.glob("*.zarr"))
    assert layers == sorted(f"{layer}.zarr" for layer in LAYERS)
    assert sorted(path.name for path in other.glob("*.zarr")) == layers
    for layer in layers:
        first, second = xr.open_zarr(one / layer).load(), xr.open_zarr(other / layer).load()
        assert set(first.variables) == set(second.variables) > {"S1", "ST", "S2", "shapley"}
        for name, array in first.variables.items():
            same = second.variables[name]
            assert (array.dtype, array.dims) == (same.dtype, same.dims), (layer, name)
            np.testing.assert_array_equal(array.values, same.values, err_msg=f"{layer} {name}")


def test_slurm_gives_the_numbers_of_a_local_run(local: Path, tmp_path: Path) -> None:
    write_study(tmp_path)
    before = {job["JobId"] for job in jobs()}
    with started(tmp_path) as run:
        output = output_of(run, tmp_path)
    assert_same_numbers(local / INDICES, tmp_path / INDICES)
    assert (tmp_path / "results" / "tiny" / "report.html").stat().st_size > 10_000
    ran = [job for job in jobs() if job["JobId"] not in before]
    # None was killed for its memory: what the rules ask for is enough.
    assert {job["JobState"] for job in ran} == {"COMPLETED"}, output
    # Evaluation, two shards, and the accuracy ask for the GPU; all others stay away from it.
    on_gpu = [job for job in ran if job["Partition"] == "gpu"]
    assert ["gres:gpu:1" in job.get("TresPerJob", "") for job in on_gpu] == [True] * 3
    others = [job for job in ran if job not in on_gpu]
    assert len(others) >= len(LAYERS) and {job["Partition"] for job in others} == {"cpu"}
    # The jobs took what the first process had found, and looked at nothing again.
    costs = (tmp_path / "results" / "tiny" / "net" / "set" / "cycle" / "cost").glob("*/*.json")
    first = min(path.stat().st_mtime for path in costs)
    assert (tmp_path / CACHE).stat().st_mtime < first
    assert json.loads((tmp_path / CACHE).read_text())["found"]["device"] == "cpu"
    with started(tmp_path) as run:
        assert "Nothing to be done" in output_of(run, tmp_path)


# Slurm starts a job of a lost node again after its cred_expire, by itself.
@pytest.mark.parametrize("lost", ["job", pytest.param("node", marks=pytest.mark.slow)])
def test_a_lost_job_is_run_again_and_gives_the_same_numbers(
    lost: str, local: Path, unfinished: Path
) -> None:
    (unfinished / "wait").touch()
    with started(unfinished, "indices") as run:
        number = waiting_job(run, unfinished)
        if lost == "job":
            command("scancel", number)
        else:
            # Slurm takes the node for lost, and finds it again: slurmd still answers.
            host = command("hostname", "-s").strip()
            command("scontrol", "update", f"NodeName={host}", "State=DOWN", "Reason=lost")
        (unfinished / "wait").unlink()
        output = output_of(run, unfinished)
    if lost == "job":
        assert "Trying to restart" in output, output[-6000:]
    else:
        again = next(job for job in jobs() if job["JobId"] == number)
        assert (again["Restarts"], again["JobState"]) == ("1", "COMPLETED")
    assert_same_numbers(local / INDICES, unfinished / INDICES)


@pytest.mark.slow
def test_a_job_that_is_killed_for_its_memory_gets_twice_as_much_and_gives_the_same_numbers(
    local: Path, unfinished: Path
) -> None:
    (unfinished / "hungry").touch()
    before = {job["JobId"] for job in jobs()}
    with started(unfinished, "indices") as run:
        output = output_of(run, unfinished)
    assert "Trying to restart" in output, output[-6000:]
    first, second = [job for job in jobs() if job["JobId"] not in before][:2]
    assert (first["Partition"], second["Partition"]) == ("gpu", "gpu")
    assert (first["JobState"] == "COMPLETED", second["JobState"]) == (False, "COMPLETED")
    assert megabytes(second) == 2 * megabytes(first)
    assert_same_numbers(local / INDICES, unfinished / INDICES)
