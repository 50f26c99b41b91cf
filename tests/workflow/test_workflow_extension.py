"""A user's own study: images in a folder, a network and an augmentation in files, odd paths."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
import yaml
from PIL import Image
from tiny_study import Study, once, write_inputs

# Augmentations and networks are the user's: nothing of them is in the package.
AUGMENTATION = """
import torch

from variscope.space.augmentations import Parameter, augmentation


@augmentation(
    "stripe",
    parameters=[Parameter(name="column", low=0, high=1, scale="width", unit="px")],
    description="A black column.",
)
def stripe(images, parameters, *, wide=2.0):
    column = torch.arange(images.shape[-1])
    near = (column - parameters[:, :1]).abs() < wide
    return torch.where(near[:, None, None, :], 0.0, images)
"""

CONFIG = {
    "experiment": "own",
    "dataset": {
        "kind": "image_folder",
        "path": "my photos",
        "image_size": 16,
        "on_error": "skip",
        "valid_fraction": 0.5,
    },
    "augmentations": ["my code/stripe.py"],
    "models": {
        "mine": {
            "factory": "my code/net.py:tiny",
            "arguments": {"num_classes": 2},
            "weights": "my code/weights.pt",
            "layers": ["second", "logits"],
            "mean": [0.5, 0.5, 0.5],
            "std": [0.25, 0.25, 0.25],
        }
    },
    "variable_sets": {
        "stripes": {"variables": [{"name": "stripe", "wide": 1.5}, "hflip"], "apply": "switched"}
    },
    "designs": {"star": {"blocks": 4}, "replicates": 2},
}


@pytest.fixture(scope="session")
def own(clone: Path, shared: Path) -> Study:
    """A study of JPEGs, one of them truncated, run to its end."""
    return Study(once(shared / "a folder with spaces", lambda folder: make(folder, clone)), clone)


def make(folder: Path, clone: Path) -> None:
    """Write the inputs and run the study."""
    write_inputs(folder / "my code")
    (folder / "my code" / "images.npz").unlink()
    (folder / "my code" / "stripe.py").write_text(AUGMENTATION)
    write_weights(folder / "my code")
    random = np.random.default_rng(2)
    for number, name in enumerate(["cat", "sea lion"]):
        (folder / "my photos" / name).mkdir(parents=True)
        for image in range(6):
            noise = random.integers(60 * number, 120 + 60 * number, (20, 30, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / "my photos" / name / f"image {image}.jpg")
    broken = folder / "my photos" / "cat" / "image 3.jpg"
    broken.write_bytes(broken.read_bytes()[:400])
    study = Study(folder, clone)
    (folder / "study.yaml").write_text(yaml.safe_dump(CONFIG))
    study.run("--cores", "2")


def write_weights(folder: Path) -> None:
    """Save a state dict of the network in the folder's net.py."""
    space: dict = {}
    exec((folder / "net.py").read_text(), space)
    torch.manual_seed(5)
    torch.save(space["tiny"](num_classes=2).state_dict(), folder / "weights.pt")


def test_an_augmentation_of_ones_own_is_a_variable_like_the_others(own: Study) -> None:
    results = own.folder / "results" / "own" / "mine" / "stripes"
    data = xr.open_zarr(results / "star" / "indices" / "second.zarr").load()
    assert list(data["variable"].values) == ["stripe", "hflip", "order", "class", "image"]
    assert data["ST"].sizes == {"variable": 5, "channel": 5, "y": 4, "x": 4}
    assert float(data["ST_layer"].sel(variable="stripe")) > 0
    assert "shapley" not in data
    assert (data.attrs["design"], data.attrs["apply"]) == ("star", "switched")


def test_the_weights_of_the_file_are_those_that_ran(own: Study) -> None:
    # Random weights on two classes of noise: what counts is that they were loaded and not trained.
    assert not (own.folder / "results" / "own" / "mine" / "weights.pt").exists()
    measured = json.loads((own.folder / "results" / "own" / "mine" / "accuracy.json").read_text())
    assert measured["valid"]["n"] > 0
    data = xr.open_zarr(
        own.folder / "results/own/mine/stripes/star/indices/logits.zarr", consolidated=True
    )
    provenance = json.loads(data.attrs["provenance"])
    assert provenance["model"]["weights"] == "my code/weights.pt"
    assert provenance["model"]["mean"] == [0.5, 0.5, 0.5]


def test_an_image_that_cannot_be_read_is_left_out_named_and_counted(own: Study) -> None:
    results = own.folder / "results" / "own"
    counted = json.loads((results / "inputs" / "images.json").read_text())
    assert counted["images"] == 11
    assert counted["skipped_count"] == 1
    assert counted["skipped"][0][0] == "cat/image 3.jpg"
    # Nothing is trained here, and part is not a variable: all images are studied.
    assert counted["images_per_class"]["valid"]["sea lion"] == 6
    page = (results / "report.html").read_text()
    assert re.search(r"1 left out, .*cannot be decoded: cat/image 3\.jpg", page)


def test_one_more_image_reruns_the_study(own: Study, tmp_path: Path) -> None:
    study = own.copy(tmp_path / "again and again")
    assert study.rules_that_would_run() == {}
    cats = study.folder / "my photos" / "cat"
    shutil.copy(cats / "image 1.jpg", cats / "image 7.jpg")
    jobs = study.rules_that_would_run()
    assert jobs["images"] == jobs["samples_present"] == jobs["page"] == 1
    assert jobs["evaluate"] == 1


