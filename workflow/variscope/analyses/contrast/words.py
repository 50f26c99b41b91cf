"""Which augmentations move the units, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from variscope.analyses.contrast import BEYOND, LEVEL
from variscope.analyses.source import Source
from variscope.analyses.words import Words
from variscope.estimators.resampling import MIN_CLUSTERS
from variscope.indices.wording import (
    count_text,
    estimate_text,
    share_text,
    variable_phrase,
)


def words(source: Source, tables: Mapping[str, pd.DataFrame]) -> Words:
    """Name what moves the most units and what the fewest, against the twin and against chance."""
    found = tables["layers"]
    if found.empty:
        return Words(answer="The variable sets of this model have no augmentation to apply.")
    part = found["part"].iloc[-1]
    rows = found[(found["part"] == part) & found["share"].notna()]
    images, clusters = (
        int(found[found["part"] == part][key].max()) for key in ("images", "clusters")
    )
    sample = count_text(images, f"{part} image")
    if clusters < images:
        sample += f" from {count_text(clusters, 'source')}"
    if rows.empty:
        return Words(
            answer=(
                f"Nothing can be said of units: {sample} give no interval, or all units are "
                "constant."
            )
        )
    mean = rows.groupby("variable", sort=False)["share"].mean()
    strongest, weakest = str(mean.idxmax()), str(mean.idxmin())
    best = _largest(rows[rows["variable"] == strongest])
    what = (
        f"a rank-biserial correlation whose {100 * LEVEL:g} % interval, over {sample}, lies beyond "
        f"\N{PLUS-MINUS SIGN}{BEYOND:g}"
    )
    if mean.max() == 0:
        answer = f"No augmentation, applied alone, moves any unit: none has {what}."
    else:
        answer = (
            f"Applied alone, {variable_phrase(strongest)} moves most units: in layer "
            f"{best['layer']}, {estimate_text(best['share'], best['low'], best['high'])} of the "
            f"{count_text(best['units'], 'unit')} have {what} (above it "
            f"{share_text(best['raised'])})."
        )
        if mean.min() < mean.max():
            of_weakest = rows[rows["variable"] == weakest]
            last = _row(of_weakest, int(of_weakest["share"].argmax()))
            answer += (
                f" {variable_phrase(weakest).capitalize()} moves fewest: at most "
                f"{estimate_text(last['share'], last['low'], last['high'])} of a layer's units, in "
                f"layer {last['layer']}."
            )
    more = [
        sentence
        for sentence in (_tests(rows, clusters), _agreement(tables["agreement"], strongest))
        if sentence
    ]
    return Words(answer=answer, more=more, control=_control(rows, best))


def _largest(rows: pd.DataFrame) -> dict[str, Any]:
    """Return the row whose share is largest for certain: few units have a wide interval."""
    return _row(rows, int(rows["low"].fillna(rows["share"]).argmax()))


def _row(rows: pd.DataFrame, place: int) -> dict[str, Any]:
    return {str(key): value for key, value in rows.iloc[place].items()}


def _control(rows: pd.DataFrame, best: Mapping[str, Any]) -> str:
    """Say what the untrained twin and random signs give."""
    chance = (
        "With the signs of whole clusters drawn at random, at most "
        f"{share_text(rows['shuffled'].max())} of a layer's units lie beyond that limit."
    )
    if pd.isna(best["twin"]):
        return chance
    bounds = [float(best[key]) for key in ("difference", "difference_low", "difference_high")]
    text = (
        f"In the untrained twin, {variable_phrase(best['variable'])} moves "
        f"{share_text(best['twin'])} of the units of layer {best['layer']}"
    )
    if pd.isna(bounds[1]):
        return f"{text}; of one channel the difference has no interval. {chance}"
    text += f", a difference of {estimate_text(*bounds)} over its {best['n']} channels or units"
    if bounds[1] > 0:
        verdict = "training added to it"
    elif bounds[2] < 0:
        verdict = "training took from it"
    else:
        verdict = "the twin shares this result, which is then not one of learning"
    both = rows[rows["difference_low"].notna()]
    more = int((both["difference_low"] > 0).sum())
    return (
        f"{text}: {verdict}. Of {count_text(len(both), 'pair')} of layer and augmentation, {more} "
        f"have a larger share than in the twin, by an interval that leaves out 0, and "
        f"{int((both['difference_high'] < 0).sum())} a smaller one. {chance}"
    )


def _tests(rows: pd.DataFrame, clusters: int) -> str:
    """Say how many units are significant, or why no p-value is given."""
    if clusters < MIN_CLUSTERS:
        return (
            f"No p-values are given: {count_text(clusters, 'independent source')} of images "
            f"{'is' if clusters == 1 else 'are'} too few for a test (at least {MIN_CLUSTERS})."
        )
    units, found = int(rows["units"].sum()), int(rows["significant"].sum())
    return (
        f"Of {count_text(units, 'test')} of a unit under an augmentation, {found:,} are "
        f"significant at a false discovery rate of {1 - LEVEL:.2g} over all of them (Benjamini and "
        f"Yekutieli). A network is deterministic: with enough images nearly all would be, so that "
        "the shares above count sizes of effects."
    )


def _agreement(agreement: pd.DataFrame, variable: str) -> str:
    """Say whether train and valid images agree on which units are moved."""
    rows = agreement[(agreement["variable"] == variable) & agreement["low"].notna()]
    if rows.empty:
        return ""
    row = _row(rows, int(rows["correlation"].argmin()))
    estimate = estimate_text(row["correlation"], row["low"], row["high"])
    others = (
        "" if pd.isna(row["others"]) else f" (with other augmentations {share_text(row['others'])})"
    )
    verdict = "agree" if row["low"] > 0.5 else "agree in part" if row["low"] > 0 else "do not agree"
    return (
        f"Train and valid images {verdict} on which units {variable_phrase(variable)} moves: over "
        f"units its effects correlate at {estimate}{others} in layer {row['layer']}, where they do "
        "so least."
    )
