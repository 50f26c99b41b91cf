"""How often a network is right, or agrees with itself, in sentences."""

import math

from variscope.indices.wording import count_text, interval_text


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
