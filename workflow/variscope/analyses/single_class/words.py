"""Which classes are sensitive to what, and whether masks predict them, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from variscope.analyses.conditions import (
    at_setting,
    count_of_images,
    few_clusters,
    layer_phrase,
    leading_layer,
    notes_on_masking,
)
from variscope.analyses.masking.outcomes import ORIGINAL, REFERENCE
from variscope.analyses.single_class.compute import ALPHA
from variscope.analyses.single_class.sensitive import FEWEST_CLASSES
from variscope.analyses.source import Source
from variscope.analyses.words import Words
from variscope.indices.wording import (
    count_text,
    estimate_text,
    join_words,
    share_text,
    variable_phrase,
)

MOST_NAMED = 3


def words(source: Source, tables: Mapping[str, pd.DataFrame]) -> Words:
    """Say how many classes pass both controls, and how far sensitive classes are predicted."""
    ranking, classes = tables["ranking"], tables["classes"]
    if ranking.empty:
        return Words(
            answer=(
                "No layer of the study is known to hold the scores of at least "
                f"{FEWEST_CLASSES} classes, so no single classes are ranked."
            ),
            more=notes_on_masking(source),
        )
    if classes.empty:
        return Words(
            answer=f"{_steepest(ranking)} No mask was tried, so what masks predict is not known.",
            more=notes_on_masking(source),
        )
    kind = classes["kind"].iloc[0]
    tried = classes[classes["kind"] == kind]
    kept = tried[tried["kept"] == "yes"]
    what = "pair of variable and sensitive class", "pairs of variable and sensitive class"
    if kept.empty:
        answer = (
            f"Of {count_text(len(tried), *what)} none passes both controls: no class can be said "
            "to be predicted because the units sensitive to a variable are masked"
        )
    else:
        named = [
            f"{_class(row)} under masks by {variable_phrase(row['variable'])} "
            f"({estimate_text(row['hit'], row['low'], row['high'])} of the images, "
            f"{share_text(row['hit_unmasked'])} without)"
            for _, row in kept.sort_values("hit", ascending=False).head(MOST_NAMED).iterrows()
        ]
        more = len(kept) - len(named)
        named += [f"{more} more"] if more else []
        passes = "passes" if len(kept) == 1 else "pass"
        answer = f"Of {count_text(len(tried), *what)} {len(kept)} {passes} both controls: " + (
            join_words(named)
        )
    answer += f" ({count_of_images(tried.iloc[0])}). {_steepest(ranking)}"
    return Words(answer=answer, more=_overlap(tables["overlap"], kind), control=_control(tried))


def _class(row: pd.Series) -> str:
    """Name a class, by its number where it has no name."""
    return str(row["name"]) or f"class {row['class']}"


def _steepest(ranking: pd.DataFrame) -> str:
    """Name the class and the variable with the largest index."""
    statistic = ranking["statistic"].iloc[0]
    found = ranking[(ranking["statistic"] == statistic) & (ranking["rank"] == 1)]
    found = found[np.isfinite(found["value"]) & (found["variable"] != "")]
    if found.empty:
        return "No class has an index."
    best = found.iloc[int(found["value"].argmax())]
    text = estimate_text(*(float(best[key]) for key in ("value", "low", "high")))
    held = ""
    if np.isfinite(best["other_half"]):
        held = f", and {share_text(float(best['other_half']))} in the half that did not choose it"
    return (
        f"The output that depends the most on one variable is that of {_class(best)}: "
        f"{variable_phrase(str(best['variable']))} holds {text} of its variance{held}."
    )


def _overlap(overlap: pd.DataFrame, kind: str) -> list[str]:
    """Say how far sensitive and predicted classes overlap, beside both controls."""
    own = overlap[(overlap["kind"] == kind) & (overlap["input"] == ORIGINAL)]
    own = own[own["mask"] != ""]
    if own.empty:
        return []
    layer = leading_layer(own["layer"])
    own = own[own["layer"] == layer]
    own = own[at_setting(own, REFERENCE)]
    if own.empty:
        return []
    best = own.iloc[int(own["jaccard"].argmax())]
    text = estimate_text(*(float(best[key]) for key in ("jaccard", "low", "high")))
    said = (
        f"With the top {100 * REFERENCE.share:.0f} % of the units set to 0 "
        f"{layer_phrase(layer)}, the classes most sensitive to a variable overlap with those "
        f"predicted at {share_text(own['jaccard'].mean())} on average of "
        f"{count_text(len(own), 'mask')}, where classes of like activation give "
        f"{share_text(own['chance'].mean())}"
    )
    if own["matched"].notna().any():
        said += f" and matched random masks {share_text(own['matched'].mean())}"
    return [
        f"{said}; the most for {variable_phrase(str(best['variable']))}, {text} "
        f"(p = {best['p_classes']:.2g} by classes"
        + (f", {best['p_masks']:.2g} by random masks)." if np.isfinite(best["p_masks"]) else ").")
    ]


def _control(tried: pd.DataFrame) -> str:
    """Say what a class must pass, and where it could not have passed it."""
    like, masks = int(tried["like"].max()), int(tried["masks"].max())
    others, random = (
        count_text(like - 1, "class", "classes"),
        count_text(masks, "matched random mask"),
    )
    said = (
        f"A class must be predicted more often than {others} of like mean activation, and more "
        f"often than under {random}, at p < {ALPHA:g} each after correction over "
        f"{count_text(len(tried), 'pair')}."
    )
    # The smallest p of all tests at once is all that Benjamini and Hochberg can let pass.
    weak = []
    if 1 / like >= ALPHA:
        weak.append(f"so few classes cannot give less than p = {1 / like:.2g}")
    if 1 / (masks + 1) >= ALPHA:
        weak.append(f"so few random masks not less than {1 / (masks + 1):.2g}")
    if weak:
        said += f" Here nothing could pass: {join_words(weak)}."
    few = few_clusters(int(tried["n"].iloc[0]))
    return f"{said} {few}" if few else said
