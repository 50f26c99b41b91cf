"""What a plan says of a study's jobs."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from variscope.inputs.axes import Layer
from variscope.responses.network.batches import batch_size_for
from variscope.study.layer_groups import LayerGroup
from variscope.study.plan import Plan
from variscope.study.rounds import Round
from variscope.study.sharding import Shard
from variscope.study.study_plan import StudyPlan

LAYERS = (
    Layer("features.2", (64, 27, 27), ("channel", "y", "x")),
    Layer("classifier.6", (20_000,)),
)
SHARDS = tuple(Shard(0, 16, n, n + 1) for n in range(4))
STUDY = StudyPlan(
    "alexnet", "spatial", "cycle", ("erasing", "order", "image"), LAYERS, 64, 4, 6, 300, True,
    None, "cpu", 4_000_000, (LayerGroup("0" * 8, LAYERS, LAYERS, (Round(64, SHARDS),)),),
    ((16,) * 4,), "moments", None, (), 60_000_000, 3 * 224 * 224, 200_000,
)  # fmt: skip


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1"])
@pytest.mark.parametrize("outputs", [10, 205_672, 16_433_128, 10**10])
def test_outputs_of_an_automatic_batch_are_bounded(outputs: int, device: str):
    images = batch_size_for(outputs, device)
    assert 1 <= images <= 1024
    assert images == 1 or 4 * images * outputs <= 20 * 2**30
    assert images >= batch_size_for(outputs, "cpu")


def test_the_batch_follows_from_the_device_that_a_job_gets():
    assert STUDY.images_at_once() == STUDY.images_at_once("cpu") < STUDY.images_at_once("cuda")
    chosen = replace(STUDY, batch_size=7)
    assert chosen.images_at_once() == chosen.images_at_once("cuda") == 7


def test_memory_is_that_of_the_stages_that_run():
    assert set(STUDY.memory_mb) == {"evaluate", "indices", "analysis"}
    stored = replace(STUDY, storage="activations")
    assert set(stored.memory_mb) == {"evaluate", "moments", "indices", "analysis"}
    # Outputs that are summed on a GPU take no memory of its host.
    assert replace(STUDY, device="cuda").memory_mb["evaluate"] < STUDY.memory_mb["evaluate"]
    smaller = replace(STUDY, batch_size=4 * STUDY.rows_per_block)
    assert smaller.memory_mb["evaluate"] < STUDY.memory_mb["evaluate"]
    # No batch is larger than the blocks of a shard.
    larger = replace(STUDY, batch_size=1000 * STUDY.rows_per_block)
    assert larger.memory_mb["evaluate"] == STUDY.memory_mb["evaluate"]


def test_memory_grows_with_what_a_job_holds():
    network = replace(STUDY, parameters=2 * STUDY.parameters)
    for of in (lambda s: s.memory_mb["evaluate"], lambda s: s.answering_mb(64),
               lambda s: s.training_mb(32)):  # fmt: skip
        assert of(network) - of(STUDY) >= 2 * 4 * STUDY.parameters // 2**20
    assert STUDY.answering_mb(64) < STUDY.answering_mb(128) < STUDY.training_mb(128)
    assert STUDY.memory_mb["analysis"] > STUDY.read_mb > 0
    # Sums of few replicates are read at once, of many slab by slab.
    many = tuple(Shard(0, 4, n, n + 1) for n in range(4000))
    layer = LAYERS[0]
    of_many = replace(
        STUDY, layer_groups=(LayerGroup("0" * 8, LAYERS, LAYERS, (Round(16_000, many),)),)
    )
    assert STUDY.indices_mb(layer) < of_many.indices_mb(layer) < 3 * STUDY.indices_mb(layer) + 800


def test_what_was_published_is_printed_beside_the_cost_here(tmp_path: Path):
    published = {
        "source": "a paper",
        "evaluations": {"spatial": 12_345},
        "machine_days": None,
        "terabytes": 77,
    }
    text = Plan("e", (STUDY, replace(STUDY, variable_set="color")), published).text(tmp_path)
    assert [line.split()[-1] for line in text.splitlines() if "published" in line] == ["12,345"]
    assert text.endswith("the whole of a paper\n  TB" + " " * 41 + "77")
    assert "published" not in Plan("e", (STUDY,), {**published, "source": None}).text(tmp_path)


def test_what_is_said_of_a_model_stands_in_the_plan_once(tmp_path: Path):
    note = "normalisation: mean [0.5], std [0.25], from the settings"
    published: dict[str, Any] = {
        "source": None,
        "evaluations": {},
        "machine_days": None,
        "terabytes": None,
    }
    studies = (STUDY, replace(STUDY, variable_set="color"))
    text = Plan("e", studies, published, {"model alexnet": [note]}).text(tmp_path)
    assert text.count(f"model alexnet\n  {note}\n") == text.count(note) == 1


def test_layers_in_groups_take_less_memory_and_more_passes(tmp_path: Path):
    groups = tuple(
        LayerGroup(f"{n}" * 8, (layer,), (layer,), (Round(64, SHARDS),))
        for n, layer in enumerate(LAYERS)
    )
    split = replace(STUDY, layer_groups=groups)
    assert split.memory_mb["evaluate"] == split.evaluate_mb(groups[0])
    assert split.evaluate_mb(groups[1]) < split.evaluate_mb(groups[0]) < STUDY.memory_mb["evaluate"]
    assert split.indices_mb(LAYERS[1]) <= split.memory_mb["indices"] == STUDY.memory_mb["indices"]
    assert split.disk == STUDY.disk
    assert split.group_of("classifier.6") == groups[1] == split.group("1" * 8)
    published: dict[str, Any] = {
        "source": None,
        "evaluations": {},
        "machine_days": None,
        "terabytes": None,
    }
    text = Plan("e", (split,), published).text(tmp_path)
    counts = dict(re.findall(r"^  (\S[\S ]*?)  +(\S+)$", text, re.MULTILINE))
    assert (counts["passes"], counts["shards"], counts["evaluate jobs"]) == ("2", "8", "8")
    assert counts["indices jobs"] == "2" and counts["evaluations"] == "600"


def test_sums_of_later_shells_take_room_of_their_own():
    shards = (Shard(0, 4, 0, 4), Shard(4, 16, 0, 4))
    grown = replace(
        STUDY, layer_groups=(LayerGroup("0" * 8, LAYERS, LAYERS, (Round(64, shards),)),)
    )
    assert grown.disk["moments"] == 3 * STUDY.disk["moments"]  # [0, 4), [4, 8) and [8, 16)
    assert grown.disk["indices"] == STUDY.disk["indices"]
