"""Single classes: their ranking, and how they overlap with what masks predict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from variscope.analyses.conditions import (
    MASKED,
    at_setting,
    confidence_level,
    leading_layer,
    read_outcomes_of,
)
from variscope.analyses.masking.outcomes import ORIGINAL, REFERENCE
from variscope.analyses.single_class import ANALYSIS
from variscope.analyses.single_class.answers import KEY, Answers
from variscope.analyses.single_class.sensitive import KINDS, Chosen, Scores, all_scores
from variscope.analyses.source import Source
from variscope.estimators.overlap import Array, most_sensitive, overlaps, rank_p
from variscope.estimators.resampling import benjamini_hochberg, permutation_p
from variscope.indices.reading import confidence_percent

ALPHA = 0.05
TOP = 10  # classes of a ranking

Rows = Iterator[dict[str, Any]]


def compute(source: Source) -> dict[str, pd.DataFrame]:
    """Return the tables ``classes``, ``overlap``, ``ranking`` and ``predictions``."""
    outcomes = read_outcomes_of(source)
    scores = scores_of(source, outcomes)
    rows: dict[str, list[dict[str, Any]]] = {table.name: [] for table in ANALYSIS.tables}
    rows["ranking"] += ranking_rows(scores)
    if outcomes is not None and scores and len(scores[0].names) == outcomes.attrs["classes"]:
        answers = Answers(outcomes, confidence_level(source), source.seed)
        rows["overlap"] += overlap_rows(scores, answers)
        rows["predictions"] += prediction_rows(scores[0].names, answers)
        rows["classes"] += class_rows(scores, answers)
    return {name: pd.DataFrame(rows[name], columns=ANALYSIS.columns(name)) for name in rows}


def scores_of(source: Source, outcomes: xr.Dataset | None) -> list[Scores]:
    """Return the layer of scores for each variable; nothing where there is none."""
    return list(all_scores(source, None if outcomes is None else int(outcomes.attrs["classes"])))


def ranking_rows(scores: Sequence[Scores]) -> Rows:
    """Yield the ten leading classes by each statistic."""
    for one in scores:
        for kind in one.kinds:
            inference = f"{confidence_percent(one.data)} interval of one class, over replicates"
            yield from _ranked(
                one,
                one.selecting(kind),
                {"variable": one.of.name, "statistic": kind, "inference": inference},
                dict(zip(("value", "low", "high"), one.estimate(kind), strict=True)),
                one.other_half(kind),
            )
    for one in scores[:1]:
        for statistic, values in one.moments().items():
            nothing = np.full(len(values), np.nan)
            yield from _ranked(
                one,
                values,
                {"variable": "", "statistic": statistic, "inference": "none given"},
                {"value": values, "low": nothing, "high": nothing},
                nothing,
            )


def _ranked(
    one: Scores, by: Array, common: dict[str, str], columns: dict[str, Array], other: Array
) -> Rows:
    """Yield the ten leading classes by numbers ``(class,)``."""
    for rank, number in enumerate(most_sensitive(by, TOP), start=1):
        yield {
            **common,
            "rank": rank,
            "class": number,
            "name": one.names[number],
            **{name: values[number] for name, values in columns.items()},
            "other_half": other[number],
            "n": int(np.isfinite(by).sum()),
        }


def overlap_rows(scores: Sequence[Scores], answers: Answers) -> Rows:
    """Yield the overlap of each variable's classes with the predictions without and under masks."""
    table = answers.table
    for one in scores:
        for kind in one.kinds:
            chosen = one.chosen(kind)
            if not len(chosen.classes):
                continue
            of_kind = (table["mask"] == one.of.name) & (table["kind"] == kind)
            own = table[of_kind & table["control"].isin(MASKED)]
            rows = [*answers.unmasked.values(), *map(int, own.index)]
            values = np.stack([overlaps(chosen.members, answers.top[row]) for row in rows], axis=1)
            low, high = answers.bounds(values, "overlap", one.of.name, kind)
            for place, row in enumerate(rows):
                yield {
                    **{key: table.loc[row, key] for key in KEY},
                    "variable": one.of.name,
                    "kind": kind,
                    **_null(answers, chosen, row, float(values[:, place].mean())),
                    "low": low[place],
                    "high": high[place],
                    **answers.counted,
                }


def _null(answers: Answers, chosen: Chosen, row: int, jaccard: float) -> dict[str, float]:
    """Return an overlap beside those of random classes, and under matched random masks."""
    observed = np.array(jaccard)
    random = overlaps(chosen.sets, answers.top[row]).mean(axis=1)
    found = {
        "jaccard": jaccard,
        "chance": float(random.mean()),
        "p_classes": float(permutation_p(observed, random)),
        "matched": np.nan,
        "p_masks": np.nan,
    }
    if matched := answers.matched(row):
        masks = np.array([overlaps(chosen.members, answers.top[k]).mean() for k in matched])
        found |= {"matched": masks.mean(), "p_masks": float(permutation_p(observed, masks))}
    return found


