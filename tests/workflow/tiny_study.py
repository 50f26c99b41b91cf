"""A study of seconds: 24 images of 16 px, a network of three layers, one small variable set."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import xarray as xr
import yaml
from variscope.analyses.registry import built_in
from variscope.errors import UserError
from variscope.study.experiment import Experiment

REPOSITORY = Path(__file__).parents[2]

# While a file `wait` lies in the working directory, the network stops at its second batch.
NETWORK = """
import time
from collections import OrderedDict
from pathlib import Path

from torch import nn


class Tiny(nn.Sequential):
    calls = 0

    def forward(self, images):
        self.calls += 1
        while self.calls > 1 and Path("wait").exists():
            Path("waiting").touch()
            time.sleep(0.02)
        return super().forward(images)


def tiny(num_classes=3):
    return Tiny(
        OrderedDict(
            first=nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU()),
            second=nn.Sequential(nn.Conv2d(4, 5, 3, stride=2, padding=1), nn.ReLU()),
            logits=nn.Sequential(nn.Flatten(), nn.Linear(5 * 4 * 4, num_classes)),
        )
    )


def broken():
    raise RuntimeError("no such file as I want")


def number():
    return 3


def twice():
    shared = nn.ReLU()
    return nn.Sequential(OrderedDict(first=nn.Conv2d(3, 3, 1), relu=shared, again=shared))
"""

CONFIG: dict[str, Any] = {
    "experiment": "tiny",
    "seed": 3,
    "dataset": {"kind": "arrays", "path": "images.npz"},
    "models": {
        "net": {"factory": "net.py:tiny", "weights": "train", "layers": ["first", "logits"]}
    },
    "training": {"epochs": 2, "batch_size": 8},
    "variable_sets": {
        "small": {
            "variables": ["brightness", "hflip"],
            "auxiliary": ["order", "class", "image", "part"],
        }
    },
    "designs": {"cycle": {"blocks": 8}, "replicates": 4},
    "evaluation": {"rows_per_shard": 50, "batch_size": 16},
}

LABELS = np.repeat(np.arange(3), 8)
PART = np.tile([0, 0, 0, 0, 0, 1, 1, 1], 3)


def pixels(seed: int = 0) -> np.ndarray:
    """Noise around one picture per class, (24, 3, 16, 16) uint8."""
    random = np.random.default_rng(seed)
    base = random.random((3, 3, 16, 16))
    return (255 * (0.7 * base[LABELS] + 0.3 * random.random((24, 3, 16, 16)))).astype(np.uint8)


def write_inputs(folder: Path) -> None:
    """Write the images and the network's file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "net.py").write_text(NETWORK)
    np.savez(folder / "images.npz", images=pixels(), labels=LABELS, part=PART)


