"""Whether variables can be told from their maps, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from variscope.analyses.source import Source
from variscope.analyses.words import Words
from variscope.indices.wording import (
    count_text,
    estimate_text,
    interval_text,
    join_words,
    share_text,
    variable_phrase,
)


def words(source: Source, tables: Mapping[str, pd.DataFrame]) -> Words:
    """Say how often a variable is told from the shape of its map, and what the twin gives."""
    table = tables["accuracy"]
    told = table[table["features"] != ""]
    more = _left_out(table)
    if told.empty:
        return Words(answer="No layer has maps of two variables to tell apart.", more=more)
    shapes = told[told["features"] == "shape"]
    best = shapes.iloc[int(shapes["accuracy"].argmax())]
    same = (told["layer"] == best["layer"]) & (told["kind"] == best["kind"])
    others = {str(row["features"]): row for _, row in told[same].iterrows()}
    can = "can" if float(best["low"]) > float(best["chance"]) else "cannot"
    answer = (
        f"A variable {can} be told from where it acts: in layer {best['layer']} the shape of a map "
        f"says which of {int(best['variables'])} variables it is of in {_value(best)} of the maps "
        f"of unseen channels (chance {share_text(float(best['chance']))}, n = {int(best['n'])} "
        "channels)."
    )
    more = [
        f"The mean of a map alone, how much and not where, gives {_value(others['mean'])} there, "
        f"and the map as it is {_value(others['raw'])}.",
        *_mistaken(tables["confusion"], best),
        *more,
    ]
    return Words(
        answer=answer,
        more=more,
        control=" ".join(filter(None, (_exchanged(told, best), _twin(shapes, best)))),
        note=(
            "The classifier is linear discriminant analysis after principal components, both made "
            "without the channels that are then told; intervals are over channels. That the best "
            "layer was picked is not corrected for."
        ),
    )


def _value(row: pd.Series) -> str:
    return estimate_text(float(row["accuracy"]), float(row["low"]), float(row["high"]))


def _mistaken(confusion: pd.DataFrame, best: pd.Series) -> list[str]:
    """Name what is mistaken the most by its shape."""
    keys = ["layer", "kind", "features"]
    held = confusion[(confusion[keys] == best[keys].astype(str)).all(axis=1)]
    held = held[held["variable"] != held["predicted"]]
    row = held.iloc[int(held["share"].argmax())]
    if float(row["low"]) <= float(best["chance"]):
        return ["By its shape no variable is taken for another one more often than by chance."]
    value = estimate_text(*(float(row[key]) for key in ("share", "low", "high")))
    return [
        f"By its shape {variable_phrase(str(row['variable']))} is the most often taken for "
        f"another one: for {variable_phrase(str(row['predicted']))} in {value} of its maps."
    ]


def _exchanged(told: pd.DataFrame, best: pd.Series) -> str:
    """Say what exchanged labels give."""
    permutations = int(best["permutations"])
    smallest = 1 / (permutations + 1)
    p = float(best["p"])
    how = ", the smallest that so many allow" if p <= smallest else ""
    most = share_text(float(told["permuted"].max()))
    return (
        f"With labels exchanged within channels it is {share_text(float(best['permuted']))} there, "
        f"and at most {most} in any layer ({permutations} permutations; p = {p:.2g}{how})."
    )


def _twin(shapes: pd.DataFrame, best: pd.Series) -> str:
    """Say what the untrained twin gives from shapes."""
    held = shapes[shapes["twin"].notna()]
    if held.empty or pd.isna(best["twin"]):
        return ""
    differ = int(((held["difference_low"] > 0) | (held["difference_high"] < 0)).sum())
    interval = interval_text(float(best["difference_low"]), float(best["difference_high"]))
    said = (
        f"The untrained twin gives {share_text(float(best['twin']))} from shapes there; the "
        f"difference is {interval}, and leaves out 0 in {differ} of "
        f"{count_text(len(held), 'layer')}"
    )
    low, high = float(best["difference_low"]), float(best["difference_high"])
    gained = float(best["accuracy"]) - float(best["twin"])
    from_twin = float(best["twin"]) - float(best["chance"])
    if low <= 0 <= high:
        return f"{said}: the twin shares it, and nothing here says that it was learnt."
    if low > 0 and from_twin > gained:
        return f"{said}: most of it is there without learning, and training adds to it."
    return f"{said}."


def _left_out(table: pd.DataFrame) -> list[str]:
    """Name the layers that are left out, and the variables."""
    empty = table[table["features"] == ""]
    found = [
        f"{join_words(list(dict.fromkeys(rows['layer'])))}: {note}."
        for note, rows in empty.groupby("note", sort=False)
    ]
    partly = table[(table["features"] != "") & (table["note"] != "")]
    for note, rows in partly.groupby("note", sort=False):
        found.append(f"{join_words(list(dict.fromkeys(rows['layer'])))}: {note}.")
    return found
