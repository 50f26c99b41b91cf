"""Whether estimates and intervals keep to what is possible, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from variscope.analyses.source import Source
from variscope.analyses.words import Words
from variscope.indices.wording import count_text, estimate_text, join_words, variable_phrase

# The tolerance that the sentence is of, or the closest that the table has.
SAID = 0.05


def words(source: Source, tables: Mapping[str, pd.DataFrame]) -> Words:
    """Say how many estimates are impossible, and whether intervals allow for it."""
    estimates, intervals = (tables[name] for name in ("estimates", "intervals"))
    variables = tables["variables"]
    if not (estimates["n"] > 0).any():
        return Words(answer="No unit has an index, and so none can be checked.")
    tolerance = float(
        estimates["tolerance"].iloc[int((estimates["tolerance"] - SAID).abs().argmin())]
    )
    at = _summed(estimates[estimates["tolerance"] == tolerance])
    parts = [f"{name} in {_percent(row)}" for name, row in at.iterrows()]
    total = count_text(int(at["n"].max()), "estimate")
    of_intervals = _summed(intervals)
    allowed = float(intervals["allowed"].iloc[0])
    over = of_intervals[of_intervals["count"] > allowed * of_intervals["n"]]
    verdict = "Intervals allow for it"
    if len(over):
        verdict = f"Not all intervals allow for it: {join_words(list(map(str, over.index)))}"
    sides = join_words([f"{name} in {_percent(row)}" for name, row in of_intervals.iterrows()])
    return Words(
        answer=(
            f"Impossible by more than {tolerance:g} are, of up to {total} each (units times "
            f"variables): {join_words(parts)}."
        ),
        more=[
            f"{verdict}. Whole intervals are impossible: {sides}; {100 * allowed:g} % to one side "
            "may be, if all truths stood at the bound.",
            *_worst(intervals, allowed),
        ],
        control=_dummies(variables),
        note=(
            "Shares are counted over all units and variables of a study, which depend on each "
            "other: they have no interval."
        ),
    )


def _summed(table: pd.DataFrame) -> pd.DataFrame:
    """Add up the layers' counts by check, in the order of the table."""
    return table.groupby("check", sort=False)[["count", "n"]].sum()


def _percent(row: pd.Series) -> str:
    count, n = int(row["count"]), int(row["n"])
    return f"{100 * count / n:.2g} %" if count else "none"


def _worst(intervals: pd.DataFrame, allowed: float) -> list[str]:
    """Name the layer and check of which more intervals are impossible than allowed."""
    over = intervals[intervals["share"] > allowed]
    if over.empty:
        return ["That holds in every layer."]
    worst = over.iloc[int(over["share"].argmax())]
    return [
        f"In {count_text(len(over), 'case')} of {len(intervals)} (layers times checks) there are "
        f"more than that, the most in layer {worst['layer']}: {100 * float(worst['share']):.2g} % "
        f"of {int(worst['n']):,} intervals are {worst['check']}."
    ]


def _dummies(variables: pd.DataFrame) -> str:
    """Say which variables do nothing, and what their indices are."""
    parts = []
    for verdict, one, several in (
        ("not varied", "is not varied in this sample", "are not varied in this sample"),
        ("inert", "is inert, exactly 0 in every unit", "are inert, exactly 0 in every unit"),
        ("unseen", "cannot be told from 0 in any layer", "cannot be told from 0 in any layer"),
    ):
        held = variables[variables["verdict"] == verdict]
        names = [_named(row, verdict) for _, row in held.iterrows()]
        if names:
            parts.append(f"{join_words(names)} {one if len(names) == 1 else several}")
    if not parts:
        return "Every variable acts in some layer: the study holds no dummy."
    return f"Of the study's variables, {'; '.join(parts)}."


def _named(row: pd.Series, verdict: str) -> str:
    """Name a variable; one that is not told from 0 with the largest of its total indices."""
    name = variable_phrase(str(row["variable"]))
    if verdict != "unseen":
        return name
    value = estimate_text(*(float(row[key]) for key in ("ST", "low", "high")))
    return f"{name} (ST of a layer at most {value})"
