"""What a study takes from the command to the page, stage by stage.

Run it by ``python -m benchmarks.whole``.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import yaml

from benchmarks.measuring import Row, arguments, write

REPOSITORY = Path(__file__).resolve().parents[1]
CORES = 2
IMAGES = {"kind": "photographs", "images_per_class": 4, "image_size": 32}
VARIABLES, AUXILIARY = ["brightness", "hflip", "rotation"], ["order", "class", "image"]
DESIGN = {"blocks": 64, "replicates": 4}

# A study of seconds: nearly all of it is what the workflow does around the evaluation.
SMALL: dict[str, Any] = {
    "experiment": "small",
    "dataset": IMAGES,
    "models": {
        "convnet": {
            "factory": "variscope.inputs.networks:convnet",
            "weights": "none",
            "layers": ["stage1", "stage3", "logits"],
            "mean": [0.5, 0.5, 0.5],
            "std": [0.25, 0.25, 0.25],
        }
    },
    "variable_sets": {"set": {"variables": VARIABLES, "auxiliary": AUXILIARY}},
    "designs": {"cycle": {"blocks": DESIGN["blocks"]}, "replicates": DESIGN["replicates"]},
}

# The same study from Python, a process of its own as well.
DECOMPOSE = f"""
from pathlib import Path

import variscope
from variscope.inputs.images import open_images
from variscope.inputs.networks import convnet

table = open_images({IMAGES!r}, seed=1, folder=Path())
variscope.decompose(
    convnet(),
    table.load(range(len(table))),
    table.label,
    variables={VARIABLES!r},
    auxiliary={AUXILIARY!r},
    layers={SMALL["models"]["convnet"]["layers"]!r},
    mean=[0.5] * 3,
    std=[0.25] * 3,
    progress=False,
    **{DESIGN!r},
)
"""

NOTES = """
`python -m benchmarks.whole`, which runs `snakemake --cores {cores}` in a fresh copy of this
repository each, whose caches are empty: bytecode, compiled kernels, fonts and the preflight's
findings are made anew. `default` is the embedded study; `small` is one of {evaluations:,}
evaluations, in which nearly all is start-up. `seconds` of a stage are those of its jobs added up,
of which up to {cores} ran side by side, and `largest job` is the longest of them; `whole` is what
the clock said from the command to its end, and `nothing to do` the same command once more.
`decompose` is the small study by `variscope.decompose` in a process of its own, imports included,
with empty caches (first) and with what that left (again); it draws nothing.
"""


def main(given: Sequence[str] | None = None) -> list[Row]:
    """Run the benchmark and return its table."""
    options = arguments(__doc__ or "", given)
    rows: list[Row] = []
    if not options.quick:
        with fresh_copy() as (folder, environment):
            rows += workflow("default", [], folder, environment)
    with fresh_copy() as (folder, environment):
        (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
        targets = ["indices"] if options.quick else []
        rows += workflow("small", [*targets, "--configfile", "small.yaml"], folder, environment)
        costs = (folder / "results" / "small").rglob("cost/*/*.json")
        evaluations = sum(yaml.safe_load(cost.read_text())["evaluations"] for cost in costs)
    with fresh_copy() as (folder, environment):
        for stage in ("decompose, first", "decompose, again"):
            taken = timed([sys.executable, "-c", DECOMPOSE], folder, environment)
            rows.append(row("small", stage, 1, taken, taken))
    notes = NOTES.format(cores=CORES, evaluations=evaluations)
    write("whole", "A study from the command to the page", notes, rows, options)
    return rows


@contextmanager
def fresh_copy() -> Iterator[tuple[Path, dict[str, str]]]:
    """Copy what a clone has, without what was compiled or found; give it and an environment."""
    with TemporaryDirectory() as parent:
        folder = Path(parent, "clone")
        folder.mkdir()
        compiled = shutil.ignore_patterns("__pycache__", ".snakemake")
        for name in ("config", "envs", "profiles", "workflow"):
            shutil.copytree(REPOSITORY / name, folder / name, ignore=compiled)
        shutil.copy(REPOSITORY / "Snakefile", folder)
        caches = {"XDG_CACHE_HOME": "any", "MPLCONFIGDIR": "fonts", "NUMBA_CACHE_DIR": "kernels"}
        yield (
            folder,
            {
                **{key: value for key, value in os.environ.items() if "VARISCOPE" not in key},
                **{key: str(Path(parent, name)) for key, name in caches.items()},
                "PYTHONPATH": str(folder / "workflow"),
            },
        )


def workflow(
    study: str, words: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> list[Row]:
    """Run a study and return what its stages took, in the order of their first ends."""
    command = [sys.executable, "-m", "snakemake", *words, "--cores", str(CORES)]
    whole = timed(command, folder, environment)
    stages: dict[str, list[float]] = defaultdict(list)
    files = list(folder.glob("results/*/benchmarks/*.tsv"))
    for file in sorted(files, key=lambda file: file.stat().st_mtime):
        with file.open(newline="") as lines:
            (job,) = csv.DictReader(lines, delimiter="\t")
        stages[file.stem.partition("-")[0]].append(float(job["s"]))
    found = [row(study, name, len(jobs), sum(jobs), max(jobs)) for name, jobs in stages.items()]
    jobs = sum(map(len, stages.values()))
    seconds = sum(map(sum, stages.values()))
    found.append(row(study, "all jobs", jobs, seconds, max(map(max, stages.values()))))
    found.append(row(study, "whole", jobs, whole, whole))
    again = timed(command, folder, environment)
    return [*found, row(study, "nothing to do", 0, again, again)]


def timed(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> float:
    """Run a command to its end and return its seconds.

    Raises:
        RuntimeError: it fails; with the end of what it said.
    """
    start = perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    taken = perf_counter() - start
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command[:4])} failed:\n{(done.stdout + done.stderr)[-4000:]}"
        )
    return taken


def row(study: str, stage: str, jobs: int, seconds: float, largest: float) -> Row:
    """Return a row of the table."""
    return {
        "study": study,
        "stage": stage,
        "jobs": jobs,
        "seconds": seconds,
        "largest job, seconds": largest,
    }


if __name__ == "__main__":
    main()
