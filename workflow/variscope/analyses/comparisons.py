"""Comparisons between the shares of a study, in sentences.

One share is called larger than another, or said to rise or fall, where the paired interval of their
difference leaves out 0 (`variscope.indices.differences`), and two are said to be not told apart
where it holds 0: whether two intervals overlap says neither. Each comparison is at the study's
level by itself.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from variscope.estimators.intervals import Estimate
from variscope.indices.differences import Aggregate, aggregate, subtract
from variscope.indices.reading import confidence_percent, estimate, has_index, layers, variables
from variscope.indices.wording import count_text, estimate_text, join_words, variable_phrase
from variscope.space.grouping import AUGMENTATIONS, IDENTITY
from variscope.vocabulary import AUXILIARY

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
    found = zip(players(data, index), value, low, high, strict=True)
    return [Share(name, *map(float, rest)) for name, *rest in found if math.isfinite(rest[0])]


def players(data: xr.Dataset, index: str) -> list[str]:
    """Name what an index is of: the variables, or the groups whose effects are summed."""
    if index == "shapley_group":
        return [str(name) for name in data["group"].values]
    return variables(data)


def exceeds(
    data: xr.Dataset, variable: str, other: xr.Dataset, other_variable: str, index: str
) -> Estimate:
    """Return by how much one share exceeds another of the same study, with the paired interval."""
    level = float(data.attrs["confidence_level"])
    first, second = aggregate(data, variable, index), aggregate(other, other_variable, index)
    return subtract(first, second, level).estimate


def _by(difference: Estimate) -> str:
    """Write a difference that has a sign: "by 0.20 [0.10, 0.30]"."""
    value, low, high = map(float, difference)
    if value < 0:
        value, low, high = -value, -high, -low
    return f"by {estimate_text(value, low, high)}"


def _holds_zero(difference: Estimate) -> str:
    return f"their difference is {estimate_text(*map(float, difference))}"


def _tied(data: xr.Dataset, found: Sequence[Share], index: str) -> list[tuple[Share, Estimate]]:
    """Return what cannot be told apart from the first of some shares, with the differences."""
    compared = [
        (share, exceeds(data, found[0].variable, data, share.variable, index))
        for share in found[1:]
    ]
    # An undefined bound tells nothing apart.
    return [(share, difference) for share, difference in compared if not difference.low > 0]


def robustness_sentence(layer: str, data: xr.Dataset, index: str) -> str:
    """Say what holds more of a layer's variance, alterations or the image, and which alteration.

    All augmentations together, as the sum of their Shapley effects, against image identity, then
    the strongest augmentation. Without Shapley effects the strongest augmentation alone. Empty
    where no augmentation varies or no share is defined.
    """
    found = [share for share in shares(data, index) if share.variable not in AUXILIARY]
    if not found:
        return ""
    found.sort(key=lambda share: -share.value)
    where = f"In layer {layer}"
    groups = [str(name) for name in data["group"].values] if "group" in data.coords else []
    single = len(found) == 1
    if index != "shapley" or not {AUGMENTATIONS, IDENTITY} <= set(groups):
        return "" if single else f"{where} {_strongest(data, found, index)}."
    identity = [name for name in ("class", "image", "part") if name in variables(data)]
    level = float(data.attrs["confidence_level"])
    together, image = (aggregate(data, name, "shapley") for name in (AUGMENTATIONS, IDENTITY))
    difference = subtract(together, image, level).estimate
    if not all(math.isfinite(float(one.estimate.value)) for one in (together, image)):
        return "" if single else f"{where} {_strongest(data, found, index)}."
    texts = [estimate_text(*map(float, one.estimate)) for one in (together, image)]
    augmentations = variable_phrase(found[0].variable) if single else "all augmentations together"
    of_identity = join_words([variable_phrase(name) for name in identity])
    whom = f"image identity ({of_identity})" if len(identity) > 1 else of_identity
    if difference.low > 0:
        verdict = f"more than {whom} with {texts[1]}, {_by(difference)}"
    elif difference.high < 0:
        verdict = f"less than {whom} with {texts[1]}, {_by(difference)}"
    else:
        verdict = (
            f"which cannot be told apart from {whom} with {texts[1]}: {_holds_zero(difference)}"
        )
    account = "accounts" if single else "account"
    said = f"{where} {augmentations} {account} for {texts[0]} of the variance, {verdict}"
    return f"{said}." if single else f"{said}; {_strongest(data, found, index)}."


def _strongest(data: xr.Dataset, found: Sequence[Share], index: str) -> str:
    """Name the strongest augmentation of several, the largest first, and what it is told from."""
    tied = _tied(data, found, index)
    first = f"the strongest augmentation is {found[0]}"
    if not tied:
        difference = exceeds(data, found[0].variable, data, found[1].variable, index)
        return f"{first}, more than the next, {found[1]}, {_by(difference)}"
    share, difference = tied[0]
    more = f" (nor from {count_text(len(tied) - 1, 'other')})" if len(tied) > 1 else ""
    return f"{first}, though it cannot be told apart from {share}: {_holds_zero(difference)}{more}"


def layer_sentence(layer: str, data: xr.Dataset, index: str) -> str:
    """Say which variable holds most of a layer's variance, or that the first cannot be told apart.

    A single variable is said as it is.
    """
    found = shares(data, index)
    if not found:
        return f"In layer {layer} no share is defined."
    found.sort(key=lambda share: -share.value)
    where = f"In layer {layer}"
    if len(found) == 1:
        return f"{where} {_of_variance(found[0], index)}."
    tied = _tied(data, found, index)
    if not tied:
        difference = exceeds(data, found[0].variable, data, found[1].variable, index)
        return (
            f"{where} {_of_variance(found[0], index)}, the most; next comes {found[1]}, less "
            f"{_by(difference)}."
        )
    if len(tied) == len(found) - 1 > 1:
        return (
            f"{where} no variable can be told apart from the largest, {found[0]}: the interval of "
            "every difference from it holds 0."
        )
    named = [str(found[0]), *(str(share) for share, _ in tied)]
    if len(named) > MOST_NAMED:
        named[MOST_NAMED:] = [f"{len(named) - MOST_NAMED} more"]
    return (
        f"{where} {join_words(named)} come first; the intervals of their differences from the "
        "largest hold 0, so they cannot be told apart from it."
        if len(tied) > 1
        else f"{where} {join_words(named)} come first and cannot be told apart: "
        f"{_holds_zero(tied[0][1])}."
    )


def _of_variance(share: Share, index: str) -> str:
    """Say what a variable accounts for, in the sense of the index."""
    text = estimate_text(*share[1:])
    alone = {"S1": " by itself", "ST": ", alone or together with others,"}.get(index, "")
    return f"{variable_phrase(share.variable)} accounts{alone} for {text} of the variance"


def trend_sentences(tree: xr.DataTree, index: str) -> list[str]:
    """Say how shares change from the first layer to the last, the largest changes first.

    Only changes whose paired interval leaves out 0 are called changes, three at most; where there
    is none, one sentence says so. No sentences for a single layer.
    """
    found = layers(tree)
    defined = {layer: shares(data, index) for layer, data in found.items()}
    names = [layer for layer, held in defined.items() if held]
    if len(names) < 2:
        return []
    first, last = names[0], names[-1]
    before = {s.variable: s for s in defined[first]}
    pairs = [(before[s.variable], s) for s in defined[last] if s.variable in before]

    def change(layer: str, variable: str, since: str) -> Estimate:
        return exceeds(found[layer], variable, found[since], variable, index)

    changes = [(start, end, change(last, end.variable, first)) for start, end in pairs]
    changed = [entry for entry in changes if entry[2].low > 0 or entry[2].high < 0]
    if not changed:
        return [
            f"From {first} to {last} no variable's share can be said to change: the interval of "
            "every difference holds 0."
        ]
    changed.sort(key=lambda entry: -abs(float(entry[2].value)))
    sentences = []
    for start, end, difference in changed[:MOST_TRENDS]:
        verb = "rises" if difference.low > 0 else "falls"
        sentence = (
            f"From {first} to {last} the share of {variable_phrase(end.variable)} {verb} "
            f"{_by(difference)}, from {estimate_text(*start[1:])} to {estimate_text(*end[1:])}"
        )
        layer, peak = _peak(defined, end.variable)
        if all(change(layer, end.variable, since).low > 0 for since in (first, last)):
            value = estimate_text(*peak[1:])
            sentence += f", with its largest value in between, {value} at {layer}"
        sentences.append(sentence + ".")
    return sentences


def _peak(defined: dict[str, list[Share]], variable: str) -> tuple[str, Share]:
    """Return the layer and the share where a variable's share is largest."""
    found = [(layer, s) for layer, all_ in defined.items() for s in all_ if s.variable == variable]
    return max(found, key=lambda item: item[1].value)