def class_rows(scores: Sequence[Scores], answers: Answers) -> Rows:
    """Yield the most sensitive classes of each variable, with how often its masks predict them."""
    table = answers.table
    own = table[(table["control"] == "own") & (table["input"] == ORIGINAL)]
    if own.empty:
        return
    own = own[own["layer"] == leading_layer(own["layer"])]
    for kind in KINDS:
        rows = [
            row for one in scores if kind in one.kinds for row in _hits(one, kind, own, answers)
        ]
        for name in ("classes", "masks"):
            adjusted = benjamini_hochberg(np.array([row[f"p_{name}"] for row in rows]))
            for row, q in zip(rows, adjusted, strict=True):
                row[f"q_{name}"] = float(q)
        for row in rows:
            # Where a q is NaN nothing is kept.
            kept = row["q_classes"] < ALPHA and row["q_masks"] < ALPHA
            kept = kept and row["hit"] > row["hit_unmasked"]
            yield {**row, "kept": "yes" if kept else "no"}


def _hits(one: Scores, kind: str, own: pd.DataFrame, answers: Answers) -> list[dict[str, Any]]:
    """Return a row for each of a variable's most sensitive classes.

    Over the settings that have the most matched random masks, of which the null is made.
    """
    tried = own[(own["mask"] == one.of.name) & (own["kind"] == kind)]
    masks = {int(row): answers.matched(int(row)) for row in tried.index}
    most = max(map(len, masks.values()), default=0)
    rows = [row for row, found in masks.items() if len(found) == most]
    chosen = one.chosen(kind)
    if not rows or not len(chosen.classes):
        return []
    hits = np.mean([answers.among(row) for row in rows], axis=0)
    null = np.array(
        [np.mean([answers.among(masks[row][k]).mean(axis=0) for row in rows], axis=0)
         for k in range(most)]
    ).reshape(most, -1)  # fmt: skip
    rate, classes = hits.mean(axis=0), chosen.classes
    undefined = np.full(len(rate), np.nan)
    low, high = answers.bounds(hits[:, classes], "hits", one.of.name, kind)
    columns = {
        "index": one.other_half(kind)[classes],
        "hit": rate[classes],
        "low": low,
        "high": high,
        "hit_unmasked": answers.among(answers.unmasked[ORIGINAL]).mean(axis=0)[classes],
        "hit_matched": (null.mean(axis=0) if most else undefined)[classes],
        "p_classes": rank_p(rate, classes, chosen.stratum, chosen.allowed),
        "p_masks": (permutation_p(rate, null) if most else undefined)[classes],
        "like": chosen.like,
    }
    return [
        {
            "variable": one.of.name,
            "kind": kind,
            "class": number,
            "name": one.names[number],
            **{name: values[k] for name, values in columns.items()},
            "masks": most,
            **answers.counted,
        }
        for k, number in enumerate(classes)
    ]


def prediction_rows(names: Sequence[str], answers: Answers) -> Rows:
    """Yield what masks change of each class: how often it is predicted, and its error."""
    own = answers.table[answers.table["control"] == "own"]
    own = own[at_setting(own, REFERENCE)]
    if own.empty:
        return
    own = own[own["layer"] == leading_layer(own["layer"])]
    for row in own.index[own["kind"] == own["kind"].iloc[0]]:
        columns = _changes(int(row), answers)
        for number, name in enumerate(names):
            yield {
                "input": own.loc[row, "input"],
                "mask": own.loc[row, "mask"],
                "class": number,
                "name": name,
                **{key: values[number] for key, values in columns.items()},
                **answers.counted,
            }


def _changes(row: int, answers: Answers) -> dict[str, Array]:
    """Return what one mask changes of each class, ``(class,)`` each."""
    given, mask = (str(answers.table.loc[row, name]) for name in ("input", "mask"))
    plain, masked = answers.predicted(answers.unmasked[given]), answers.predicted(row)
    own = answers.label[:, None] == np.arange(masked.shape[1])
    images = np.where(own.any(axis=0), own.sum(axis=0), np.nan)  # NaN: a class without images

    def change(under: np.ndarray) -> Array:
        return under.astype(float) - plain

    def error_change(under: np.ndarray) -> Array:
        return np.asarray(-(own * change(under)).sum(axis=0) / images)

    low, high = answers.bounds(change(masked), "frequency", given, mask)
    error_low, error_high = answers.bounds(-change(masked), "error", given, mask, over=own)
    random = [answers.predicted(k) for k in answers.matched(row)]
    nothing = np.full((1, len(low)), np.nan)
    return {
        "frequency": masked.mean(axis=0),
        "change": change(masked).mean(axis=0),
        "low": low,
        "high": high,
        "matched_change": np.mean([change(k).mean(axis=0) for k in random] or nothing, axis=0),
        "error": (own & ~masked).sum(axis=0) / images,
        "error_change": error_change(masked),
        "error_low": error_low,
        "error_high": error_high,
        "matched_error_change": np.mean([error_change(k) for k in random] or nothing, axis=0),
    }
