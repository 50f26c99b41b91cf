"""How often a network is right, or agrees with itself, and how narrow intervals became."""

import math

from variscope.indices.precision import Course, Stuck
from variscope.indices.wording import (
    count_text,
    interval_text,
    join_words,
    share_text,
    variable_phrase,
)
from variscope.vocabulary import INDEX_NAMES


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


def agreement_sentence(
    value: float,
    low: float,
    high: float,
    images: int,
    outputs: int,
    classes: int,
    level: str = "95 %",
    labelled: bool = True,
) -> str:
    """Say how often altered images get the answer of the unaltered one, and why not accuracy."""
    if not labelled:
        why = "The images have no labels, so accuracy cannot be measured"
    elif classes == 1:
        why = "The images are of one class, so accuracy is not measured"
    else:
        why = (
            f"The {classes:,} classes of the data are not the {outputs:,} of the network, so there "
            "is no accuracy"
        )
    text = f"{100 * value:.1f} % {interval_text(100 * low, 100 * high, 1)}"
    return (
        f"{why}; what is measured is the network's agreement with its own answer. Of "
        f"{count_text(images, 'image')} altered as in the study, {text} ({level} interval) get the "
        "answer that the network gives to the unaltered image."
    )


_STUCK = {
    "constant": "never vary",
    "not_varied": "are not varied in this sample",
    "unbounded": "are unbounded",
}


def target_sentence(course: Course) -> str:
    """Say how narrow intervals were asked for, what was reached, and what cannot narrow."""
    target, last = course.target, course.rounds[-1]
    asked = (
        f"Asked for were intervals of the {INDEX_NAMES[target.index]} of {target.of} of at most "
        f"\N{PLUS-MINUS SIGN}{target.half_width:g}"
    )
    defined = last.intervals - last.undefined
    found = f"{last.narrow:,} of {count_text(defined, 'interval')} narrow enough"
    if last.widest is not None:
        of = "" if last.widest.channel is None else f", channel {last.widest.channel}"
        found += (
            f", the widest \N{PLUS-MINUS SIGN}{share_text(last.widest.half_width, 3)}, of "
            f"{variable_phrase(last.widest.variable)} in {last.widest.layer}{of}"
        )
    verdict = (
        f"reached with {last.blocks:,} blocks ({found})"
        if course.reached
        else f"not reached with {last.blocks:,} blocks, {target.most_blocks:,} being the most that "
        f"were allowed ({found})"
    )
    said = f"{asked}: {verdict}."
    if last.stuck:
        said += f" Intervals that cannot narrow: {'; '.join(map(_stuck, last.stuck))}."
    return said


def _stuck(one: Stuck) -> str:
    whose = join_words([variable_phrase(name) for name in one.variables]) or "all variables"
    where = f"in {one.layer}"
    if one.channels:
        where += f", {count_text(len(one.channels), 'channel')}"
    return f"{whose} {where} ({_STUCK[one.why]})"
