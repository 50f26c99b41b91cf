"""Whether scaling down the units that are sensitive to a distortion makes up for it."""

from collections.abc import Mapping, Sequence
from typing import Any

from variscope.analyses.passes import shards_of_images
from variscope.analyses.registry import Analysis, Picture, Planned, Table, integer, number, text


def passes(
    settings: Mapping[str, Any], studies: Sequence[Planned], summary: Mapping[str, Any]
) -> int:
    """Count the images that pass through the network, or through the rest of it behind a mask."""
    from variscope.analyses.masking.subjects import targets_of
    from variscope.analyses.passes import augmentations_of, images_of

    names, every = augmentations_of(studies), settings["layers"] == "all"
    before = studies[0].layers[:-1]  # the last one gives the scores
    targets = targets_of([one for one in before if every or one.name in settings["layers"]])
    masks = len(settings["strengths"]) * (1 + settings["seeds"])  # matched ones beside its own
    conditions = 1 + len(names) * (1 + len(targets) * masks)
    return conditions * sum(
        images_of(summary, part, settings["images_per_class"]) for part in ("train", "valid")
    )


LAYER = text("layer", "whose units are scaled; all: all layers of maps at once")
BOUNDS = (number("low", "lower confidence bound"), number("high", "upper confidence bound"))
OVER = (
    integer("n", "images, or clusters of images"),
    text("inference", "what intervals are over"),
)

ANALYSIS = Analysis(
    name="mitigation",
    title="Mitigation",
    question=(
        "Does the network answer better to distorted images when the units that are sensitive to "
        "the distortion are scaled down?"
    ),
    scope="model",
    reads=("selection", "halves", "images", "network"),
    place=68,
    shards=shards_of_images,
    passes=passes,
    tables=(
        Table(
            name="gains",
            title="What scaling sensitive units down gains on distorted images",
            columns=(
                LAYER,
                text("variable", "of the distortion and the map; all: the mean of all"),
                text("outcome", "margin of the right class' probability, or top1 accuracy"),
                number("strength", "the factor of the units, chosen on train images"),
                number("lost", "what the distortion takes from the outcome"),
                number("gain", "outcome with units scaled down less without, on distorted images"),
                *BOUNDS,
                number("p", "by flipped signs of clusters; none with fewer than 20 clusters"),
                number("matched", "gain by matched random units, at their own chosen factor"),
                number("matched_strength", "the factor of matched units, chosen on train images"),
                number("beyond", "gain by sensitive units less that by matched ones, paired"),
                number("beyond_low", "lower confidence bound of beyond"),
                number("beyond_high", "upper confidence bound of beyond"),
                *OVER,
            ),
            sheets="outcome",
        ),
        Table(
            name="strengths",
            title="How the factor was chosen",
            columns=(
                LAYER,
                text("control", "own: sensitive units; matched: random ones of like size"),
                number("strength", "the factor of the units"),
                number("gain", "mean gain in margin on distorted train images"),
                *BOUNDS,
                text("chosen", "yes where it is the layer's largest gain"),
                *OVER,
            ),
            shown=0,
        ),
        Table(
            name="notes",
            title="What was left out of mitigation",
            columns=(text("note", "what was left out, and why"),),
        ),
    ),
    pictures=(
        Picture(
            name="gains",
            title="Gains on distorted images",
            caption=(
                "What scaling down the units most sensitive to a distortion gains in margin on "
                "held-out images with that distortion, with {level} intervals, beside the gain by "
                "as many matched random units. Right of 0 the network answers better than without. "
                "The factor of each panel was chosen on train images."
            ),
        ),
    ),
    settings={
        "images_per_class": {
            "type": "integer",
            "minimum": 1,
            "default": 10,
            "description": "images of each part, train and valid, of each class, at most",
        },
        "kind": {
            "enum": ["shapley", "S1", "ST"],
            "default": "shapley",
            "description": "of the maps",
        },
        "layers": {
            "oneOf": [
                {"const": "all"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
            ],
            "default": "all",
            "description": "that are scaled, one by one and together: all before the scores, or "
            "their names",
        },
        "share": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 1,
            "default": 0.2,
            "description": "of the units that is scaled",
        },
        "strengths": {
            "type": "array",
            "items": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
            "minItems": 1,
            "uniqueItems": True,
            "default": [0, 0.25, 0.5, 0.75, 0.9],
            "description": "factors to choose from",
        },
        "seeds": {
            "type": "integer",
            "minimum": 1,
            "default": 3,
            "description": "drawings of matched random units",
        },
        "shards": {
            "type": "integer",
            "minimum": 1,
            "default": 1,
            "description": "jobs that the images are shared out to; results do not depend on it",
        },
    },
)
