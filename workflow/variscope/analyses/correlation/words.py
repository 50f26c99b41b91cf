"""Whether variables act on the same channels, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from variscope.analyses.correlation.layers import CV, RANK, by_set, main_kind
from variscope.analyses.source import Source
from variscope.analyses.words import Words
from variscope.indices.reading import layers
from variscope.indices.wording import (
    count_text,
    estimate_text,
    interval_text,
    join_words,
    share_text,
    variable_phrase,
)
from variscope.vocabulary import INDEX_NAMES

IDENTITIES = ("class", "image", "part")
MEANS = {
    "shapley": "Shapley effects",
    "S1": "S1",
    "ST": "ST",
    RANK: "the magnitude of the rank-biserial correlation",
    CV: "the coefficient of variation",
}


def words(source: Source, tables: Mapping[str, pd.DataFrame]) -> Words:
    """Name the pair that correlates the most, and say what permuted maps and the twin give."""
    pairs, summary = tables["pairs"], tables["layers"]
    kind = main_kind(source.studies)
    data = next(iter(layers(by_set(source.studies)[0].tree).values()))
    rate = 1 - float(data.attrs["confidence_level"])
    compared = pairs[(pairs["kind"] == kind) & (pairs["kind_second"] == kind)]
    left_out = summary[summary["note"].str.startswith("left out")]
    more = [f"Layer {row.layer} is {row.note}." for row in left_out.itertuples()]
    if compared.empty:
        return Words(answer="No layer has two maps that can be correlated.", more=more)
    reliable = compared[compared["corrected"].notna()]
    noisy = len(compared) - len(reliable)
    of_all = f"{count_text(len(compared), 'pair')} of maps of {MEANS[kind]}"
    if reliable.empty:
        return Words(
            answer=(
                f"Whether two variables act on the same channels cannot be told: of {of_all}, each "
                "has a map whose two halves correlate below 0.3."
            ),
            more=more,
        )
    if noisy:
        more.insert(
            0,
            f"Of {of_all}, {noisy:,} have a map whose two halves correlate below 0.3: nothing is "
            "said of them.",
        )
    apart = reliable[reliable["p_adjusted"] <= rate]
    chosen = _different(apart)
    if chosen.empty:
        best = _largest(reliable)
        answer = (
            f"No two variables' maps correlate beyond what exchanged channels give; the largest "
            f"estimate is {_pair(best)}."
        )
    else:
        best = _largest(chosen)
        answer = (
            f"The maps of two variables correlate the most in layer {best['layer']}: {_pair(best)}."
        )
    return Words(
        answer=answer,
        more=[_kinds(pairs), _variation(pairs, kind, rate), *more],
        control=" ".join(filter(None, (_null(reliable, best, rate), _twin(reliable, best)))),
        note=(
            f"Maps are of the {INDEX_NAMES[kind]}; correlations are across channels, or neurons, "
            "and a mean over pixels. Intervals are over channels, and corrected for the noise of "
            "the estimates; that the largest of many pairs was picked is not corrected for. Class, "
            "image and part name one image together: no two of them are picked."
        ),
    )


def _different(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return pairs of two variables that are not one by what they are.

    One variable in two sets is, and so are class, image and part, which name one image together.
    """
    first, second = (pairs[key].isin(IDENTITIES) for key in ("first", "second"))
    return pairs[(pairs["first"] != pairs["second"]) & ~(first & second)]


def _largest(pairs: pd.DataFrame) -> pd.Series:
    different = _different(pairs)
    among = pairs if different.empty else different
    return among.iloc[int(among["corrected"].abs().argmax())]


def _pair(row: pd.Series) -> str:
    """Write a pair: "hue with contrast 0.62 [0.40, 0.80], n = 48 channels (0.30 as maps are)"."""
    first, second = (variable_phrase(str(row[key])) for key in ("first", "second"))
    if row["set"] != row["set_second"]:
        first, second = f"{first} ({row['set']} set)", f"{second} ({row['set_second']} set)"
    value = estimate_text(float(row["corrected"]), float(row["low"]), float(row["high"]))
    return (
        f"{first} with {second}, {value}, n = {int(row['n'])} {row['inference']} "
        f"({share_text(float(row['raw']))} as the maps are, noise and all)"
    )


