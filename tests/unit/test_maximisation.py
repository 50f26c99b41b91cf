"""The analysis of activation maximisation: worlds whose strongest images are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from attributed_worlds import Deaf, Small, images, run, source
from matplotlib.figure import Figure
from scipy import stats
from torch import nn
from torchvision import models
from variscope.analyses.kept_maps import TRAINED, read_maps
from variscope.analyses.maximisation import ANALYSIS
from variscope.analyses.maximisation.ascents import likeness, response_likeness
from variscope.analyses.maximisation.choosing import layers_of, planned_targets, units_of
from variscope.analyses.maximisation.compute import (
    _median,
    _within_and_between,
    beyond,
    interval_of_mean,
)
from variscope.analyses.maximisation.natural import most_answered, most_varied, strongest
from variscope.analyses.maximisation.stored import maximised
from variscope.analyses.source import Source
from variscope.analyses.words import Words
from variscope.attributions.pooled import Pooled
from variscope.attributions.receptive import Box, receptive_box
from variscope.errors import UserError
from variscope.inputs.axes import Layer
from variscope.inputs.layers import probe
from variscope.inputs.table import ImageTable
from variscope.responses.network.scored import Scored

Tables = dict[str, pd.DataFrame]
QUICK = {"steps": 12, "image_steps": 4, "images": 4}


def made(
    folder: Path, model: nn.Module, layers: list[str], table: ImageTable, **settings: Any
) -> tuple[Source, Tables]:
    more = {**QUICK, **settings}
    shards = more.pop("jobs", 1)
    given = source("maximisation", model, layers, table, **more)
    return run(given, "maximisation", folder, shards)


def answers(given: Source, tables: Tables) -> str:
    """Everything that is said, once the pictures are drawn."""
    for picture in ANALYSIS.pictures:
        figure = ANALYSIS.draw(picture, given, tables)
        assert isinstance(figure, Figure)
        width, height = figure.get_size_inches()
        assert height < 1.12 * width
    said = ANALYSIS.words(given, tables)
    assert isinstance(said, Words)
    whole = " ".join([said.answer, *said.more, said.control, said.note])
    assert "nan" not in whole.lower().split()
    assert "None" not in whole
    return whole


def measured(
    tables: Tables, measure: str, network: str = TRAINED, of: str = "all"
) -> dict[str, Any]:
    table = tables["summary"]
    found = table[
        (table["of"] == of) & (table["network"] == network) & (table["measure"] == measure)
    ]
    (row,) = records(found)
    return row


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


class Linear(nn.Module):
    """Scores that are weighted sums of all pixels, less mid-gray."""

    def __init__(self, size: int = 12, classes: int = 2, seed: int = 2) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.head = nn.Linear(3 * size * size, classes, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.flatten(1))


class Alike(nn.Module):
    """Two classes whose scores are the same, of four channels that are as well."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.one = nn.Conv2d(3, 1, 3)
        self.maps, self.scores = nn.Identity(), nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.maps(self.one(x).expand(-1, 4, -1, -1))
        return self.scores(maps.mean(dim=(2, 3))[:, :2])


def test_of_a_linear_network_the_greatest_value_that_there_is_is_reached(tmp_path: Path) -> None:
    model, table = Linear(), images(12)
    given, tables = made(
        tmp_path, model, ["head"], table, steps=200, step_size=0.5, spectrum=0, jitter=0,
        total_variation=0,
    )  # fmt: skip
    reached = tables["reached"]
    assert (reached["kind"] == "class").all()
    for row in records(reached):
        weights = model.head.weight[row["unit"]].detach().numpy() / 0.25
        greatest = np.maximum(weights, 0).sum() - 0.4 * weights.sum()
        assert row["value"] == pytest.approx(greatest, rel=0.01)
        assert row["low"] <= row["value"] <= row["high"]
        assert row["n"] == 3
        # The yardstick, by its definition.
        pixels = table.load(np.arange(12)).reshape(12, -1)
        natural = pixels @ weights - 0.4 * weights.sum()
        assert row["natural_greatest"] == pytest.approx(natural.max(), rel=1e-4)
        times = (row["value"] - np.median(natural)) / (natural.max() - np.median(natural))
        assert row["times"] == pytest.approx(times, rel=1e-3)
        assert row["quantile"] == 1
        assert row["natural_image"] == f"image {natural.argmax()}"
        # Shuffled, the same pixels are as any noise.
        assert abs(row["shuffled"]) < 0.3 * row["value"]
    # One optimum: starts agree, and images of two classes, of weights of their own, do not.
    assert (reached["image_likeness"] > 0.99).all()
    assert (reached["image_others"].abs() < 0.2).all()
    said = answers(given, tables)
    assert "Made images excite all 2 units more than any of 12 natural images does" in said
    assert "which their shapes account for, and not their colors" in said


