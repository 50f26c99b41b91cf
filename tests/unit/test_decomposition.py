"""`variscope.decompose`: a study in the process."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
import torch
import variscope
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from tiny import REPOSITORY, network, photographs
from torch import nn
from variscope import UserError, figures
from variscope.analyses.specialised.compute import specialised_units
from variscope.space.augmentations import Augmentation
from variscope.study.schema import settings

IMAGES, LABELS = photographs()
SETTINGS: dict[str, Any] = {
    "variables": ["hflip", "rolling"],
    "layers": ["0", "1", "2"],
    "blocks": 16,
    "replicates": 4,
    "progress": False,
    "mean": (0.5, 0.5, 0.5),
    "std": (0.25, 0.25, 0.25),
}


def decompose(**changes) -> xr.DataTree:
    settings = {"model": network(), "images": IMAGES, "labels": LABELS, **SETTINGS, **changes}
    model, images, labels = (settings.pop(key) for key in ("model", "images", "labels"))
    return variscope.decompose(model, images, labels, **settings)


def last(tree: xr.DataTree) -> xr.Dataset:
    """The network's last layer."""
    return tree["2"].to_dataset()


def test_there_is_one_node_a_layer_in_the_order_of_the_network():
    tree = decompose()
    assert list(tree.children) == ["0", "1", "2"]
    first = tree["0"].to_dataset()
    assert first.S1.dims == ("variable", "channel", "y", "x")
    assert first["variable"].values.tolist() == ["hflip", "rolling", "order", "class", "image"]
    assert tree["2"].to_dataset().S1.dims == ("variable", "neuron")
    assert first.attrs["blocks"] == 16 and first.attrs["rows"] == 16 * 10


def test_shapley_effects_of_every_unit_sum_to_one():
    for node in decompose().children.values():
        data = node.to_dataset()
        total = data.shapley.sum("variable").where(data.status == 0)
        # Exactly but for float32's rounding of the terms, of their sums and of the shares.
        assert_allclose(total.values[~np.isnan(total.values)], 1, rtol=1e-6)


def test_the_default_seed_is_that_of_the_workflow():
    default = settings()["seed"]["default"]
    xr.testing.assert_equal(
        decompose()["2"].to_dataset(), decompose(seed=default)["2"].to_dataset()
    )


def test_the_package_shows_what_it_offers_and_that_it_is_typed():
    assert {"decompose", "UserError", "__version__"} <= set(dir(variscope))
    assert (Path(variscope.__file__).parent / "py.typed").is_file()
    data = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "py.typed" in data["package-data"]["variscope"]


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    one, again, other = decompose(seed=1), decompose(seed=1), decompose(seed=2)
    assert one.identical(again)
    assert (one["2"].S1.values != other["2"].S1.values).any()


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_batch_sizes_agree_to_rounding(batch_size: int):
    one, other = decompose(), decompose(batch_size=batch_size)
    for layer in one.children:
        assert_allclose(
            one[layer].ST.values, other[layer].ST.values, rtol=1e-3, atol=1e-4, equal_nan=True
        )


def test_pixels_as_bytes_and_as_floats_give_the_same():
    floats = IMAGES.astype(np.float32) / 255
    assert_allclose(decompose()["2"].ST.values, decompose(images=floats)["2"].ST.values, atol=1e-5)


