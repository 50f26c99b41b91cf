"""The conditions of guided masking: which controls are run where."""

from __future__ import annotations

from collections import Counter

import pytest
from variscope.analyses.masking.grid import Grid, Target
from variscope.analyses.masking.outcomes import ORIGINAL, PUBLISHED, REFERENCE, TOGETHER

INPUTS = ("hue", "erasing")
MASKS = {"shapley": ("hue", "erasing", "image"), "ST": ("hue", "erasing", "image")}
TARGETS = (
    Target("conv", ("conv",), True), Target("fc", ("fc",), False),
    Target(TOGETHER, ("conv",), True),
)  # fmt: skip
ALL = ("matched", "random", "other", "channels")


def grid(controls: tuple[str, ...] = ALL, *, whole: bool = False) -> Grid:
    return Grid(("shapley", "ST"), controls, 3, whole)


@pytest.mark.parametrize("whole", [False, True])
def test_no_condition_is_run_twice_and_unmasked_ones_come_first(whole: bool) -> None:
    made = grid(whole=whole).conditions(INPUTS, MASKS, TARGETS)
    assert len(set(made)) == len(made)
    assert [c.input for c in made[:3]] == [ORIGINAL, *INPUTS]
    assert all((c.control == "none") == (k < 3) for k, c in enumerate(made))
    assert not any(c.control == "channels" and c.layer == "fc" for c in made)


def test_the_reduced_grid_has_all_settings_of_the_main_kind_where_all_layers_are_masked() -> None:
    made = grid().conditions(INPUTS, MASKS, TARGETS)
    counts = Counter((c.control, c.seed) for c in made if (
        c.input, c.mask, c.kind, c.layer) == (ORIGINAL, "image", "shapley", TOGETHER))  # fmt: skip
    settings = len(PUBLISHED) + 1
    assert counts["own", 0] == counts["matched", 0] == settings
    assert counts["matched", 2] == counts["random", 2] == counts["channels", 0] == 1
    elsewhere = [c for c in made if c.layer != TOGETHER and c.control != "none"]
    assert {c[5:8] for c in elsewhere} == {tuple(REFERENCE)}
    # Masks of variables that no input is altered by have no place in the matrix.
    other = Counter((c.mask, c.control) for c in made if c.input == "hue" and c.layer == "conv")
    assert other["image", "other"] == 2  # kinds
    assert other["image", "matched"] == 0
    assert other["erasing", "matched"] == 2


def test_the_whole_grid_has_all_settings_of_all_inputs_masks_kinds_and_layers() -> None:
    made = grid(whole=True).conditions(INPUTS, MASKS, TARGETS)
    settings = len(PUBLISHED) + 1
    maps = [c for c in made if c.control in ("own", "other")]
    assert len(maps) == settings * 3 * 3 * 2 * 3  # inputs, masks, kinds, layers
    own = Counter(c.control for c in made if (c.input, c.mask, c.kind, c.layer) == (
        "hue", "hue", "ST", "conv"))  # fmt: skip
    assert own == {"own": settings, "matched": 3 * settings, "random": 3 * settings,
                   "channels": settings}  # fmt: skip


@pytest.mark.parametrize("left", ALL)
def test_controls_can_be_left_out(left: str) -> None:
    made = grid(tuple(name for name in ALL if name != left)).conditions(INPUTS, MASKS, TARGETS)
    assert left not in {c.control for c in made}
    assert "own" in {c.control for c in made}