class _Joint(NamedTuple):
    """What a variable does jointly with others in a layer: ST - S1."""

    layer: str
    alone: Share
    total: Share
    gap: Aggregate

    @property
    def value(self) -> float:
        return float(self.gap.estimate.value)


def interaction_sentence(tree: xr.DataTree) -> str:
    """Say where a variable acts most together with others: where ST exceeds S1 the most.

    Only where the paired interval of ST - S1 leaves out 0; said to be the most only where its
    difference from every other such gap leaves out 0 as well. Empty where S1 or ST is not held.
    """
    if not (has_index(tree, "S1") and has_index(tree, "ST")):
        return ""
    found: list[_Joint] = []
    level = 0.0
    for layer, data in layers(tree).items():
        level = float(data.attrs["confidence_level"])
        total = {share.variable: share for share in shares(data, "ST")}
        for alone in shares(data, "S1"):
            if alone.variable in total:
                both = [aggregate(data, alone.variable, index) for index in ("ST", "S1")]
                gap = subtract(both[0], both[1], level)
                found.append(_Joint(layer, alone, total[alone.variable], gap))
    found = [joint for joint in found if joint.gap.estimate.low > 0]
    if not found:
        return (
            "Nowhere can the total index ST be told from the first-order index S1: at this "
            "precision the variables act each by itself."
        )
    found.sort(key=lambda joint: -joint.value)
    best = found[0]
    against = [(joint, subtract(best.gap, joint.gap, level).estimate) for joint in found[1:]]
    tied = [joint for joint, difference in against if not difference.low > 0]
    name = variable_phrase(best.alone.variable)
    said = (
        f"{name} by itself accounts for {estimate_text(*best.alone[1:])} (S1) and, with what it "
        f"does jointly with others, for {estimate_text(*best.total[1:])} (ST)"
    )
    if not tied:
        return f"Variables act together the most in layer {best.layer}, where {said}."
    value, low, high = map(float, best.gap.estimate)
    more = f" nor from {count_text(len(tied) - 1, 'more', 'more')}" if len(tied) > 1 else ""
    return (
        f"Variables act together: in layer {best.layer} {said}, {estimate_text(value, low, high)} "
        f"more. It is the largest estimate of its kind, though it cannot be told apart from that "
        f"of {variable_phrase(tied[0].alone.variable)} in layer {tied[0].layer}{more}."
    )


def comparison_sentence(tree: xr.DataTree, index: str) -> str:
    """Say what a comparison is, and what a sum over several variables is not."""
    data = next(iter(layers(tree).values()))
    said = (
        "What is called more, less, a rise or a fall is so by the paired interval of the "
        f"difference, at the {confidence_percent(data)} level for one comparison; that the largest "
        "of several was picked is not corrected for."
    )
    if index == "shapley" and "group" in data.coords:
        said += (
            " What several variables account for together is the sum of their Shapley effects, "
            "not the effect of the group as one player."
        )
    return said
