"""Sensitivity to pixels of networks whose maps are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attributed_worlds
import numpy as np
import pandas as pd
import pytest
import torch
from attributed_worlds import Deaf, Small, images, run, source
from matplotlib.figure import Figure
from torch import nn
from variscope.analyses.kept_maps import read_maps
from variscope.analyses.pixels import ANALYSIS, STEPS
from variscope.analyses.pixels.choosing import Asked, units_of
from variscope.analyses.registry import built_in
from variscope.analyses.source import Source
from variscope.analyses.words import Words
from variscope.errors import UserError
from variscope.estimators.edges import edge_maps
from variscope.inputs.axes import Layer
from variscope.inputs.layers import probe
from variscope.study.choosing import Chosen
from variscope.study.experiment import check_models

Tables = dict[str, pd.DataFrame]


def answers(given: Source, tables: Tables) -> str:
    """Everything that is said, once the pictures are drawn."""
    for picture in ANALYSIS.pictures:
        assert isinstance(ANALYSIS.draw(picture, given, tables), Figure)
    said = ANALYSIS.words(given, tables)
    assert isinstance(said, Words)
    whole = " ".join([said.answer, *said.more, said.control, said.note])
    assert "nan" not in whole.split()
    assert "None" not in whole
    return whole


def pair(tables: Tables, first: str, second: str, of: str = "class score") -> dict[str, Any]:
    found = tables["agreement"]
    (at,) = np.flatnonzero(
        (found["of"] == of) & (found["first"] == first) & (found["second"] == second)
    )
    return dict(found.iloc[int(at)])


class Edgy(nn.Module):
    """Its gradient is the edges of the image, times a factor for each class."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        edges = torch.from_numpy(edge_maps(x.detach().numpy())).to(x.dtype)
        return self.head((edges * x.mean(1)).sum(dim=(1, 2))[:, None])


