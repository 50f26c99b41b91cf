"""What the profiles of guided masks have in common, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from variscope.analyses.conditions import (
    count_of_images,
    few_clusters,
    layer_phrase,
    leading_layer,
    notes_on_masking,
)
from variscope.analyses.profiles.groups import FEWEST_SETTINGS
from variscope.analyses.source import Source
from variscope.analyses.words import Words
from variscope.indices.wording import count_text, estimate_text, join_words, share_text

MOST_NAMED = 3
ALPHA = 0.05
NAMES = {
    "margin": "the margin of the right class",
    "accuracy": "the accuracy",
    "class_accuracy": "the accuracy of each class",
    "confusion": "the confusion of classes",
}


def words(source: Source, tables: Mapping[str, pd.DataFrame]) -> Words:
    """Say whether matching masks go together, how far raw profiles do, and which clusters stay."""
    tests = tables["tests"]
    if tests.empty:
        return Words(
            answer=(
                f"No mask was tried at {FEWEST_SETTINGS} settings or more beside matched random "
                "masks, so there are no profiles."
            ),
            more=notes_on_masking(source),
        )
    layer = leading_layer(tests["layer"])
    test = tests[tests["layer"] == layer].iloc[0]
    same = _same(tables["matching"], test)
    defined = same[np.isfinite(same["spearman"])]
    constant = _constant(test)
    if len(defined) < 2:
        return Words(
            answer="Fewer than two variables have profiles that vary under the original input and "
            f"under their own alteration, so that none can be compared.{constant}"
        )
    what = f"the profile of {NAMES[test['outcome']]}, masked {layer_phrase(layer)}"
    masks = count_text(test["masks"], "mask")
    found = estimate_text(*(float(test[key]) for key in ("difference", "low", "high")))
    apart = bool(test["p"] < ALPHA and test["low"] > 0)
    verdict = (
        "so the same mask does the same to altered images as to the images as they are"
        if apart
        else "so it cannot be said that the same mask does the same to altered images"
    )
    worst, best = (defined.loc[getattr(defined["spearman"], end)()] for end in ("idxmin", "idxmax"))
    answer = (
        f"Less that of matched random masks, {what}, correlates between altered and original "
        f"images at {share_text(float(defined['spearman'].mean()))} on average for the matching "
        f"mask and at {share_text(float(defined['others'].mean()))} for another variable's: "
        f"a difference of {found} ({count_of_images(test)}; p = {test['p']:.2g} by permuted "
        f"labels of {masks}), {verdict}. {_one(best)} goes together the most, "
        f"{_one(worst)} the least."
    )
    return Words(
        answer=answer, more=_more(tables, test) + _published(same), control=_control(test, defined)
    )


def _same(table: pd.DataFrame, test: pd.Series) -> pd.DataFrame:
    """Return the rows of a table that are of a test's kind, layer and outcome."""
    keys = ["kind", "layer", "outcome"]
    return table[(table[keys] == test[keys].to_numpy()).all(axis=1)]


def _one(row: pd.Series) -> str:
    text = estimate_text(*(float(row[key]) for key in ("spearman", "low", "high")))
    return f"{row['variable'].replace('_', ' ')} with {text}"


def _constant(test: pd.Series) -> str:
    """Say how many profiles are constant."""
    if not test["constant"]:
        return ""
    many = count_text(test["constant"], "profile is constant and", "profiles are constant and")
    return f" {many} left out."


def _more(tables: Mapping[str, pd.DataFrame], test: pd.Series) -> list[str]:
    """Say which clusters come back, and which kinds and layers show the same."""
    clusters = _same(tables["clusters"], test)
    stable = clusters[(clusters["stable"] == "yes")].sort_values("size", kind="stable")
    said = f"Of {count_text(len(clusters), 'cluster')} of {test['profiles']} profiles"
    if stable.empty:
        said += ", none comes back when images are resampled: the tree says nothing that is sure"
    else:
        named = [_cluster(row) for _, row in stable.head(MOST_NAMED).iterrows()]
        if len(stable) > MOST_NAMED:
            named.append(f"{len(stable) - MOST_NAMED} more")
        come = "comes" if len(stable) == 1 else "come"
        said += f", {len(stable)} {come} back when images are resampled: {join_words(named)}"
    said += f" (cophenetic correlation {share_text(float(test['cophenetic']))}).{_constant(test)}"
    tests = tables["tests"]
    tested = tests[np.isfinite(tests["p"])]
    sure = int(((tested["p"] < ALPHA) & (tested["low"] > 0)).sum())
    if len(tested) < 2:
        return [said]
    return [
        said,
        f"Of {count_text(len(tested), 'kind, layer and outcome', 'kinds, layers and outcomes')} "
        f"{sure} show the difference at p < {ALPHA:g} (with an interval above 0), where about "
        f"{ALPHA * len(tested):.1f} would by chance.",
    ]


def _cluster(row: pd.Series) -> str:
    members = str(row["members"]).replace("_", " ").split("; ")
    shown = members if len(members) <= 4 else [*members[:3], f"{len(members) - 3} more"]
    return f"{{{', '.join(shown)}}} (overlap {share_text(float(row['jaccard']))})"


def _published(same: pd.DataFrame) -> list[str]:
    """Set published correlations beside those that were found."""
    known = same[np.isfinite(same["published"])]
    if known.empty:
        return []
    away = (known["raw"] - known["published"]).abs()
    inside = int(known["published"].between(known["raw_low"], known["raw_high"]).sum())
    return [
        f"Of {count_text(len(known), 'published raw correlation')} {inside} lie within the "
        f"interval found here; the mean distance is {share_text(float(away.mean()))}."
    ]


def _control(test: pd.Series, same: pd.DataFrame) -> str:
    """Say what raw profiles would have said, and that few labels cannot tell."""
    said = (
        "Profiles fall with the dose whichever units are masked, so that without the control they "
        f"correlate at {share_text(float(same['raw'].mean()))} with the matching mask and at "
        f"{share_text(float(same['raw_others'].mean()))} with those of other variables."
    )
    if few := few_clusters(int(test["n"])):
        said += f" {few}"
    if test["permutations"] and 1 / test["permutations"] >= ALPHA:
        said += (
            f" With {count_text(test['masks'], 'mask')} there are {test['permutations']:,} orders "
            f"of the labels, so that p cannot fall below {ALPHA:g} whatever is found."
        )
    return said
