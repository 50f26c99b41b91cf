"""What a network does without the units that are sensitive to a variable."""

from collections.abc import Mapping, Sequence
from typing import Any

from variscope.analyses.passes import shards_of_images
from variscope.analyses.registry import Analysis, Picture, Planned, Table, integer, number, text

WHERE = (
    text("layer", "that is masked; all: all layers of maps at once"),
    text("kind", "of the maps: shapley, S1 or ST"),
    text("outcome", "margin of the right class' probability, or top1 accuracy"),
)
BOUNDS = (number("low", "lower confidence bound"), number("high", "upper confidence bound"))
OVER = (
    integer("n", "images, or clusters of images"),
    text("inference", "what intervals are over"),
)


def passes(
    settings: Mapping[str, Any], studies: Sequence[Planned], summary: Mapping[str, Any]
) -> int:
    """Count the images that pass through the network, or through the rest of it behind a mask."""
    from variscope.analyses.masking.grid import Grid
    from variscope.analyses.masking.subjects import targets_of
    from variscope.analyses.passes import augmentations_of, images_of, mapped_of

    grid = Grid(
        tuple(settings["kinds"]),
        tuple(settings["controls"]),
        settings["seeds"],
        settings["grid"] == "all",
    )
    before = studies[0].layers[:-1]  # the last one gives the scores
    every = settings["layers"] == "all"
    chosen = [one for one in before if every or one.name in settings["layers"]]
    masks = dict.fromkeys(grid.kinds, mapped_of(studies))
    conditions = grid.conditions(augmentations_of(studies), masks, targets_of(chosen))
    return len(conditions) * images_of(summary, "valid", settings["images_per_class"])


def held(
    settings: Mapping[str, Any], studies: Sequence[Planned], summary: Mapping[str, Any]
) -> float:
    """Return MiB of the outcomes, read and joined."""
    # Margin, three answers, the predicted class and, of ImageNet, the first five.
    return 2 * (4 + 3 + 4 + 5 * 4) * passes(settings, studies, summary) / 2**20


