"""The analysis `regions`: known networks give known tables, whatever the shards, and say so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from numpy.testing import assert_allclose
from torch import nn
from variscope.analyses.kept_maps import UNTRAINED, read_maps
from variscope.analyses.regions.estimates import agreement, means, scores, summarised
from variscope.analyses.registry import built_in
from variscope.analyses.source import Source, Study
from variscope.analyses.tables import checked
from variscope.analyses.words import Words
from variscope.errors import UserError
from variscope.estimators.resampling import generator
from variscope.inputs.images import ImageTable, table_from_arrays
from variscope.inputs.layers import probe
from variscope.responses.network.opened import Network
from variscope.study.choosing import complete_analyses

ENTRY = built_in()["regions"]


def images(count: int = 6, *, channels: int = 3, flat: bool = False) -> ImageTable:
    """Smooth random images of three classes, or single colors."""
    rng = np.random.default_rng(4)
    coarse = rng.random((count, channels, *((1, 1) if flat else (8, 8))))
    pixels = np.kron(coarse, np.ones((1, 1, *((16, 16) if flat else (2, 2)))))
    label = np.arange(count) % 3
    return table_from_arrays(pixels.astype(np.float32), label, channels=channels)


class Reads(nn.Module):
    """Scores that each depend on one corner: class k on the k-th, or on products of two."""

    def __init__(self, *, jointly: bool = False) -> None:
        super().__init__()
        self.jointly, self.last = jointly, nn.Identity()

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        cells = nn.functional.adaptive_avg_pool2d(pixels.mean(1, keepdim=True), 4).flatten(1)
        corners = cells[:, [0, 3, 12]]
        return self.last(corners * cells[:, [5, 6, 9]] if self.jointly else corners)


def source(
    table: ImageTable, model: nn.Module, *, twin: nn.Module | None = None, **settings: Any
) -> Source:
    """What the analysis is made from."""
    shape = (table.channels, *table.size)

    def network(untrained: bool) -> Network:
        module = twin if untrained and twin is not None else model
        last = probe(module, ["last"], shape)
        return Network(
            name="net", model=module, layers=last, mean=[0.0] * table.channels,
            std=[1.0] * table.channels, batch_size=32,
        )  # fmt: skip

    defaults = {key: setting["default"] for key, setting in ENTRY.settings.items()}
    return Source(
        studies=[Study(model="net", variable_set="set", design="cycle", paths=())],
        settings=defaults | {"images": 6, "blocks": 48, "replicates": 8} | settings,
        open_images=lambda: table,
        open_network=network,
        twin_network=twin is not None,
    )


def made(given: Source, folder: Path) -> tuple[Source, dict[str, pd.DataFrame]]:
    """Run all shards, and compute the tables from them."""
    assert ENTRY.shards is not None
    shards = {}
    for name in ENTRY.shards(given.settings, []):
        shards[name] = folder / name
        shards[name].mkdir()
        ENTRY.shard(given, name, shards[name])
    later = replace(given, shards=shards, level=0.95)
    found = ENTRY.compute(later)
    return later, {table.name: checked(table, found[table.name]) for table in ENTRY.tables}


def said(later: Source, tables: dict[str, pd.DataFrame]) -> Words:
    """Draw all pictures, and return the words."""
    for picture in ENTRY.pictures:
        assert isinstance(ENTRY.draw(picture, later, tables), Figure)
    found = ENTRY.words(later, tables)
    assert isinstance(found, Words)
    for sentence in (found.answer, *found.more, found.control, found.note):
        assert "nan" not in sentence and "None" not in sentence and "undefined" not in sentence
    return found


def test_the_cell_that_a_score_reads_holds_all_of_it(tmp_path: Path) -> None:
    given = source(images(), Reads(), twin=Reads(jointly=True), target="label")
    later, tables = made(given, tmp_path)
    trained = tables["images"][tables["images"]["network"] == "trained"]
    assert len(trained) == 6
    for _, row in trained.iterrows():
        assert row["target"] == row["class"]
        corner = {"0": (0, 0), "1": (0, 3), "2": (3, 0)}[row["target"]]
        assert (row["row"], row["column"]) == corner
        assert_allclose([row["value"], row["held"], row["quarter"]], 1, atol=1e-5)
        assert_allclose(row["interaction"], 0, atol=1e-5)
        assert row["leading"] == 1 and row["unseen"] == 15
    cells = tables["cells"][tables["cells"]["network"] == "trained"]
    outside = cells[cells["value"] < 0.5]
    assert len(outside) == 6 * 15 * 3 and (outside[["value", "low", "high"]] == 0).all(axis=None)
    words = said(later, tables)
    assert "rests on 1 of 16 regions, which hold 1.00 [1.00, 1.00]" in words.more[0]
    assert "untrained twin" in words.control


def test_what_two_regions_carry_together_is_said_to_be_held_by_none(tmp_path: Path) -> None:
    """Of a product of masked pixels, black for masked, S1 is 3 / 7 each: 1 / 7 is of both."""
    white = table_from_arrays(np.ones((6, 3, 16, 16), np.float32), np.arange(6) % 3, channels=3)
    given = source(white, Reads(jointly=True), target="label", fills=["black"], blocks=256)
    later, tables = made(given, tmp_path)
    for _, row in tables["images"].iterrows():
        assert row["interaction_low"] - 0.02 <= 1 / 7 <= row["interaction_high"] + 0.02
        assert row["leading"] in (1, 2) and row["unseen"] == 14
    words = said(later, tables)
    assert "no untrained twin" in words.control


@pytest.mark.parametrize("offsets", [1, 4])
def test_results_do_not_depend_on_the_shards(tmp_path: Path, offsets: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.LazyLinear(3))
    model(torch.zeros(1, 3, 16, 16))
    model.add_module("last", nn.Identity())
    found = []
    for shards in (1, 4):
        folder = tmp_path / str(shards)
        folder.mkdir()
        settings = {"offsets": offsets, "fills": ["mean", "black"], "blocks": 8}
        given = source(images(), model.eval(), twin=Reads(), shards=shards, **settings)
        later, tables = made(given, folder)
        found.append((tables, read_maps(later.shards, "regions", UNTRAINED)))
        said(later, tables)
    for name, table in found[0][0].items():
        pd.testing.assert_frame_equal(table, found[1][0][name])
    one, four = (maps for _, maps in found)
    assert one is not None and four is not None and one.equals(four)
    assert one["map"].shape == (6, *((4, 4) if offsets == 1 else (8, 8)))
    fills = found[0][0]["fills"]
    assert list(fills["compared"]) == ["fills", *["offsets"] * (offsets - 1), *["networks"] * 2]


CASES: dict[str, tuple[ImageTable, dict[str, Any], str]] = {
    "one image": (images(1), {}, "mean over 1 image)"),
    "gray images": (images(3, channels=1), {}, "mean over 3 images"),
    "single colors": (images(3, flat=True), {}, "No region carries an answer"),
    "more images than there are": (images(4), {"images": 90, "shards": 5}, "mean over 4 images"),
}


@pytest.mark.parametrize("case", list(CASES))
def test_degenerate_images_end_in_a_sentence(case: str, tmp_path: Path) -> None:
    table, settings, sentence = CASES[case]
    later, tables = made(source(table, Reads(), **settings), tmp_path)
    assert sentence in said(later, tables).answer
    assert (tables["images"]["n"] == 8).all()


class Single(nn.Module):
    """A network of one output."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Flatten(0)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.last(pixels[:, :1, :1, :1])


