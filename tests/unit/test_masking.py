"""Guided masking on networks built so that known units carry known variables."""

from __future__ import annotations

from pathlib import Path

import masking_worlds
import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
import xarray as xr
from masking_worlds import SIZE, Colour
from torch import nn
from variscope.analyses.mapped import mapped_variables
from variscope.analyses.masking.compute import compute
from variscope.analyses.masking.maps import LayerMaps
from variscope.analyses.masking.outcomes import (
    ORIGINAL,
    PUBLISHED,
    TOGETHER,
    Condition,
    notes_of,
)


def of(outcomes: xr.Dataset, **wanted: object) -> xr.Dataset:
    """The outcomes of some conditions."""
    held = np.ones(outcomes.sizes["condition"], dtype=bool)
    for name, value in wanted.items():
        held &= outcomes[name].values == value
    return outcomes.isel(condition=held)


def by(table: pd.DataFrame, *columns: str) -> dict[tuple, dict]:
    """The rows of a table, by what they are of."""
    return {tuple(row[name] for name in columns): row for row in table.to_dict("records")}


REFERENCE = {"operation": "scale", "strength": 0.0, "share": 0.2}


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    pixels, _ = masking_worlds.colorful(60)
    label = np.zeros(60, int)
    label[::10] = 1  # there are two classes; the network says 0 of all that have color
    given = masking_worlds.source(
        Colour(),
        ["features", "head"],
        masking_worlds.table(pixels, label),
        {"color": (masking_worlds.study({"features": masking_worlds.colour_maps()}),
                   ["grayscale", "hue"])},
        images_per_class=60,
    )  # fmt: skip
    return masking_worlds.run(given, tmp_path_factory.mktemp("colour"))


def test_masking_what_reads_color_changes_exactly_the_predictions_of_colored_images(
    colour: tuple,
) -> None:
    _, outcomes = colour
    gray = of(outcomes, mask="grayscale", kind="shapley", layer=TOGETHER, **REFERENCE)
    for given, plain, masked in ((ORIGINAL, 0, 1), ("grayscale", 1, 1)):
        assert (of(outcomes, input=given, control="none")["predicted"] == plain).all()
        own = of(gray, input=given, control="own")
        assert own.sizes["condition"] == 1
        assert (own["predicted"] == masked).all()
        # Matched units, of which there are five draws, change none.
        matched = of(gray, input=given, control="matched")
        assert matched.sizes["condition"] == 5
        assert (matched["predicted"] == plain).all()
        assert matched["agree"].all()
    # Another variable's mask changes none.
    other = of(outcomes, mask="hue", control="own", layer=TOGETHER, kind="shapley", **REFERENCE)
    assert (of(other, input=ORIGINAL)["predicted"] == 0).all()


def test_the_interaction_of_the_known_variable_is_found_and_the_inert_one_has_none(
    colour: tuple,
) -> None:
    source, outcomes = colour
    tables = compute(source)
    found = by(tables["interaction"], "layer", "kind", "outcome", "variable")
    gray = found["features", "shapley", "top1", "grayscale"]
    # Original input of class 0 loses all, that of class 1 gains all; gray input loses nothing.
    assert gray["interaction"] == pytest.approx(-(54 - 6) / 60)
    assert gray["high"] < 0
    assert gray["p"] < 0.01
    assert gray["n"] == 60
    hue = found["features", "shapley", "margin", "hue"]
    assert abs(hue["interaction"]) < 1e-6
    assert hue["low"] <= 0 <= hue["high"]
    specific = by(tables["specificity"], "layer", "kind", "outcome")
    row = specific["features", "shapley", "margin"]
    assert row["permutations"] == 2  # of two labels
    assert row["p"] == 1  # which cannot be told from chance, and says so
    assert len(tables["accuracy"]) == outcomes.sizes["condition"]


def test_all_published_settings_are_run_where_all_layers_are_masked(colour: tuple) -> None:
    _, outcomes = colour
    for control in ("own", "matched"):
        some = of(outcomes, input="hue", mask="hue", control=control, layer=TOGETHER, seed=0,
                  kind="shapley")  # fmt: skip
        found = set(zip(*(some[n].values.tolist() for n in Condition._fields[5:8]), strict=True))
        assert found == {*map(tuple, PUBLISHED), ("mean", 0.0, 0.2)}


def test_outcomes_do_not_depend_on_the_shards(tmp_path: Path) -> None:
    pixels, label = masking_worlds.colorful(130)
    given = masking_worlds.source(
        Colour(),
        ["features", "head"],
        masking_worlds.table(pixels, label),
        {"color": (masking_worlds.study({"features": masking_worlds.colour_maps()}),
                   ["grayscale", "hue"])},
        images_per_class=60,
        kinds=["S1"],
        batch_size=32,
    )  # fmt: skip
    _, one = masking_worlds.run(given, tmp_path / "one", 1)
    _, three = masking_worlds.run(given, tmp_path / "three", 3)
    _, five = masking_worlds.run(given, tmp_path / "five", 5)  # one of which has no images
    assert one.sizes["image"] == 120
    xr.testing.assert_identical(one, three)
    xr.testing.assert_identical(one, five)


class Large(nn.Module):
    """Half of all units are large, and each of them counts alike for the class; others nothing."""

    def __init__(self, units: int = 200) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.features = nn.Linear(3 * SIZE * SIZE, units, bias=False)
        self.head = nn.Linear(units, 2, bias=False)
        with torch.no_grad():
            weight = torch.rand((units, 3 * SIZE * SIZE), generator=generator)
            weight[::2] *= 0.001
            self.features.weight.copy_(weight / weight.shape[1])
            self.head.weight.zero_()
            self.head.weight[0, 1::2] = 0.03
            self.head.weight[1, 1::2] = -0.03

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(images.flatten(1)))