def _kinds(pairs: pd.DataFrame) -> str:
    """Say how kinds of value of one variable agree."""
    held = pairs[(pairs["kind"] != pairs["kind_second"]) & (pairs["kind_second"] != CV)]
    held = held[held["corrected"].notna()]
    if held.empty:
        return "No variable has two kinds of value that are reliable."
    parts = []
    for (one, other), rows in held.groupby(["kind", "kind_second"], sort=False):
        found = rows["corrected"]
        median, least, most = (
            share_text(float(value)) for value in (found.median(), found.min(), found.max())
        )
        which = f"{MEANS[str(one)]} with {MEANS[str(other)]}"
        parts.append(f"{which} {median} ({len(rows)} maps, from {least} to {most})")
    return f"Kinds of value of a variable correlate, by the median: {join_words(parts)}."


def _variation(pairs: pd.DataFrame, kind: str, rate: float) -> str:
    """Say how shares go with the coefficient of variation."""
    held = pairs[(pairs["kind"] == kind) & (pairs["kind_second"] == CV)]
    held = held[held["corrected"].notna()]
    if held.empty:
        return "No map is reliable enough to be held against the coefficient of variation."
    apart = held[held["p_adjusted"] <= rate]
    said = f"{len(apart)} of {count_text(len(held), 'map')}"
    if apart.empty:
        return (
            f"No share follows the coefficient of variation of the units beyond what exchanged "
            f"channels give ({count_text(len(held), 'map')})."
        )
    best = apart.iloc[int(apart["corrected"].abs().argmax())]
    value = estimate_text(*(float(best[key]) for key in ("corrected", "low", "high")))
    return (
        f"Beyond what exchanged channels give, {said} follow the coefficient of variation of the "
        f"units, the most {variable_phrase(str(best['first']))} in layer {best['layer']}, {value} "
        f"(n = {int(best['n'])} {best['inference']})."
    )


def _null(reliable: pd.DataFrame, best: pd.Series, rate: float) -> str:
    """Say what exchanged channels give, and how many pairs pass."""
    draws = int(best["permutations"])
    if 1 / (draws + 1) > rate:
        return (
            f"{draws} permutations cannot pass the level: the smallest p-value is "
            f"{1 / (draws + 1):.2g}."
        )
    held = _different(reliable)
    apart = int((held["p_adjusted"] <= rate).sum())
    interval = interval_text(float(best["null_low"]), float(best["null_high"]))
    return (
        f"Shares that sum to 1 correlate by arithmetic: with channels exchanged, map by map, and "
        f"closed again, this pair gives {interval} across halves, and gave "
        f"{share_text(float(best['cross']))}. So held against the farthest pair of its layer, "
        f"{apart} of {count_text(len(held), 'reliable pair')} of two variables stand apart "
        f"({draws} permutations)."
    )


def _twin(reliable: pd.DataFrame, best: pd.Series) -> str:
    """Say what the untrained twin shares."""
    both = reliable[reliable["twin"].notna()]
    if both.empty:
        return ""
    differ = int(((both["difference_low"] > 0) | (both["difference_high"] < 0)).sum())
    alike = [
        f"{share_text(float(rows['corrected'].corr(rows['twin'], method='spearman')))} in {layer}"
        for layer, rows in both.groupby("layer", sort=False)
        if rows["corrected"].nunique() > 1 and rows["twin"].nunique() > 1
    ]
    said = (
        f"In the untrained twin {differ} of {count_text(len(both), 'pair')} differ by the interval "
        "of the difference"
    )
    if alike:
        said += f"; over pairs, its values go with the trained network's at {join_words(alike)}"
    if pd.isna(best["twin"]):
        return f"{said}. Of the pair that is named it has no reliable maps."
    value = share_text(float(best["twin"]))
    interval = interval_text(float(best["difference_low"]), float(best["difference_high"]))
    shared = float(best["difference_low"]) <= 0 <= float(best["difference_high"])
    verdict = "so the twin may share it" if shared else "so it is not what untrained weights give"
    return f"{said}. It gives {value} for this pair; the difference is {interval}, {verdict}."
