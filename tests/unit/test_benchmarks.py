"""Each benchmark runs, at sizes that say nothing about cost, and leaves its tables."""

from __future__ import annotations

import csv
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny import REPOSITORY

COMMANDS = (
    "estimators", "memory", "evaluations", "intervals", "coverage", "differences", "peers",
    "evaluation", "disk", "scaling", "extrapolate", "transit",
    "compiling", "whole", "masking", "contrast", "attributions", "reduction",
)  # fmt: skip
FOR_THE_OTHERS = ("measuring", "rivals", "networks", "hard_units", "stopping")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(REPOSITORY), *sys.path])


def run(name: str, output: Path) -> list[dict[str, str]]:
    """Run a benchmark quickly and return its table as written."""
    importlib.import_module(f"benchmarks.{name}").main(["--quick", "--output", str(output)])
    with (output / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_command_is_tested():
    found = {path.stem for path in (REPOSITORY / "benchmarks").glob("[!_]*.py")}
    assert found == {*COMMANDS, *FOR_THE_OTHERS}


@pytest.mark.parametrize(
    "name",
    [
        "evaluations",
        "intervals",
        "coverage",
        "differences",
        "peers",
        "disk",
        "scaling",
        "transit",
        "compiling",
        "masking",
        "contrast",
        "attributions",
        "reduction",
    ],
)
def test_a_benchmark_runs_and_says_on_what(name: str, tmp_path: Path):
    rows = run(name, tmp_path)
    text = (tmp_path / f"{name}.md").read_text()
    assert "Measured on" in text and "Python" in text and "cores" in text
    assert rows and len(rows) == sum(line.startswith("| ") for line in text.splitlines()) - 2


def test_coverage_under_stopping_is_a_table_of_its_own(tmp_path: Path):
    module = importlib.import_module("benchmarks.coverage")
    module.main(["--stopping", "--quick", "--output", str(tmp_path)])
    with (tmp_path / "stopping.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {"unit", "channel", "layer"} == {row["of"] for row in rows}
    for row in rows:
        # Whoever waits for a second narrow round never stops earlier.
        assert float(row["once blocks"]) <= float(row["twice blocks"])
        assert 0 <= float(row["twice"]) <= 1
    assert not (tmp_path / "coverage.csv").exists()


def test_a_whole_study_is_timed_stage_by_stage(tmp_path: Path):
    rows = {(row["study"], row["stage"]): row for row in run("whole", tmp_path)}
    jobs = {stage: int(row["jobs"]) for (_, stage), row in rows.items()}
    assert jobs["images"] == 1 and jobs["indices"] == 3 and jobs["nothing to do"] == 0
    every = jobs["all jobs"]
    assert every == jobs["whole"] == sum(jobs[name] for name in ("images", "evaluate", "moments",
                                                                 "indices"))  # fmt: skip
    assert {"decompose, first", "decompose, again"} <= jobs.keys()
    for row in rows.values():
        assert 0 < float(row["largest job, seconds"]) <= float(row["seconds"])


def test_a_quick_run_keeps_nothing_unless_told_where(capsys: pytest.CaptureFixture[str]):
    module = importlib.import_module("benchmarks.intervals")
    before = sorted((REPOSITORY / "benchmarks").rglob("*.csv"))
    module.main(["--quick"])
    assert "| function |" in capsys.readouterr().out
    assert sorted((REPOSITORY / "benchmarks").rglob("*.csv")) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", ["estimators", "memory"])
def test_the_libraries_are_measured_on_the_same_activations(name: str, tmp_path: Path):
    methods = {row["method"].split()[0].rstrip(",") for row in run(name, tmp_path)}
    assert {"memcpy", "variscope", "scipy", "SALib"} <= methods


@pytest.mark.slow
def test_the_series_is_extrapolated_from_the_measured_rates(tmp_path: Path):
    evaluation = run("evaluation", tmp_path)[0]
    assert float(evaluation["over forward"]) > 0.5
    series = run("extrapolate", tmp_path)[0]
    expected = int(series["evaluations"]) * float(evaluation["with moments, ms"]) / 86_400e3
    np.testing.assert_allclose(float(series["days of one core"]), expected)


@pytest.mark.parametrize("name", ["chain", "nested", "saltelli"])
def test_the_rivals_are_unbiased_on_a_closed_form(name: str):
    import closed_forms

    module = importlib.import_module("benchmarks.evaluations")
    case = closed_forms.product_case((0.3, 0.2, 0.1, 0.05))
    index = "S1" if name == "saltelli" else "shapley"
    size = 48 if name == "nested" else 4096
    found = np.array([getattr(module, name)(case, size, "random", seed) for seed in range(24)])
    error = found.std(axis=0, ddof=1) / len(found) ** 0.5
    assert np.all(np.abs(found.mean(axis=0) - getattr(case, index)) < 4 * error + 1e-3)


def test_exponents_and_medians_are_those_of_known_costs():
    measuring = importlib.import_module("benchmarks.measuring")
    assert measuring.exponent([1, 2, 4], [3, 12, 48]) == pytest.approx(2)
    calls: list[int] = []
    assert measuring.seconds(lambda: calls.append(1), repeats=3, warm_up=2) >= 0
    assert len(calls) == 5


def test_peak_memory_counts_what_a_call_holds_at_once():
    measuring = importlib.import_module("benchmarks.measuring")
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("only Linux keeps a peak that can be reset")
    found = measuring.peak_bytes(lambda: np.ones(8 * 2**20))
    assert 60 * 2**20 < found < 80 * 2**20
