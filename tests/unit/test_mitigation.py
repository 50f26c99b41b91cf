"""Mitigation on a network that is built so that known units do the harm of a distortion."""

from __future__ import annotations

from pathlib import Path

import masking_worlds
import numpy as np
import pandas as pd
import pytest
import torch
from masking_worlds import SIZE
from matplotlib.figure import Figure
from torch import nn
from variscope.analyses.mitigation import ANALYSIS
from variscope.analyses.source import Source
from variscope.analyses.tables import checked
from variscope.analyses.words import Words

UNITS = SIZE * SIZE


class Harmed(nn.Module):
    """Channel 0 is 1 in grayscale images and 0 in others; half of its pixels speak for class 1.

    Class 0, which all images are of, wins where at most a quarter of what speaks is left. The other
    channels are of like size and do nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 5, 1)
        self.act = nn.ReLU()
        self.head = nn.Linear(5 * UNITS, 2)
        with torch.no_grad():
            self.features.weight.zero_()
            nn.init.ones_(self.features.bias)  # type: ignore[arg-type]
            self.features.weight[0, 0], self.features.weight[0, 1] = -2.5, 2.5
            self.head.weight.zero_()
            self.head.weight[1, : UNITS // 2] = 1.0
            self.head.bias.copy_(torch.tensor([UNITS / 8, 0.0]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.act(self.features(images)).flatten(1))


def harmed(label: np.ndarray, part: np.ndarray, count: int = 80, **settings: object) -> Source:
    """The network with maps of grayscale, which point at what does harm, and of hue, which not."""
    pixels, _ = masking_worlds.colorful(count)
    gray, hue = np.zeros((2, 5, SIZE, SIZE))
    gray[0, : SIZE // 2] = np.linspace(0.8, 0.9, UNITS // 2).reshape(SIZE // 2, SIZE)
    hue[4] = 0.7
    maps = masking_worlds.study({"act": {"grayscale": gray, "hue": hue}})
    return masking_worlds.source(
        Harmed(),
        ["act", "head"],
        masking_worlds.table(pixels, label, part),
        {"color": (maps, ["grayscale", "hue"])},
        analysis="mitigation",
        **{"images_per_class": 40, **settings},  # type: ignore[arg-type]
    )


def in_halves(count: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """All of class 0 but one of each part; half of the images are of either part."""
    label = np.zeros(count, int)
    label[:2] = 1
    return label, np.arange(count) % 2


def tables_of(source: Source) -> dict[str, pd.DataFrame]:
    """The tables, with the kinds of their columns."""
    found = ANALYSIS.compute(source)
    return {table.name: checked(table, found[table.name]) for table in ANALYSIS.tables}


def test_the_harm_of_known_units_is_undone_and_matched_units_undo_none(tmp_path: Path) -> None:
    source = masking_worlds.run_shards(harmed(*in_halves()), "mitigation", tmp_path)
    found = tables_of(source)
    gains = found["gains"][found["gains"]["layer"] == "act"].set_index(["variable", "outcome"])
    gray = gains.xs(("grayscale", "top1"))
    # Of 40 valid images 39 are of class 0: all are lost to the distortion, and all come back.
    assert gray["lost"] == pytest.approx(38 / 40)
    assert gray["gain"] == pytest.approx(38 / 40)
    assert gray["low"] > 0.5
    assert gray["p"] < 0.01
    assert gray["matched"] == 0
    assert gray["beyond_low"] > 0.5
    assert gray["strength"] == 0
    hue = gains.xs(("hue", "top1"))
    assert hue["gain"] == 0
    said = ANALYSIS.words(source, found)
    assert "the network answers better" in said.answer
    assert "grayscale (" in " ".join(said.more)


def test_the_factor_is_chosen_on_train_images_alone(tmp_path: Path) -> None:
    label, part = in_halves()
    label[part == 1] = 1  # valid images are of the class that the harm speaks for
    label[1] = 0
    source = masking_worlds.run_shards(harmed(label, part), "mitigation", tmp_path)
    found = tables_of(source)
    gains = found["gains"][found["gains"]["layer"] == "act"].set_index(["variable", "outcome"])
    gray = gains.xs(("grayscale", "top1"))
    assert gray["strength"] == 0  # which valid images would not have chosen
    assert gray["gain"] < -0.9
    assert "the network answers worse" in ANALYSIS.words(source, found).answer


def test_gains_do_not_depend_on_the_shards(tmp_path: Path) -> None:
    given = harmed(*in_halves(130), 130, images_per_class=60, batch_size=16)
    one, three = (
        tables_of(masking_worlds.run_shards(given, "mitigation", tmp_path / str(count), count))
        for count in (1, 3)
    )
    for name, table in one.items():
        pd.testing.assert_frame_equal(table, three[name])


@pytest.mark.parametrize(
    ("case", "note"),
    [
        ("one part", "The images are of one part"),
        ("no maps of the kind", "No augmentation has maps of the kind S1"),
        ("one strength", ""),
    ],
)
def test_what_cannot_be_tested_is_left_out_by_name(case: str, note: str, tmp_path: Path) -> None:
    label, part = in_halves(12)
    given = harmed(
        label,
        part * 0 + 1 if case == "one part" else part,
        12,
        strengths=[0.5],
        kind="S1" if case == "no maps of the kind" else "shapley",
    )
    if case == "no maps of the kind":
        maps = given.studies[0].selection["act"].to_dataset()
        given.studies[0].selection["act"].dataset = maps.assign(S1=maps["S1"] * np.nan)
        halves = given.studies[0].halves["act"].to_dataset()
        given.studies[0].halves["act"].dataset = halves.assign(S1=halves["S1"] * np.nan)
    source = masking_worlds.run_shards(given, "mitigation", tmp_path, 2)
    found = tables_of(source)
    assert note in " ".join(found["notes"]["note"])
    said = ANALYSIS.words(source, found)
    assert isinstance(said, Words)
    assert (note in said.answer) or not note
    assert (len(found["gains"]) == 0) == bool(note)
    for picture in ANALYSIS.pictures:
        assert isinstance(ANALYSIS.draw(picture, source, found), Figure)
