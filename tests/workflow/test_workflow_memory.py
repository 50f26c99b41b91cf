"""Jobs take less memory than the plan asks for, and not much less."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_study import Study

# The jobs that hold most; accuracy is that of a network which has the data's classes.
TARGETS = ("indices", "maps", "summary", "results/tiny/net/accuracy.json")

# What Snakemake takes beside a job of a cluster, which every job asks for as well: MiB.
BESIDE = 450

NETWORK = {"weights": "none", "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
CONVNET = {
    **NETWORK,
    "factory": "variscope.inputs.networks:convnet",
    "layers": ["stage1", "stage3", "logits"],
}
RESNET = {
    **NETWORK,
    "factory": "torchvision:resnet18",
    "arguments": {"num_classes": 10},
    "layers": ["layer1", "layer2", "layer3", "layer4", "fc"],
}
VIT = {
    **NETWORK,
    "factory": "torchvision:vit_b_16",
    "arguments": {"num_classes": 10},
    "layers": [*(f"encoder.layers.encoder_layer_{n}" for n in (0, 5, 11)), "heads"],
}


def check_memory(fresh: Study, model: dict[str, Any], **settings: Any) -> None:
    """Run a study of 10 photographs, and compare what each job asked for with what it took."""
    config = {
        "experiment": "tiny",
        "dataset": {"kind": "photographs", "images_per_class": 4, "image_size": 224},
        "models": {"net": model},
        "variable_sets": {
            "small": {
                "variables": ["brightness", "hflip", "gaussian_blur", "rotation"],
                "auxiliary": ["order", "class", "image"],
            }
        },
        "resources": {"memory_gb": 64},
        **settings,
    }
    (fresh.folder / "study.yaml").write_text(yaml.safe_dump(config))
    output = fresh.run(*TARGETS, "--cores", "1").stderr
    found = {}
    for job in re.split(r"\n(?=(?:local)?rule \w+:\n)", output):
        log = re.search(r"^    log: (\S+)", job, re.MULTILINE)
        asked = re.search(r"mem_mb=(\d+)", job)
        # What checks the images takes next to nothing: numbers are of what holds some.
        if log and asked and not log[1].endswith("/images.log"):
            taken = re.search(r"with (\d+) MiB of memory", (fresh.folder / log[1]).read_text())
            assert taken is not None
            found[Path(log[1]).stem] = (int(asked[1]), int(taken[1]) + BESIDE)
    stages = {"evaluate", "accuracy", "indices", "maps_present", "summary_compute"}
    if config["storage"] == "activations":
        stages.add("moments")
    assert stages <= {name.split("-")[0] for name in found}
    wrong = {name: of for name, of in found.items() if not of[1] < of[0] < 1.6 * of[1]}
    assert not wrong, found


STORAGES = pytest.mark.parametrize("storage", ["activations", "moments"])


@STORAGES
def test_jobs_of_a_small_network_take_what_the_plan_asks_for(fresh: Study, storage: str):
    dataset = {"kind": "photographs", "images_per_class": 4, "image_size": 64}
    designs = {"cycle": {"blocks": 256}, "replicates": 8}
    check_memory(fresh, CONVNET, dataset=dataset, designs=designs, storage=storage)


@pytest.mark.slow
@STORAGES
@pytest.mark.parametrize(("model", "blocks"), [(RESNET, 16), (VIT, 8)], ids=["resnet18", "vit"])
def test_jobs_of_published_networks_take_what_the_plan_asks_for(
    fresh: Study, model: dict[str, Any], blocks: int, storage: str
):
    designs = {"cycle": {"blocks": blocks}, "replicates": 2}
    check_memory(fresh, model, designs=designs, storage=storage)