def test_units_that_are_the_same_do_not_agree_more_with_themselves(tmp_path: Path) -> None:
    given, tables = made(tmp_path, Alike(), ["maps", "scores"], images(12), spectrum=0, jitter=0)
    row = measured(tables, "image likeness", of="maps")
    assert row["low"] <= 1e-6
    assert abs(row["value"]) < 0.02
    # The naive measure, without the others, would call this agreement.
    assert (tables["reached"]["image_likeness"] > 0.5).all()
    answers(given, tables)


def test_of_a_network_that_reads_colors_alone_shapes_account_for_nothing(tmp_path: Path) -> None:
    class Colors(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scores = nn.Linear(3, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.scores(x.mean(dim=(2, 3)))

    torch.manual_seed(1)
    given, tables = made(
        tmp_path, Colors(), ["scores"], images(12), units={"built": {"scores": [0, 1, 2, 3]}}
    )
    row = measured(tables, "beyond shuffled")
    assert row["value"] == row["low"] == row["high"] == 0
    assert row["n"] == 4
    assert measured(tables, "times")["low"] > 1  # and natural images are left far behind
    answers(given, tables)


def test_a_twin_of_the_same_weights_is_not_told_apart(tmp_path: Path) -> None:
    given, tables = made(
        tmp_path, Small(), ["act", "head"], images(12), twin=Small(), channels=4, steps=24
    )
    for measure in ("times", "shuffled", "beyond shuffled", "image likeness"):
        row = measured(tables, measure, "difference")
        assert row["low"] <= 0 <= row["high"]
    assert set(tables["reached"]["network"]) == {"trained", "untrained"}
    assert "is no sign of learning" in answers(given, tables)


def test_the_planted_patch_is_found_where_it_lies_and_cut_out(tmp_path: Path) -> None:
    class Finder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.find = nn.Conv2d(3, 1, 3, bias=False)
            self.act = nn.ReLU(inplace=True)
            self.scores = nn.Flatten()
            with torch.no_grad():
                self.find.weight.fill_(-1.0)
                self.find.weight[0, :, 1, 1] = 8.0  # a bright point on dark ground

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.scores(self.act(self.find(x)).amax(dim=(2, 3)))

    pixels = np.full((6, 3, 12, 12), 0.5, np.float32)
    for image, (row, column) in enumerate(((3, 4), (8, 8), (1, 10))):
        pixels[image, :, row - 1 : row + 2, column - 1 : column + 2] = 0
        pixels[image, :, row, column] = 1.0 - 0.1 * image
    table = replace(images(6), reader=lambda ids: pixels[ids], part=np.array([0, 1, 1, 1, 1, 1]))
    given, tables = made(tmp_path, Finder(), ["act", "scores"], table)
    crops = tables["natural"].query("of == 'crop' and layer == 'act'").head(3)
    assert list(crops["image"]) == [0, 1, 2]
    assert list(crops["part"]) == ["train", "valid", "valid"]
    assert [tuple(row) for row in crops[["row", "column"]].to_numpy()] == [(2, 3), (7, 7), (0, 9)]
    boxes = crops[["top", "left", "bottom", "right"]].to_numpy()
    assert [tuple(box) for box in boxes] == [(2, 3, 5, 6), (7, 7, 10, 10), (0, 9, 3, 12)]
    answers(given, tables)


def test_results_do_not_depend_on_the_shards(tmp_path: Path) -> None:
    first, alone = made(tmp_path / "1", Small(), ["act", "pool", "head"], images(), twin=Small())
    second, shared = made(
        tmp_path / "3", Small(), ["act", "pool", "head"], images(), twin=Small(), jobs=3
    )
    for name, table in alone.items():
        pd.testing.assert_frame_equal(table, shared[name], check_exact=True)
    maps = [read_maps(given.shards, "maximisation") for given in (first, second)]
    assert maps[0] is not None
    assert maps[1] is not None
    assert np.array_equal(maps[0]["map"].values, maps[1]["map"].values)
    for one, other in zip(
        maximised(first.shards, TRAINED), maximised(second.shards, TRAINED), strict=True
    ):
        assert one.layer == other.layer
        assert np.array_equal(one.data["image"].values, other.data["image"].values)


def test_more_starts_or_units_leave_the_others_as_they_are(tmp_path: Path) -> None:
    few = made(tmp_path / "1", Linear(), ["head"], images(), starts=2, classes=1)[1]["starts"]
    many = made(tmp_path / "2", Linear(), ["head"], images(), starts=4)[1]["starts"]
    both = few.merge(many, on=["layer", "unit", "start"])
    assert len(both) == 2
    np.testing.assert_allclose(both["value_x"], both["value_y"], rtol=1e-4)


DEGENERATE = (
    "one image", "gray", "one output", "no scores", "deaf", "one start", "no layers", "dead",
)  # fmt: skip


@pytest.mark.parametrize("case", DEGENERATE)
def test_what_is_degenerate_is_said(case: str, tmp_path: Path) -> None:
    table = {"one image": images(1), "gray": images(channels=1)}.get(case, images())
    model: nn.Module = {
        "gray": Small(channels=1), "one output": Small(classes=1), "deaf": Deaf(),
    }.get(case, Small())  # fmt: skip
    layers, settings = ["act", "head"], dict[str, Any]()
    if case == "deaf":
        layers = ["maps", "head"]
    if case == "no layers":
        layers, settings = ["head"], {"classes": 0}
    if case == "one start":
        settings = {"starts": 1}
    if case == "dead":
        nn.init.constant_(model.get_parameter("maps.bias"), -100.0)
    given, tables = made(
        tmp_path, model, layers, table, scores=case != "no scores", **settings
    )  # fmt: skip
    said = answers(given, tables)
    if case in ("one image", "dead"):
        assert "No unit that was chosen varies over natural images" in said
    if case == "no layers":
        assert said.startswith("No unit is maximised.")
    if case == "one output":
        assert set(tables["reached"].query("kind == 'class'")["unit"]) == {0}
    if case == "no scores":
        assert "class" not in set(tables["reached"]["kind"])
        assert tables["images"]["quantile"].isna().all()
    if case == "one start":
        assert tables["reached"]["low"].isna().all()
        assert "Whether different starts agree cannot be told" in said
    if case == "gray":
        assert "There is no untrained twin" in said


def test_features_of_patches_are_maximised_over_all_of_them(tmp_path: Path) -> None:
    torch.manual_seed(1)
    vit = models.VisionTransformer(12, 3, 2, 2, 32, 64, num_classes=2)
    nn.init.normal_(vit.heads.head.weight)
    layers = ["encoder.layers.encoder_layer_0", "heads"]
    given, tables = made(tmp_path, vit, layers, images(), channels=2)
    found = tables["reached"].query("layer != 'heads'")
    assert set(found["kind"]) == {"feature"}
    assert (found["value"] > found["noise"]).all()
    crops = tables["natural"].query("of == 'crop'")
    assert (crops["bottom"] - crops["top"] == 12).all()  # attention reads the whole image
    answers(given, tables)


def test_units_are_means_over_places_and_nothing_behind_them_is_run() -> None:
    calls: list[int] = []
    model = Small()
    model.head.register_forward_hook(lambda *_: calls.append(1))
    layer, head = probe(model, ["maps", "head"], (3, 12, 12))
    pixels = torch.rand((4, 3, 12, 12))
    calls.clear()
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]
    whole = Scored(model, mean, std, layer)(pixels).unflatten(1, (4, 12, 12))
    assert calls == [1]
    torch.testing.assert_close(Pooled(model, mean, std, layer)(pixels), whole.mean(dim=(2, 3)))
    centre = Pooled(model, mean, std, layer, "centre")(pixels)
    assert torch.equal(centre, whole[:, :, 6, 6])
    assert torch.equal(Pooled(model, mean, std, layer, "maps")(pixels), whole)
    assert calls == [1]
    scores = Scored(model, mean, std, head)(pixels)
    assert torch.equal(Pooled(model, mean, std, head)(pixels), scores)


def test_what_a_place_reads_is_found_by_gradients() -> None:
    torch.manual_seed(1)
    convolutions = nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=2, padding=2),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 8, 3, stride=2, padding=1),
    )
    pixels = torch.rand((4, 3, 32, 32))
    # Of place j the second reads 2 j - 1 to 2 j + 1, of which the first reads 2 i - 2 to 2 i + 2.
    assert receptive_box(convolutions, pixels, 3, 4) == Box(8, 12, 17, 21)
    assert receptive_box(convolutions, pixels, 0, 7) == Box(0, 24, 5, 32)
    pooling = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(4))
    many = torch.rand((64, 3, 32, 32))
    assert receptive_box(pooling, many, 2, 2) == Box(7, 7, 13, 13)
    normalised = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.GroupNorm(1, 4))
    assert receptive_box(normalised, pixels, 3, 3) == Box(0, 0, 32, 32)
    constant = nn.Conv2d(3, 4, 3)
    nn.init.zeros_(constant.weight)
    assert receptive_box(constant, pixels, 3, 3) == Box(0, 0, 32, 32)


