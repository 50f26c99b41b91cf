"""Tables in the configuration: alone, beside images, and wrong ones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from tiny_study import Study, refusal

SETTINGS: dict[str, Any] = {
    "experiment": "clinic",
    "tables": {
        "ward": {"source": "ward.csv", "target": "ill", "network": {"hidden": [4], "epochs": 30}}
    },
}


def write_ward(path: Path, rows: int = 80) -> None:
    """Write a table whose target follows from one of its three features."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.normal(size=(rows, 3)).round(3), columns=["age", "dose", "noise"])
    table["ill"] = np.where(table["age"] + 0.1 * rng.normal(size=rows) > 0, "yes", "no")
    table.to_csv(path, index=False)


@pytest.fixture
def ward(tmp_path: Path, clone: Path) -> Study:
    """A working directory with a table and a configuration of it, and no images."""
    folder = tmp_path / "ward"
    folder.mkdir()
    write_ward(folder / "ward.csv")
    study = Study(folder, clone)
    (folder / "config").mkdir()
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump(SETTINGS))
    return study


def test_an_experiment_of_tables_alone_runs_to_its_page(ward: Study) -> None:
    ward.run("--cores", "2", config=None)
    folder = ward.folder / "results" / "clinic"
    indices = pd.read_csv(folder / "analyses" / "tabular" / "indices.csv")
    total = indices[(indices["index"] == "ST") & (indices["player"] == "age")]
    assert (total["low"] > 0.5).all() and len(total)
    page = (folder / "report.html").read_text()
    assert "age" in page and "Images are" not in page
    assert not (folder / "inputs" / "images.csv").exists()
    assert not ward.would_run(config=None)

    # What is asked of the numbers trains nothing again, and what is drawn trains nothing either.
    asked = ward.rules_that_would_run("--config", "confidence_level=0.9", config=None)
    assert not {"train_table", "tabular_shard", "reduction_shard"} & set(asked)
    assert {"tabular_compute", "reduction_compute", "page"} <= set(asked)
    drawn = {**SETTINGS["tables"]["ward"], "margins": "uniform"}
    settings = yaml.safe_dump({**SETTINGS, "tables": {"ward": drawn}})
    (ward.folder / "uniform.yaml").write_text(settings)
    found = ward.rules_that_would_run(config="uniform.yaml")
    assert "tabular_shard" in found and "train_table" not in found
    write_ward(ward.folder / "ward.csv", rows=90)
    assert {"train_table", "tabular_shard", "reduction_shard"} <= set(
        ward.rules_that_would_run(config=None)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "wrad.csv"}, r"tables.ward.source: found 'wrad.csv'"),
        ({"target": "il"}, r"tables.ward.target: found 'il'.*ill"),
        ({"threshold": 0.5}, r"tables.ward.threshold"),
        ({"bounds": {"weight": [0, 1]}, "margins": "uniform"}, r"tables.ward.bounds.*weight"),
        ({"leave_out": ["weight"]}, r"tables.ward.leave_out.*weight"),
    ],
)
def test_a_wrong_table_is_refused_before_the_first_job(
    folder: Path, change: dict[str, object], message: str
) -> None:
    write_ward(folder / "ward.csv")
    table = {**SETTINGS["tables"]["ward"], **change}
    assert re.search(message, refusal({**SETTINGS, "tables": {"ward": table}}, folder))
