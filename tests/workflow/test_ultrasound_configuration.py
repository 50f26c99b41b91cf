"""The ultrasound configuration, on films that a test makes and with a small network for VGG-16."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from dicom_cases import write_dicom
from tiny import REPOSITORY, run_workflow
from tiny_study import changed
from variscope.analyses.registry import built_in
from variscope.analyses.tables import read_table
from variscope.inputs.layers import probe
from variscope.inputs.models import build
from variscope.study.config import complete

TEXT = (REPOSITORY / "config" / "ultrasound.yaml").read_text()
LOOKING = ("pixels", "grad_cam", "maximisation", "regions", "agreement")
NETWORK = """
from collections import OrderedDict

from torch import nn


def small(num_classes=2):
    features = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2),
        nn.Conv2d(6, 6, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2),
    )
    layers = OrderedDict(
        features=features, pool=nn.AdaptiveAvgPool2d(4), flat=nn.Flatten(),
        classifier=nn.Linear(96, num_classes),
    )
    return nn.Sequential(layers)
"""


def of_folders() -> dict[str, Any]:
    """The configuration with its lines for a user's own folder in the place of the example."""
    text = TEXT.replace("  kind: echocardiogram", "  # kind: echocardiogram")
    for key in ("kind: image_folder", "path", "on_error"):
        text = re.sub(rf"^  # ({key})", r"  \1", text, count=1, flags=re.MULTILINE)
    return yaml.safe_load(text)


def reduced(config: dict[str, Any], folder: Path, **changes: Any) -> dict[str, Any]:
    """The study at 32 px with few blocks, and a small network in the place of VGG-16."""
    (folder / "net.py").write_text(NETWORK)
    small = {"factory": "net.py:small", "weights": "none", "layers": ["features.2", "classifier"]}
    return changed(
        config,
        {
            "dataset.image_size": 32,
            "models.vgg16": {**small, "twin": True},
            "designs": {"cycle": {"blocks": 16}, "replicates": 8},
            "analyses.pixels": {"images": 4, "cells": 4, "sampled": 2},
            "analyses.grad_cam.images": 4,
            "analyses.regions": {"images": 3, "grid": 2, "blocks": 64, "replicates": 8},
            "analyses.maximisation": {
                "classes": 1, "channels": 1, "starts": 2, "steps": 2, "image_steps": 1,
            },
            "analyses.agreement": {"images": 4, "cells": 4, "steps": 2, "random_orders": 1},
            **changes,
        },
    )  # fmt: skip


def write_films(folder: Path) -> None:
    """Write two classes of four films of two frames: a bright spot on one side or the other."""
    random = np.random.default_rng(1)
    for label, left in (("dense", True), ("clear", False)):
        for number in range(4):
            frames = random.integers(0, 60, (2, 48, 64), dtype=np.uint8)
            frames[:, 10:30, 8 : 24 if left else 4] += 150
            frames[:, 10:30, 60 if left else 40 : 64 if left else 56] += 150
            write_dicom(folder / label / f"{number}.dcm", frames, PatientID=f"{label} {number}")


def test_it_fits_the_schema_with_the_example_and_with_a_folder() -> None:
    for config in (yaml.safe_load(TEXT), of_folders()):
        found = complete(config)
        assert all(found["analyses"][name] for name in LOOKING)
        names = [v if isinstance(v, str) else v["name"]
                 for v in found["variable_sets"]["ultrasound"]["variables"]]  # fmt: skip
        assert names == ["brightness", "contrast", "gaussian_blur", "hflip", "erasing"]
    assert of_folders()["dataset"]["kind"] == "image_folder"
    assert of_folders()["dataset"]["path"] == "resources/ultrasound"


def test_its_layers_are_those_of_vgg16() -> None:
    model = yaml.safe_load(TEXT)["models"]["vgg16"]
    network = build(model["factory"]).eval()
    found = probe(network, model["layers"], (3, 224, 224))
    assert [layer.name for layer in found] == model["layers"]


def test_a_folder_of_films_with_classes_is_studied_to_its_page(tmp_path: Path) -> None:
    write_films(tmp_path / "resources" / "ultrasound")
    config = reduced(of_folders(), tmp_path)
    run_workflow(tmp_path, config, *LOOKING)
    results = tmp_path / "results" / "ultrasound"
    images = json.loads((results / "inputs" / "images.json").read_text())
    assert images["images"] == 16 and images["clusters"] == 8
    assert images["classes"] == ["clear", "dense"]
    for name in LOOKING:
        folder = results / "vgg16" / "analyses" / name
        entry = built_in()[name]
        tables = {table.name: read_table(folder / f"{table.name}.csv", table)
                  for table in entry.tables}  # fmt: skip
        assert any(len(table) for table in tables.values())
        assert all((folder / f"{picture.name}.svg").is_file() for picture in entry.pictures)
        words = json.loads((folder / "words.json").read_text())
        assert words["answer"]


@pytest.mark.slow
def test_the_example_without_classes_is_studied_to_its_page(tmp_path: Path) -> None:
    run_workflow(tmp_path, reduced(yaml.safe_load(TEXT), tmp_path))
    results = tmp_path / "results" / "ultrasound"
    images = json.loads((results / "inputs" / "images.json").read_text())
    assert images["images"] == 30 and images["clusters"] == 1 and not images["labelled"]
    page = (results / "report.html").read_text()
    for name in LOOKING:
        assert (results / "vgg16" / "analyses" / name / "words.json").is_file()
    assert "accuracy is not measured" in page