def test_where_values_lie_among_natural_ones() -> None:
    natural = np.array([0.0, 1.0, 2.0, 4.0, 10.0])  # median 2, deviations 2, 1, 0, 2, 8: 2
    found = beyond(np.array([2.0, 10.0, 18.0, -6.0, 4.0]), natural)
    np.testing.assert_allclose(found["times"], [0, 1, 2, -1, 0.25])
    np.testing.assert_allclose(found["deviations"], [0, 4, 8, -4, 1])
    np.testing.assert_allclose(found["quantile"], [0.6, 1, 1, 0, 0.8])
    rare = beyond(2.0, np.array([0.0, 0.0, 0.0, 1.0]))
    assert np.isnan(rare["deviations"])
    assert rare["times"] == 2
    assert np.isnan(beyond(2.0, np.ones(3))["times"])
    mean, low, high = interval_of_mean(np.array([1.0, 2.0, 6.0]), 0.9)
    expected = stats.t.interval(0.9, 2, loc=3, scale=stats.sem([1.0, 2.0, 6.0]))
    np.testing.assert_allclose([mean, low, high], [3, *expected])
    assert np.isnan(interval_of_mean(np.array([1.0]), 0.9)[1:]).all()


def test_medians_of_resamples_are_those_of_the_repeated_values() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=7)
    weights = rng.multinomial(7, np.ones(7) / 7, size=50).astype(float)
    expected = [np.median(np.repeat(values, row.astype(int))) for row in weights]
    np.testing.assert_allclose(_median(values, weights), expected)