def test_large_units_fool_the_random_control_and_not_the_matched_one(tmp_path: Path) -> None:
    """Maps point at large units, at random among them: masks find nothing but size."""
    pixels, label = masking_worlds.colorful(80)
    label[:] = 0
    label[0] = 1
    model = Large()
    with torch.no_grad():
        square = model.features(torch.from_numpy(pixels).flatten(1)).square().mean(0).numpy()
    rng = np.random.default_rng(0)
    maps = {}
    for name in ("grayscale", "hue", "brightness"):
        maps[name] = np.where(square > np.median(square), rng.uniform(0.5, 1, 200), 0.0)
    given = masking_worlds.source(
        model,
        ["features", "head"],
        masking_worlds.table(pixels, label),
        {"color": (masking_worlds.study({"features": maps}, dims={"features": ("neuron",)},
                                        moments={"features": square}), list(maps))},
        images_per_class=79,
    )  # fmt: skip
    source, _ = masking_worlds.run(given, tmp_path)
    losses = by(compute(source)["losses"], "layer", "kind", "outcome", "control")
    for layer in ("features", TOGETHER):
        naive = losses[layer, "shapley", "margin", "random"]
        assert naive["beyond_low"] > 0.02  # "the sensitive units matter"
        matched = losses[layer, "shapley", "margin", "matched"]
        assert abs(matched["beyond"]) < 0.1 * naive["beyond"]


def world(name: str) -> dict:
    """Worlds that leave little to mask."""
    pixels, label = masking_worlds.colorful(12)
    maps = {"features": masking_worlds.colour_maps()}
    model: nn.Module = Colour()
    layers, sets, images = ["features", "head"], ["grayscale", "hue"], (pixels, label)
    scores = True
    if name == "no layer of scores":
        scores = False
    elif name == "no layer before the scores":
        layers = ["head"]
    elif name == "one variable":
        maps, sets = {"features": {"hue": maps["features"]["hue"]}}, ["hue"]
    elif name == "no maps of any kind":
        maps = {"features": {k: v * np.nan for k, v in maps["features"].items()}}
    elif name == "constant maps":
        maps = {"features": {k: v * 0 + 0.5 for k, v in maps["features"].items()}}
    elif name == "one class":
        images = (pixels, label * 0)
    elif name == "one score":
        model.head = nn.Linear(5 * SIZE * SIZE, 1)
    elif name == "one image":
        images = (pixels[:1], label[:1])
    elif name == "auxiliary variables alone":
        maps = {"features": {"image": maps["features"]["hue"]}}
        sets = ["hue"]
    return {"model": model, "layers": layers, "images": masking_worlds.table(*images),
            "studies": {"color": (masking_worlds.study(maps), sets)}, "scores": scores}  # fmt: skip


@pytest.mark.parametrize(
    ("case", "note"),
    [
        ("no layer of scores", "No layer of class scores"),
        ("no layer before the scores", "No layer stands before the scores"),
        ("one variable", ""),
        ("no maps of any kind", "No variable has maps of the kind shapley"),
        ("constant maps", ""),
        ("one class", "network's own answer"),
        ("one score", "there is no class to predict"),
        ("one image", "network's own answer"),
        ("auxiliary variables alone", ""),
    ],
)
def test_what_cannot_be_masked_is_left_out_by_name(case: str, note: str, tmp_path: Path) -> None:
    source, outcomes = masking_worlds.run(masking_worlds.source(**world(case)), tmp_path, 2)
    tables = compute(source)
    assert note in " ".join(tables["notes"]["note"])
    assert notes_of(outcomes) == tables["notes"]["note"].tolist()
    nothing = case in ("no layer of scores", "no layer before the scores", "no maps of any kind",
                       "one score")  # fmt: skip
    assert (len(tables["accuracy"]) == 0) == nothing


def test_tokens_are_masked_and_matched_feature_by_feature(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = torchvision.models.VisionTransformer(SIZE, 2, 2, 2, 12, 24, num_classes=3)
    with torch.no_grad():
        nn.init.normal_(model.heads[0].weight)
    pixels, label = masking_worlds.colorful(12, classes=3)
    name, rng = "encoder.layers.encoder_layer_0", np.random.default_rng(0)
    shape = (17, 12)  # a class token and 16 patches
    maps = {variable: rng.random(shape) for variable in ("grayscale", "hue")}
    study = masking_worlds.study(
        {name: maps}, dims={name: ("token", "feature")}, moments={name: rng.random(shape)}
    )
    given = masking_worlds.source(
        model,
        [name, "heads"],
        masking_worlds.table(pixels, label),
        {"color": (study, ["grayscale", "hue"])},
    )
    source, outcomes = masking_worlds.run(given, tmp_path)
    assert {"channels", "matched"} <= set(outcomes["control"].values)
    assert len(compute(source)["specificity"]) > 0
    layer = given.network().layers[0]
    masks = LayerMaps(layer, mapped_variables(given), seed=1)
    own = Condition("hue", "hue", "own", "shapley", name, "scale", 0.0, 0.2, 0)
    hit, matched, exchanged = (
        masks.hit(own._replace(control=control)) for control in ("own", "matched", "channels")
    )
    assert hit.sum() == round(0.2 * 17 * 12)
    assert matched.sum(axis=0).tolist() == hit.sum(axis=0).tolist()
    assert not np.array_equal(matched, hit)
    # Features are exchanged as they are, over all tokens.
    assert sorted(map(tuple, exchanged.T)) == sorted(map(tuple, hit.T))
