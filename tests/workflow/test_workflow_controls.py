"""Analyses that run the network, in shards, and the controls that they are given."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from numpy.testing import assert_allclose
from tiny_study import CONFIG, LABELS, PART, Study, once, pixels, write_inputs
from variscope.designs import Design
from variscope.inputs.images import table_from_arrays
from variscope.inputs.layers import probe
from variscope.inputs.models import open_model
from variscope.inputs.spaces import make_space
from variscope.responses.network.evaluator import Evaluator
from variscope.stores.results import read_dataset

PROBE = """
import json

import pandas as pd
import xarray as xr
from variscope.analyses import Analysis, Table, integer, number, text
from variscope.stores.results import read_dataset

COLUMNS = (text("layer", "l"), number("half", "h"), number("twin", "t"), integer("shards", "s"))
ANALYSIS = Analysis(
    name="probe",
    title="Probe",
    scope="model",
    reads=("indices", "halves", "selection", "twin", "network"),
    shards=lambda settings, studies: ("own", "twin"),
    per_layer=True,
    completes=True,
    tables=(Table(name="found", title="Found", columns=COLUMNS),),
)


def shard(source, name, folder):
    network = source.network(twin=name == "twin")
    first = next(network.model.parameters()).detach()
    found = {"weight": float(first.flatten()[0]), "scores": network.scores}
    (folder / "network.json").write_text(json.dumps({**found, "images": len(source.images)}))


def layer(source, name):
    weights = [json.loads((path / "network.json").read_text())["weight"]
               for path in source.shards.values()]
    return xr.Dataset({"weight": ("shard", weights)}, attrs={"layer": name})


def complete(source, name):
    together = {other: float(read_dataset(path)["weight"].sum())
                for other, path in source.layer_datasets.items()}
    own = read_dataset(source.layer_datasets[name])
    return own.assign(together=("layer", list(together.values())))


def compute(source):
    (study,) = source.studies
    return {"found": pd.DataFrame([
        {"layer": name, "half": float(study.halves[name]["S1"].sel(half="A").mean()),
         "twin": float(study.twin.tree[name]["variance"].sum()), "shards": len(source.shards)}
        for name in study.tree.children
    ])}
"""

READER = """
import pandas as pd
from variscope.analyses import Analysis, Table, integer

ANALYSIS = Analysis(
    name="reader", title="Reader", scope="model", reads=("analysis:probe",),
    tables=(Table(name="n", title="N", columns=(integer("rows", "r"), integer("made", "m"))),),
)


def compute(source):
    probe = source.result("probe")
    made = len(probe.shards) + len(probe.layer_datasets)
    return {"n": pd.DataFrame([{"rows": len(probe.table("found")), "made": made}])}
"""

CHANGES = {
    "models.net.twin": True,
    "analyses": {"probe": {"file": "probe.py"}, "reader": {"file": "reader.py"}},
}


@pytest.fixture(scope="module")
def probed(shared: Path, clone: Path) -> Study:
    """A study with two analyses of the user's: one asks for everything, one reads the other."""

    def make(folder: Path) -> None:
        write_inputs(folder)
        (folder / "probe.py").write_text(PROBE)
        (folder / "reader.py").write_text(READER)
        study = Study(folder, clone)
        study.configure(CHANGES)
        study.run("--cores", "2", "reader", "indices")

    return Study(once(shared / "probed", make), clone)


def layer_of(study: Study, model: str, design: str, layer: str) -> xr.Dataset:
    return read_dataset(study.results / model / "small" / design / "indices" / f"{layer}.zarr")


