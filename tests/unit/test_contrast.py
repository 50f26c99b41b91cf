"""Contrast: known units carry known augmentations, and nothing else is found."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import contrast_cases as cases
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn
from variscope.analyses.contrast import ANALYSIS
from variscope.analyses.contrast.treatments import chosen_images, treatments
from variscope.estimators.resampling import benjamini_yekutieli
from variscope.inputs.axes import Layer
from variscope.space.augmentations import get
from variscope.vocabulary import CONSTANT, FINE

SETS = {
    "spatial": cases.augmentations("hflip", "grayscale"),
    "color": cases.augmentations("brightness", "hflip"),
}


def row_of(tables: Mapping[str, pd.DataFrame], *key: str) -> dict[str, Any]:
    """Return the row of the table of layers of a part, a layer and a variable."""
    found = tables["layers"]
    for column, value in zip(("part", "layer", "variable"), key, strict=True):
        found = found[found[column] == value]
    return {str(name): value for name, value in found.iloc[0].items()}


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    made = cases.source(cases.images(), SETS, twin=cases.Known())
    return cases.run(made, tmp_path_factory.mktemp("contrast"))


def test_known_units_are_moved_by_what_they_read_and_the_right_way(known):
    _, datasets, _ = known
    data = datasets["known"]
    assert data["rank_biserial"].dims == ("part", "variable", "neuron")
    assert data["variable"].values.tolist() == ["hflip", "grayscale", "brightness"]
    for part in ("train", "valid"):
        r = data["rank_biserial"].sel(part=part)
        # Units: brightness, left from right, saturation, nothing.
        assert_allclose(r.sel(variable="hflip"), [0, -1, 0, np.nan], atol=1e-6)
        assert_allclose(r.sel(variable="brightness"), [1, 1, 1, np.nan], atol=1e-6)
        assert r.sel(variable="grayscale", neuron=2) == -1
        assert_array_equal(data["status"].sel(part=part)[0], [FINE, FINE, FINE, CONSTANT])


def test_what_a_unit_does_not_read_has_p_one_and_an_interval_around_zero(known):
    _, datasets, _ = known
    unit = datasets["known"].sel(part="valid", variable="hflip").isel(neuron=0)
    # The mean of a flipped image differs by its rounding alone.
    assert unit["rank_biserial"] == 0 and unit["p_value"] == 1
    assert unit["low"] < -0.1 and unit["high"] > 0.1
    assert unit["p_adjusted"] == 1


def test_tables_count_the_units_beyond_and_the_significant_ones(known):
    _, _, tables = known
    row = row_of(tables, "valid", "known", "hflip")
    assert (row["units"], row["beyond"], row["significant"]) == (3, 1, 1)
    assert row["share"] == pytest.approx(1 / 3) and row["raised"] == 0
    assert (row["images"], row["clusters"], row["n"]) == (24, 24, 4)
    assert row["mean"] == pytest.approx(-1 / 3)
    everything = row_of(tables, "valid", "known", "brightness")
    assert everything["share"] == everything["raised"] == 1


def test_random_signs_move_next_to_nothing(known):
    _, _, tables = known
    assert tables["layers"]["shuffled"].max() <= 1 / 3
    maps = tables["layers"][tables["layers"]["layer"] == "maps"]
    assert maps["shuffled"].mean() < 0.05
    assert maps[maps["variable"] == "brightness"]["share"].min() == 1


def test_p_values_are_adjusted_over_all_layers_and_variables_of_a_part(known):
    _, datasets, _ = known
    every = np.concatenate([data["p_value"].sel(part="valid").values.ravel()
                            for data in datasets.values()])  # fmt: skip
    adjusted = np.concatenate([data["p_adjusted"].sel(part="valid").values.ravel()
                               for data in datasets.values()])  # fmt: skip
    assert_allclose(adjusted, benjamini_yekutieli(every), rtol=1e-6)
    alone = benjamini_yekutieli(datasets["known"]["p_value"].sel(part="valid").values)
    assert not np.allclose(alone, datasets["known"]["p_adjusted"].sel(part="valid"), equal_nan=True)


def test_train_and_valid_agree_on_units_and_not_with_other_augmentations(known):
    _, _, tables = known
    found = tables["agreement"]
    chosen = found[(found["layer"] == "known") & (found["variable"] == "hflip")]
    row = {str(key): value for key, value in chosen.iloc[0].items()}
    assert row["correlation"] > 0.99 and row["same_side"] == 1 and row["units"] == 3
    assert row["others"] < 0.9


def test_a_twin_that_is_the_same_network_shares_every_result(known):
    source, _, tables = known
    rows = tables["layers"]
    valid = rows[rows["part"] == "valid"]
    assert_allclose(valid["difference"], 0)
    assert (valid["difference_low"] <= 0).all() and (valid["difference_high"] >= 0).all()
    assert rows[rows["part"] == "train"]["twin"].isna().all()
    words = ANALYSIS.words(source, tables)
    assert "brightness moves most units" in words.answer and "24 valid images" in words.answer
    assert "twin shares this result" in words.control
    assert any("false discovery" in sentence for sentence in words.more)


def test_a_result_that_the_twin_does_not_have_is_told_apart(tmp_path: Path):
    class Turned(cases.Known):
        """Its maps do not change when an image is flipped, nor in brightness."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = x / x.mean(dim=(1, 2, 3), keepdim=True)
            return super().forward((x + x.flip(3)) / 2)

    made = cases.source(cases.images(), {"color": SETS["color"]}, twin=Turned())
    source, _, tables = cases.run(made, tmp_path)
    row = row_of(tables, "valid", "maps", "hflip")
    assert row["share"] > 0.8 and row["twin"] == 0
    assert row["difference_low"] > 0.5
    assert "have a larger share than in the twin" in ANALYSIS.words(source, tables).control


