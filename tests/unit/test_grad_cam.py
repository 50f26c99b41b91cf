"""The analysis of class activation maps, of networks whose maps are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from attributed_worlds import Deaf, Small, images, run, source
from matplotlib.figure import Figure
from torch import nn
from torchvision import models
from variscope.analyses.grad_cam import ANALYSIS
from variscope.analyses.grad_cam.choosing import candidates
from variscope.analyses.kept_maps import read_maps
from variscope.analyses.source import Source
from variscope.analyses.words import Words
from variscope.errors import UserError
from variscope.inputs.axes import Layer

Tables = dict[str, pd.DataFrame]


def answers(given: Source, tables: Tables) -> str:
    """Everything that is said, once the picture is drawn."""
    for picture in ANALYSIS.pictures:
        assert isinstance(ANALYSIS.draw(picture, given, tables), Figure)
    said = ANALYSIS.words(given, tables)
    assert isinstance(said, Words)
    whole = " ".join([said.answer, *said.more, said.control, said.note])
    assert "nan" not in whole.split()
    assert "None" not in whole
    return whole


def value(tables: Tables, first: str, second: str, measure: str = "spearman") -> dict[str, float]:
    found = tables["agreement"]
    own = found[
        (found["first"] == first) & (found["second"] == second) & (found["measure"] == measure)
    ]
    return dict(own.iloc[0])


class Pooled(nn.Module):
    """The mean over places, then a linear head: both methods are one."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.maps, self.act, self.head = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.act(self.maps(x)).mean(dim=(2, 3)))


