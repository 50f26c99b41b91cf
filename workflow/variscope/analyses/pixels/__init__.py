"""How much a class score, or any unit, changes with each pixel of an image."""

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

# Steps in grey values at which single pixels are moved: one that an image can make, and a small one
# that shows whether the gradient is right.
STEPS = (1.0, 0.001)

# Cells of a side of the mean maps, at most.
MEAN_CELLS = 32


def _shards(settings: Mapping[str, Any], studies: Sequence[Any]) -> list[str]:
    from variscope.analyses.passes import shards_of_images
    from variscope.analyses.pixels.choosing import units_of

    units_of(settings, studies[0].model, studies[0].layers)  # refused before the first job
    return shards_of_images(settings, studies)


def _images(settings: Mapping[str, Any], summary: Mapping[str, Any]) -> int:
    """Count the images that are looked at."""
    of_part = summary["images_per_part"]
    return min(settings["images"], of_part["valid"] or summary["images"])


def _passes(settings: Mapping[str, Any], studies: Sequence[Any], summary: Mapping[str, Any]) -> int:
    """Count the images that pass: of each its answer, then by network and unit its maps."""
    from variscope.analyses.pixels.choosing import units_of

    height, width = summary["size"]
    moved = min(settings["cells"], height) * min(settings["cells"], width)
    wanted = 1 + len(units_of(settings, studies[0].model, studies[0].layers))
    networks = 1 + summary["twin"]
    # The gradient and the output; both ways of each cell; of the trained one the same in float64,
    # and of each job one pass that shows whether it computes so.
    maps = networks * (2 + 2 * moved)
    sampled = 1 + 2 * len(STEPS) * settings["sampled"] if settings["sampled"] else 0
    shards = settings["shards"] if settings["sampled"] else 0
    return _images(settings, summary) * (1 + wanted * (maps + sampled)) + shards * wanted


def _held(settings: Mapping[str, Any], studies: Sequence[Any], summary: Mapping[str, Any]) -> float:
    from variscope.analyses.pixels.choosing import units_of

    height, width = summary["size"]
    wanted = 1 + len(units_of(settings, studies[0].model, studies[0].layers))
    # Of each image a map of both networks, the image itself, their ranks in float64.
    return _images(settings, summary) * height * width * 8 * (4 * wanted + 8) / MIB


def _memory_of_shard(study: Planned) -> float:
    # A copy in float64 beside the network, and what a gradient of one image keeps of it.
    return memory_of_network(study) + 8 * (study.parameters + 2 * study.outputs) / MIB


_OF = text("of", "what is asked for: class score, or a unit of a layer")
_NETWORK = text("network", "trained or untrained")
_METHOD = text("method", "gradient or difference")
_INFERENCE: tuple[Column, ...] = (
    number("low", "lower confidence bound"),
    number("high", "upper confidence bound"),
    integer("n", "images, or clusters of images"),
    text("inference", "what the interval is over"),
)

