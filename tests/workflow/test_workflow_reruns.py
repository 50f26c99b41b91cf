"""What reruns: the stages that depend on what changed, and no others."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_study import LABELS, PART, Study, pixels, rules_of_analyses

AFTER_INDICES = {rule: 1 for rule in (*rules_of_analyses("indices"), "page")}
DRAWN = {rule: 1 for rule in rules_of_analyses() if rule.endswith("_present")}
SAMPLES = {rule: 1 for rule in rules_of_analyses("images")}


@pytest.fixture
def study(finished: Study, tmp_path: Path) -> Study:
    return finished.copy(tmp_path / "study")


@pytest.mark.parametrize(
    "changes, jobs",
    [
        ({"confidence_level": 0.9}, {"estimate": 2, **AFTER_INDICES}),
        (
            {"variable_sets.small.groups": {"both": ["brightness", "hflip"]}},
            {"estimate": 2, **AFTER_INDICES},
        ),
        ({"resources": {"memory_gb": 8}}, {"page": 1}),
        (
            {"variable_sets.small.apply": "switched"},
            {"evaluate": 2, "sums": 2, "estimate": 2, **SAMPLES, **AFTER_INDICES},
        ),
        (
            {"seed": 4},
            {
                **{rule: 1 for rule in ("images", "train", "accuracy", *SAMPLES)},
                **{"evaluate": 2, "sums": 2, "estimate": 2},
                **AFTER_INDICES,
            },
        ),
        (
            {"models.net.softmax": True},
            {"evaluate": 2, "sums": 2, "estimate": 1, **AFTER_INDICES},  # of the last layer
        ),
        (
            {"evaluation.precision": "bfloat16"},
            {"evaluate": 2, "sums": 2, "estimate": 2, **AFTER_INDICES},
        ),
        pytest.param(
            {"evaluation.compile": True},
            {"evaluate": 2, "sums": 2, "estimate": 2, **AFTER_INDICES},
            marks=pytest.mark.skipif(
                shutil.which(os.environ.get("CXX", "g++")) is None,
                reason="torch.compile needs a C++ compiler, and none is here",
            ),
        ),
    ],
    ids=[
        "confidence level",
        "groups",
        "memory",
        "distribution",
        "seed",
        "softmax",
        "precision",
        "compile",
    ],
)
def test_a_setting_reruns_what_depends_on_it(
    study: Study, changes: dict[str, Any], jobs: dict[str, int]
) -> None:
    study.configure(changes)
    assert study.rules_that_would_run() == jobs


def test_a_study_in_another_place_has_nothing_to_do(study: Study) -> None:
    assert study.rules_that_would_run() == {}


def test_bounds_of_one_set_rerun_that_set_alone(study: Study) -> None:
    two = {"variable_sets.other": {"variables": ["hflip"]}}
    study.configure(two)
    added = study.would_run()
    assert {job.wildcards for job in added if "set=small" in job.wildcards} == set()
    rules = {"evaluate": 2, "sums": 2, "estimate": 2, **SAMPLES, **AFTER_INDICES}
    assert Counter(job.rule for job in added)["estimate"] == 2
    study.configure(
        {"variable_sets.small.variables": [{"name": "brightness", "factor": [0.9, 1.1]}, "hflip"]}
    )
    assert study.rules_that_would_run() == rules


def test_another_model_leaves_the_first_alone(study: Study) -> None:
    study.configure({"models.plain": {"factory": "net.py:tiny", "layers": ["second"]}})
    jobs = study.would_run()
    assert {job.rule for job in jobs} >= {"evaluate", "accuracy", "page"}
    assert not [job for job in jobs if "model=net" in job.wildcards]


def test_other_images_rerun_everything(study: Study) -> None:
    np.savez(study.folder / "images.npz", images=pixels(1), labels=LABELS, part=PART)
    jobs = study.rules_that_would_run()
    assert jobs["images"] == jobs["train"] == 1
    assert jobs["evaluate"] == 2


def test_another_network_file_reruns_that_model(study: Study) -> None:
    file = study.folder / "net.py"
    file.write_text(file.read_text() + "\n# changed\n")
    jobs = study.rules_that_would_run()
    assert jobs["train"] == 1
    assert jobs["evaluate"] == 2
    assert jobs["images"] == jobs["samples_present"] == 0


@pytest.mark.parametrize(
    "module, jobs",
    [
        ("figures/style.py", {**DRAWN, "page": 1}),
        ("reporting/page.py", {"page": 1}),
        ("reporting/report.css", {"page": 1}),
        ("estimators/intervals.py", {"estimate": 2, **AFTER_INDICES}),
        (
            "responses/network/evaluator.py",
            {"evaluate": 2, "sums": 2, "estimate": 2, **AFTER_INDICES},
        ),
        ("stores/results.py", {"estimate": 2, **AFTER_INDICES, **SAMPLES}),
        ("decomposition.py", {}),
    ],
)
def test_a_changed_module_reruns_the_stages_that_use_it(
    finished: Study, tmp_path: Path, module: str, jobs: dict[str, int]
) -> None:
    study = finished.copy(tmp_path / "study", finished.copy_of_clone(tmp_path))
    study.change_module(module)
    assert study.rules_that_would_run() == jobs