def test_other_weights_or_another_augmentation_rerun_the_evaluation(
    own: Study, tmp_path: Path
) -> None:
    study = own.copy(tmp_path / "again")
    state = torch.load(study.folder / "my code" / "weights.pt", weights_only=True)
    state["logits.1.bias"] += 1
    torch.save(state, study.folder / "my code" / "weights.pt")
    jobs = study.rules_that_would_run()
    assert jobs["evaluate"] == 1
    assert jobs["images"] == jobs["samples_present"] == 0
    shutil.copytree(own.folder / "my code", study.folder / "my code", dirs_exist_ok=True)
    assert study.rules_that_would_run() == {}
    file = study.folder / "my code" / "stripe.py"
    file.write_text(file.read_text().replace("0.0, images", "0.5, images"))
    jobs = study.rules_that_would_run()
    assert jobs["evaluate"] == 1
    assert jobs["samples_present"] == 1
    assert jobs["images"] == jobs["accuracy"] == 0


ANALYSIS = """
import pandas as pd
from matplotlib.figure import Figure
from variscope.analyses import Analysis, Picture, Table, Words, integer, text
from variscope.indices.reading import layers

ANALYSIS = Analysis(
    name="wide",
    title="How wide layers are",
    question="How many units has each layer?",
    tables=(
        Table(
            name="units",
            title="Units",
            columns=(text("layer", "its name"), integer("n", "units")),
        ),
    ),
    pictures=(Picture(name="wide", title="Units", caption="Units of each layer."),),
    settings={"least": {"type": "integer", "minimum": 1, "default": 1, "description": "Units."}},
)


def compute(source):
    rows = [{"layer": name, "n": data["status"].size} for name, data in layers(source.tree).items()]
    table = pd.DataFrame(rows)
    return {"units": table[table["n"] >= source.settings["least"]]}


def draw_wide(source, tables):
    figure = Figure(figsize=(5, 2))
    figure.subplots().barh(tables["units"]["layer"], tables["units"]["n"])
    return figure


def words(source, tables):
    return Words(answer=f"{tables['units']['n'].sum()} units are in wide layers.")
"""


def test_an_analysis_of_ones_own_has_rules_a_table_a_picture_and_a_place_on_the_page(
    finished: Study, tmp_path: Path
) -> None:
    study = finished.copy(tmp_path / "study")
    (study.folder / "wide.py").write_text(ANALYSIS)
    study.configure({"analyses": {"wide": {"file": "wide.py", "least": 4}, "pairs": False}})
    jobs = study.rules_that_would_run()
    assert jobs == {"wide_compute": 1, "wide_present": 1, "page": 1}
    study.run("--cores", "2")
    folder = study.results / "net" / "small" / "cycle" / "analyses" / "wide"
    assert (folder / "units.csv").read_text() == "layer,n\nfirst,256\n"
    assert (folder / "wide.pdf").is_file()
    page = (study.results / "report.html").read_text()
    for words in ("How wide layers are", "256 units are in wide layers.", "How many units has"):
        assert words in page
    assert "Which two variables do something together" not in page
    # A changed file reruns itself and the page, and a setting of another is refused by name.
    (study.folder / "wide.py").write_text(ANALYSIS.replace("in wide layers", "in all"))
    assert study.rules_that_would_run() == {"wide_compute": 1, "wide_present": 1, "page": 1}
    study.configure({"analyses": {"wide": {"file": "wide.py", "least": 0}}})
    done = study.run("--cores", "1", fails=True)
    assert "analyses.wide.least: found 0; allowed: an integer of at least 1" in done.stderr


METHOD = """
import torch


def times_input(model, images, target):
    images = images.detach().requires_grad_()
    score = model(images).gather(1, target[:, None]).sum()
    (slope,) = torch.autograd.grad(score, images)
    return (slope * images).detach().sum(dim=1)
"""


def test_a_method_of_ones_own_is_held_against_others_and_runs_again_where_it_changes(
    finished: Study, tmp_path: Path
) -> None:
    study = finished.copy(tmp_path / "study")
    (study.folder / "own.py").write_text(METHOD)
    settings = {"methods": ["gradient", "own.py:times_input"], "cells": 4, "steps": 2}
    study.configure({"analyses": {"agreement": settings}})
    made = {f"agreement_{step}": 1 for step in ("shard", "compute", "present")}
    study.run("--cores", "2", "agreement")
    table = pd.read_csv(study.results / "net" / "analyses" / "agreement" / "pairs.csv")
    assert {"gradient", "times_input"} == set(table["first"]) | set(table["second"])
    assert {"none", "shuffled", "centre", "edges"} <= set(table["baseline"])
    assert study.rules_that_would_run("agreement") == {}
    (study.folder / "own.py").write_text(METHOD.replace("slope * images", "slope"))
    jobs = study.rules_that_would_run("agreement")
    assert {rule: jobs[rule] for rule in made} == made
    settings["methods"] = ["gradient", "own.py:input_times"]
    study.configure({"analyses": {"agreement": settings}})
    done = study.run("--cores", "1", fails=True)
    assert (
        "analyses.agreement.methods: found 'own.py:input_times', and own.py has no" in done.stderr
    )