ANALYSIS = Analysis(
    name="pixels",
    title="Sensitivity to pixels",
    question="Which pixels change the class score, and is that more than the image's edges?",
    scope="model",
    reads=("network", "images"),
    place=96,
    tables=(
        Table(
            name="agreement",
            title="What maps of pixels agree with",
            columns=(
                _OF,
                text("first", "map of each image"),
                text(
                    "second",
                    "what it is held against: edges of the image, the untrained twin's "
                    "map, or finite differences",
                ),
                number("value", "mean over images of the rank correlation across pixels or cells"),
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
                integer("n", "images, or clusters of images"),
                text("inference", "what intervals are over"),
                integer("undefined", "images left out: one of the maps is constant"),
            ),
        ),
        Table(
            name="where",
            title="How sensitivity is spread over the image",
            columns=(
                _OF,
                _NETWORK,
                _METHOD,
                text(
                    "measure",
                    "top: share of all sensitivity in the most sensitive tenth; centre: "
                    "share of that tenth in the central quarter",
                ),
                number("value", "mean over images", "share"),
                *_INFERENCE,
                number("chance", "of a map that is the same everywhere", "share"),
            ),
        ),
        Table(
            name="sampled",
            title="Gradients against finite differences of single pixels, in float64",
            columns=(
                _OF,
                number("step", "by which a pixel is moved up and down", "grey values"),
                text(
                    "measure",
                    "correlation: of both over the pixels of an image; error: sum of "
                    "the absolute deviations over that of the absolute gradients",
                ),
                number("value", "mean over images"),
                *_INFERENCE,
                integer("pixels", "of each image, one channel of each"),
            ),
        ),
        Table(
            name="images",
            title="Each image's maps of pixels",
            columns=(
                _OF,
                integer("image", "its number"),
                text("source", "where it comes from"),
                text("class", "of the image"),
                text("target", "whose score, or which unit"),
                _NETWORK,
                _METHOD,
                number("score", "the unit's output"),
                number("largest", "the largest absolute value of the map"),
                number("top", "share of all sensitivity in the most sensitive tenth", "share"),
                number("centre", "share of that tenth in the central quarter", "share"),
                number("edges", "rank correlation with the image's edges"),
                number("twin", "rank correlation with the untrained twin's map"),
                number("other", "rank correlation of gradient and difference, cell by cell"),
            ),
            shown=0,
        ),
        Table(
            name="mean",
            title="Mean sensitivity over images, place by place",
            columns=(
                _OF,
                _NETWORK,
                _METHOD,
                integer("row", "of the cell, from above"),
                integer("column", "of the cell, from the left"),
                number(
                    "value",
                    "mean absolute derivative by a pixel's grey value from 0 to 1",
                    "output",
                ),
                *_INFERENCE,
            ),
            shown=0,
        ),
        Table(
            name="notes",
            title="What was left out of sensitivity to pixels",
            columns=(text("note", "what was left out, and why"),),
        ),
    ),
    pictures=(
        Picture(
            name="maps",
            title="Sensitivity to pixels",
            caption=(
                "A column an image, with the class whose score is asked for. Gradient: sum over "
                "channels of the absolute derivative of the class score by the pixel. Finite "
                "difference: what the score gains when a cell of pixels gets brighter by a step, "
                "signed. Untrained: the gradient of the same network with initial weights. Edges: "
                "of the image alone. Each row has one scale for all images, with the square root "
                "of what is not signed."
            ),
        ),
        Picture(
            name="mean",
            title="Mean sensitivity over images",
            caption=(
                "Mean over images of the gradient's absolute value in each place, and the lower "
                "and upper bound of its {level} interval; a row has one scale. Below it the same "
                "of the untrained twin, and of further units that were asked for."
            ),
        ),
    ),
    settings={
        **LOOKED_AT,
        "units": {
            "type": "object",
            "default": {},
            "description": (
                "Further units beside the class score, by model and layer: {net: {stage2: [5, "
                "[3, 4, 4]]}}. A number counts a layer's units in the order of its dimensions; a "
                "list says channel, y and x, or token and feature."
            ),
        },
        "cells": {
            "type": "integer",
            "minimum": 2,
            "default": 16,
            "description": "of a side of the grid whose cells finite differences move as a whole; "
            "the image's side for single pixels, which take two passes each",
        },
        "step": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 255,
            "default": 1,
            "description": "by which a cell gets brighter and darker, in grey values of 255",
        },
        "sampled": {
            "type": "integer",
            "minimum": 0,
            "default": 16,
            "description": "single pixels of each image at which gradients are held against finite "
            "differences in float64; 0: none",
        },
    },
    by_model=("units",),
    shards=_shards,
    passes=_passes,
    memory=memory_of_indices,
    shard_memory=_memory_of_shard,
    held=_held,
)