def test_a_selection_is_half_a_evaluated_on_train_images(probed: Study) -> None:
    """Its means are those of the even replicates' rows with part set to train, by hand."""
    images = table_from_arrays(pixels(), LABELS, part=PART)
    given = {**CONFIG["variable_sets"]["small"], "apply": "always", "apply_probability": 0.5}
    space = make_space({**given, "part": "valid"}, images)
    network = open_model(
        str(probed.folder / "net.py") + ":tiny",
        str(probed.results / "net" / "weights.pt"),
    )
    found = layer_of(probed, "net", "selection", "logits")
    layers = probe(network, ["logits"], (3, 16, 16), False, {})
    # ImageNet's normalisation, as of any network that is trained here.
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    evaluator = Evaluator(network, layers, space, images, mean=mean, std=std, batch_size=16)
    outputs = []
    for number in (0, 2):
        points = Design("cycle", space.groups, 8, 4, CONFIG["seed"]).replicate(number).points
        rows = points.reshape(-1, points.shape[-1]).copy()
        rows[:, space.groups[-1]] = 0.0
        recipes = space.decode(rows)
        ids = np.unique(recipes.image)
        assert set(PART[ids]) == {0}
        with torch.inference_mode():
            batch = evaluator.inputs(recipes, ids, images.load(ids))
            outputs.append(network(batch).numpy())
    assert_allclose(found["mean"], np.concatenate(outputs).mean(axis=0), rtol=1e-5, atol=1e-6)
    assert found.sizes["replicate"] == 2 and list(found["replicate"]) == [0, 2]
    assert found["moved"].sel(variable="part") == 0


def test_the_twin_is_studied_with_the_same_rows(probed: Study) -> None:
    own, twin = (layer_of(probed, model, "cycle", "first") for model in ("net", "net_untrained"))
    assert own["blocks_by_replicate"].equals(twin["blocks_by_replicate"])
    assert own["moved"].equals(twin["moved"])
    assert not np.allclose(own["mean"], twin["mean"])
    assert json.loads(twin.attrs["provenance"])["model"]["untrained"] is True


def test_shards_layers_and_tables_follow_each_other(probed: Study) -> None:
    folder = probed.results / "net" / "analyses"
    shards = [
        json.loads((folder / "probe" / "shards" / name / "network.json").read_text())
        for name in ("own", "twin")
    ]
    assert [shard["images"] for shard in shards] == [24, 24]
    assert shards[0]["scores"] == "logits" and shards[0]["weight"] != shards[1]["weight"]
    made = read_dataset(folder / "probe" / "first.zarr")
    assert list(made["weight"].values) == [shard["weight"] for shard in shards]
    assert list(made["together"].values) == [float(made["weight"].sum())] * 2
    assert "together" not in read_dataset(folder / "probe" / "layers" / "first.zarr")
    found = pd.read_csv(folder / "probe" / "found.csv")
    assert list(found["layer"]) == ["first", "logits"] and list(found["shards"]) == [2, 2]
    first = layer_of(probed, "net", "cycle", "first")["S1_halves"].sel(half="A")
    assert found["half"][0] == pytest.approx(float(first.mean()))
    rows = pd.read_csv(folder / "reader" / "n.csv")
    assert rows.to_dict("list") == {"rows": [2], "made": [4]}


def test_nothing_is_left_to_do_and_a_twin_that_is_wanted_no_more_changes_nothing(
    probed: Study,
) -> None:
    assert probed.would_run("reader", "indices") == []
    probed.configure({**CHANGES, "models.net.twin": False, "analyses": False}, "plain.yaml")
    assert [job.rule for job in probed.would_run("indices", config="plain.yaml")] == []


def test_the_twin_is_no_model_of_its_own_for_analyses(probed: Study) -> None:
    assert not (probed.results / "net_untrained" / "analyses").exists()
    assert not (probed.results / "net_untrained" / "accuracy.json").exists()


def test_a_picture_of_each_set_is_drawn_without_the_images(probed: Study) -> None:
    """Of an analysis that reads indices alone; the page shows it."""
    probed.configure({**CHANGES, "analyses": {"correlation": True}}, "pixels.yaml")
    probed.run("--cores", "2", "correlation", config="pixels.yaml")
    pixels = probed.results / "net" / "analyses" / "correlation" / "pixels"
    assert [path.name for path in pixels.glob("*.svg")] == ["small.svg"]