ANALYSIS = Analysis(
    name="masking",
    title="Guided masking",
    question=(
        "Does the network lose what a variable does to its input when the units that are "
        "sensitive to that variable are masked, and not when others are?"
    ),
    scope="model",
    reads=("selection", "halves", "images", "network"),
    place=65,
    shards=shards_of_images,
    passes=passes,
    held=held,
    tables=(
        Table(
            name="specificity",
            title="Masks of an input's own variable against masks of other variables",
            columns=(
                *WHERE,
                number(
                    "difference",
                    "mean interaction of inputs with the mask of their own variable, less that "
                    "with masks of other variables",
                ),
                *BOUNDS,
                number("p", "two-sided, by permuted labels of the masks: (b + 1) / (B + 1)"),
                integer("permutations", "of the labels, B + 1; all where there are up to 7"),
                integer("variables", "whose labels are permuted"),
                *OVER,
            ),
        ),
        Table(
            name="losses",
            title="What masks cost, and what as many other units cost",
            columns=(
                *WHERE,
                text("control", "own masks, or what is in their place: random, matched, channels"),
                number(
                    "loss",
                    "of the outcome, averaged over the variables' masks on original input and on "
                    "input that is altered by the mask's variable",
                ),
                *BOUNDS,
                number("beyond", "loss under own masks less this one, paired"),
                number("beyond_low", "lower confidence bound of beyond"),
                number("beyond_high", "upper confidence bound of beyond"),
                *OVER,
            ),
        ),
        Table(
            name="interaction",
            title="What masks do on input of their own variable, beyond any input",
            columns=(
                *WHERE,
                text("variable", "whose maps make the mask, and by which the input is altered"),
                number(
                    "interaction",
                    "loss under the mask on altered input less the loss on original input, less "
                    "the same of matched random units",
                ),
                *BOUNDS,
                number("p", "by flipped signs of clusters; none with fewer than 20 clusters"),
                number("raw", "the interaction before that of matched units is taken off"),
                number("matched", "the interaction of matched random units"),
                number("shared", "share of the masked units that the matched units are, too"),
                *OVER,
            ),
            shown=0,
        ),
        Table(
            name="matrix",
            title="Interactions of all inputs and masks",
            columns=(
                *WHERE,
                text("input", "the augmentation that is applied alone"),
                text("mask", "the variable whose map the mask is made from"),
                number("interaction", "less that of one draw of matched units"),
                *BOUNDS,
                *OVER,
            ),
            shown=0,
        ),
        Table(
            name="doses",
            title="Outcomes at every setting of the masks",
            columns=(
                text("kind", "of the maps: shapley, S1 or ST"),
                text("outcome", "margin of the right class' probability, or top1 accuracy"),
                text("control", "own, matched or random"),
                text("operation", "scale, multiply, complement or mean"),
                number("strength", "the factor of units that are scaled"),
                number("share", "of the units that is hit"),
                number("value", "mean outcome of input that is altered by the mask's variable"),
                *BOUNDS,
                *OVER,
            ),
            shown=0,
        ),
        Table(
            name="accuracy",
            title="Accuracy and margin under every mask",
            columns=(
                text("input", "original, or the augmentation that is applied alone"),
                text("mask", "the variable whose map the mask is made of; empty without one"),
                text("control", "none, own, other, random, matched or channels"),
                text("kind", "of the map: shapley, S1 or ST"),
                text("layer", "that is masked; all: all layers of maps at once"),
                text("operation", "scale, multiply, complement or mean"),
                number("strength", "the factor of units that are scaled"),
                number("share", "of the units that is hit"),
                integer("seed", "of a random control, from 0"),
                number("top1", "share of images whose first class is right"),
                number("low", "lower confidence bound of top1"),
                number("high", "upper confidence bound of top1"),
                number("top5", "share of images whose right class is among five"),
                number("margin", "mean probability of the right class less the largest other one"),
                number("margin_low", "lower confidence bound of margin"),
                number("margin_high", "upper confidence bound of margin"),
                number("agree", "share of images whose first class is that without a mask"),
                *OVER,
            ),
            shown=0,
        ),
        Table(
            name="inputs",
            title="Accuracy under each augmentation alone, without a mask",
            columns=(
                text("input", "original, or the augmentation that is applied alone"),
                number("top1", "share of images whose first class is right"),
                *BOUNDS,
                number("top5", "share of images whose right class is among five"),
                number("published", "top1 of a publication, where the settings give it"),
                *OVER,
            ),
        ),
        Table(
            name="notes",
            title="What was left out of masking",
            columns=(text("note", "what was left out, and why"),),
        ),
    ),
    pictures=(
        Picture(
            name="matrix",
            title="Inputs and masks",
            caption=(
                "Each row an input, each column a mask of the units most sensitive to a variable. "
                "Colour: how much more of its margin the mask takes from altered input than from "
                "original input, less the same of matched random units; dots where the {level} "
                "interval over images leaves out 0. Were masks specific to their variable, the "
                "framed diagonal would stand out from its row and its column."
            ),
        ),
        Picture(
            name="doses",
            title="Margin against the share of masked units",
            caption=(
                "Mean margin of the right class' probability, over inputs altered by each "
                "variable, when a growing share of all layers' units is set to 0 (then halved, "
                "then raised by half): those most sensitive to the input's variable, and as many "
                "random units. Bars are {level} intervals. Matched units are drawn in the same "
                "numbers from each channel and each tenth of the second moment. Where maps find "
                "what matters, setting it to 0 lies below the matched units."
            ),
        ),
    ),
    settings={
        "images_per_class": {
            "type": "integer",
            "minimum": 1,
            "default": 10,
            "description": "images of the valid part that are scored, of each class, at most",
        },
        "kinds": {
            "type": "array",
            "items": {"enum": ["shapley", "S1", "ST"]},
            "minItems": 1,
            "uniqueItems": True,
            "default": ["shapley", "S1", "ST"],
            "description": "of maps; the first is the main one",
        },
        "layers": {
            "oneOf": [
                {"const": "all"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
            ],
            "default": "all",
            "description": "that are masked, one by one and together: all before the scores, or "
            "their names",
        },
        "grid": {
            "enum": ["reduced", "all"],
            "default": "reduced",
            "description": "reduced: all 17 settings and the mean for the main kind where all "
            "layers of maps are masked at once, under original and own input, and scale 0 of a "
            "fifth of the units elsewhere; all: every kind, setting, layer, input and mask",
        },
        "controls": {
            "type": "array",
            "items": {"enum": ["matched", "random", "other", "channels"]},
            "uniqueItems": True,
            "default": ["matched", "random", "other", "channels"],
            "description": "that masks are held against",
        },
        "seeds": {
            "type": "integer",
            "minimum": 1,
            "default": 5,
            "description": "shufflings of the random and the matched control",
        },
        "published": {
            "type": "object",
            "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1},
            "default": {},
            "description": "top-1 accuracy that a publication gives, by input, to stand beside "
            "that found here: {original: 0.56, hue: 0.34}",
        },
        "shards": {
            "type": "integer",
            "minimum": 1,
            "default": 2,
            "description": "jobs that the images are shared out to; results do not depend on it",
        },
    },
)
