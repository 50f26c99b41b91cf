"""The published studies as configurations: what they name, what they cost, and that they run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from PIL import Image
from tiny import REPOSITORY, run_workflow
from tiny_study import changed, environment
from variscope.analyses.registry import built_in
from variscope.inputs.layers import probe
from variscope.inputs.models import build
from variscope.study.config import complete

FILES = sorted((REPOSITORY / "config" / "paper").glob("*.yaml"))
# Units of all layers as published, and the shape of the first layer.
PUBLISHED = {
    "alexnet_places365": (205_037, (64, 27, 27)),
    "resnet18_places365": (552_813, (64, 56, 56)),
    "vit_b_16": (606_184, (197, 768)),
    "swin_t": (565_480, (96, 56, 56)),
    "maxvit_t": (377_320, (64, 56, 56)),
    "alexnet": (205_672, (64, 27, 27)),
    "vgg11": (1_539_560, (64, 112, 112)),
    "resnet18": (553_448, (64, 56, 56)),
    "vgg16": (1_539_560, (64, 112, 112)),  # not published: as many as VGG11, whose stages it has
}
# The networks of the sister study, and the analyses that are of single images, as its are.
SISTER = ("resnet18", "vgg16")
OF_IMAGES = {"pixels", "grad_cam", "maximisation", "regions", "agreement"}


FIRST_VERSION = ("alexnet", "vgg11", "resnet18")  # of February 2025, whose cost is published


def paper(name: str) -> dict[str, Any]:
    return yaml.safe_load((REPOSITORY / "config" / "paper" / f"{name}.yaml").read_text())


def write_photographs(folder: Path) -> None:
    """Write two classes of JPEGs, four images per class and part, larger than 224 px."""
    from skimage import data

    random = np.random.default_rng(1)
    for label, picture in {"astronaut": data.astronaut(), "cat": data.chelsea()}.items():
        for part in ("train", "valid"):
            target = folder / part / label
            target.mkdir(parents=True)
            for number in range(4):
                row, column = random.integers(0, [picture.shape[0] - 270, picture.shape[1] - 300])
                crop = picture[row : row + 270, column : column + 300]
                Image.fromarray(crop).save(target / f"{number}.JPEG", quality=92)


def reduced(name: str, folder: Path, **changes: Any) -> dict[str, Any]:
    """The study with initial weights, a folder of photographs, and two blocks per set.

    With no weights to say it, the image size is stated.
    """
    write_photographs(folder / "photographs")
    return changed(
        paper(name),
        {
            "dataset.path": "photographs",
            "dataset.image_size": 224,
            f"models.{name}.weights": "none",
            "designs.cycle.blocks": 2,
            "designs.replicates": 2,
            "analyses": True,  # without those that run the network
            **changes,
        },
    )


@pytest.mark.parametrize("name", ["alexnet", "vgg11"])
def test_published_correlations_of_profiles_are_of_the_studys_variables(name: str):
    config = complete(paper(name))
    published = config["analyses"]["profiles"]["published"]
    studied = {
        variable if isinstance(variable, str) else variable["name"]
        for one in config["variable_sets"].values()
        for variable in one["variables"]
    }
    assert set(published) == {"shapley", "S1"}
    for values in published.values():
        assert set(values) <= studied and all(0.5 < value < 1 for value in values.values())
    assert published["shapley"]["hue"] == min(published["shapley"].values())


def assert_indices(folder: Path, name: str, sets: list[str]) -> None:
    """Fail unless every published layer has its units, and Shapley effects that add up."""
    config = paper(name)
    units, first = PUBLISHED[name]
    for variable_set in sets:
        indices = folder / "results" / f"paper-{name}" / name / variable_set / "cycle" / "indices"
        found = {path.stem: xr.open_zarr(path) for path in indices.glob("*.zarr")}
        layers = config["models"][name]["layers"]
        assert sorted(found) == sorted(layers)
        assert found[layers[0]]["variance"].shape == first
        assert sum(layer["variance"].size for layer in found.values()) == units
        for layer in found.values():
            total = layer["shapley"].sum("variable", skipna=False).values
            fine = layer["status"].values == 0
            np.testing.assert_allclose(total[fine], 1, atol=1e-5)
            assert fine.any()


def test_there_is_one_configuration_for_each_published_network():
    assert [path.stem for path in FILES] == sorted(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_configuration_fits_the_schema_and_keeps_what_was_published(name: str):
    config = complete(paper(name))
    assert config["storage"] == "moments" and config["dataset"]["check"] == "none"
    assert config["models"][name]["softmax"] is True
    assert {
        key: (value["variables"], value["auxiliary"], value["apply"])
        for key, value in config["variable_sets"].items()
    } == {
        key: (variables, ["order", "class", "image", "part"], "always")
        for key, variables in {
            "spatial": ["erasing", "sharpness", "rolling", "grayscale", "gaussian_blur"],
            "color": [
                "brightness", "contrast", "saturation", "hue", "hflip", "rotation",
                "elliptic_local_blur",
            ],
        }.items()
    }  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_configuration_asks_for_every_analysis_and_the_untrained_twin(name: str):
    config = complete(paper(name))
    assert config["models"][name]["twin"]
    network = {entry.name for entry in built_in().values() if not entry.default}
    network -= {entry.name for entry in built_in().values() if entry.of_tables}
    on = {name for name in network if config["analyses"][name] is not False}
    first = set() if name == "vgg16" else network - OF_IMAGES
    assert on == first | (OF_IMAGES if name in SISTER else set())
    if name == "vgg16":
        return
    masking = config["analyses"]["masking"]
    assert masking["grid"] == "all" and set(masking["kinds"]) == {"shapley", "S1", "ST"}
    inputs = {"original", *config["variable_sets"]["spatial"]["variables"],
              *config["variable_sets"]["color"]["variables"]}  # fmt: skip
    assert set(masking["published"]) <= inputs


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_layers_have_the_published_units(name: str):
    model = paper(name)["models"][name]
    arguments = model.get("arguments", {})
    network = build(model["factory"], arguments=arguments, classes=None, folder=REPOSITORY, seed=1)
    layers = probe(network, model["layers"], (3, 224, 224), softmax_last=True)
    units, first = PUBLISHED[name]
    assert (sum(layer.units for layer in layers), layers[0].shape) == (units, first)


@pytest.mark.slow
@pytest.mark.parametrize("name", FIRST_VERSION)
def test_the_plan_of_the_whole_study_is_printed(name: str, tmp_path: Path):
    whole = {key: paper(name)[key] for key in ("designs", "analyses")}
    config = changed(reduced(name, tmp_path), whole)
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(config))
    text = plan_of(tmp_path)
    for rows in (36_864, 45_056):
        assert re.search(rf"rows +{rows:,}\n", text), text
    assert f"{PUBLISHED[name][0]:,}" in text
    base = 32_768 if name == "vgg11" else 131_072
    for rows in (18, 22):  # Saltelli's, and nested sampling
        assert re.search(rf"published +{base * rows + 3_930_000:,}\n", text), text
    for analysis in ("contrast", "masking", "mitigation", "segments"):
        assert re.search(rf"{analysis} passes +[\d,]+\n", text), text
    assert re.search(r"arXiv 2503.03283\n +machine-days +1,782\n +TB +77\n?", text), text


def plan_of(folder: Path) -> str:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", "plan", "--snakefile",
         str(REPOSITORY / "Snakefile"), "--configfile", "plan.yaml"],
        cwd=folder, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_alexnet_gives_indices_of_all_published_units(tmp_path: Path):
    config = reduced("alexnet", tmp_path)
    del config["variable_sets"]["color"]
    run_workflow(tmp_path, config, "indices")
    assert_indices(tmp_path, "alexnet", ["spatial"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "last", "sizes", "noun"),
    [
        ("vit_b_16", "encoder.layers.encoder_layer_11", {"token": 197, "feature": 768}, "feature"),
        ("swin_t", "features.7", {"channel": 768, "y": 7, "x": 7}, "channel"),
    ],
)
def test_transformers_at_224_px_go_to_a_report_with_the_right_names(
    name: str, last: str, sizes: dict[str, int], noun: str, tmp_path: Path
):
    write_photographs(tmp_path / "photographs")
    normal = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    config = {
        "experiment": name,
        "dataset": {"kind": "image_folder", "path": "photographs", "image_size": 224},
        "models": {name: {"factory": f"torchvision:{name}", "weights": "none", **normal}},
        "variable_sets": {
            "small": {"variables": ["brightness", "erasing"], "auxiliary": ["image"]}
        },
        "designs": {"cycle": {"blocks": 8}, "replicates": 4},
        "storage": "moments",
    }
    run_workflow(tmp_path, config)
    study = tmp_path / "results" / name / name / "small" / "cycle"
    data = xr.open_zarr(study / "indices" / f"{last}.zarr")
    assert dict(data["variance"].sizes) == sizes
    assert data[f"shapley_{noun}"].sizes == {"variable": 3, noun: 768}
    svg = (study / "analyses" / "maps" / "maps" / f"{last}.svg").read_text()
    assert len(svg) < 2_000_000
    page = (tmp_path / "results" / name / "report.html").read_text()
    table = (study / "analyses" / "specialised" / "units.csv").read_text()
    assert f"{noun}s with defined indices" in table and last in page


# Every analysis that runs the network, on as few images, settings and blocks as it takes.
LEAST = {
    "contrast": {"images": 4, "draws": 1},
    "masking": {
        "images_per_class": 2, "kinds": ["shapley"], "seeds": 1, "shards": 2,
        "published": {"original": 0.5},
    },
    "mitigation": {"images_per_class": 2, "strengths": [0], "seeds": 1},
    "segments": {"blocks": 4, "replicates": 4},
    "single_class": True,
    "profiles": {"resamples": 20},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet", "vit_b_16"])
def test_every_analysis_runs_on_a_folder_of_photographs(name: str, tmp_path: Path):
    asked = set(paper(name)["analyses"])
    assert asked == set(LEAST)
    config = reduced(name, tmp_path, analyses=LEAST)
    config["designs"] = {"cycle": {"blocks": 4}, "replicates": 4}
    run_workflow(tmp_path, config)
    folder = tmp_path / "results" / f"paper-{name}" / name / "analyses"
    for analysis in asked:
        words = json.loads((folder / analysis / "words.json").read_text())
        assert len(words["answer"]) > 40, analysis
    inputs = pd.read_csv(folder / "masking" / "inputs.csv").set_index("input")
    assert len(inputs) == 13 and inputs["published"]["original"] == 0.5
    page = (tmp_path / "results" / f"paper-{name}" / "report.html").read_text()
    assert all(f'<section id="{analysis}">' in page for analysis in asked)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_study_runs_from_photographs_to_the_report(name: str, tmp_path: Path):
    run_workflow(tmp_path, reduced(name, tmp_path))
    assert_indices(tmp_path, name, ["spatial", "color"])
    results = tmp_path / "results" / f"paper-{name}"
    assert "<html" in (results / "report.html").read_text()[:500].lower()
    costs = [json.loads(path.read_text()) for path in results.rglob("cost/*/*.json")]
    assert sum(cost["rows"] for cost in costs) == 2 * (18 + 22)