def changed(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a configuration with settings changed, each by its dotted key; None takes one out."""
    copy = deepcopy(dict(config))
    for key, value in changes.items():
        *parents, last = key.split(".")
        part = copy
        for parent in parents:
            part = part.setdefault(parent, {})
        if value is None:
            del part[last]
        else:
            part[last] = value
    return copy


def rules_of_analyses(*reading: str) -> set[str]:
    """The rules of the analyses that are on and read one of these; without one, of all of them."""
    return {
        f"{entry.name}_{step}"
        for entry in built_in().values()
        if entry.default and entry.about == "all" and not entry.of_tables
        if not reading or set(reading) & set(entry.reads)
        for step, made in (
            ("compute", entry.tables),
            ("present", entry.pictures or entry.has_words),
        )
        if made
    }


@dataclass(frozen=True)
class Job:
    """A job that a dry run announces."""

    rule: str
    wildcards: str


@dataclass(frozen=True)
class Study:
    """A working directory with a configuration, and the clone whose workflow runs there."""

    folder: Path
    clone: Path

    @property
    def results(self) -> Path:
        return self.folder / "results" / "tiny"

    @property
    def indices(self) -> Path:
        return self.results / "net" / "small" / "cycle" / "indices"

    @property
    def group(self) -> str:
        """Name of the one group of layers that was evaluated."""
        (group,) = (path.name for path in (self.indices.parent / "cost").iterdir())
        return group

    def configure(self, changes: Mapping[str, Any] | None = None, name: str = "study.yaml") -> None:
        (self.folder / name).write_text(yaml.safe_dump(changed(CONFIG, changes or {})))

    def command(self, *arguments: str, config: str | None = "study.yaml") -> list[str]:
        snakefile = str(self.clone / "Snakefile")
        command = [sys.executable, "-m", "snakemake", *arguments, "--snakefile", snakefile]
        return command + (["--configfile", config] if config else [])

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start Snakemake as the leader of a process group, as a terminal does."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # What runs in the background of a shell ignores the interrupt; a terminal's does not.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    def run(
        self, *arguments: str, config: str | None = "study.yaml", fails: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run Snakemake to its end; its exit status is checked."""
        done = subprocess.run(
            self.command(*arguments, config=config),
            cwd=self.folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done

    def would_run(self, *arguments: str, **options: Any) -> list[Job]:
        """Return the jobs of a dry run, without the targets."""
        output = self.run("-n", *arguments, **options).stdout
        found = []
        for block in re.split(r"\n(?=(?:local)?(?:rule|checkpoint) \w+:\n)", output)[1:]:
            rule = re.match(r"(?:local)?(?:rule|checkpoint) (\w+):", block)
            wildcards = re.search(r"^    wildcards: (.*)$", block, re.MULTILINE)
            assert rule is not None
            if rule[1] not in TARGETS:
                found.append(Job(rule[1], wildcards[1] if wildcards else ""))
        return found

    def rules_that_would_run(self, *arguments: str, **options: Any) -> Counter[str]:
        return Counter(job.rule for job in self.would_run(*arguments, **options))

    def copy(self, folder: Path, clone: Path | None = None) -> Study:
        """Copy it with its results and Snakemake's memory of them; times are kept."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return Study(folder, clone or self.clone)

    def copy_of_clone(self, folder: Path) -> Path:
        return shutil.copytree(self.clone, folder / "clone")

    def change_module(self, module: str) -> None:
        """Add a comment to a file of the package, in a clone of its own."""
        path = self.clone / "workflow" / "variscope" / module
        comment = "/* changed */" if path.suffix == ".css" else "# changed"
        path.write_text(f"{path.read_text()}\n{comment}\n")


TARGETS = ("default", "all", "indices", "analyses", "figures", "report")


def environment() -> dict[str, str]:
    """Of a terminal: without what pytest or its workers set."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONPATH" and "VARISCOPE" not in k}


def once(folder: Path, make: Callable[[Path], object]) -> Path:
    """Make a folder that the workers of pytest-xdist share: the first one makes it."""
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.with_suffix(".made").exists():
            make(folder)
            folder.with_suffix(".made").touch()
    return folder


def copy_clone(target: Path) -> Path:
    """Copy what a clone has, with compiled files and times, so that nothing is compiled again."""
    for name in ("config", "envs", "profiles", "workflow"):
        shutil.copytree(REPOSITORY / name, target / name)
    shutil.copy2(REPOSITORY / "Snakefile", target)
    return target


def until(condition: Callable[[], object], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@contextmanager
def in_the_middle(study: Study) -> Iterator[tuple[subprocess.Popen[str], list[psutil.Process]]]:
    """Start the evaluation and stop it inside its second batch; give Snakemake and its jobs."""
    (study.folder / "wait").touch()
    run = study.start("indices", "--cores", "1")
    try:
        until(lambda: (study.folder / "waiting").exists() or run.poll() is not None)
        assert run.poll() is None, run.communicate()[0]
        jobs = [
            process
            for process in psutil.Process(run.pid).children(recursive=True)
            if any("evaluate.py" in word for word in process.cmdline())
            and "python" in process.name()
        ]
        assert jobs
        yield run, jobs
        until(lambda: not any(job.is_running() and job.status() != "zombie" for job in jobs), 30)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
        (study.folder / "wait").unlink(missing_ok=True)
        (study.folder / "waiting").unlink(missing_ok=True)


def refusal(config: Mapping[str, Any], folder: Path) -> str:
    """Return the message that a configuration is refused with; no file may have changed."""
    before = _contents(folder)
    with pytest.raises(UserError) as caught:
        Experiment.open(config, folder, folder / ".snakemake" / "variscope")
    assert _contents(folder) == before
    message = str(caught.value)
    assert message and "\n" not in message
    return message


def _contents(folder: Path) -> dict[Path, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files if path.suffix != ".pyc"}


def layers_of(indices: Path) -> dict[str, xr.Dataset]:
    """Open every layer as a user does."""
    return {path.stem: xr.open_zarr(path).load() for path in sorted(indices.glob("*.zarr"))}


def assert_same_numbers(one: Path, other: Path, layers: Collection[str] | None = None) -> None:
    """Fail unless two folders of indices hold the same arrays to the last bit.

    Of all layers, or of those that are named; each folder may hold others then.
    """
    first, second = layers_of(one), layers_of(other)
    if layers is not None:
        first, second = ({name: of[name] for name in layers} for of in (first, second))
    assert list(first) == list(second) != []
    for layer, data in first.items():
        assert set(data.variables) == set(second[layer].variables)
        for name, array in data.variables.items():
            same = second[layer].variables[name].values
            assert array.values.dtype == same.dtype, (layer, name)
            np.testing.assert_array_equal(array.values, same, err_msg=f"{layer} {name}")