def test_likeness_leaves_out_what_images_are_made_for() -> None:
    rng = np.random.default_rng(1)
    natural = rng.normal([5, 0, 0, 0, 0, 7], [1, 2, 1, 3, 1, 0], (500, 6))
    natural[:, 5] = 7  # never varies
    outputs = natural[:3].copy()
    outputs[0, 0] = outputs[1, 0] = 1000.0  # both are made for it
    found = response_likeness(outputs, natural, np.array([0, 0, 1]))
    scaled = (outputs - natural.mean(axis=0)) / np.where(
        natural.std(axis=0), natural.std(axis=0), 1
    )
    assert found[0, 1] == pytest.approx(np.corrcoef(scaled[:2, 1:5])[0, 1])
    assert found[0, 2] == pytest.approx(np.corrcoef(scaled[[0, 2]][:, 2:5])[0, 1])
    assert abs(np.corrcoef(scaled[:2, :5])[0, 1]) > 0.99  # what it would be with it
    assert np.isnan(response_likeness(outputs[:, :3], natural[:, :3], np.array([0, 0, 1]))[0, 2])
    np.testing.assert_allclose(likeness(outputs), np.corrcoef(outputs))
    assert np.isnan(likeness(np.ones((2, 4)))).all()
    within, between = _within_and_between(np.arange(16.0).reshape(4, 4), 2)
    np.testing.assert_allclose(within, [(1 + 4) / 2, (11 + 14) / 2])
    np.testing.assert_allclose(between, [(2 + 3 + 6 + 7) / 4, (8 + 9 + 12 + 13) / 4])


