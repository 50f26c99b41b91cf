"""Responses measured elsewhere, from the export to the page: a network's outputs with noise."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_study import CONFIG, NETWORK, Study, changed, layers_of, refusal
from variscope.errors import UserError
from variscope.study.config import complete

NORMAL = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
CHANGES = {
    "models.net": {
        "factory": "net.py:tiny",
        "weights": "net.pt",
        "layers": ["first", "logits"],
        **NORMAL,
    },
    "models.mouse": {"responses": "lab/{set}.npz"},
    "designs": {"cycle": {"blocks": 64}, "replicates": 8},
    "export": {"repeats": 0.2, "format": "npz"},
    "evaluation": {"rows_per_shard": 8192},
}


def network(folder: Path) -> torch.nn.Module:
    """The network of the study; its weights are written for the workflow."""
    names: dict[str, Any] = {}
    exec(NETWORK, names)
    torch.manual_seed(5)
    model = names["tiny"]().eval()
    torch.save(model.state_dict(), folder / "net.pt")
    return model


def exported(study: Study) -> tuple[np.ndarray, np.ndarray, str]:
    """What an export holds: the stimuli, that of each presentation, and the digest."""
    folder = study.results / "inputs" / "export" / "small" / "cycle"
    pictures = []
    for path in sorted((folder / "stimuli").iterdir()):
        with np.load(path) as file:
            pictures.append(file["images"])
    with (folder / "order.csv").open() as file:
        shown = np.array([int(line["stimulus"]) for line in csv.DictReader(file)])
    return np.concatenate(pictures), shown, (folder / "digest.txt").read_text().strip()


@pytest.mark.parametrize("analyses", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_networks_outputs_with_noise_come_back_as_its_indices(fresh: Study, analyses: bool):
    model = network(fresh.folder)
    fresh.configure({**CHANGES, "analyses": analyses})
    # Without the responses the network alone is studied, and the plan says what is wanted.
    planned = fresh.run("plan", "--cores", "1").stdout
    assert "snakemake export writes what to present" in planned
    assert "mouse/small" not in planned
    fresh.run("export", "--cores", "2")
    pictures, shown, digest = exported(fresh)
    with torch.inference_mode():
        one, two, three = model.children()
        first = one((torch.from_numpy(pictures) - 0.5) / 0.25)
        logits = three(two(first)).numpy()
    clean = {"first": first.flatten(1).numpy()[:, ::16][shown], "logits": logits[shown]}
    rng = np.random.default_rng(0)
    spread = {name: 0.5 * values.std(axis=0) + 1e-3 for name, values in clean.items()}
    noisy = {
        name: values + rng.standard_normal(values.shape) * spread[name]
        for name, values in clean.items()
    }
    noisy["logits"][11] = noisy["first"][11] = np.nan  # one presentation was lost
    (fresh.folder / "lab").mkdir()
    np.savez(fresh.folder / "lab" / "small.npz", digest=digest, **noisy)

    planned = fresh.run("plan", "--cores", "1").stdout
    assert f"1 of {len(shown):,} presentations of small, cycle are missing" in planned
    fresh.run("--cores", "2")
    network_indices = layers_of(fresh.indices)
    measured = layers_of(fresh.results / "mouse" / "small" / "cycle" / "indices")
    assert list(measured) == ["first", "logits"]
    data, truth = measured["logits"], network_indices["logits"]
    assert data.attrs["noise"] == "taken off"
    assert data.attrs["blocks_dropped"] == 1 and data.attrs["blocks"] == 63
    for name in ("S1", "ST", "shapley"):
        inside = (data[f"{name}_low"] <= truth[name]) & (truth[name] <= data[f"{name}_high"])
        assert float(inside.mean()) > 0.8, name
    # As measured, what changes little has the noise for its total index.
    least = int(np.argmin(truth["ST_layer"].values))
    assert float(data["ST_layer_raw_low"][least]) > float(truth["ST_layer"][least])
    low, high = data["noise_share_layer_low"], data["noise_share_layer_high"]
    assert float(low) < 0.2 < float(high)
    page = (fresh.results / "report.html").read_text()
    assert "logits: noise is 0." in page and "and taken off" in page
    # Nothing but what changed runs again.
    again = fresh.rules_that_would_run("--cores", "1")
    assert not again
    np.savez(fresh.folder / "lab" / "small.npz", digest=digest, **clean)
    again = fresh.rules_that_would_run("--cores", "1")
    assert again["take_in"] == 2 and "evaluate" not in again and "presentations" not in again


def test_analyses_that_run_a_network_leave_measured_responses_out(folder: Path):
    from variscope.analyses.registry import Analysis, built_in
    from variscope.study.about import about
    from variscope.study.experiment import Experiment

    network(folder)
    config = changed(CONFIG, CHANGES)
    experiment = Experiment.open(config, folder, folder / "cache")
    assert [study.model for study in experiment.studies] == ["net"]
    shown = _respond(folder, config)
    experiment = Experiment.open(config, folder, folder / "cache")
    mouse = experiment.plan.study("mouse", "small", "cycle")
    assert mouse.presented == shown and not mouse.shards
    assert [layer.units for layer in mouse.layers] == [7]
    reader = Analysis(name="reader", title="Reader", reads=("analysis:segments",))
    optional = Analysis(name="optional", title="Optional", reads=("analysis:segments?",))
    entries = {**built_in(), "reader": reader, "optional": optional}
    for name, both in (("summary", 1), ("segments", 0), ("reader", 0), ("optional", 1)):
        models = [study.model for study in about(entries[name], entries, experiment.studies)]
        assert models == (["net", "mouse"] if both else ["net"]), name
    assert "mouse/small/cycle" in experiment.plan_text()


def _respond(folder: Path, config: dict[str, Any]) -> int:
    """Write responses of 7 units; return how many presentations there are."""
    from variscope.designs import Design
    from variscope.inputs.images import open_images
    from variscope.inputs.opening import dataset_settings
    from variscope.inputs.spaces import make_space
    from variscope.responses.measured.presentations import presentations

    completed = complete(config, folder)
    settings = dataset_settings(completed, folder, selects=False)
    images = open_images(settings, seed=completed["seed"], folder=folder)
    space = make_space(completed["variable_sets"]["small"], images)
    design = Design("cycle", space.groups, 64, 8, completed["seed"])
    shown = presentations(design, space, completed["export"]["repeats"])
    values = np.random.default_rng(0).standard_normal((len(shown), 7))
    (folder / "lab").mkdir(exist_ok=True)
    np.savez(folder / "lab" / "small.npz", V1=values, digest=shown.digest)
    return len(shown)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models.mouse": {}}, r"models\.mouse\.factory: this key is missing"),
        ({"models.mouse.factory": "net.py:tiny"}, r"models\.mouse: found a factory and responses"),
        (
            {"models.mouse.weights": "train"},
            r"models\.mouse\.weights: found 'train'; allowed: left",
        ),
        ({"models.mouse.twin": True}, r"models\.mouse\.twin: found True; allowed: left out"),
        ({"models.mouse.responses": "{area}.npz"}, r"with no more than \{set\} and \{design\}"),
        ({"export.repeats": 2}, r"export\.repeats: found 2; allowed"),
        ({"export.format": "jpeg"}, r"export\.format: found 'jpeg'.*allowed: png, npz"),
    ],
)
def test_models_of_responses_that_make_no_sense_are_refused(changes: dict[str, Any], message: str):
    with pytest.raises(UserError, match=message):
        complete(changed(changed(CONFIG, CHANGES), changes))


def test_responses_to_something_else_are_refused_before_the_first_job(folder: Path):
    network(folder)
    config = changed(CONFIG, CHANGES)
    _respond(folder, config)
    for changes, message in (
        ({"seed": 4}, "models.mouse: .*lab/small.npz: digest: found "),
        ({"export.repeats": 0.1}, "digest: found "),
        ({"designs.star": {"blocks": 64}}, "found 'lab/{set}.npz' for 2 studies"),
        ({"models.mouse.responses": "lab/{set}-{design}.npz"}, None),
    ):
        changed_config = changed(config, changes)
        if message is not None:
            found = refusal(changed_config, folder)
            assert message.removeprefix("models.mouse: .*") in found, found
    (folder / "lab" / "small.npz").write_bytes(b"PK")
    assert "cannot be read as .npz or Zarr" in refusal(config, folder)


def test_where_all_is_still_to_be_measured_the_export_is_all(folder: Path):
    from variscope.study.experiment import Experiment

    config = changed(CONFIG, {**CHANGES, "models.net": None})
    experiment = Experiment.open(config, folder, folder / "cache")
    assert experiment.studies == ()
    assert "export writes what to present" in experiment.plan_text()
    assert json.dumps(experiment.found.to_json())
