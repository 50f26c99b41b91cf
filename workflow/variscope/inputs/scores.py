"""What can be measured of a network's answers, as it was found out; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

DRAWS = 256  # of the study's distribution, of each augmentation and of all together
MOST_IMAGES = 64  # of a class, whose answers are counted

# Images that are answered at once, by what is measured of the answers.
IMAGES_AT_ONCE = {"accuracy": 128, "agreement": 64, "nothing": 0}


@dataclass(frozen=True)
class Answers:
    """What can be measured of a network's answers.

    Attributes:
        measured: ``"accuracy"`` where the outputs are one for each class of the data,
            ``"agreement"`` where they are others, ``"nothing"`` where they are not scores.
        outputs: their number.
        names: of the outputs, where they are known.
        scores: the last layer, where it gives them.
    """

    measured: str = "nothing"
    outputs: int = 0
    names: list[str] | None = None
    scores: str | None = None