def test_a_network_of_one_output_has_regions(tmp_path: Path) -> None:
    later, tables = made(source(images(), Single()), tmp_path)
    assert set(tables["images"]["target"]) == {"unit 0"}
    assert_allclose(tables["images"]["value"], 1, atol=1e-5)
    said(later, tables)


def test_an_image_that_no_region_of_which_matters_is_left_out_of_means(tmp_path: Path) -> None:
    pixels = np.concatenate([images(4).load(np.arange(4)), np.full((1, 3, 16, 16), 0.5)])
    table = table_from_arrays(pixels.astype(np.float32), np.array([0, 1, 2, 0, 1]), channels=3)
    later, tables = made(source(table, Reads()), tmp_path)
    assert sorted(tables["images"]["status"])[0] == "constant"
    summary = tables["summary"].set_index("quantity")
    assert_allclose(summary.loc[["quarter"], "value"].to_numpy(float), 1, atol=1e-5)
    assert "The scores of 1 image do not change" in " ".join(said(later, tables).more)


def test_settings_that_fit_nothing_are_refused_before_the_first_job() -> None:
    with pytest.raises(UserError, match=r"analyses\.regions\.blocks: found 40; allowed: .* 64"):
        complete_analyses({"regions": {"blocks": 40, "replicates": 64}}, Path())
    with pytest.raises(UserError, match=r"analyses\.regions\.fills"):
        complete_analyses({"regions": {"fills": ["white"]}}, Path())
    with pytest.raises(UserError, match=r"analyses\.regions\.offsets"):
        complete_analyses({"regions": {"offsets": 3}}, Path())
    assert ENTRY.shards is not None
    small = type("Planned", (), {"pixels": 3 * 16 * 16})()
    with pytest.raises(UserError, match=r"analyses\.regions\.grid: found 16, and .* 768 numbers"):
        ENTRY.shards({"grid": 16, "shards": 1}, [small])


