"""Tables, words and pictures of guided masking, from outcomes whose effects are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import masking_cases
import numpy as np
import pandas as pd
import pytest
import synthetic
import xarray as xr
from matplotlib.figure import Figure
from variscope.analyses.masking import ANALYSIS
from variscope.analyses.masking.compute import compute, tables_of
from variscope.analyses.masking.outcomes import ORIGINAL, REFERENCE, TOGETHER, Condition
from variscope.analyses.source import Source, Study
from variscope.analyses.tables import checked, read_table, write_table
from variscope.analyses.words import Words

VARIABLES = ("erasing", "hue", "rotation", "contrast", "gaussian_blur")


def world(
    variables: Sequence[str] = VARIABLES,
    *,
    specific: float = 0.0,
    loss: float = 0.0,
    layers: Sequence[str] = (TOGETHER,),
    seed: int = 0,
    spread: float = 0.0,
    **images: Any,
) -> xr.Dataset:
    """Masks take `loss` of the margin beyond matched units, `specific` more on their own input.

    What an input takes, and what a mask takes from all inputs alike, is drawn with a `spread`.
    """
    rng = np.random.default_rng(seed)
    conditions = masking_cases.grid(variables, [*variables, "image"], seeds=2, layers=layers)
    of_input = {name: spread * rng.random() for name in (ORIGINAL, *variables)}
    of_mask = {name: spread * rng.random() for name in (*variables, "image", "")}
    of_both: dict[tuple[str, str], float] = {}
    margins = []
    for c in conditions:
        margin = 0.6 - of_input[c.input]
        if c.mask:
            key = (c.input, c.mask)
            noise = of_both.setdefault(key, 0.1 * spread * rng.standard_normal())
            margin -= of_mask[c.mask] + (c.control in ("own", "other")) * noise
        if c.control in ("own", "other"):
            margin -= loss + specific * (c.input == c.mask)
        margins.append(margin)
    return masking_cases.outcomes(conditions, np.array(margins), seed=seed, **images)


def source(outcomes: xr.Dataset, folder: Path) -> Source:
    """What the tables are made from."""
    study = Study.of(synthetic.tree())
    shards = masking_cases.shards(folder, outcomes)
    return Source(studies=[study], shards=shards, settings={"published": {ORIGINAL: 0.75}})


def tables(outcomes: xr.Dataset, folder: Path) -> dict[str, pd.DataFrame]:
    """The tables, as they are read back."""
    found = compute(source(outcomes, folder))
    for table in ANALYSIS.tables:
        write_table(folder / f"{table.name}.csv", table, found[table.name])
    return {t.name: read_table(folder / f"{t.name}.csv", t) for t in ANALYSIS.tables}


def main(found: pd.DataFrame, **wanted: str) -> pd.Series:
    """The row of the margin where all layers are masked."""
    for name, value in {"layer": TOGETHER, "outcome": "margin", **wanted}.items():
        found = found[found[name] == value]
    (row,) = found.to_dict("records")
    return pd.Series(row)


def test_what_is_right_without_a_mask_stands_beside_what_was_published(tmp_path: Path) -> None:
    made = world()
    found = tables(made, tmp_path)["inputs"].set_index("input")
    assert list(found.index) == [ORIGINAL, *VARIABLES]
    assert found["published"][ORIGINAL] == 0.75
    assert found["published"].drop(ORIGINAL).isna().all()
    plain = made["correct"].values[(made["control"] == "none").values].mean(axis=1)
    np.testing.assert_allclose(found["top1"], plain)
    assert ((found["low"] <= found["top1"]) & (found["top1"] <= found["high"])).all()


def test_effects_that_were_put_in_come_out_with_their_intervals(tmp_path: Path) -> None:
    found = tables(world(specific=0.1, loss=0.05, spread=0.1), tmp_path)
    for name in VARIABLES:
        row = main(found["interaction"], variable=name)
        assert row["low"] < row["interaction"] < row["high"]
        assert row["interaction"] == pytest.approx(0.1, abs=0.05)
        assert row["p"] < 0.01
        assert row["raw"] - row["matched"] == pytest.approx(row["interaction"])
        assert (row["n"], row["shared"]) == (30, pytest.approx(0.3))
        assert row["inference"] == "95 % interval over 30 clusters of 60 images"
    row = main(found["specificity"])
    assert row["difference"] == pytest.approx(0.1, abs=0.03)
    assert row["p"] == pytest.approx(2 / 120)  # the rarest of all orders of five, to both sides
    assert row["permutations"] == 120
    row = main(found["losses"], control="matched")
    # Own masks, on original and on own input: half of them take the specific part, too.
    assert row["beyond"] == pytest.approx(0.05 + 0.1 / 2, abs=0.02)
    assert row["beyond_low"] > 0
    said = ANALYSIS.words(source(world(), tmp_path / "again"), found)
    assert "less than the sensitive ones by 0.1" in said.answer
    assert "Masks are specific to their variable" in said.more[0]


def test_masks_that_take_from_every_input_alike_are_specific_to_none() -> None:
    p = []
    for seed in range(20):
        made = world(seed=seed, spread=0.2, images=30)
        made = made.isel(condition=np.isin(made["share"].values, (0.0, REFERENCE.share)))
        p.append(main(pd.DataFrame(tables_of(made, 1)["specificity"]))["p"])
    assert sum(one < 0.05 for one in p) <= 4
    assert max(p) > 0.5


def test_ten_photographs_have_effects_and_no_p_values_and_the_text_says_why(
    tmp_path: Path,
) -> None:
    made = world(specific=0.1, clusters=10)
    found = tables(made, tmp_path)
    assert found["interaction"]["p"].isna().all()
    assert (found["interaction"]["n"] == 10).all()
    assert np.isfinite(found["interaction"]["low"]).all()
    said = ANALYSIS.words(source(made, tmp_path / "again"), found)
    assert "of 10 sources, fewer than 20, effects and intervals are given" in said.note


def test_accuracy_has_the_columns_that_scripts_read_and_a_row_for_each_condition(
    tmp_path: Path,
) -> None:
    made = world(classes=120, images=240, clusters=240)
    found = tables(made, tmp_path)["accuracy"]
    wanted = "input mask control kind layer operation strength share seed top1 low high margin"
    assert set(wanted.split()) <= set(found.columns)
    assert len(found) == made.sizes["condition"]
    np.testing.assert_allclose(found["top1"], made["correct"].mean("image"))
    np.testing.assert_allclose(found["top5"], made["correct5"].mean("image"))
    assert (found["low"] <= found["top1"]).all()
    assert (found["top1"] <= found["high"]).all()
    assert set(found["inference"]) == {"95 % interval over 240 images"}


def left(keep: Sequence[str]) -> xr.Dataset:
    """Outcomes with some of the controls alone."""
    made = world(["erasing", "hue"])
    return made.isel(condition=np.isin(made["control"].values, keep))


CASES = {
    "one variable": lambda: world(["hue"]),
    "two variables": lambda: world(["hue", "a_variable_of_ones_own_with_a_long_name"]),
    "twenty variables": lambda: world([f"variable_number_{k}" for k in range(20)], images=20),
    "several layers": lambda: world(layers=["stage1", "stage2", "head", TOGETHER]),
    "no matched units": lambda: left(["none", "own", "other"]),
    "own masks alone": lambda: left(["none", "own"]),
    "no masks": lambda: left(["none"]),
    "no conditions": lambda: left([]),
    "auxiliary variables alone": lambda: masking_cases.outcomes(
        masking_cases.grid([], ["image", "class"])
    ),
    "one image": lambda: world(["hue", "erasing"], images=1, clusters=1, classes=2),
    "two classes": lambda: world(["hue", "erasing"], images=4, clusters=4, classes=2),
}


@pytest.mark.parametrize("case", list(CASES))
def test_whatever_was_masked_has_tables_words_and_pictures(case: str, tmp_path: Path) -> None:
    made = CASES[case]()
    given = source(made, tmp_path)
    computed = compute(given)
    found = {table.name: checked(table, computed[table.name]) for table in ANALYSIS.tables}
    said = ANALYSIS.words(given, found)
    assert isinstance(said, Words)
    for sentence in (said.answer, *said.more, said.control, said.note):
        assert "nan" not in sentence.split() and "None" not in sentence
    if case in ("no masks", "no conditions", "auxiliary variables alone"):
        assert said.answer.startswith("Nothing was masked.")
    for picture in ANALYSIS.pictures:
        figure = ANALYSIS.draw(picture, given, found)
        assert isinstance(figure, Figure)
        figure.canvas.draw()


def test_the_conditions_of_a_mask_are_found_whatever_their_input() -> None:
    """The reference of the reduced grid is one of the settings that are run."""
    conditions = masking_cases.grid(["hue"], ["hue", "image"])
    assert Condition("hue", "image", "other", "shapley", TOGETHER, *REFERENCE, 0) in conditions
    assert Condition(ORIGINAL, "image", "own", "shapley", TOGETHER, *REFERENCE, 0) in conditions
