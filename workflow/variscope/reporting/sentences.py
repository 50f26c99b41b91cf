"""Sentences made from the numbers of a study.

Every share is given with its interval, and none is called larger than another unless their
intervals leave each other out. Two whose intervals overlap are said to be not told apart: that is a
cautious rule, not a test of their difference.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from variscope.analyses.reading import (
    AUXILIARY,
    INDEX_NAMES,
    confidence_percent,
    estimate,
    has_index,
    layers,
    main_index,
    unit_counts,
    variables,
)
from variscope.analyses.wording import (
    count_text,
    estimate_text,
    interval_text,
    join_words,
    share_text,
    variable_label,
    variable_phrase,
)

NEGLIGIBLE = 0.01
MOST_NAMED = 4
MOST_TRENDS = 3


class Share(NamedTuple):
    """One variable's share of a layer's variance with its confidence bounds."""

    variable: str
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{variable_phrase(self.variable)} with {estimate_text(*self[1:])}"


def shares(data: xr.Dataset, index: str) -> list[Share]:
    """Return the defined layer aggregates of an index, in the study's order of variables."""
    value, low, high = (np.asarray(part, float) for part in estimate(data, f"{index}_layer"))
    found = zip(variables(data), value, low, high, strict=True)
    return [Share(name, *map(float, rest)) for name, *rest in found if math.isfinite(rest[0])]


def overlap(first: Share, second: Share) -> bool:
    """Say whether two intervals meet; one with an undefined bound meets every other."""
    return not (first.low > second.high or second.low > first.high)


def layer_sentence(
    layer: str, data: xr.Dataset, index: str, *, among: Sequence[str] | None = None
) -> str:
    """Say which variable holds most of a layer's variance, or that the first cannot be told apart.

    `among` restricts the comparison to some variables; fewer than two of them are said as they are.
    """
    found = [s for s in shares(data, index) if among is None or s.variable in among]
    if not found:
        return f"In layer {layer} no share is defined."
    found.sort(key=lambda share: -share.value)
    where = f"In layer {layer}"
    if among is not None:
        where = f"Among the augmentations, in layer {layer}"
    if len(found) == 1:
        return f"{where} {_of_variance(found[0], index)}."
    tied = [found[0], *(s for s in found[1:] if overlap(found[0], s))]
    if len(tied) == 1:
        return f"{where} {_of_variance(found[0], index)}, the most; next comes {found[1]}."
    if len(tied) == len(found) > 2:
        return (
            f"{where} no variable can be told apart from the largest, {found[0]}: every interval "
            "overlaps with its own."
        )
    named = [str(share) for share in tied[:MOST_NAMED]]
    if len(tied) > MOST_NAMED:
        named.append(f"{len(tied) - MOST_NAMED} more")
    return (
        f"{where} {join_words(named)} come first; their intervals overlap with the largest one's, "
        "so they cannot be told apart from it."
        if len(tied) > 2
        else f"{where} {join_words(named)} come first; their intervals overlap, so they cannot be "
        "told apart."
    )


def _of_variance(share: Share, index: str) -> str:
    """Say what a variable accounts for, in the sense of the index."""
    text = estimate_text(*share[1:])
    alone = {"S1": " by itself", "ST": ", alone or together with others,"}.get(index, "")
    return f"{variable_phrase(share.variable)} accounts{alone} for {text} of the variance"


def trend_sentences(tree: xr.DataTree, index: str) -> list[str]:
    """Say how shares change from the first layer to the last, the largest changes first.

    Only changes whose intervals leave each other out are called changes, three at most; where
    there is none, one sentence says so. No sentences for a single layer.
    """
    defined = {layer: shares(data, index) for layer, data in layers(tree).items()}
    names = [layer for layer, found in defined.items() if found]
    if len(names) < 2:
        return []
    first, last = names[0], names[-1]
    before = {s.variable: s for s in defined[first]}
    pairs = [(before[s.variable], s) for s in defined[last] if s.variable in before]
    changed = [pair for pair in pairs if not overlap(*pair)]
    if not changed:
        return [
            f"From {first} to {last} no variable's share changes beyond its interval: the two "
            "ends of the network cannot be told apart."
        ]
    changed.sort(key=lambda pair: -abs(pair[1].value - pair[0].value))
    sentences = []
    for start, end in changed[:MOST_TRENDS]:
        verb = "rises" if end.value > start.value else "falls"
        sentence = (
            f"From {first} to {last} the share of {variable_phrase(end.variable)} {verb} from "
            f"{estimate_text(*start[1:])} to {estimate_text(*end[1:])}"
        )
        peak = _peak(defined, end.variable)
        if peak is not None and not any(overlap(peak[1], end_) for end_ in (start, end)):
            value = estimate_text(*peak[1][1:])
            sentence += f", with its largest value in between, {value} at {peak[0]}"
        sentences.append(sentence + ".")
    return sentences