def test_the_callers_model_and_arrays_stay_as_they_are():
    model = network().train()
    weights = {key: value.clone() for key, value in model.state_dict().items()}
    images = IMAGES.copy()
    decompose(model=model, images=images)
    assert model.training
    assert_array_equal(images, IMAGES)
    assert all(torch.equal(weights[key], value) for key, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_an_augmentation_of_the_users_own_is_a_variable():
    def invert(images, parameters):
        return 1 - images

    own = Augmentation("invert", invert)
    tree = decompose(variables=[own, "hflip"])
    assert tree["0"].to_dataset()["variable"].values.tolist()[0] == "invert"
    assert float(tree["2"].ST_layer.sel(variable="invert")) > 0.01


def test_a_variable_that_does_nothing_is_exactly_zero():
    own = Augmentation("nothing", lambda images, parameters: images.clone())
    data = decompose(variables=[own, "hflip"], auxiliary=("class", "image"))["0"].to_dataset()
    fine = data.status.values == 0
    for name in ("S1", "ST", "shapley"):
        assert_array_equal(data[name].sel(variable="nothing").values[fine], 0.0)


def test_bounds_of_an_entry_are_used():
    still = decompose(variables=[{"name": "rolling", "rows": [0, 0], "columns": [0, 0]}, "hflip"])
    data = still["0"].to_dataset()
    assert data.moved.sel(variable="rolling") == 0 < data.moved.sel(variable="hflip")
    assert np.isnan(data.ST.sel(variable="rolling")).all()
    assert np.isfinite(data.ST.sel(variable="hflip").values[data.status.values == 0]).all()


def test_two_networks_are_compared_on_the_same_images_alone():
    one, other = decompose(), decompose(model=network(seed=5))
    found = variscope.difference(last(one), "image", last(other), "image", index="ST")
    values = [float(tree["2"].ST_layer.sel(variable="image")) for tree in (one, other)]
    assert found.value == pytest.approx(values[0] - values[1])
    assert found.low < found.value < found.high
    # Equal networks are evaluated on equal rows: nothing is left of the sampling.
    assert variscope.difference(last(one), "image", last(decompose()), "image")[:3] == (0, 0, 0)
    altered = decompose(images=IMAGES[::-1].copy())
    with pytest.raises(UserError, match="not paired: images is"):
        variscope.difference(last(one), "image", last(altered), "image")


def test_an_augmentation_that_never_moves_is_said_to_be_not_varied():
    still = {"name": "rolling", "rows": [0, 0], "columns": [0, 0]}
    tree = decompose(variables=["hflip", still])
    assert np.isnan(tree["2"].ST_layer.sel(variable="rolling"))
    said = synthetic.said(tree)
    assert any("Rolling is not varied in this sample" in sentence for sentence in said)
    assert not any("olling" in s for s in said if "not varied" not in s)
    assert not (specialised_units(tree)["runner_up"] == "rolling").any()
    whole = tree["2"].shapley_group_layer.sel(group="all_augmentations")
    assert float(whole) == pytest.approx(float(tree["2"].shapley_layer.sel(variable="hflip")))


def test_two_sets_are_compared_by_their_replicates():
    one, other = decompose(), decompose(variables=["hflip"], groups={"mine": ["hflip", "class"]})
    groups = last(other)["group"].values.tolist()
    assert groups == ["all_augmentations", "image_identity", "mine"]
    found = variscope.difference(last(one), "image_identity", last(other), "mine")
    assert all(np.isfinite(bound) for bound in found[:3])


# 15 blocks over 4 replicates: sizes that are no powers of two.
@pytest.mark.parametrize("blocks", [16, 15])
def test_a_study_that_grew_has_the_bits_of_one_of_its_last_size(blocks: int):
    grown = decompose(blocks=blocks, half_width=0.05, most_blocks=8 * blocks + 7, batch_size=32)
    whole = decompose(blocks=8 * blocks, batch_size=32)
    for name, node in whole.children.items():
        xr.testing.assert_identical(grown[name].to_dataset(), node.to_dataset())


def test_a_study_says_what_was_asked_of_its_intervals_and_what_is_reached():
    course = json.loads(decompose(half_width=0.001, most_blocks=40).attrs["precision"])
    assert course["asked"] == {
        "half_width": 0.001, "index": "shapley", "of": "layers", "most_blocks": 40,
    }  # fmt: skip
    assert [one["blocks"] for one in course["rounds"]] == [16, 32]
    assert (course["reached"], course["finished"]) == (False, True)
    assert course["rounds"][-1]["widest"]["half_width"] > 0.001
    assert "precision" not in decompose().attrs


def test_a_study_ends_once_its_intervals_are_narrow_twice():
    asked = {"half_width": 0.3, "index": "S1", "of": "channels", "most_blocks": 4096}
    tree = decompose(**asked)
    rounds = json.loads(tree.attrs["precision"])["rounds"]
    reached = [one["reached"] for one in rounds]
    assert reached[-2:] == [True, True] and reached[-3:-1] != [True, True]
    for data in (node.to_dataset() for node in tree.children.values()):
        assert data.attrs["blocks"] == rounds[-1]["blocks"] < 4096
        of = "S1_channel" if "S1_channel" in data else "S1"
        assert float((data[f"{of}_high"] - data[f"{of}_low"]).max()) <= 0.6


def test_the_star_has_no_shapley_effects():
    data = decompose(design="star")["2"].to_dataset()
    assert "shapley" not in data and data.S2.dims == ("pair", "neuron")


def test_class_shares_hold_where_the_network_tells_nothing_but_the_class():
    """A unit that is the mean of the image, on images whose mean is their class."""
    images = np.repeat(np.linspace(0, 1, 3, dtype=np.float32), 4)[:, None, None, None]
    images = np.broadcast_to(images, (12, 3, 16, 16))
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    tree = decompose(model=model, images=images, layers=["1"], mean=(0, 0, 0), std=(1, 1, 1))
    data = tree["1"].to_dataset()
    assert_allclose(data.shapley.sel(variable="class"), 1, atol=1e-5)
    assert_allclose(data.ST.sel(variable="hflip"), 0, atol=1e-5)


def test_the_figures_take_the_result_as_it_is():
    tree = decompose()
    assert figures.summary(tree).axes
    assert figures.maps(tree["0"].to_dataset()).axes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "resnet18"}, "model: found str; allowed: a torch.nn.Module"),
        ({"images": IMAGES[:, :, 0]}, "images"),
        ({"labels": LABELS[:-1]}, "labels"),
        ({"variables": ["hflop"]}, "hflop.*known: .*hflip"),
        ({"variables": [3]}, "found 3; allowed: a name"),
        ({"variables": [{"name": "hue", "factor": [0.5, -0.5]}]}, "factor"),
        ({"variables": [{"name": "hue", "factr": [0, 0.5]}]}, "unknown key 'factr'"),
        ({"groups": {"mine": ["hue"]}}, "groups.mine: found 'hue'; allowed: hflip, rolling, order"),
        ({"auxiliary": ("part",)}, "images have no part"),
        ({"auxiliary": ("odrer",)}, "allowed: order, class, image"),
        ({"layers": ["7"]}, "'7'"),
        ({"blocks": 2}, "at least one per replicate"),
        ({"replicates": 1}, "at least 2"),
        ({"blocks": 2.5}, "blocks: found 2.5; allowed: an integer"),
        ({"blocks": 10**12}, "blocks: found 1000000000000"),
        ({"seed": 1.5}, "seed: found 1.5"),
        ({"confidence_level": "a"}, "confidence_level: found 'a'"),
        ({"variables": "hue"}, r"variables: found the text 'hue'; allowed: a list"),
        ({"auxiliary": "class"}, r"auxiliary: found the text 'class'"),
        ({"design": "circle"}, "allowed: cycle, star"),
        ({"apply": "maybe"}, "allowed: always, switched"),
        ({"confidence_level": 95}, "confidence_level: found 95"),
        ({"half_width": 0}, "half_width: found 0; allowed: above 0 and below 0.5, or None"),
        ({"half_width": "0.1"}, "half_width: found '0.1'"),
        ({"half_width": 0.1, "of": "units"}, "of: found 'units'; allowed: layers, channels"),
        ({"half_width": 0.1, "most_blocks": 15}, r"most_blocks: found 15; .*at least blocks \(16"),
        ({"half_width": 0.1, "index": "S2"}, "index: found 'S2'; allowed with the cycle: auto"),
        ({"half_width": 0.1, "index": "shapley", "design": "star"}, "allowed with the star: auto"),
        ({"half_width": 0.1, "design": "circle"}, "allowed: cycle, star"),
        ({"batch_size": 0}, "batch_size: found 0"),
        ({"seed": -1}, "seed: found -1"),
        ({"device": "tpu"}, "device: found 'tpu'"),
        ({"mean": (0.5,)}, "mean: found"),
        ({"std": (0.5, 0.0, 1.0)}, "std: found"),
    ],
)
def test_what_is_wrong_is_named(changes: dict, message: str):
    with pytest.raises(UserError, match=message):
        decompose(**changes)


def test_importing_the_package_imports_neither_torch_nor_numpy():
    code = "import sys, variscope; assert not {'torch', 'numpy'} & set(sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "workflow")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_mean_and_std_are_needed_unless_the_model_carries_them():
    with pytest.raises(UserError, match=r"mean and std: left out.*0\.485.*0\.5, 0\.5"):
        decompose(mean=None, std=None)
    carrying = network()
    told = {"mean": SETTINGS["mean"], "std": SETTINGS["std"]}
    vars(carrying)["pretrained_cfg"] = told
    assert_array_equal(
        decompose(model=carrying, mean=None, std=None)["2"].ST.values, decompose()["2"].ST.values
    )


def test_a_network_that_draws_is_refused_and_keeps_its_mode():
    class Drawing(nn.Sequential):
        def forward(self, images):
            return super().forward(nn.functional.dropout(images, 0.5))

    model = Drawing(*network().children()).train()
    model[0].eval()
    with pytest.raises(UserError, match="draws at random"):
        decompose(model=model)
    assert model.training and not model[0].training and model[1].training
