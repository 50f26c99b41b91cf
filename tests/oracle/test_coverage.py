"""Intervals of hard units hold their level against exact truth, where the usual ones do not.

A reduced `benchmarks.coverage`: fewer seeds, so that a coverage of 0.93 may show as 0.89.
"""

import pytest

from benchmarks.coverage import measure
from benchmarks.hard_units import families

SEEDS = range(120)
FAMILIES = {family.name: family for family in families()}

# Beside a dense unit the guards do not see a sparse one's S2, a share of 0.0002 of the channel's
# variance here: the intervals of the star's S2 are narrower than that. The table says so as well.
KNOWN = {("D = 6", "star", "channel", "additive + ReLU, 1.3 %", "S2")}

# Where the usual interval is shown to fail: unit, index, and what it covers at most, on average.
USUAL = {
    ("D = 6", "cycle"): {
        ("ReLU, 1.3 %", "S1"): 0.5,
        ("ReLU, 1.3 %", "S2"): 0.5,
        ("exponential", "S1"): 0.87,
        ("exponential", "ST"): 0.89,
    },
    ("D = 6", "star"): {("ReLU, 1.3 %", "S1"): 0.5, ("exponential", "ST"): 0.89},
    ("D = 16", "cycle"): {("product", "ST"): 0.75, ("exponential", "ST"): 0.87},
    ("one image of 50", "cycle"): {("one image, dim", "S1"): 0.9},
    ("D = 2", "cycle"): {},
}


@pytest.mark.parametrize(("family", "design"), list(USUAL))
def test_hard_units_are_covered_where_the_usual_interval_is_not(family: str, design: str):
    rows = measure(FAMILIES[family], design, 512, SEEDS)
    asked = [row for row in rows if row["asked"] != "reported"]
    assert {"unit", "channel", "layer", "difference of two units"} <= {row["of"] for row in asked}
    for row in asked:
        if (family, design, row["of"], row["name"], row["index"]) in KNOWN:
            continue
        assert row["coverage"] >= 0.89 and row["least"] >= 0.83, row
    additive = [r for r in asked if (r["of"], r["name"]) == ("unit", "additive")]
    for row in additive:
        assert row["guarded"] or row["times"] < 1.05, row
    usual = {(r["name"], r["index"]): r["linearised"] for r in rows if r["of"] == "unit"}
    for key, most in USUAL[family, design].items():
        assert usual[key] <= most, (key, usual[key])
