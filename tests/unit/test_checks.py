"""Impossible estimates are counted, and a variable that acts on nothing is found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import synthetic
import torch
import xarray as xr
from torch import nn
from variscope import decompose
from variscope.analyses import built_in
from variscope.analyses.checks import compute as computing
from variscope.analyses.tables import checked
from variscope.space.augmentations.definition import Augmentation

ENTRY = built_in()["checks"]
TOLERANCES = [0, 0.01, 0.1]


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    found = computing.compute(synthetic.source(tree, tolerances=TOLERANCES))
    return {name: checked(ENTRY.table(name), table) for name, table in found.items()}


def counts(table: pd.DataFrame, check: str) -> list[int]:
    return table[table["check"] == check]["count"].tolist()


def hand_made() -> xr.Dataset:
    """Two variables of four neurons, one of which has no indices."""
    data = synthetic.dataset("fc", dims="vector", variables=("hue", "image"), size=(4,))
    for name, values in {
        "S1": [[-0.2, -0.05, 0.5, np.nan], [0.3, 0.0, 0.9, np.nan]],
        "ST": [[0.1, 0.1, 1.05, np.nan], [0.2, 0.0, 0.95, np.nan]],
        "shapley": [[-0.005, 0.1, 0.5, np.nan], [0.1, 0.0, 0.5, np.nan]],
    }.items():
        data[name][...] = values
        data[f"{name}_low"][...] = np.array(values) - 0.1
        data[f"{name}_high"][...] = np.array(values) + 0.1
    return data


def test_impossible_estimates_are_counted_by_tolerance() -> None:
    found = tables(synthetic.study({"fc": hand_made()}))
    estimates = found["estimates"]
    assert counts(estimates, "S1 below 0") == [2, 2, 1]
    assert counts(estimates, "ST above 1") == [1, 1, 0]
    assert counts(estimates, "Shapley below 0") == [1, 0, 0]
    # -0.2 < 0.1, -0.05 < 0.1, 0.5 < 1.05; 0.3 > 0.2, by less than a tenth but for rounding.
    assert counts(estimates, "S1 above ST")[:2] == [1, 1]
    assert (estimates["n"] == 6).all()
    intervals = found["intervals"]
    assert counts(intervals, "S1 wholly below 0") == [1]
    assert counts(intervals, "ST wholly above 1") == [0]
    assert counts(intervals, "S1 wholly above ST") == [0]
    assert intervals["allowed"].to_numpy() == pytest.approx(0.025)


def test_intervals_of_truths_at_the_bound_pass_as_often_as_the_level_says() -> None:
    rng = np.random.default_rng(0)
    data = synthetic.dataset("conv", size=(40, 10, 10), constant=False)
    estimates = rng.normal(0, 0.02, data["S1"].shape)  # all truths are 0
    half = 1.96 * 0.02
    data["S1"][...] = estimates
    data["S1_low"][...], data["S1_high"][...] = estimates - half, estimates + half
    found = tables(synthetic.study({"conv": data}))
    (share,) = found["intervals"].query("check == 'S1 wholly below 0'")["share"]
    assert share == pytest.approx(0.025, abs=0.003)
    below = found["estimates"].query("check == 'S1 below 0'")["share"].tolist()
    assert below[0] == pytest.approx(0.5, abs=0.01)
    assert below[2] < 1e-4
    data["S1_high"][...] = estimates + half / 2  # intervals that are too narrow are told
    narrow = tables(synthetic.study({"conv": data}))
    said = ENTRY.words(synthetic.source(synthetic.study({"conv": data})), narrow)
    assert said.more[0].startswith("Not all intervals allow for it: S1 wholly below 0.")
    assert said.more[1].startswith("In 1 case of 4 (layers times checks)")


class Red(nn.Module):
    """Reads the red channel alone."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, 0]


def test_dummy_variables_are_found_and_have_no_share() -> None:
    """One changes no image, one what the network does not read; others act."""

    def blue(images: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
        return torch.cat([images[:, :2], 1 - images[:, 2:]], dim=1)

    tree = decompose(
        nn.Sequential(Red(), nn.Flatten(), nn.Linear(16, 3)),
        np.random.default_rng(1).random((8, 3, 4, 4), dtype=np.float32),
        variables=[
            Augmentation("dummy", lambda images, parameters: images.clone()),
            Augmentation("blue", blue),
            "hflip",
        ],
        layers=["2"],
        blocks=64,
        replicates=4,
        mean=[0.5] * 3,
        std=[0.25] * 3,
        progress=False,
    )
    found = tables(tree)
    rows = found["variables"].set_index("variable")
    verdicts = rows["verdict"].to_dict()
    assert verdicts["dummy"] == verdicts["blue"] == "inert"
    assert verdicts["hflip"] == verdicts["image"] == "acts"
    for name in ("dummy", "blue"):
        assert rows["moved"][name] > 0
        assert [rows[column][name] for column in ("ST", "low", "high", "zero")] == [0, 0, 0, 1]
    said = ENTRY.words(synthetic.source(tree, tolerances=TOLERANCES), found)
    assert "dummy, blue and the order are inert, exactly 0 in every unit" in said.control
    # What does nothing takes nothing from the others: shares sum to 1 without it.
    shares = tree["2"]["shapley"].sel(variable=["hflip", "order", "image"])
    np.testing.assert_allclose(shares.sum("variable"), 1, atol=1e-5)


def test_what_cannot_be_told_from_zero_is_unseen() -> None:
    data = synthetic.dataset("fc", dims="vector", size=(4,), constant=False)
    data["ST_layer_low"].loc[{"variable": "part"}] = -0.001
    data["moved"] = ("variable", [0, *[64] * 8])
    for name in ("S1", "ST", "ST_layer", "ST_layer_low", "ST_layer_high"):
        data[name].loc[{"variable": "erasing"}] = np.nan
    found = tables(synthetic.study({"fc": data}))
    rows = found["variables"].set_index("variable")
    said = ENTRY.words(synthetic.source(synthetic.study({"fc": data})), found)
    assert rows["verdict"]["erasing"] == "not varied"
    assert "erasing is not varied in this sample; the part (ST of a layer at most" in said.control
    assert said.control.endswith("cannot be told from 0 in any layer.")
    assert rows["verdict"]["part"] == "unseen"
    assert rows["verdict"]["image"] == "acts"