@pytest.mark.parametrize("shard_size", [5, 24])
def test_shards_leave_no_trace(known, tmp_path: Path, monkeypatch, shard_size: int):
    monkeypatch.setattr("variscope.analyses.contrast.IMAGES_OF_SHARD", shard_size)
    monkeypatch.setattr("variscope.analyses.contrast.shard.IMAGES_OF_SHARD", shard_size)
    made = cases.source(cases.images(), SETS, twin=cases.Known(), images=24)
    _, again, _ = cases.run(made, tmp_path)
    for name, data in known[1].items():
        for key in ("rank_biserial", "low", "p_adjusted", "twin_high"):
            assert_allclose(again[name][key], data[key], rtol=1e-5, atol=1e-6)


def test_few_clusters_give_effects_and_no_p_values_and_the_words_say_why(tmp_path: Path):
    made = cases.source(cases.images(each=20, clusters=10), {"color": SETS["color"]})
    source, datasets, tables = cases.run(made, tmp_path)
    assert np.isnan(datasets["known"]["p_value"]).all()
    rows = tables["layers"]
    assert rows["significant"].isna().all() and (rows["clusters"] == 10).all()
    row = row_of(tables, "valid", "maps", "brightness")
    assert row["share"] == 1
    words = ANALYSIS.words(source, tables)
    assert "20 valid images from 10 sources" in words.answer
    assert "10 independent sources of images are too few for a test" in words.more[0]


def test_one_cluster_gives_no_interval_and_the_words_say_so(tmp_path: Path):
    made = cases.source(cases.images(each=6, clusters=1), {"color": SETS["color"]})
    source, _, tables = cases.run(made, tmp_path)
    assert tables["layers"]["share"].isna().all()
    assert "Nothing can be said" in ANALYSIS.words(source, tables).answer
    _draw(source, tables)


class Tokens(nn.Module):
    """Two tokens of three features, and one number."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.one = nn.Identity(), nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.tokens(torch.stack([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1))
        return self.one(tokens.mean(dim=(1, 2)))


@pytest.mark.parametrize(
    ("model", "layers"),
    [
        (Tokens(), (Layer("tokens", (2, 3), ("token", "feature")), Layer("one", ()))),
        (None, (Layer("known", (4,)),)),
        (None, (Layer("maps", (3, 8, 8), ("channel", "y", "x")),)),
    ],
)
@pytest.mark.parametrize("names", [("brightness",), ("hflip",)])
def test_degenerate_studies_have_tables_pictures_and_words(
    tmp_path: Path, model: nn.Module | None, layers, names
):
    sets = {"one": cases.augmentations(*names)}
    made = cases.source(cases.images(parts=(1,)), sets, model=model, layers=layers)
    source, _, tables = cases.run(made, tmp_path)
    assert len(tables["layers"]) == len(layers) and tables["agreement"].empty
    words = ANALYSIS.words(source, tables)
    for sentence in (words.answer, *words.more, words.control):
        assert "nan" not in sentence.split() and "None" not in sentence
    _draw(source, tables)


def test_sets_without_augmentations_are_said_to_have_none(tmp_path: Path):
    source, datasets, tables = cases.run(cases.source(cases.images(), {"none": ()}), tmp_path)
    assert not datasets["known"].data_vars and tables["layers"].empty
    assert "no augmentation" in ANALYSIS.words(source, tables).answer
    _draw(source, tables)


def _draw(source, tables) -> None:
    for picture in ANALYSIS.pictures:
        assert isinstance(ANALYSIS.draw(picture, source, tables), Figure)


def test_an_augmentation_with_other_bounds_in_another_set_is_one_of_its_own():
    table = cases.images()
    other = get("brightness").with_overrides({"factor": [0.2, 0.4]})
    made = cases.source(table, {"a": SETS["color"], "b": (other, get("hflip"))})
    space = treatments({name: made.space(name) for name in ("a", "b")})
    assert space is not None
    names = [augmentation.name for augmentation in space.augmentations]
    assert names == ["brightness", "hflip", "brightness_b"]


def test_images_are_chosen_evenly_from_classes_and_clusters_and_more_of_them_keep_the_first():
    table = cases.images(each=40, clusters=8)
    few, many = (chosen_images(table, count, seed=1) for count in (8, 24))
    for part, ids in few.items():
        assert_array_equal(many[part][:8], ids)
        assert (table.part[many[part]] == ("train", "valid").index(part)).all()
        assert_array_equal(np.bincount(table.label[ids]), [4, 4])
        assert len(np.unique(table.cluster[ids])) == 8
        assert_array_equal(np.bincount(table.cluster[many[part]]), [3] * 8)
    assert not np.array_equal(few["train"], chosen_images(table, 8, seed=2)["train"])
    everything = chosen_images(replace(table, part=np.zeros(80, np.int8)), 500, seed=1)
    assert list(everything) == ["train"] and len(np.unique(everything["train"])) == 80