def _peak(defined: dict[str, list[Share]], variable: str) -> tuple[str, Share] | None:
    """Return the layer and the share where a variable's share is largest."""
    found = [(layer, s) for layer, all_ in defined.items() for s in all_ if s.variable == variable]
    return max(found, key=lambda item: item[1].value, default=None)


def negligible_sentence(tree: xr.DataTree, index: str) -> str:
    """Name the variables that change nothing, nearly nothing, or nothing that can be seen.

    Exactly 0 in every layer; else an upper bound below 0.01 in every layer; else an interval with
    0 in it in every layer. Empty where there is no such variable.
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
    if inert:
        verb = "changes" if len(inert) == 1 else "change"
        parts.append(f"{join_words(inert)} {verb} nothing: exactly 0 in every layer.")
    if small:
        verb = "stays" if len(small) == 1 else "stay"
        parts.append(f"{join_words(small)} {verb} below {NEGLIGIBLE:g} in every layer.")
    if unseen:
        parts.append(f"{join_words(unseen)} cannot be told from 0 in any layer.")
    return " ".join(part[0].upper() + part[1:] for part in parts)


def _up_to(bound: float) -> str:
    """Write the largest of some upper bounds, never as 0 where it is more."""
    return "below 0.001" if 0 < bound < 0.0005 else f"up to {share_text(bound)}"


def interaction_sentence(tree: xr.DataTree) -> str:
    """Say where a variable acts most together with others: where ST exceeds S1 the most.

    Only gaps whose intervals leave each other out count. Empty where S1 or ST is not held.
    """
    if not (has_index(tree, "S1") and has_index(tree, "ST")):
        return ""
    best: tuple[float, str, Share, Share] | None = None
    for layer, data in layers(tree).items():
        total = {share.variable: share for share in shares(data, "ST")}
        for alone in shares(data, "S1"):
            together = total.get(alone.variable)
            if together is None or not together.low > alone.high:
                continue
            gap = together.value - alone.value
            if best is None or gap > best[0]:
                best = (gap, layer, alone, together)
    if best is None:
        return (
            "Nowhere can the total index ST be told from the first-order index S1: at this "
            "precision the variables act each by itself."
        )
    _, layer, alone, together = best
    return (
        f"Variables act together the most in layer {layer}, where "
        f"{variable_phrase(alone.variable)} by itself accounts for {estimate_text(*alone[1:])} "
        f"(S1) and, with what it does jointly with others, for {estimate_text(*together[1:])} (ST)."
    )


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


def accuracy_sentence(
    top1: float, low: float, high: float, images: int, classes: int, part: str, level: str = "95 %"
) -> str:
    """Say how often the model is right, with its interval, against chance."""
    text = f"{100 * top1:.1f} % {interval_text(100 * low, 100 * high, 1)}"
    chance = 1 / classes if classes else math.nan
    sentence = (
        f"On {count_text(images, 'image')} of the {part} part, not altered, the model is right in "
        f"{text} ({level} interval)"
    )
    if not math.isfinite(chance):
        return sentence + "."
    against = f"guessing among {classes} classes gives {100 * chance:.1f} %"
    if low > chance:
        return f"{sentence}; {against}."
    return f"{sentence}; {against}, from which this cannot be told apart or is worse."


def answer(tree: xr.DataTree, index: str | None = None) -> list[str]:
    """Answer a study's question in a few sentences, made from its layer aggregates.

    The first layer, the last, the augmentations there, what changes over depth, what acts
    together, what does nearly nothing, and the precision. Without `index`: Shapley effects, or S1
    where the design has none.
    """
    chosen = index or main_index(tree)
    found = layers(tree)
    names = list(found)
    sentences = [layer_sentence(names[0], found[names[0]], chosen)]
    if len(names) > 1:
        sentences.append(layer_sentence(names[-1], found[names[-1]], chosen))
    last = found[names[-1]]
    augmentations = [name for name in variables(last) if name not in AUXILIARY]
    leader = max(shares(last, chosen), key=lambda share: share.value, default=None)
    # Where an augmentation leads, the sentence before has said so.
    led = leader is None or leader.variable in augmentations
    if 1 < len(augmentations) < len(variables(last)) and not led:
        sentences.append(layer_sentence(names[-1], last, chosen, among=augmentations))
    sentences += trend_sentences(tree, chosen)
    sentences.append(interaction_sentence(tree))
    sentences.append(negligible_sentence(tree, chosen))
    sentences.append(precision_sentence(tree, chosen))
    return [sentence for sentence in sentences if sentence]


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
