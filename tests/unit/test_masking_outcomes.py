"""Outcomes of masks: however many shards there are, they are read as one."""

from __future__ import annotations

from pathlib import Path

import masking_cases
import numpy as np
import pytest
import xarray as xr
from variscope.analyses.masking.outcomes import (
    PUBLISHED,
    Condition,
    notes_of,
    read_outcomes,
    top_count,
)


def test_there_are_the_17_published_settings() -> None:
    assert len(set(PUBLISHED)) == 17
    assert sum(setting.operation == "scale" for setting in PUBLISHED) == 15


@pytest.mark.parametrize(
    ("classes", "k"), [(2, 1), (10, 1), (26, 3), (99, 10), (100, 5), (1000, 5)]
)
def test_a_tenth_of_the_classes_is_kept_and_five_from_a_hundred_up(classes: int, k: int) -> None:
    assert top_count(classes) == k


@pytest.mark.parametrize("classes", [3, 120])
def test_outcomes_are_the_same_whatever_the_shards(tmp_path: Path, classes: int) -> None:
    conditions = masking_cases.grid(["hue", "blur"], ["hue", "blur", "image"])
    made = masking_cases.outcomes(conditions, classes=classes, notes=["no maps in head"])
    for count in (1, 3):
        read = read_outcomes(masking_cases.shards(tmp_path / str(count), made, count))
        xr.testing.assert_equal(read, made)
        assert list(zip(*(read[name].values for name in Condition._fields), strict=True)) == (
            [tuple(condition) for condition in conditions]
        )
        assert notes_of(read) == ["no maps in head"]
    assert ("correct5" in made) == (classes >= 100)


def test_shards_without_images_and_outcomes_without_conditions_are_read(tmp_path: Path) -> None:
    made = masking_cases.outcomes(masking_cases.grid(["hue"], ["hue"]), images=3, clusters=3)
    read = read_outcomes(masking_cases.shards(tmp_path / "some", made, 5))
    np.testing.assert_array_equal(read["image"], made["image"])
    none = made.isel(condition=slice(0, 0))
    assert read_outcomes(masking_cases.shards(tmp_path / "none", none)).sizes["condition"] == 0


def test_arrays_that_are_not_wanted_are_not_read(tmp_path: Path) -> None:
    made = masking_cases.outcomes(masking_cases.grid(["hue"], ["hue"]), notes=["a note"])
    shards = masking_cases.shards(tmp_path, made)
    xr.testing.assert_equal(read_outcomes(shards, ["margin"]), made[["margin"]])
    nothing = read_outcomes(shards, ())
    assert notes_of(nothing) == ["a note"]
    assert nothing.sizes["image"] == made.sizes["image"]