def test_strongest_images_are_of_different_sources() -> None:
    values = np.array([3.0, 9.0, 8.0, np.nan, 1.0], np.float32)
    assert list(strongest(values, np.array([0, 1, 1, 2, 3]), 4)) == [1, 0, 4, -1]
    varied = np.array([[0.0, 1, 5, np.nan], [0, 3, -5, 1]], np.float32)
    assert most_varied(varied, 3) == [2, 1]
    scores = np.array([[1.0, 2, 0], [0, 2, 1], [3, 0, 1]], np.float32)
    assert most_answered(scores, 3) == [1, 0]


LAYERS = [
    Layer("a", (4, 6, 6), ("channel", "y", "x")),
    Layer("b", (8, 3, 3), ("channel", "y", "x")),
    Layer("tokens", (10, 16), ("token", "feature"), ("class",), (3, 3)),
    Layer("c", (7,)),
    Layer("d", (9,)),
    Layer("head", (3,)),
]


def test_units_are_chosen_by_stated_rules_and_refused_by_name() -> None:
    settings = {key: one["default"] for key, one in ANALYSIS.settings.items()}

    def names(**given: Any) -> list[str]:
        return [one.name for one in layers_of({**settings, **given}, "net", LAYERS, "head")]

    assert names() == ["a", "b", "tokens", "d"]
    assert names(layers="all") == ["a", "b", "tokens", "c", "d"]
    assert names(layers=["c", "a"]) == ["a", "c"]
    assert names(units={"net": {"head": [1], "b": [7]}}) == ["b"]
    assert layers_of(settings, "net", LAYERS[-1:], "head") == []
    assert planned_targets(settings, "net", LAYERS) == 3 + 4 * 3
    assert planned_targets({**settings, "channels": 8}, "net", LAYERS) == 3 + 4 + 8 + 8 + 8
    assert planned_targets({**settings, "units": {"net": {"a": [1, 2]}}}, "net", LAYERS) == 2
    assert units_of({"units": {"net": {"a": [1, 1, 2]}}}, "net", LAYERS) == {"a": [1, 2]}
    assert units_of({"units": {"other": {"gone": [1]}}}, "net", LAYERS) is None
    for given, message in (
        (
            {"layers": ["gone"]},
            r"^analyses\.maximisation\.layers: found 'gone', which is no studied",
        ),
        (
            {"units": {"net": {"gone": [1]}}},
            r"units\.net\.gone: found 'gone', .*; allowed: a, b, t",
        ),
        ({"units": {"net": {"a": [4]}}}, r"units\.net\.a: found 4; allowed: 0 to 3, channels"),
        ({"units": {"net": {"tokens": [16]}}}, "found 16; allowed: 0 to 15, features"),
    ):
        with pytest.raises(UserError, match=message):
            names(**given)


def test_units_that_are_named_are_maximised_and_no_others(tmp_path: Path) -> None:
    units = {"built": {"act": [3, 0], "head": [1]}}
    _, tables = made(
        tmp_path, Small(), ["act", "pool", "head"], images(), units=units, channel="centre"
    )
    found = tables["reached"]
    assert list(zip(found["layer"], found["unit"], strict=True)) == [
        ("head", 1), ("act", 3), ("act", 0),
    ]  # fmt: skip