class Sides(nn.Module):
    """Brightness of the left half less that of the right one, and the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.maps, self.head = nn.Conv2d(3, 1, 1, bias=False), nn.Identity()
        nn.init.ones_(self.maps.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = (half.sum(dim=(1, 2, 3)) for half in self.maps(x).chunk(2, dim=3))
        return self.head(torch.stack([left - right, right - left], dim=1))


def test_where_the_head_is_a_mean_both_methods_are_one(tmp_path: Path) -> None:
    given, tables = run(
        source("grad_cam", Pooled(), ["act", "head"], images(8)), "grad_cam", tmp_path
    )
    for measure in ("spearman", "iou"):
        found = value(tables, "grad_cam", "hires_cam", measure)
        assert found["value"] == pytest.approx(1)
        assert found["difference_low"] > 0.3
    assert "Grad-CAM shows the same as HiResCAM in act" in answers(given, tables)


def test_the_sum_of_hires_cam_is_the_score_less_its_constant(tmp_path: Path) -> None:
    network = Small()
    _, tables = run(source("grad_cam", network, ["pool", "head"], images(5)), "grad_cam", tmp_path)
    found = tables["images"]
    bias = network.head.bias.detach().numpy()
    target = [["cat", "dog"].index(name) for name in found["target"]]
    np.testing.assert_allclose(found["sum"], found["score"] - bias[target], rtol=1e-4, atol=1e-5)
    sums = tables["sums"].set_index("measure")["value"]
    assert sums["sum"] == pytest.approx(found["sum"].mean())


def test_grad_cam_is_empty_where_derivatives_cancel_and_that_is_said(tmp_path: Path) -> None:
    given, tables = run(
        source("grad_cam", Sides(), ["maps", "head"], images(6)), "grad_cam", tmp_path
    )
    found = value(tables, "grad_cam", "hires_cam")
    assert (found["n"], found["undefined"]) == (0, 6)
    assert tables["sums"].set_index("measure")["value"]["empty"] == 1
    hires = read_maps(given.shards, "hires_cam")
    assert hires is not None
    assert (hires["map"].values != 0).mean() > 0.9
    answers(given, tables)


def test_a_twin_of_other_weights_is_told_apart_and_the_same_one_is_not(tmp_path: Path) -> None:
    shown = {}
    for name, twin in (("same", Small()), ("other", Small(seed=9))):
        given, tables = run(
            source("grad_cam", Small(), ["act", "head"], images(8), twin=twin),
            "grad_cam", tmp_path / name,
        )  # fmt: skip
        shown[name] = value(tables, "hires_cam", "untrained hires_cam")["value"]
        answers(given, tables)
    assert shown["same"] == pytest.approx(1)
    assert abs(shown["other"]) < 0.5


def test_maps_do_not_depend_on_the_shards(tmp_path: Path) -> None:
    given = source("grad_cam", Small(), ["maps", "pool", "head"], images(7), twin=Small(seed=3))
    (one, first), (three, second) = (
        run(given, "grad_cam", tmp_path / str(count), count) for count in (1, 3)
    )
    for name, table in first.items():
        pd.testing.assert_frame_equal(table, second[name])
    a, b = (read_maps(made.shards, "hires_cam") for made in (one, three))
    assert a is not None
    assert b is not None
    assert a.identical(b)
    assert set(first["images"]["layer"]) == {"pool"}


def test_a_network_that_ignores_its_input_has_empty_maps(tmp_path: Path) -> None:
    given, tables = run(
        source("grad_cam", Deaf(), ["maps", "head"], images(), twin=Deaf()), "grad_cam", tmp_path
    )
    assert "are the same everywhere in every image, and say nothing" in answers(given, tables)
    assert (tables["images"]["largest"] == 0).all()


def test_of_a_transformer_the_last_block_is_passed_over(tmp_path: Path) -> None:
    torch.manual_seed(1)
    vit = models.VisionTransformer(12, 3, 3, 2, 32, 64, num_classes=2)
    nn.init.normal_(vit.heads.head.weight)
    layers = [f"encoder.layers.encoder_layer_{k}" for k in range(3)]
    given, tables = run(source("grad_cam", vit, [*layers, "heads"], images()), "grad_cam", tmp_path)
    assert set(tables["images"]["layer"]) == {layers[1]}
    found = read_maps(given.shards, "grad_cam")
    assert found is not None
    assert found["map"].shape == (6, 4, 4)
    answers(given, tables)


@pytest.mark.parametrize("case", ["one image", "gray", "one output", "no scores"])
def test_what_is_degenerate_is_said(case: str, tmp_path: Path) -> None:
    table = {"one image": images(1), "gray": images(channels=1)}.get(case, images())
    model = {"gray": Small(channels=1), "one output": Small(classes=1)}.get(case, Small())
    given, tables = run(
        source("grad_cam", model, ["act", "head"], table, scores=case != "no scores"),
        "grad_cam", tmp_path,
    )  # fmt: skip
    assert "There is no untrained twin to hold the maps against." in answers(given, tables)
    if case == "one image":
        assert (tables["agreement"]["inference"] == "one source of images: no interval").all()


def test_without_layers_of_maps_no_job_is_planned_and_the_page_says_why(tmp_path: Path) -> None:
    vectors = [Layer("a", (4,)), Layer("head", (3,))]
    settings = {"layers": {}, "images": 3, "shards": 2}
    assert candidates(settings, "net", vectors) == []
    given = source("grad_cam", Small(), ["head"], images())
    tables = {name: pd.DataFrame(found) for name, found in ANALYSIS.compute(given).items()}
    assert "No studied layer before the last one has units in the plane" in answers(given, tables)


def test_a_layer_that_cannot_be_looked_at_is_refused_by_name() -> None:
    maps = Layer("maps", (4, 6, 6), ("channel", "y", "x"))
    patches = Layer("patches", (17, 8), ("token", "feature"), ("class",), (4, 4))
    layers = [maps, patches, Layer("a", (4,)), Layer("head", (3,))]
    assert candidates({"layers": {}}, "net", layers) == [maps, patches]
    assert candidates({"layers": {"net": "maps", "other": "b"}}, "net", layers) == [maps]
    for name in ("a", "head", "gone"):
        with pytest.raises(
            UserError,
            match=rf"grad_cam\.layers\.net: found '{name}'; allowed: .* \(maps, patches\)",
        ):
            candidates({"layers": {"net": name}}, "net", layers)
    with pytest.raises(UserError, match="none, no layer of maps is studied"):
        candidates({"layers": {"net": "a"}}, "net", layers[2:])
