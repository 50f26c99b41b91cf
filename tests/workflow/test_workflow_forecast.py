"""The plan says how long the evaluation takes and how it knows, and what will be drawn."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_study import CONFIG, changed
from variscope.analyses.registry import built_in
from variscope.inputs.scores import DRAWS
from variscope.study.experiment import Experiment
from variscope.study.forecast import answered, duration, forecast, pictures, rate


def opened(folder: Path, **changes: object) -> Experiment:
    return Experiment.open(changed(CONFIG, changes), folder, folder / ".snakemake" / "variscope")


def with_seconds(experiment: Experiment, seconds: float) -> Experiment:
    models = {"net": replace(experiment.found.models["net"], seconds={"small": seconds})}
    return replace(experiment, found=replace(experiment.found, models=models))


def test_a_rate_is_timed_first_and_then_as_the_run_before_went(folder: Path):
    experiment = opened(folder)
    (study,) = experiment.studies
    results = folder / "results" / "tiny"
    seconds, how = rate(study, experiment.found, results)
    assert seconds > 0 and how == "measured when this was planned"
    assert how in experiment.plan_text()
    cost = results / "net" / "small" / "cycle" / "cost" / "group"
    cost.mkdir(parents=True)
    for shard, of in enumerate(((100, 3.0), (300, 5.0))):
        text = json.dumps(dict(zip(("evaluations", "seconds"), of, strict=True)))
        (cost / f"{shard}.json").write_text(text)
    (cost / "not-needed.json").write_text("{}")
    assert rate(study, experiment.found, results) == (8 / 400, "as the last run went")
    assert "at 50 images a second of net/small/cycle, as the last run went" in (
        experiment.plan_text()
    )


def test_no_job_depends_on_what_was_timed(folder: Path):
    experiment = opened(folder)
    slower = with_seconds(experiment, 3600.0)
    assert slower.plan_text() != experiment.plan_text()
    names = {"model": "net", "variable_set": "small", "design": "cycle"}
    assert slower.provenance(**names) == experiment.provenance(**names)
    for of in ("model", "network", "measured"):
        assert getattr(slower, of)("net") == getattr(experiment, of)("net")
    assert slower.variable_set("small") == experiment.variable_set("small")
    assert slower.plan == experiment.plan


def test_shards_side_by_side_take_less_time(folder: Path):
    experiment = with_seconds(opened(folder), 3600.0)
    hours = {}
    for cores in (1, 2):
        lines = forecast(
            experiment.plan, experiment.found, (), folder / "results", threads=1, cores=cores
        )
        (line,) = (line for line in lines if "evaluation" in line)
        hours[cores] = int(line.split()[-4].replace(",", ""))
    (study,) = experiment.studies
    assert len(study.shards) >= 2
    assert hours == {1: study.evaluations, 2: pytest.approx(study.evaluations / 2, abs=1)}


def test_pictures_are_counted_per_layer_set_and_study(folder: Path):
    experiment = opened(folder)
    one = experiment.studies
    more = (*one, replace(one[0], variable_set="other"))
    of = built_in()
    layers = len(one[0].layers)
    assert pictures(one, [of["maps"]]) == layers and pictures(more, [of["maps"]]) == 2 * layers
    assert (pictures(one, [of["summary"]]), pictures(more, [of["summary"]])) == (1, 2)
    assert (pictures(one, [of["samples"]]), pictures(more, [of["samples"]])) == (1, 2)
    assert pictures(more, of.values()) == sum(pictures(more, [entry]) for entry in of.values())


def test_what_a_model_answers_is_counted_where_its_classes_are_others(folder: Path):
    assert answered(opened(folder).found) == 0
    other = {"models.net.weights": "none", "models.net.arguments": {"num_classes": 7}}
    found = opened(folder, **other).found
    assert found.models["net"].answers.measured == "agreement"
    # Brightness, hflip, both, and none; then all 24 images.
    assert answered(found) == 4 * DRAWS + 24


def test_times_are_hours_and_minutes():
    assert [duration(s) for s in (8.4, 89.6, 150, 3599.9, 86_400 * 2 + 61)] == [
        "8 s",
        "90 s",
        "2 min",
        "1 h 0 min",
        "48 h 1 min",
    ]
