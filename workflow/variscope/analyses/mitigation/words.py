"""What scaling units down gains, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from variscope.analyses.conditions import layer_phrase
from variscope.analyses.mitigation.compute import EVERY
from variscope.analyses.source import Source
from variscope.analyses.words import Words
from variscope.estimators.resampling import MIN_CLUSTERS
from variscope.indices.wording import (
    count_text,
    estimate_text,
    join_words,
    share_text,
    variable_phrase,
)

Row = Mapping[str, Any]


def words(source: Source, tables: Mapping[str, pd.DataFrame]) -> Words:
    """Say what is gained where train images promise most, and what matched units gain there."""
    notes = [str(note) for note in tables["notes"]["note"]]
    gains, strengths = tables["gains"], tables["strengths"]
    margin = _rows(gains[gains["outcome"] == "margin"])
    if not margin:
        why = " ".join(notes) or "No distortion has maps."
        return Words(answer=f"Nothing was scaled down. {why}")
    own = _rows(strengths[(strengths["control"] == "own") & (strengths["chosen"] == "yes")])
    best = max(own, key=lambda row: float(row["gain"]))
    here = {str(row["variable"]): row for row in margin if row["layer"] == best["layer"]}
    mean = here.get(EVERY) or next(iter(here.values()))
    share = f"{100 * float(source.settings['share']):g} %"
    answer = (
        f"Scaling the {share} of units that are most sensitive to a distortion by "
        f"{float(best['strength']):g} {layer_phrase(str(best['layer']))}, as train images "
        f"chose, changes the margin on held-out images with that distortion by "
        f"{_estimate(mean, 'gain')} ({mean['inference']}), of "
        f"{share_text(float(mean['lost']))} that distortions take: {_judged(mean)}."
    )
    return Words(
        answer=answer,
        more=[*_chosen(best), *_single(here), *notes],
        control=_control(mean, margin),
        note=_note(int(mean["n"])),
    )


def _rows(found: pd.DataFrame) -> list[Row]:
    columns = [str(name) for name in found.columns]
    return [dict(zip(columns, row, strict=True)) for row in found.itertuples(index=False)]


def _estimate(row: Row, name: str, prefix: str = "") -> str:
    low, high = (float(row[f"{prefix}{end}"]) for end in ("low", "high"))
    return estimate_text(float(row[name]), low, high)


def _judged(row: Row) -> str:
    if row["low"] > 0:
        return "the network answers better"
    if row["high"] < 0:
        return "the network answers worse"
    return "whether it answers better cannot be told"


def _chosen(best: Row) -> list[str]:
    """Say where no factor gained anything where it was chosen."""
    if best["gain"] > 0:
        return []
    return [
        f"On train images no factor gained anything: by this one least is lost "
        f"({_estimate(best, 'gain')})."
    ]


def _single(here: Mapping[str, Row]) -> list[str]:
    """Name the distortions whose images gain more by sensitive units than by matched ones."""
    singles = {name: row for name, row in here.items() if name != EVERY}
    if len(singles) < 2:
        return []
    held = [
        f"{variable_phrase(name)} ({_estimate(row, 'gain')}, {_estimate(row, 'beyond', 'beyond_')} "
        "beyond matched units)"
        for name, row in singles.items()
        if row["low"] > 0 and row["beyond_low"] > 0
    ]
    of = f"of {count_text(len(singles), 'distortion')}, each looked at by itself"
    if not held:
        return [f"Images of no distortion gain, and more than by matched units ({of})."]
    return [f"Images gain, and more than by matched units, of {join_words(held)} ({of})."]


def _control(mean: Row, margin: list[Row]) -> str:
    """Say what matched units gain, and in how many layers sensitive ones gain more."""
    by = _estimate(mean, "beyond", "beyond_")
    start = (
        f"As many random units of the same channels and like size, scaled by "
        f"{float(mean['matched_strength']):g}, gain {share_text(float(mean['matched']))}"
    )
    if mean["beyond_low"] > 0:
        text = f"{start}: the sensitive ones gain {by} more"
    elif mean["beyond_high"] < 0:
        text = f"{start}: the sensitive ones gain less, the difference is {by}"
    else:
        text = f"{start}, which cannot be told from the sensitive ones (difference {by})"
    means = [row for row in margin if row["variable"] == mean["variable"]]
    more = sum(row["beyond_low"] > 0 for row in means)
    places = count_text(len(means), "place")
    return f"{text}. Sensitive units gain more than matched ones in {more} of {places}."


def _note(clusters: int) -> str:
    note = (
        "Units are chosen from half of the replicates, and their factor, one for all distortions "
        "of a place (a layer, or all layers of maps at once), on train images; gains are those on "
        "valid images."
    )
    if clusters < MIN_CLUSTERS:
        return (
            f"{note} Of {clusters} sources of images, fewer than {MIN_CLUSTERS}, no p-value over "
            "images is given: so few cannot show how images differ."
        )
    return note
