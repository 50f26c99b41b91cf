"""Which regions answers rest on, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from variscope.analyses.source import Source
from variscope.analyses.words import Words
from variscope.estimators.resampling import MIN_CLUSTERS
from variscope.indices.wording import count_text, estimate_text, share_text

Row = Mapping[str, Any]
# Images that are named one by one.
NAMED = 3
_NOTE = (
    "Masked images are none that the network knows, so that a finding under one fill alone may be "
    "about the fill. What is said of an image holds of its masks, with intervals over replicates; "
    "the regions that lead are chosen by half of the replicates, and what they hold is from the "
    "other half."
)
_FILLS = {"mean": "the mean color", "blurred": "the blurred image", "black": "black"}
_OFFSETS = {"none": "as it is", "both": "shifted down and right", "right": "shifted right",
            "down": "shifted down"}  # fmt: skip


def words(source: Source, tables: Mapping[str, pd.DataFrame]) -> Words:
    """Say on how few regions answers rest, of which images, and what the twin's rest on."""
    images, settings = tables["images"], source.settings
    if images.empty:
        return Words(answer="There is no image to look at.")
    fill = settings["fills"][0]
    plain = _rows(images[(images["fill"] == fill) & (images["offset"] == "none")])
    trained = [row for row in plain if row["network"] == "trained"]
    fine = [row for row in trained if row["status"] == "fine"]
    if not fine:
        return Words(
            answer=(
                f"No region carries an answer: the scores of {count_text(len(trained), 'image')} "
                f"do not change where regions are replaced by {_FILLS[fill]}."
            )
        )
    summary = {
        (row["network"], row["quantity"]): row
        for row in _rows(tables["summary"])
        if row["fill"] == fill and row["offset"] == "none"
    }
    return Words(
        answer=_answer(fine, summary, fill),
        more=[*_named(fine), *_constant(trained, fine), *_alike(tables["fills"])],
        control=_control(summary, tables["fills"], fill),
        note=_few(int(summary["trained", "quarter"]["n"])),
    )


def _rows(found: pd.DataFrame) -> list[Row]:
    columns = [str(name) for name in found.columns]
    return [dict(zip(columns, row, strict=True)) for row in found.itertuples(index=False)]


def _estimate(row: Row, name: str = "value", prefix: str = "") -> str:
    """Write a value of a row with its interval; without it where there is none."""
    value, low, high = (float(row[key]) for key in (name, f"{prefix}low", f"{prefix}high"))
    if low != low or high != high:
        return f"{share_text(value)} (no interval)"
    return estimate_text(value, low, high)


def _answer(fine: list[Row], summary: Mapping[Any, Row], fill: str) -> str:
    quarter, together = (summary["trained", name] for name in ("quarter", "interaction"))
    if len(fine) == 1:  # no interval over images: that of the image, over its masks
        quarter, together = (
            {**row, **{end: fine[0][f"{name}_{end}"] for end in ("low", "high")}}
            for name, row in (("quarter", quarter), ("interaction", together))
        )
    cells = int(fine[0]["cells"])
    return (
        f"The leading quarter of an image's {cells} regions holds {_estimate(quarter)} of the "
        f"variance of the answered class' score when regions are replaced by {_FILLS[fill]} to a "
        f"random degree ({share_text(float(quarter['chance']))} were all alike; mean over "
        f"{_over(quarter)}). {_together(together)}"
    )


def _together(row: Row) -> str:
    """Say what regions hold only together, where that can be told from nothing."""
    if row["low"] > 0:
        return (
            f"{_estimate(row)} of the variance is held by no region alone, but by several together."
        )
    return (
        f"Whether any of it is held by no region alone, but by several together, cannot be told: "
        f"{_estimate(row)}."
    )


def _over(row: Row) -> str:
    what = str(row["inference"]).split(",")[0]
    if row["n"] == 1:
        # One image, or one cluster of several.
        what = what.replace("clusters", "cluster", 1) if "cluster" in what else "image"
    return f"{row['n']} {what}"


def _named(fine: list[Row]) -> list[str]:
    """Name what the first images' answers rest on."""
    found = []
    for row in fine[:NAMED]:
        held = estimate_text(*(float(row[name]) for name in ("held", "held_low", "held_high")))
        unseen = count_text(int(row["unseen"]), "region")
        found.append(
            f"The answer {row['target']} to image {row['image']} ({row['class']}) rests on "
            f"{row['leading']} of {row['cells']} regions, which hold {held} of its variance; "
            f"{unseen} cannot be told from 0."
        )
    return found


def _constant(trained: list[Row], fine: list[Row]) -> list[str]:
    left = len(trained) - len(fine)
    if not left:
        return []
    return [
        f"The scores of {count_text(left, 'image')} do not change under masks; these are left out."
    ]


def _alike(fills: pd.DataFrame) -> list[str]:
    """Say how alike regions rank under two fills, and on grids that are shifted."""
    found: list[str] = []
    for row in _rows(fills):
        if row["compared"] == "networks" or pd.isna(row["correlation"]):
            continue
        two = (
            f"replaced by {_FILLS[row['first']]} and by {_FILLS[row['second']]}"
            if row["compared"] == "fills"
            else f"of the grid {_OFFSETS[row['first']]} and {_OFFSETS[row['second']]}"
        )
        found.append(
            f"Regions {two} rank alike by {_estimate(row, 'correlation')}"
            f"{_without_noise(row)}{_on_others(row)}."
        )
    return found


def _on_others(row: Row) -> str:
    """Say how alike the maps of other images are; nothing where there are none."""
    if pd.isna(row["others"]):
        return ""
    return f"; on other images by {share_text(float(row['others']))}"


def _without_noise(row: Row) -> str:
    if pd.isna(row["corrected_low"]):
        return ""
    return f" ({_estimate(row, 'corrected', 'corrected_')} without the estimates' noise)"


def _control(summary: Mapping[Any, Row], fills: pd.DataFrame, fill: str) -> str:
    """Say what the twin's leading quarter holds, and whether its regions are the same."""
    if ("untrained", "quarter") not in summary:
        return (
            "There is no untrained twin to hold this against (models.*.twin: true): what "
            "architecture and image alone make of regions is not known."
        )
    twin, difference = (summary[name, "quarter"] for name in ("untrained", "difference"))
    parts = [
        f"Of the untrained twin the leading quarter holds {_estimate(twin)}: trained less "
        f"untrained is {_estimate(difference)}, {_judged(difference)}"
    ]
    alike = fills[(fills["compared"] == "networks") & (fills["fill"] == fill)]
    for row in _rows(alike):
        if pd.isna(row["correlation"]):
            continue
        parts.append(
            f"its regions rank as the trained network's do by {_estimate(row, 'correlation')}"
            f"{_on_others(row).replace(';', ',')}"
        )
    return "; ".join(parts) + "."


def _judged(row: Row) -> str:
    if row["low"] > 0:
        return "so that training gathers what answers rest on"
    if row["high"] < 0:
        return "so that training spreads what answers rest on"
    return "which cannot be told from 0"


def _few(clusters: int) -> str:
    if clusters >= MIN_CLUSTERS:
        return _NOTE
    return (
        f"{_NOTE} Of {count_text(clusters, 'source')} of images, fewer than {MIN_CLUSTERS}, no "
        "p-value over images is given."
    )