class Linear(nn.Module):
    """The same map for every image."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.head = nn.Linear(3 * 12 * 12, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(x.flatten(1))


def test_a_network_that_looks_at_edges_is_found_out(tmp_path: Path) -> None:
    given, tables = run(source("pixels", Edgy(), ["head"], images(8)), "pixels", tmp_path)
    found = pair(tables, "gradient", "edges")
    assert found["value"] == pytest.approx(1)
    assert found["others"] < 0.2
    assert found["difference_low"] > 0.5
    assert found["n"] == 8
    assert "sensitive to pixels at edges of the image" in answers(given, tables)


def test_a_map_that_is_the_same_for_all_images_is_not_about_their_edges(tmp_path: Path) -> None:
    twin = Linear()
    given, tables = run(
        source("pixels", Linear(), ["head"], images(8), twin=twin), "pixels", tmp_path
    )
    edges, same = pair(tables, "gradient", "edges"), pair(tables, "gradient", "untrained gradient")
    assert abs(edges["difference"]) < 0.2
    assert edges["difference_low"] < 0 < edges["difference_high"]
    # The naive version, the correlation itself, is 1 with a network that was never trained.
    assert same["value"] == pytest.approx(1)
    exact = pair(tables, "gradient", "difference")
    assert exact["value"] > 0.999
    said = answers(given, tables)
    assert "are not shown to follow the edges" in said
    weights = np.abs(twin.head.weight.detach().numpy().reshape(2, 3, 12, 12) / 0.25).sum(1)
    mean = tables["mean"].set_index(["network", "method"])["value"].sort_index()
    target = tables["images"].query("network == 'trained' and method == 'gradient'")["target"]
    wanted = weights[[["cat", "dog"].index(name) for name in target]].mean(axis=0)
    np.testing.assert_allclose(
        mean.loc[("trained", "gradient")].to_numpy().reshape(12, 12), wanted, rtol=1e-5
    )
    sampled = tables["sampled"].set_index("measure")["value"]
    assert len(sampled) == 2 * len(STEPS)
    np.testing.assert_allclose(sampled.loc["correlation"], 1)
    np.testing.assert_allclose(sampled.loc["error"], 0, atol=1e-8)


def test_means_and_their_intervals_are_over_clusters(tmp_path: Path) -> None:
    _, tables = run(
        source("pixels", Small(), ["act", "head"], images(12, clusters=3), images=12),
        "pixels", tmp_path,
    )  # fmt: skip
    for name in ("agreement", "where", "mean", "sampled"):
        assert (tables[name]["n"] == 3).all()
        assert (tables[name]["inference"] == "95 % interval over 3 clusters of 12 images").all()
        assert (tables[name]["low"] <= tables[name]["value"] + 1e-12).all()
        assert (tables[name]["value"] <= tables[name]["high"] + 1e-12).all()
    assert tables["agreement"]["p"].isna().all()


def test_maps_do_not_depend_on_the_shards(tmp_path: Path) -> None:
    given = source(
        "pixels", Small(), ["act", "head"], images(7), twin=Small(seed=3), cells=5,
        units={"built": {"act": [[1, 2, 3], 9]}},
    )  # fmt: skip
    (one, first), (three, second) = (
        run(given, "pixels", tmp_path / str(count), count) for count in (1, 3)
    )
    for name, table in first.items():
        pd.testing.assert_frame_equal(table, second[name])
    a, b = (read_maps(made.shards, "gradient") for made in (one, three))
    assert a is not None
    assert b is not None
    assert a.identical(b)
    assert list(dict.fromkeys(first["images"]["of"])) == [
        "class score",
        "act[1, 2, 3]",
        "act[0, 0, 9]",
    ]
    answers(one, first)


def test_a_units_map_is_exactly_0_where_it_does_not_read(tmp_path: Path) -> None:
    table = images(4)
    given = source(
        "pixels", Small(), ["maps", "head"], table, units={"built": {"maps": [[2, 5, 6]]}}
    )
    _, tables = run(given, "pixels", tmp_path)
    mean = tables["mean"]
    own = mean[(mean["of"] == "maps[2, 5, 6]") & (mean["method"] == "gradient")]
    read = own["row"].between(4, 6) & own["column"].between(5, 7)
    assert (own["value"] > 0).to_numpy().tolist() == read.tolist()
    assert (own.loc[~read, ["value", "low", "high"]] == 0).all(axis=None)
    sampled = tables["sampled"]
    assert (sampled[sampled["of"] == "maps[2, 5, 6]"]["n"] == 4).all()  # of pixels that it reads


def test_a_network_that_ignores_its_input_has_no_map(tmp_path: Path) -> None:
    given, tables = run(
        source("pixels", Deaf(), ["maps", "head"], images(), twin=Deaf()), "pixels", tmp_path
    )
    assert (tables["mean"][["value", "low", "high"]] == 0).all(axis=None)
    assert (tables["agreement"]["n"] == 0).all()
    assert (tables["agreement"]["undefined"] == 6).all()
    said = answers(given, tables)
    assert "Gradients are the same for all pixels" in said
    assert "The pixels of 6 of 6 images do not change the class score" in said


def test_a_network_without_gradients_is_said_to_have_none(tmp_path: Path) -> None:
    class Cut(Small):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                return super().forward(x)

    given, tables = run(source("pixels", Cut(), ["act", "head"], images()), "pixels", tmp_path)
    assert "the gradients of 6 of 6 images are 0, and finite differences are not" in answers(
        given, tables
    )


def test_gradients_that_are_not_finite_are_left_out_and_counted(tmp_path: Path) -> None:
    class Root(nn.Module):
        """A root has an infinite gradient at 0, where darker images are."""

        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(1, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            shifted = x.mean(dim=(1, 2, 3)) - 0.4
            return self.head(
                ((shifted * (shifted > 0)).sqrt() + x.square().mean(dim=(1, 2, 3)))[:, None]
            )

    given, tables = run(source("pixels", Root(), ["head"], images()), "pixels", tmp_path)
    found = tables["images"].query("method == 'gradient'")
    broken = int(found["largest"].isna().sum())
    assert 0 < broken < 6
    assert pair(tables, "gradient", "edges")["undefined"] == broken
    assert f"the gradients of {broken} of 6 images are not finite" in answers(given, tables)


@pytest.mark.parametrize("case", ["one image", "gray", "one output", "no scores", "in float32"])
def test_what_is_degenerate_is_said(case: str, tmp_path: Path) -> None:
    class Single(Small):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.float())

    table = {"one image": images(1), "gray": images(channels=1)}.get(case, images())
    model: nn.Module = {
        "gray": Small(channels=1), "one output": Small(classes=1), "in float32": Single()
    }.get(case, Small())  # fmt: skip
    given, tables = run(
        source("pixels", model, ["act", "head"], table, scores=case != "no scores"),
        "pixels", tmp_path,
    )  # fmt: skip
    said = answers(given, tables)
    assert "There is no untrained twin to hold the maps against." in said
    if case == "one image":
        assert (tables["agreement"]["inference"] == "one source of images: no interval").all()
    if case == "in float32":
        assert "does not compute in float64" in said
        assert tables["sampled"].empty
    if case == "one output":
        assert (tables["images"]["target"] == "0").all()


def test_units_that_are_not_there_are_refused_by_name() -> None:
    layers = [Layer("maps", (4, 6, 6), ("channel", "y", "x")), Layer("head", (3,))]

    def asked(**units: Any) -> list[Asked]:
        return units_of({"units": {"net": units}}, "net", layers)

    assert asked(maps=[[1, 2, 3], 51], head=[2]) == [
        ("maps", 51, "maps[1, 2, 3]"), ("head", 2, "head[2]"),
    ]  # fmt: skip
    assert units_of({"units": {"other": {"gone": [1]}}}, "net", layers) == []
    for units, message in (
        (
            {"gone": [1]},
            r"analyses\.pixels.units.net: found 'gone'; allowed: studied layers \(maps",
        ),
        ({"head": [3]}, r"units\.net.head: found 3; allowed: 0 to 2$"),
        ({"head": 1}, r"units\.net.head: found 1; allowed: a list of units"),
        ({"maps": [[4, 0, 0]]}, r"found \[4, 0, 0\]; allowed: 0 to 143, or one of each of channel"),
        ({"maps": [[1, 2]]}, r"found \[1, 2\]; allowed"),
        ({"maps": [True]}, "found True; allowed"),
        ({"maps": ["1"]}, "found '1'; allowed"),
    ):
        with pytest.raises(UserError, match=message):
            asked(**units)
    with pytest.raises(UserError, match=r"found 3; allowed: \{layer"):
        units_of({"units": {"net": 3}}, "net", layers)


def test_the_label_is_asked_for_where_it_is_wanted(tmp_path: Path) -> None:
    given = source("pixels", Small(), ["act", "head"], images())
    _, tables = run(
        replace(given, settings={**given.settings, "target": "label"}), "pixels", tmp_path
    )
    assert (tables["images"]["target"] == tables["images"]["class"]).all()
    assert attributed_worlds.images().labelled


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("pixels", "units"),
        ("grad_cam", "layers"),
        ("segments", "segments"),
        ("maximisation", "units"),
    ],
)
def test_settings_of_a_model_that_is_not_there_are_refused(name: str, key: str) -> None:
    entry = built_in()[name]
    assert entry.by_model == (key,)
    check_models(Chosen(entry, {key: {"net": {}}}, ""), ["net"])
    check_models(Chosen(entry, {key: "auto"}, ""), ["net"])
    with pytest.raises(
        UserError, match=rf"analyses\.{name}\.{key}: found 'nett'; allowed: names of models \(net\)"
    ):
        check_models(Chosen(entry, {key: {"net": {}, "nett": {}}}, ""), ["net"])


@pytest.mark.parametrize("name", ["pixels", "grad_cam"])
@pytest.mark.parametrize("twin", [False, True])
def test_the_plan_counts_the_passes(name: str, twin: bool, tmp_path: Path) -> None:
    counted = [0]

    class Counted(Small):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            counted[0] += len(x)
            return super().forward(x)

    table, layers = images(5), ["act", "pool", "head"]
    units: dict[str, Any] = {"units": {"built": {"act": [3]}}, "cells": 3, "sampled": 2}
    given = source(
        name,
        Counted(),
        layers,
        table,
        twin=Counted(seed=2) if twin else None,
        shards=2,
        **(units if name == "pixels" else {}),
    )
    opened = given.network()
    run(given, name, tmp_path, 2)
    model = Small()
    planned: Any = [SimpleNamespace(model="built", layers=opened.layers)]
    wanted = built_in()[name].passes
    assert wanted is not None
    most = wanted(given.settings, planned, {**table.summary(), "twin": twin})
    probed = [0]

    def count(_: nn.Module, x: Any) -> None:
        probed[0] += len(x[0])

    model.register_forward_pre_hook(count)
    probe(model.eval(), layers, (3, 12, 12))
    # Each opening of a network, of this test alone, tries it out.
    opened_how_often = 1 + 2 * (1 + twin)
    found = counted[0] - opened_how_often * probed[0]
    assert found <= most
    assert most - found <= (0 if name == "pixels" else 2 * 2)
