"""Where the maps of a layer speak for the class: Grad-CAM and HiResCAM."""

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
    memory_of_network,
    number,
    text,
)

MIB = 2**20


def _shards(settings: Mapping[str, Any], studies: Sequence[Any]) -> list[str]:
    from variscope.analyses.grad_cam.choosing import candidates
    from variscope.analyses.passes import shards_of_images

    found = candidates(settings, studies[0].model, studies[0].layers)
    return shards_of_images(settings, studies) if found else []


def _images(settings: Mapping[str, Any], summary: Mapping[str, Any]) -> int:
    """Count the images that are looked at."""
    of_part = summary["images_per_part"]
    return min(settings["images"], of_part["valid"] or summary["images"])


def _passes(settings: Mapping[str, Any], studies: Sequence[Any], summary: Mapping[str, Any]) -> int:
    """Count the images that pass, at most: of each its answer, then its maps and its output."""
    from variscope.analyses.grad_cam.choosing import candidates

    found = candidates(settings, studies[0].model, studies[0].layers)
    if not found:
        return 0
    searched = 1 + len(found) if len(found) > 1 else 0  # for the last layer that matters, a job
    each = 1 + 2 * (1 + summary["twin"])
    return each * _images(settings, summary) + searched * settings["shards"]


def _held(settings: Mapping[str, Any], studies: Sequence[Any], summary: Mapping[str, Any]) -> float:
    height, width = summary["size"]
    return 4 * 8 * _images(settings, summary) * height * width / MIB


def _memory_of_shard(study: Planned) -> float:
    # What a gradient of one image keeps.
    return memory_of_network(study) + 4 * 2 * study.outputs / MIB


_INFERENCE: tuple[Column, ...] = (
    integer("n", "images, or clusters of images"),
    text("inference", "what intervals are over"),
)

ANALYSIS = Analysis(
    name="grad_cam",
    title="Grad-CAM and HiResCAM",
    question="Where in the image does a layer speak for the class, and do two ways to ask agree?",
    scope="model",
    reads=("network", "images"),
    place=97,
    tables=(
        Table(
            name="agreement",
            title="What class activation maps agree with",
            columns=(
                text("first", "map of each image"),
                text("second", "what it is held against"),
                text(
                    "measure",
                    "spearman: rank correlation over cells; iou: intersection over "
                    "union of the top fifth",
                ),
                number("value", "mean over images"),
                number("low", "lower confidence bound"),
                number("high", "upper confidence bound"),
                number("others", "the same with the second map of other images"),
                number("difference", "value less others, paired"),
                number("difference_low", "lower confidence bound of it"),
                number("difference_high", "upper confidence bound of it"),
                number(
                    "p",
                    "that the second map could be of any image; none with fewer than 20 clusters",
                ),
                *_INFERENCE,
                integer("undefined", "images left out: one of the maps is constant"),
            ),
            sheets="measure",
        ),
        Table(
            name="sums",
            title="What the maps add up to",
            columns=(
                text("network", "trained or untrained"),
                text(
                    "measure",
                    "sum: of HiResCAM's map, which is the score less a constant where "
                    "what follows the layer is linear; empty: share of images whose Grad-CAM is 0 "
                    "everywhere; against: share of HiResCAM's absolute values that are below 0",
                ),
                number("value", "mean over images"),
                number("low", "lower confidence bound"),
                number("high", "upper confidence bound"),
                *_INFERENCE,
            ),
        ),
        Table(
            name="images",
            title="Each image's class activation maps",
            columns=(
                integer("image", "its number"),
                text("source", "where it comes from"),
                text("class", "of the image"),
                text("target", "whose score"),
                text("network", "trained or untrained"),
                text("layer", "whose maps are weighted"),
                number("score", "the class score"),
                number("largest", "the largest value of Grad-CAM's map"),
                number("sum", "of HiResCAM's map"),
                number("against", "share of HiResCAM's absolute values that are below 0"),
                number(
                    "spearman",
                    "rank correlation of Grad-CAM, before its values below 0 are "
                    "cut off, and HiResCAM",
                ),
                number("iou", "of their top fifths"),
                number("twin", "rank correlation of HiResCAM with the untrained twin's"),
            ),
            shown=0,
        ),
        Table(
            name="notes",
            title="What was left out of Grad-CAM",
            columns=(text("note", "what was left out, and why"),),
        ),
    ),
    pictures=(
        Picture(
            name="maps",
            title="Grad-CAM and HiResCAM",
            caption=(
                "A column an image, with the class whose score is asked for; maps lie over the "
                "image in grey, in the layer's own cells. Grad-CAM weights each channel by the "
                "mean of the score's derivative and cuts off what is below 0; HiResCAM weights "
                "each place by its own derivative, and values below 0 speak against the class. "
                "Untrained: Grad-CAM of the same network with initial weights. Each row has one "
                "scale for all images: a pale map is one of little weight."
            ),
        ),
    ),
    settings={
        **LOOKED_AT,
        "layers": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "default": {},
            "description": (
                "Whose maps are weighted, by model: a studied layer whose units lie in the plane, "
                "channels or patches. Left out, the last one that the class score depends on."
            ),
        },
    },
    by_model=("layers",),
    shards=_shards,
    passes=_passes,
    shard_memory=_memory_of_shard,
    held=_held,
)