def noisy(truth: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Estimates of two halves, ``(half, region, image)``, with errors ``(half, region, image)``."""
    return truth[None] + noise


def test_maps_that_share_their_errors_alone_do_not_agree() -> None:
    """Of the same masks two fills err alike: the naive correlation is far from 0."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 16, 200))
    errors = 2 * rng.normal(size=(2, 16, 200))
    cluster = np.arange(200)
    found = agreement(noisy(first, errors), noisy(second, errors), cluster)
    assert abs(found.own.mean()) < 0.05 and abs(np.nanmean(found.others)) < 0.05
    a, b = (scores(noisy(truth, errors)) for truth in (first, second))
    assert (a[0] * b[0]).sum(axis=1).mean() > 0.6  # naive: what the masks share
    alike = agreement(noisy(first, errors), noisy(first, rng.normal(size=(2, 16, 200))), cluster)
    summary = summarised(alike, cluster, generator(1, "test"), 0.95)
    assert summary["correlation"] < 0.5
    own = summarised(
        agreement(noisy(first, rng.normal(size=(2, 16, 200))),
                  noisy(first, rng.normal(size=(2, 16, 200))), cluster),
        cluster, generator(1, "test"), 0.95,
    )  # fmt: skip
    assert own["correlation"] < 0.6 and abs(own["corrected"] - 1) < 0.1
    assert own["corrected_low"] <= 1 <= own["corrected_high"]


def test_what_lies_at_the_same_place_in_all_images_is_what_other_images_tell() -> None:
    cluster, rejected = np.arange(40) // 2, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        centre = 3 * rng.normal(size=(16, 1))
        first, second = (centre + rng.normal(size=(2, 16, 40)) for _ in range(2))
        found = summarised(agreement(first, second, cluster), cluster, generator(seed, "t"), 0.95)
        assert found["low"] > 0.3  # naive: alike, and nothing of it is of the image
        assert abs(found["beyond"]) < 0.1
        rejected += not found["beyond_low"] <= 0 <= found["beyond_high"]
    assert rejected <= 7  # of 60, at 5 %
    assert found["n"] == 20 and found["inference"].startswith("clusters of 40 images")


def test_means_leave_out_what_has_no_value() -> None:
    values = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, np.nan]])
    found = means(values, np.arange(3), generator(1, "t"), 0.95)
    assert found.value[0] == 2 and np.isnan(found.value[1]) and found.n == 3
    alone = means(values[:1], np.arange(1), generator(1, "t"), 0.95)
    assert alone.value[0] == 1 and np.isnan(alone.low[0])


def test_the_plan_counts_what_the_network_is_given() -> None:
    """Of each masked image, by a network that counts."""
    assert ENTRY.passes is not None
    passed = []

    class Counts(Reads):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            passed.append(len(pixels))
            return super().forward(pixels)

    table = images(3)
    given = source(table, Counts(), images=3, fills=["mean", "black"], offsets=4, blocks=8)
    network = given.network()
    passed.clear()
    again = replace(given, open_network=lambda twin: network)
    with TemporaryDirectory() as folder:
        ENTRY.shard(again, "images_1_of_1", Path(folder))
    planned = ENTRY.passes(given.settings, [], {**table.summary(), "twin": False})
    # The same answers are asked for by `looked_at`, in one batch.
    assert sum(passed) == planned
