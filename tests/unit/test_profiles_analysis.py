"""Profiles of masks built so that the answer is known, and data that leave little to say."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import masked
import masking_cases
import numpy as np
import pandas as pd
import pytest
import synthetic
from matplotlib.figure import Figure
from variscope.analyses.masking.outcomes import (
    PUBLISHED,
    REFERENCE,
    TOGETHER,
    Condition,
    Setting,
)
from variscope.analyses.registry import built_in
from variscope.analyses.source import Source, Study
from variscope.analyses.tables import checked
from variscope.estimators.labels import matching
from variscope.estimators.profiles import rank_correlations

ENTRY = built_in()["profiles"]
VARIABLES = ("erasing", "rolling", "hue", "rotation", "contrast", "hflip")
GROUPS = {"erasing": 0, "rolling": 0, "hue": 1, "rotation": 1, "contrast": 2, "hflip": 2}


def chance(*words: object) -> float:
    """A normal number that follows from words alone."""
    return float(np.random.default_rng(zlib.crc32(repr(words).encode())).normal())


def dose(condition: Condition) -> float:
    """How far any mask of a setting lowers the margin."""
    if condition.operation != "scale":
        return 0.25
    return condition.share * abs(1 - condition.strength)


def setting(condition: Condition) -> tuple[str, float, float]:
    return condition.operation, condition.strength, condition.share


def built(condition: Condition) -> float:
    """Masks of a group do the same beyond their dose, random ones nothing."""
    if condition.control == "none":
        return 0.6
    own = condition.control == "own"
    return 0.6 - dose(condition) + 0.08 * own * chance(GROUPS[condition.mask], setting(condition))


def nothing(condition: Condition, world: int = 0) -> float:
    """No mask does more than random ones; the network meets each random mask in its own way."""
    if condition.control == "none":
        return 0.6
    own = condition.control == "own"
    whose = condition.input if own else condition.seed
    return (
        0.6 - dose(condition) + 0.02 * chance(world, own, condition.mask, whose, setting(condition))
    )


def tables(source: Source) -> dict[str, pd.DataFrame]:
    return {
        name: checked(ENTRY.table(name), found) for name, found in ENTRY.compute(source).items()
    }


def said(source: Source, found: dict[str, pd.DataFrame]) -> str:
    for picture in ENTRY.pictures:
        assert isinstance(ENTRY.draw(picture, source, found), Figure)
    words = ENTRY.words(source, found)
    text = " ".join((words.answer, *words.more, words.control))
    assert "nan" not in text.split() and "undefined" not in text
    return text


def made(
    folder: Path,
    margin: Callable[[Condition], float],
    variables: Sequence[str] = VARIABLES,
    *,
    seeds: int = 2,
    settings: Sequence[Setting] = PUBLISHED,
    **given: Any,
) -> Source:
    tried = masking_cases.grid(variables, variables, seeds=seeds, settings=settings)
    margins = np.array([margin(condition) for condition in tried])
    return masked.source("profiles", masking_cases.outcomes(tried, margins), folder, **given)


def test_built_clusters_return_and_matching_masks_go_together(tmp_path: Path):
    source = made(tmp_path, built, outcomes=["margin"])
    found = tables(source)
    assert (found["matching"]["spearman"] > 0.9).all() and len(found["matching"]) == 6
    # A mask of the same group does as well, and four of the five others do not.
    assert (found["matching"]["others"] < 0.6).all()
    (test,) = found["tests"].to_dict("records")
    assert test["p"] < 0.05 and test["low"] > 0 and test["permutations"] == 720
    stable = set(found["clusters"].loc[found["clusters"]["stable"] == "yes", "members"])
    for number in range(3):
        names = [name for name in sorted(VARIABLES) if GROUPS[name] == number]
        items = sorted((place, name) for name in names for place in (name, "original"))
        assert "; ".join(f"{name} @ {place}" for place, name in items) in stable
    assert "so the same mask does the same" in said(source, found)


def test_raw_profiles_go_together_whatever_the_mask_and_the_control_takes_that_away(tmp_path: Path):
    found = tables(made(tmp_path, nothing, outcomes=["margin"]))
    # The naive version: correlations as those that are published as a finding, of no effect at all.
    assert (found["matching"]["raw"] > 0.88).all() and (
        found["matching"]["raw_others"] > 0.88
    ).all()
    assert abs(found["matching"]["spearman"].mean()) < 0.35
    assert (found["clusters"]["size"] > 1).all()


@pytest.mark.parametrize("seeds", [1, 2])
def test_masks_that_do_nothing_do_not_match_by_the_random_masks_that_are_taken_away(
    tmp_path: Path, seeds: int
):
    differences, naive, ps = [], [], []
    for world in range(8):
        margin = partial(nothing, world=world)
        folder = tmp_path / str(world)
        found = tables(made(folder, margin, seeds=seeds, outcomes=["margin"]))
        differences.append(found["tests"]["difference"].iloc[0])
        ps.append(found["tests"]["p"].iloc[0])
        naive.append(_same_random_mask(found["profiles"], world))
    # Taken from both, one random mask makes two profiles of nothing go together.
    assert np.mean(naive) > 0.3 > 0.15 > abs(np.mean(differences))
    assert min(ps) > 0.01


def _same_random_mask(table: pd.DataFrame, world: int) -> float:
    """By how much profiles match where one random mask of each variable is taken from both."""
    found = {}
    for (given, mask), rows in table.groupby(["input", "mask"]):
        tried = [
            Condition(str(given), str(mask), "matched", "shapley", TOGETHER, *setting, 0)
            for setting in (Setting(*row) for row in rows[list(Setting._fields)].to_numpy())
        ]
        found[given, mask] = rows["value"].to_numpy() - [nothing(one, world) for one in tried]
    altered, original = (
        np.stack([found[name or mask, mask] for mask in VARIABLES]) for name in ("", "original")
    )
    both = rank_correlations(np.concatenate([altered, original]))
    return matching(both[: len(VARIABLES), len(VARIABLES) :]).difference


def test_published_correlations_stand_beside_raw_ones_of_accuracy(tmp_path: Path):
    published = {"shapley": {"hue": 0.73, "erasing": 0.82}}
    source = made(tmp_path, built, outcomes=["accuracy"], published=published)
    found = tables(source)
    given = found["matching"].set_index("variable")["published"]
    assert (given["hue"], given["erasing"]) == (0.73, 0.82) and given.notna().sum() == 2
    assert "Of 2 published raw correlations" in said(source, found)


def test_classes_and_their_confusion_are_features_of_profiles(tmp_path: Path):
    source = made(tmp_path, built, VARIABLES[:3], outcomes=["class_accuracy", "confusion"])
    found = tables(source)
    counts = found["profiles"].groupby("outcome").size()
    assert counts["class_accuracy"] == 6 * 17 * 10 and counts["confusion"] == 6 * 17 * 90
    said(source, found)


def test_the_same_whatever_the_shards(tmp_path: Path):
    source = made(tmp_path, built, VARIABLES[:3], outcomes=["margin"])
    again = tables(source)
    backwards = dict(reversed(list(source.results["masking"].shards.items())))
    turned = replace(source.results["masking"], shards=backwards)
    for name, table in tables(replace(source, results={"masking": turned})).items():
        assert table.equals(again[name])


@pytest.mark.parametrize(
    ("variables", "given", "text"),
    [
        (("hue",), {}, "Fewer than two variables have profiles"),
        (("hue", "erasing"), {}, "p cannot fall below 0.05 whatever is found"),
        (VARIABLES, {"settings": [REFERENCE]}, "there are no profiles"),
        (VARIABLES, {"seeds": 0}, "there are no profiles"),
    ],
)
def test_little_data_has_tables_pictures_and_words(
    tmp_path: Path, variables: tuple[str, ...], given: dict[str, Any], text: str
):
    source = made(tmp_path, built, variables, **given)
    assert text in said(source, tables(source))


def test_constant_profiles_are_counted_and_left_out(tmp_path: Path):
    source = made(tmp_path, lambda condition: 9.0)
    found = tables(source)
    assert (found["tests"]["constant"] == 12).all() and found["clusters"].empty
    assert "12 profiles are constant and left out" in said(source, found)


def test_what_masking_left_out_is_said(tmp_path: Path):
    note = "No layer of class scores is among the network's layers."
    nothing_tried = masking_cases.outcomes([masking_cases.unmasked("original")], notes=[note])
    source = masked.source("profiles", nothing_tried.isel(condition=slice(0)), tmp_path)
    assert note in said(source, tables(source))


def test_without_masking_there_is_nothing_and_it_is_said():
    source = Source(studies=[Study.of(synthetic.tree())], settings={"outcomes": ["margin"]})
    found = tables(source)
    assert all(table.empty for table in found.values())
    assert "there are no profiles" in said(source, found)
