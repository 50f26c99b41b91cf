"""The images that excite units most: made by ascent, and found among those of the data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from variscope.analyses.passes import LOOKED_AT
from variscope.analyses.registry import (
    Analysis,
    Column,
    Picture,
    Planned,
    Table,
    integer,
    memory_of_indices,
    memory_of_network,
    number,
    text,
)

MIB = 2**20

# A pass forward and back takes as long as three forward.
BACK = 3

# What passes that keep gradients hold beside a pass without, MiB.
GRADIENTS_MB = 150.0


def _shards(settings: Mapping[str, Any], studies: Sequence[Any]) -> list[str]:
    from variscope.analyses.maximisation.choosing import planned_targets
    from variscope.analyses.passes import shards_of_images

    planned_targets(settings, studies[0].model, studies[0].layers)  # refused before the first job
    return shards_of_images(settings, studies)


def _images(settings: Mapping[str, Any], summary: Mapping[str, Any]) -> int:
    """Count the images that are looked at."""
    return min(settings["images"], summary["images_per_part"]["valid"] or summary["images"])


def _passes(settings: Mapping[str, Any], studies: Sequence[Any], summary: Mapping[str, Any]) -> int:
    """Count the images that pass, as if there were an untrained twin."""
    from variscope.analyses.maximisation.choosing import planned_targets

    targets = planned_targets(settings, studies[0].model, studies[0].layers)
    ascents = targets * settings["starts"] * (BACK * settings["steps"] + 3)
    looked = _images(settings, summary) * (BACK * settings["image_steps"] + 3)
    natural = min(settings["natural"], summary["images"]) * settings["shards"]
    return 2 * (ascents + looked + natural)


def _held(settings: Mapping[str, Any], studies: Sequence[Any], summary: Mapping[str, Any]) -> float:
    from variscope.analyses.maximisation.choosing import planned_targets

    height, width = summary["size"]
    pixels = height * width * summary["channels"]
    targets = planned_targets(settings, studies[0].model, studies[0].layers)
    natural = min(settings["natural"], summary["images"])
    # Of both networks images in bytes, and what natural images give; those looked at with a map.
    ascents = 2 * targets * (settings["starts"] * pixels + 8 * natural)
    looked = 2 * _images(settings, summary) * (pixels + 4 * height * width)
    return (ascents + looked) / MIB


def _memory_of_shard(study: Planned) -> float:
    return memory_of_network(study) + GRADIENTS_MB


_NETWORK = text("network", "trained or untrained")
_UNIT: tuple[Column, ...] = (
    text("layer", "whose unit it is"),
    text("kind", "class, channel (mean over its map, or its centre), feature (mean over patches) "
         "or neuron"),
    integer("unit", "its number in the layer"),
    text("name", "of the class, or the number"),
)  # fmt: skip
_INFERENCE: tuple[Column, ...] = (
    number("low", "lower confidence bound"),
    number("high", "upper confidence bound"),
    integer("n", "how many of them there are"),
    text("inference", "what the interval is over"),
)
_TIMES = (
    "distance from the median of natural images, in times the distance of the natural image that "
    "excites the unit most"
)

ANALYSIS = Analysis(
    name="maximisation",
    title="Activation maximisation",
    question="Which images excite a unit most, and are they like any that the data hold?",
    scope="model",
    reads=("network", "images"),
    place=98,
    tables=(
        Table(
            name="summary",
            title="How far beyond natural images units are driven, and whether starts agree",
            columns=(
                text("of", "classes, or a layer's units; all: of all layers and classes"),
                text("network", "trained, untrained, or the difference between them"),
                text(
                    "measure",
                    "times: median over units of the distance from the median natural image, in "
                    "times the distance of the strongest one; shuffled: the same of the image with "
                    "its pixels in random order; beyond shuffled: the difference of both, unit by "
                    "unit; image likeness: mean correlation of a unit's "
                    "images from different starts, less that with images of other units; response "
                    "likeness: the same of what other units of the layer do",
                ),
                number("value", "median or mean over units"),
                *_INFERENCE,
            ),
        ),
        Table(
            name="reached",
            title="What the ascents reach, unit by unit",
            columns=(
                _NETWORK,
                *_UNIT,
                number("value", "of the unit, mean over starts", "output"),
                *_INFERENCE,
                number("quantile", "share of natural images that excite the unit no more"),
                number("times", _TIMES),
                number(
                    "deviations",
                    "distance from the median of natural images, in their median "
                    "absolute deviations",
                ),
                number("natural_deviations", "the same of the strongest natural image"),
                number("natural_median", "of the unit among natural images", "output"),
                number("natural_greatest", "of the unit among natural images", "output"),
                text("natural_image", "that excites it most"),
                number("noise", "of the unit for the noise that ascents begin with", "output"),
                number(
                    "shuffled",
                    "of the unit for the reached images with their pixels in random order",
                    "output",
                ),
                number("image_likeness", "correlation of images from different starts"),
                number("image_others", "correlation with the images of other units of the layer"),
                number(
                    "response_likeness",
                    "correlation of what other units of the layer do for "
                    "images from different starts",
                ),
                number("response_others", "the same for images of other units"),
            ),
            shown=24,
        ),
        Table(
            name="starts",
            title="What each ascent reaches",
            columns=(
                _NETWORK,
                *_UNIT,
                integer("start", "from 1"),
                number("value", "of the unit", "output"),
                number("quantile", "share of natural images that excite the unit no more"),
                number("times", _TIMES),
                number("noise", "of the unit for the noise that the ascent begins with", "output"),
                number(
                    "shuffled",
                    "of the unit for the reached image with its pixels in random order",
                    "output",
                ),
            ),
            shown=0,
        ),
        Table(
            name="natural",
            title="Natural images that excite units most, one of each source",
            columns=(
                *_UNIT,
                text(
                    "of",
                    "image: the whole, by the value that is maximised; crop: what the "
                    "strongest place of a map reads",
                ),
                integer("rank", "from 1"),
                integer("image", "its number"),
                text("source", "where it comes from"),
                text("part", "train or valid"),
                text("class", "of the image"),
                number("value", "of the unit, or of the place", "output"),
                integer("row", "of the place in the map"),
                integer("column", "of the place in the map"),
                integer("top", "of what the place reads, in pixels"),
                integer("left", "of it"),
                integer("bottom", "of it, left out"),
                integer("right", "of it, left out"),
            ),
            shown=0,
        ),
        Table(
            name="images",
            title="Images that are changed to excite a class more",
            columns=(
                _NETWORK,
                integer("image", "its number"),
                text("source", "where it comes from"),
                text("class", "of the image"),
                text("target", "the class, or the unit, that is excited"),
                number("before", "of the unit for the image", "output"),
                number("after", "of the unit for the changed image", "output"),
                number("quantile", "share of natural images that excite the unit no more"),
                number("change", "mean absolute change of a pixel, from 0 to 1"),
            ),
            shown=0,
        ),
        Table(
            name="notes",
            title="What was left out of activation maximisation",
            columns=(text("note", "what was left out, and why"),),
        ),
    ),
    pictures=(
        Picture(
            name="classes",
            title="Classes",
            caption=(
                "Left: images that an ascent makes for a class, from different noise. Right: the "
                "natural images that excite the class most, one of each source. Below a name how "
                "many times as far the ascents go from the median natural image as the strongest "
                "one. People tell from natural images better what excites a unit (92 against 82 "
                "of 100 answers right; Borowski et al. 2021)."
            ),
        ),
        Picture(
            name="channels",
            title="Units of layers",
            caption=(
                "Left: images that an ascent makes for a unit, a channel's mean over its map, from "
                "different noise. Middle: natural images that excite it most, one of each source. "
                "Right: the parts of natural images that its strongest places read, found by "
                "gradients, each scaled up to one size; in late layers a place may read the whole "
                "image. Below a unit's number how many times as "
                "far the ascents go from the median natural image as the strongest one."
            ),
        ),
        Picture(
            name="reached",
            title="How far beyond natural images",
            caption=(
                "A dot a unit: how far its made images lie from the median natural image, in times "
                "the distance of the natural image that excites it most; at 1 they excite it as "
                "much. Of the network, of its untrained twin, and of the network for the same "
                "images with their pixels in random order. Bars: median over units with its "
                "{level} interval."
            ),
        ),
        Picture(
            name="images",
            title="Images changed to excite a class more",
            caption=(
                "A column an image: as it is, changed so that the class that stands above it is "
                "excited more, and the mean absolute change of each pixel, of the network and of "
                "its untrained twin, each row on one scale. The image may change by a set root "
                "mean square."
            ),
            appendix=True,
        ),
    ),
    settings={
        **LOOKED_AT,
        "units": {
            "oneOf": [
                {"const": "auto"},
                {
                    "type": "object",
                    "additionalProperties": {
                        "type": "object",
                        "additionalProperties": {
                            "type": "array",
                            "items": {"type": "integer", "minimum": 0},
                        },
                    },
                },
            ],
            "allowed": "auto, or {model: {layer: [numbers]}}",
            "default": "auto",
            "description": (
                "Which units, by model and layer: {net: {stage2: [0, 5], logits: [3]}}: numbers of "
                "channels, features, neurons or classes. auto takes the classes that are answered "
                "most, and of each layer the units that vary most over natural images."
            ),
        },
        "layers": {
            "oneOf": [
                {"enum": ["auto", "all"]},
                {"type": "array", "items": {"type": "string"}},
            ],
            "default": "auto",
            "description": (
                "Whose units are chosen, beside the classes: auto, at most four studied layers; "
                "all; or their names."
            ),
        },
        "channels": {
            "type": "integer",
            "minimum": 1,
            "default": 3,
            "description": "units of each layer that are chosen",
        },
        "classes": {
            "type": "integer",
            "minimum": 0,
            "default": 10,
            "description": "classes that are chosen, of those that the network answers",
        },
        "channel": {
            "enum": ["mean", "centre"],
            "default": "mean",
            "description": "what is maximised of a channel: the mean of its map, or the unit at "
            "its centre",
        },
        "starts": {
            "type": "integer",
            "minimum": 1,
            "default": 3,
            "description": "ascents of each unit, from noise of their own",
        },
        "steps": {
            "type": "integer",
            "minimum": 1,
            "default": 64,
            "description": "of an ascent from noise",
        },
        "step_size": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 0.07,
            "description": "of its first step, root mean square in pixel values from 0 to 1",
        },
        "l2": {
            "type": "number",
            "minimum": 0,
            "default": 0,
            "description": "weight of the distance from mid-gray, over the unit's pull",
        },
        "total_variation": {
            "type": "number",
            "minimum": 0,
            "default": 0.25,
            "description": "weight of squared differences of neighbouring pixels, likewise",
        },
        "jitter": {
            "type": "number",
            "minimum": 0,
            "maximum": 0.5,
            "default": 0.03,
            "description": "most by which the image is rolled at each step, in shares of its side",
        },
        "blur": {
            "type": "number",
            "minimum": 0,
            "default": 0,
            "description": "standard deviation, in pixels, that the image is blurred with at first",
        },
        "spectrum": {
            "type": "number",
            "minimum": 0,
            "maximum": 2,
            "default": 1,
            "description": (
                "The ascent prefers amplitudes as 1 / frequency to this power, and colors as those "
                "of the data; 0: it prefers nothing."
            ),
        },
        "natural": {
            "type": "integer",
            "minimum": 1,
            "default": 2000,
            "description": "images of the data set, of both parts, that are the yardstick, at most",
        },
        "image_steps": {
            "type": "integer",
            "minimum": 1,
            "default": 16,
            "description": "of an ascent from an image",
        },
        "distance": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 1,
            "default": 0.1,
            "description": "how far it goes, root mean square in pixel values from 0 to 1",
        },
    },
    by_model=("units",),
    shards=_shards,
    passes=_passes,
    memory=memory_of_indices,
    shard_memory=_memory_of_shard,
    held=_held,
)
