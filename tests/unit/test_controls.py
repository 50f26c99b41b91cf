"""Controls of a study: halves of its replicates, rows that select units, untrained twins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn
from variscope.analyses.registry import Analysis
from variscope.analyses.source import Study
from variscope.designs import Design
from variscope.errors import UserError
from variscope.estimators import Layout, Moments, half_indices, merge, unit_indices
from variscope.indices.layer import layer_dataset
from variscope.inputs.untrained import untrained
from variscope.space.augmentations import get
from variscope.space.images import ImageIndex
from variscope.space.space import Space
from variscope.stores.results import study_tree, write_dataset
from variscope.study import choosing
from variscope.study.config import complete

CONFIG: dict[str, Any] = {
    "experiment": "e",
    "dataset": {"kind": "photographs"},
    "models": {"net": {"factory": "torchvision:resnet18", "twin": True}},
    "variable_sets": {"small": {"variables": ["hflip"]}},
}


def sums(replicates: int) -> Moments:
    layout, rng = Layout("cycle", 3), np.random.default_rng(0)
    parts = []
    for number in range(replicates):
        outputs = rng.standard_normal((8, layout.rows, 4)) + rng.standard_normal((8, 1, 4))
        outputs[..., 3] = 1  # constant
        order = rng.permuted(np.tile(np.arange(3), (8, 1)), axis=1)
        moments = Moments.zeros(layout, [number], (4,))
        moments.update(number, outputs.astype(np.float32), order)
        parts.append(moments)
    return merge(parts)


def only(moments: Moments, chosen: np.ndarray) -> Moments:
    names = ("replicates", "first", "blocks", "sums", "pair_counts", "moved")
    return Moments(moments.layout, *(getattr(moments, name)[chosen] for name in names))


def test_a_half_is_what_its_replicates_alone_give() -> None:
    moments = sums(5)
    fine = unit_indices(moments, 0.95).status == 0
    halves = half_indices(moments, fine)
    for half, chosen in enumerate((moments.replicates % 2 == 0, moments.replicates % 2 == 1)):
        alone = unit_indices(only(moments, chosen), 0.95)
        for name, found in halves.items():
            assert_allclose(found[half], alone.estimates[name].value, rtol=1e-12)
    assert np.isnan(halves["S1"][..., 3]).all()


def test_halves_stay_when_a_study_grows() -> None:
    few, many = sums(4), sums(6)
    assert_array_equal(few.replicates % 2, many.replicates[:4] % 2)
    assert_array_equal(few.sums, many.sums[:4])


def test_a_half_without_replicates_has_no_indices() -> None:
    moments = only(sums(5), np.array([0, 2, 4]))
    halves = half_indices(moments, np.array([True, True, True, False]))
    assert np.isnan(halves["shapley"][1]).all()
    assert np.isfinite(halves["shapley"][0, :, :3]).all()


def space(hold: str = "") -> Space:
    label, part = np.repeat([0, 1, 2], 6), np.tile([0, 1], 9).astype(np.int8)
    return Space(
        (get("hflip"),), ("order", "class", "image", "part"), ImageIndex.of(label, part), (8, 8),
        hold=hold,
    )  # fmt: skip


def test_a_part_that_is_held_changes_nothing_else_of_the_rows() -> None:
    """The rows are those of the study with every part coordinate set to that part."""
    varied, held = space(), space(hold="train")
    assert held.groups == varied.groups
    points = Design("cycle", varied.groups, 8, 2, seed=1).replicate(0).points.reshape(-1, 4)
    train = points.copy()
    train[:, varied.groups[-1]] = 0.0  # the first level of part
    for name in ("image", "operation", "parameters"):
        assert_array_equal(getattr(held.decode(points), name), getattr(varied.decode(train), name))


def test_a_part_that_holds_no_images_is_refused() -> None:
    label, part = np.zeros(4, int), np.ones(4, np.int8)
    with pytest.raises(UserError, match=r"part is train, but no image is of part train"):
        Space((), ("image",), ImageIndex.of(label, part), (8, 8), hold="train")


class WithToken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.arange(12.0).reshape(3, 4))
        self.norm = nn.BatchNorm2d(3)
        self.linear = nn.Linear(4, 5)
        self.attention = nn.MultiheadAttention(4, 2)


def trained() -> WithToken:
    torch.manual_seed(0)
    network = WithToken()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(3)
        assert network.norm.running_mean is not None
        network.norm.running_mean.fill_(7)
    return network


def test_a_twin_forgets_what_training_left() -> None:
    twin = untrained(trained(), seed=1, draw_anew=True)
    learned = trained()
    assert not twin.training
    assert twin.norm.running_mean is not None and twin.norm.running_mean.eq(0).all()
    assert twin.norm.weight.eq(1).all()
    assert twin.linear.weight.abs().max() <= 0.5  # uniform within 1 / sqrt(4)
    assert twin.attention.in_proj_weight.abs().max() < 2
    # A parameter that no module draws keeps its values, in another order.
    values = [network.token.detach().flatten().sort().values for network in (twin, learned)]
    assert torch.equal(*values)
    assert not torch.equal(twin.token, learned.token)


def test_a_twin_is_seeded_and_leaves_the_global_generator_alone() -> None:
    networks = [WithToken() for _ in range(3)]
    before = torch.random.get_rng_state()
    first, second, other = (
        untrained(network, seed, draw_anew=True)
        for network, seed in zip(networks, (1, 1, 2), strict=True)
    )
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(first.linear.weight, second.linear.weight)
    assert not torch.equal(first.linear.weight, other.linear.weight)


def test_a_twin_of_loaded_weights_is_as_its_factory_makes_it() -> None:
    network = WithToken()
    weight = network.linear.weight.clone()
    assert torch.equal(untrained(network, seed=1).linear.weight, weight)


def test_a_model_of_the_twins_name_is_refused() -> None:
    taken = {**CONFIG["models"], "net_untrained": {"factory": "torchvision:resnet18"}}
    with pytest.raises(UserError, match=r"models.net_untrained: .* twin of net"):
        complete({**CONFIG, "models": taken})


def entry(name: str, *reads: str) -> Analysis:
    return Analysis(name=name, title=name, reads=reads)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [
        entry("own", "network"),
        entry("reader", "analysis:own"),
        entry("second", "analysis:reader"),
        entry("optional", "indices", "analysis:own?"),
    ]
    monkeypatch.setattr(choosing, "built_in", lambda: {one.name: one for one in entries})


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    "given, on",
    [
        (True, {"optional"}),
        ("all", {"own", "reader", "second", "optional"}),
        ({"own": True, "reader": True}, {"own", "reader", "optional"}),
        (False, set()),
    ],
)
def test_what_reads_an_analysis_that_is_off_is_off(given: object, on: set[str]) -> None:
    found = choosing.complete_analyses(given, Path("."))
    assert {name for name, settings in found.items() if settings is not False} == on


@pytest.mark.usefixtures("registered")
def test_what_is_named_but_reads_an_analysis_that_is_off_is_refused() -> None:
    with pytest.raises(UserError, match=r"analyses.reader: it reads what own gives, which is off"):
        choosing.complete_analyses({"reader": True}, Path("."))


def tree(folder: Path, hold: bool = False) -> Study:
    """A study of one layer on the disk, without or with a selection of its own."""
    moments = sums(4)
    paths = []
    for name, of in (("main", moments), ("selection", only(moments, moments.replicates % 2 == 0))):
        data = layer_dataset([of], ("a", "b", "c"), ("neuron",), 0.95, {"layer": "logits"})
        write_dataset(folder / f"{name}.zarr", data)
        paths.append(folder / f"{name}.zarr")
    selected = (paths[1],) if hold else ()
    return Study(
        model="m", variable_set="s", design="cycle", paths=(paths[0],), selection_paths=selected
    )


def test_halves_are_read_apart_from_the_indices(tmp_path: Path) -> None:
    study = tree(tmp_path)
    assert not [name for name in study.tree["logits"].data_vars if "half" in str(name)]
    halves = study.halves["logits"].to_dataset()
    assert set(halves.data_vars) == {"S1", "ST", "shapley"}
    assert list(halves["half"].values) == ["A", "B"]
    assert halves["ST"].dims == ("half", "variable", "neuron")


def test_without_images_to_select_on_half_a_of_the_study_selects(tmp_path: Path) -> None:
    """Half A of the main study is what the same rows give as a study of their own."""
    fallback, evaluated = (
        tree(tmp_path, hold).selection["logits"].to_dataset() for hold in (False, True)
    )
    for name in ("S1", "ST", "shapley"):
        assert_allclose(fallback[name].values, evaluated[name].values, rtol=1e-6)
        assert fallback[name].dims == ("variable", "neuron")
    assert {"mean", "variance", "status"} <= set(fallback.data_vars)


def test_an_analysis_of_a_tree_in_memory_has_halves() -> None:
    data = layer_dataset([sums(4)], ("a", "b", "c"), ("neuron",), 0.95, {"layer": "logits"})
    study = Study.of(study_tree({"logits": data}))
    assert_array_equal(study.halves["logits"]["S1"].values, data["S1_halves"].values)
