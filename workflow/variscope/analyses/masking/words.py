"""What masks did, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from variscope.analyses.masking.outcomes import TOGETHER
from variscope.analyses.source import Source
from variscope.analyses.words import Words
from variscope.estimators.resampling import MIN_CLUSTERS
from variscope.indices.wording import count_text, estimate_text, join_words
from variscope.vocabulary import INDEX_NAMES

Row = Mapping[str, Any]

FEW_LABELS = 4  # with fewer, no order of the labels is rarer than 1 in 20


def words(source: Source, tables: Mapping[str, pd.DataFrame]) -> Words:
    """Say what own masks cost beyond matched units, and whether they are their variable's own."""
    notes = [str(note) for note in tables["notes"]["note"]]
    losses = tables["losses"]
    margin = losses[losses["outcome"] == "margin"]
    if margin.empty:
        why = " ".join(notes) or "No variable has both maps and an input that it alters."
        return Words(answer=f"Nothing was masked. {why}")
    kind = str(margin["kind"].iloc[0])
    held = margin[(margin["layer"] == TOGETHER) & (margin["kind"] == kind)]
    main = {str(row["control"]): row for row in _rows(held)}
    own = main["own"]
    what = (
        f"Setting to 0 the fifth of all units with the largest {INDEX_NAMES[kind]} of a variable "
        f"takes {_estimate(own, 'loss')} from the margin of the right class' probability "
        f"({own['inference']})"
    )
    answer = f"{what}; {_beyond(main, 'matched')}." if "matched" in main else f"{what}."
    more = [sentence for sentence in (_specific(tables, kind), _layers(tables, kind),
                                      _others(tables, kind)) if sentence]  # fmt: skip
    return Words(
        answer=answer,
        more=[*more, *notes],
        control=_controls(main, kind),
        note=_note(int(own["n"])),
    )


def _rows(found: pd.DataFrame) -> list[Row]:
    columns = [str(name) for name in found.columns]
    return [dict(zip(columns, row, strict=True)) for row in found.itertuples(index=False)]


def _estimate(row: Row, name: str, prefix: str = "") -> str:
    low, high = (float(row[f"{prefix}{end}"]) for end in ("low", "high"))
    return estimate_text(float(row[name]), low, high)


def _beyond(main: Mapping[str, Row], control: str) -> str:
    """Say by how much own masks cost more than a control's."""
    row = main[control]
    units = {"matched": "as many units of the same channels and like size",
             "random": "as many units at random",
             "channels": "the same maps with their channels exchanged"}[control]  # fmt: skip
    by = _estimate(row, "beyond", "beyond_")
    cost = f"{units} cost {_estimate(row, 'loss')}"
    if row["beyond_low"] > 0:
        return f"{cost}, less than the sensitive ones by {by}"
    if row["beyond_high"] < 0:
        return f"{cost}, more than the sensitive ones (difference {by})"
    return f"{cost}, which cannot be told from the sensitive ones (difference {by})"


def _specific(tables: Mapping[str, pd.DataFrame], kind: str) -> str:
    """Say whether masks do something on their own variable's input that others do not."""
    found = tables["specificity"]
    held = found[(found["layer"] == TOGETHER) & (found["kind"] == kind)]
    held = held[held["outcome"] == "margin"]
    if held.empty:
        return ""
    row = _rows(held)[0]
    test = f"p = {float(row['p']):.2g} of {int(row['permutations']):,} orders of the masks' labels"
    value, low, high = (float(row[name]) for name in ("difference", "low", "high"))
    more = value >= 0
    effect = estimate_text(value, low, high) if more else estimate_text(-value, -high, -low)
    said = (
        "on input that is altered by its own variable a mask takes, relative to original input, "
        f"{effect} {'more' if more else 'less'} margin than on input that is altered by others"
    )
    if row["variables"] < FEW_LABELS:
        return (
            f"Of {count_text(int(row['variables']), 'variable')} no order of the masks' labels is "
            f"rare, so that whether masks are specific to their variable cannot be tested: {said}."
        )
    if row["p"] >= 0.05:
        return f"Masks are not seen to be specific to their variable: {said} ({test})."
    return f"Masks are specific to their variable: {said} ({test})."


def _layers(tables: Mapping[str, pd.DataFrame], kind: str) -> str:
    """Name the single layers in which own masks cost more than matched units."""
    found = tables["losses"]
    held = found[(found["kind"] == kind) & (found["outcome"] == "margin")]
    held = held[(held["control"] == "matched") & (held["layer"] != TOGETHER)]
    if held.empty:
        return ""
    more = held[held["beyond_low"] > 0]
    if more.empty:
        return (
            f"Layer by layer, in none of {len(held)} do the sensitive units cost more than their "
            "matched units."
        )
    named = [f"{row['layer']} by {_estimate(row, 'beyond', 'beyond_')}"
             for row in _rows(more)]  # fmt: skip
    return (
        f"Layer by layer, the sensitive units cost more than their matched units in "
        f"{join_words(named)} (of {count_text(len(held), 'layer')})."
    )


def _others(tables: Mapping[str, pd.DataFrame], kind: str) -> str:
    """Say what the same masks of other kinds of map do: ST is the published negative."""
    found = tables["losses"]
    held = found[(found["layer"] == TOGETHER) & (found["control"] == "matched")]
    held = held[(held["outcome"] == "margin") & (held["kind"] != kind)]
    said = [f"{_estimate(row, 'beyond', 'beyond_')} by {row['kind']}" for row in _rows(held)]
    return (
        f"By maps of other kinds the difference from matched units is {join_words(said)}."
        * bool(said)
    )


def _controls(main: Mapping[str, Row], kind: str) -> str:
    said = [_beyond(main, control) for control in ("random", "channels") if control in main]
    if not said:
        return ""
    text = "; ".join(said)
    return (
        f"{text[0].upper()}{text[1:]}. Units that are sensitive are above all large, so that only "
        "what matched units do not share speaks of the variable."
    )


def _note(clusters: int) -> str:
    note = (
        "Masks are made from half of the replicates on train images, and scored on valid images. "
        "An interval of a difference is paired over images."
    )
    if clusters < MIN_CLUSTERS:
        return (
            f"{note} Images that come from one source are resampled together: of {clusters} "
            f"sources, fewer than {MIN_CLUSTERS}, effects and intervals are given and no p-value "
            "over images, since so few cannot show how images differ."
        )
    return note
