"""How few features are enough, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from variscope.analyses.reduction import CONSTANT, CONTROLS, INSIDE, NOT_WORSE, RANDOM, SHUFFLED
from variscope.analyses.source import Source
from variscope.analyses.words import Words
from variscope.indices.wording import count_text, estimate_text, join_words, share_text

Row = Mapping[str, Any]

MEASURES = {
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "auc": "area under the ROC curve",
    "R2": "R2",
}
BY = {
    "sobol": "Sobol's total indices",
    "shapley": "Shapley effects",
    "permutation": "permutation importance",
    "salib": "SALib's total indices",
    RANDOM: "random orders",
    SHUFFLED: "a network that learned shuffled targets",
}

_NOTE = (
    "Ranking, scaling, early stopping and the choice of a number are made on the training rows of "
    "each outer fold, and scores are those of its other rows. Intervals are corrected for training "
    "rows that folds share (Nadeau and Bengio 2003). Numbers are tested from all features down, up "
    "to the first that may be worse than all by more than the margin."
)


def words(source: Source, tables: Mapping[str, pd.DataFrame]) -> Words:
    """Say for each table how many features are enough by the first ranking, beside the others."""
    choices, curve = _rows(tables["choice"]), _rows(tables["curve"])
    names = list(dict.fromkeys(row["table"] for row in choices))
    if not names:
        return Words(answer="")
    answers, more, controls = [], [], []
    for name in names:
        of_table = [row for row in choices if row["table"] == name]
        of_curve = [row for row in curve if row["table"] == name]
        answers.append(_answer(name, of_table, of_curve))
        if not _learns_nothing(of_curve) and _first(of_table)["of"] > 1:
            more += [
                sentence for sentence in (_others(name, of_table), _same(of_table)) if sentence
            ]
            controls.append(_control(name, of_table, of_curve))
    return Words(answer="\n".join(answers), more=more, control="\n".join(controls), note=_NOTE)


def _rows(found: pd.DataFrame) -> list[Row]:
    columns = [str(name) for name in found.columns]
    return [dict(zip(columns, row, strict=True)) for row in found.itertuples(index=False)]


def _first(choices: list[Row], rule: str = NOT_WORSE) -> Row:
    """Return the row of the first ranking that is no control, or of the first control."""
    of_rule = [row for row in choices if row["rule"] == rule]
    return next((row for row in of_rule if row["ranking"] not in CONTROLS), of_rule[0])


def _estimate(row: Row, name: str, prefix: str | None = None) -> str:
    """Write an estimate whose bounds are ``low`` and ``high`` behind a prefix, its name's own."""
    start = f"{name}_" if prefix is None else prefix
    return estimate_text(*(float(row[key]) for key in (name, f"{start}low", f"{start}high")))


def _all(curve: list[Row]) -> Row:
    """Return the row of all features."""
    return max(curve, key=lambda row: int(row["k"]))


def _constant(curve: list[Row]) -> Row:
    return next(row for row in curve if row["ranking"] == CONSTANT)


def _learns_nothing(curve: list[Row]) -> bool:
    """Whether all features together are not shown to be better than none."""
    return not float(_constant(curve)["difference_high"]) < 0


def _answer(name: str, choices: list[Row], curve: list[Row]) -> str:
    first, every = _first(choices), _all(curve)
    measure = MEASURES[str(first["measure"])]
    of = int(first["of"])
    if _learns_nothing(curve):
        none = share_text(float(_constant(curve)["score"]))
        return (
            f"{name}: with all features a network has the {measure} "
            f"{_estimate(every, 'score', '')}, and {none} without any: it is not shown to have "
            "learned anything, and how many features are enough cannot be said "
            f"(n = {count_text(int(every['n']), 'outer fold')})."
        )
    if of == 1:
        return f"{name}: there is one feature, and nothing to leave out."
    k, by = int(first["k"]), BY[str(first["ranking"])]
    beside = f"{_estimate(every, 'score', '')} of all"
    sample = f"n = {count_text(int(first['n']), 'outer fold')}"
    if k < of:
        return (
            f"{name}: {k} of {of} features are enough, the first by {by}: {measure} "
            f"{_estimate(first, 'score', '')} against {beside}, difference "
            f"{_estimate(first, 'difference')}, not worse by more than the margin of "
            f"{float(first['margin']):g} ({sample})."
        )
    text = (
        f"{name}: of {of} features by {by}, no smaller number is shown to be not worse than all by "
        f"more than the margin of {float(first['margin']):g}; all have the {measure} "
        f"{_estimate(every, 'score', '')} ({sample})."
    )
    if first["ranking"] in CONTROLS:
        return text
    inside = _first(choices, INSIDE)
    return (
        f"{text} Inner folds choose {_range(inside)}, with {_estimate(inside, 'score', '')}, "
        f"difference {_estimate(inside, 'difference')}."
    )


def _range(row: Row) -> str:
    """Write how many features the folds chose."""
    k, least, most = (int(row[key]) for key in ("k", "least", "most"))
    return str(k) if least == most else f"{k} in the median ({least} to {most})"


def _others(name: str, choices: list[Row]) -> str:
    """Say how many are enough by the other rankings."""
    first = _first(choices)
    of = int(first["of"])
    others = [row for row in choices if row["rule"] == NOT_WORSE and row is not first]
    if not others:
        return ""
    by_number: dict[int, list[str]] = {}
    for row in others:
        by_number.setdefault(int(row["k"]), []).append(BY[str(row["ranking"])])
    found = [
        f"{'all' if number == of else number} by {join_words(rankings)}"
        for number, rankings in sorted(by_number.items())
    ]
    return f"{name}: for the same margin it takes {'; '.join(found)}."


def _same(choices: list[Row]) -> str:
    """Warn where the spread of scores says nothing of their error."""
    first = _first(choices)
    if int(first["n"]) < 2 or float(first["high"]) > float(first["low"]):
        return ""
    return (
        f"{first['table']}: scores are the same in every outer fold, so that their spread says "
        "nothing of their error."
    )


def _control(name: str, choices: list[Row], curve: list[Row]) -> str:
    """Say what the ranking is worth beside random orders, and what no feature gives."""
    none = share_text(float(_constant(curve)["score"]))
    without = f"without any feature the score is {none}"
    first = _first(choices)
    if first["ranking"] in CONTROLS or not any(row["ranking"] == RANDOM for row in choices):
        return f"{name}: {without}."
    row = _first(choices, INSIDE) if int(first["k"]) == int(first["of"]) else first
    at = f"at {'these numbers' if row is not first else 'this number'} of features"
    gain = _estimate(row, "over_random")
    if float(row["over_random_low"]) > 0:
        text = f"the ranking scores {gain} more than random orders {at}"
    elif float(row["over_random_high"]) < 0:
        text = f"the ranking scores less than random orders {at} (difference {gain})"
    else:
        text = f"the ranking is not told from random orders {at} (difference {gain})"
    return f"{name}: {text}; {without}."
