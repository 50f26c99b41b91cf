"""Sentences made from the numbers of a study.

Every share is given with its interval; what is compared is so in `comparisons`.
"""

import math

import xarray as xr

from variscope.analyses.comparisons import (
    Share,
    shares,
)
from variscope.indices.reading import confidence_percent, layers, main_index, unit_counts, variables
from variscope.indices.wording import (
    count_text,
    join_words,
    share_text,
    variable_label,
    variable_phrase,
)
from variscope.vocabulary import AUXILIARY, INDEX_NAMES

NEGLIGIBLE = 0.01


def negligible_sentence(tree: xr.DataTree, index: str) -> str:
    """Name the variables that change nothing, nearly nothing, or nothing that can be seen.

    Exactly 0 in every layer; else an upper bound below 0.01 in every layer; else an interval with
    0 in it in every layer. Those that never moved in the sample have no share and are said to be
    not varied. Empty where there is no such variable.
    """
    by_variable: dict[str, list[Share]] = {}
    for data in layers(tree).values():
        for share in shares(data, index):
            by_variable.setdefault(share.variable, []).append(share)
    inert, small, unseen = [], [], []
    for name, found in by_variable.items():
        largest = max(found, key=lambda share: share.high)
        bounded = f"{variable_phrase(name)} (upper bounds {_up_to(largest.high)})"
        if all(s.value == s.low == s.high == 0 for s in found):
            inert.append(variable_phrase(name))
        elif all(s.high < NEGLIGIBLE for s in found):
            small.append(bounded)
        elif all(s.low <= 0 for s in found):
            unseen.append(bounded)
    parts = []
    if still := _not_varied(tree):
        verb = "is" if len(still) == 1 else "are"
        parts.append(
            f"{join_words([variable_phrase(name) for name in still])} {verb} not varied in this "
            "sample: no step of the design changed an image."
        )
    if inert:
        verb = "changes" if len(inert) == 1 else "change"
        parts.append(f"{join_words(inert)} {verb} nothing: exactly 0 in every layer.")
    if small:
        verb = "stays" if len(small) == 1 else "stay"
        parts.append(f"{join_words(small)} {verb} below {NEGLIGIBLE:g} in every layer.")
    if unseen:
        parts.append(f"{join_words(unseen)} cannot be told from 0 in any layer.")
    return " ".join(part[0].upper() + part[1:] for part in parts)


def _not_varied(tree: xr.DataTree) -> list[str]:
    """Name the variables that never moved: the design's rows are those of every layer."""
    data = next(iter(layers(tree).values()))
    if "moved" not in data:
        return []
    return [
        name for name, moved in zip(variables(data), data["moved"].values, strict=True) if not moved
    ]


def _up_to(bound: float) -> str:
    """Write the largest of some upper bounds, never as 0 where it is more."""
    return "below 0.001" if 0 < bound < 0.0005 else f"up to {share_text(bound)}"


def status_sentence(tree: xr.DataTree) -> str:
    """Count the units of a study, and those without indices."""
    counts = [unit_counts(data) for data in layers(tree).values()]
    constant = sum(count["constant"] for count in counts)
    broken = sum(count["not_finite"] for count in counts)
    total = sum(count["fine"] for count in counts) + constant + broken
    units = f"{count_text(total, 'unit')} in {count_text(len(counts), 'layer')}"
    if constant + broken == 0:
        return f"All {units} have defined indices."
    parts = []
    if constant:
        parts.append(f"{constant:,} never change{'s' if constant == 1 else ''} (constant)")
    if broken:
        parts.append(f"{broken:,} give{'s' if broken == 1 else ''} values that are not finite")
    return (
        f"Of {units}, {join_words(parts)}; they have no indices and are left out of every "
        "aggregate."
    )


def precision_sentence(tree: xr.DataTree, index: str) -> str:
    """Say how wide the widest interval of a layer aggregate is, and where it stands."""
    widths = [
        ((share.high - share.low) / 2, layer, share.variable)
        for layer, data in layers(tree).items()
        for share in shares(data, index)
        if math.isfinite(share.high - share.low)
    ]
    if not widths:
        return "No layer's share has an interval."
    half, layer, variable = max(widths)
    level = confidence_percent(next(iter(layers(tree).values())))
    return (
        f"Intervals are at the {level} level; the widest of a layer's shares is "
        f"\N{PLUS-MINUS SIGN}{share_text(half)}, of {variable_phrase(variable)} in {layer}."
    )


def guard_sentence(tree: xr.DataTree) -> str:
    """Say of how many units and layers a guard widened an interval, and what that means.

    Empty where no guard spoke. Counted over units that are fine and variables that were varied.
    """
    found = layers(tree)
    parts = []
    for index in ("S1", "S2"):
        spoke, of = 0, 0
        for data in found.values():
            if f"{index}_sparse" in data:
                spoke += int(data[f"{index}_sparse"].sum())
                of += int(data[index].notnull().sum())
        if spoke:
            parts.append(f"{100 * spoke / of:.3g} % of the {index} of units")
    whole = [
        f"{index} in {layer}"
        for layer, data in found.items()
        for index in ("S1", "S2")
        if f"{index}_layer_sparse" in data and bool(data[f"{index}_layer_sparse"].any())
    ]
    if not parts:
        return ""
    sentence = (
        f"Too few terms are not zero for an interval of its own in {join_words(parts)}: a guard "
        "lets these intervals reach from 0 to the upper end of the total index ST."
    )
    return f"{sentence} Of whole layers that holds for {join_words(whole)}." if whole else sentence


def question(tree: xr.DataTree) -> str:
    """Say what a study asks, with its variables by name."""
    first = next(iter(layers(tree).values()))
    names = variables(first)
    altered = [variable_label(name) for name in names if name not in AUXILIARY]
    other = [variable_phrase(name) for name in names if name in AUXILIARY]
    chosen = main_index(tree)
    text = f"Which share of each unit's variance is due to {join_words(altered or other)}"
    if altered and other:
        text += f", and which to {join_words(other)}"
    return f"{text}? The shares are {INDEX_NAMES[chosen]}s." if chosen == "shapley" else f"{text}?"
