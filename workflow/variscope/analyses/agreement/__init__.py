"""How far maps of one image agree, beyond maps of two images, and whether they are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from variscope.analyses.agreement.choosing import AUTO, check_settings, users_files
from variscope.analyses.passes import LOOKED_AT, shards_of_images
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
FILLS = ("blurred", "mean", "black")

# Methods that other analyses give maps of, and orders beside the methods': centre and edges.
_GIVEN, _CONTROLS = 6, 2


def _images(settings: Mapping[str, Any], summary: Mapping[str, Any]) -> int:
    return min(settings["images"], summary["images_per_part"]["valid"] or summary["images"])


def _methods(settings: Mapping[str, Any], studies: Sequence[Planned]) -> int:
    chosen = settings["methods"]
    sets = len({study.variable_set for study in studies})
    return (_GIVEN if chosen == AUTO else len(chosen)) + sets


def _passes(
    settings: Mapping[str, Any], studies: Sequence[Planned], summary: Mapping[str, Any]
) -> int:
    """Count images with cells deleted or inserted, at most; a user's own methods are not known."""
    orders = _methods(settings, studies) + _CONTROLS + settings["random_orders"]
    altered = 2 * (settings["steps"] - 1) * orders + 1
    return _images(settings, summary) * (1 + len(settings["fills"]) * altered)


def _held(
    settings: Mapping[str, Any], studies: Sequence[Planned], summary: Mapping[str, Any]
) -> float:
    """Return MiB of what is compared at once, in float64."""
    height, width = summary["size"]
    # Two maps, their twin's, edges and centre, each as values, as levels, as ranks and as tops.
    return 8 * 4 * 6 * height * width * _images(settings, summary) / MIB


def _shard_memory(study: Planned) -> float:
    # What a gradient of one image keeps, and numba, for methods that are run here.
    return memory_of_network(study) + 4 * 2 * study.outputs / MIB + 250


INTERVAL = (number("low", "lower confidence bound"), number("high", "upper confidence bound"))
OVER = (integer("n", "clusters of images"), text("inference", "what intervals are over"))


def _between(name: str, meaning: str, of: str = "") -> tuple[Column, ...]:
    """Return the columns of a value and its interval."""
    return (
        number(name, meaning),
        number(f"{of or name}_low", "lower confidence bound of it"),
        number(f"{of or name}_high", "upper confidence bound of it"),
    )


ANALYSIS = Analysis(
    name="agreement",
    title="Agreement of maps",
    question=(
        "Do methods that say where a network looks agree about an image, and does what they point "
        "at carry the score?"
    ),
    scope="model",
    reads=(
        "network",
        "indices",
        "twin",
        "analysis:grad_cam?",
        "analysis:pixels?",
        "analysis:maximisation?",
        "analysis:regions?",
    ),
    place=99,
    tables=(
        Table(
            name="pairs",
            title="Agreement of each pair of methods, and what it is held against",
            shown=0,
            columns=(
                text("first", "method"),
                text("second", "method; the same: its maps of two images, or of both networks"),
                text(
                    "baseline",
                    "what takes the place of the second map: none; shuffled, same_class and "
                    "other_class: that of another image, of any class, of the same target or of "
                    "another; centre: a Gaussian in the middle; edges: the image's edges; "
                    "untrained: that of the untrained twin",
                ),
                number("share", "of the cells that are the top", "share"),
                number("spearman", "rank correlation over cells, mean over images"),
                *INTERVAL,
                *_between("iou", "intersection over union of the tops, mean over images"),
                *_between("difference", "rank correlation of own maps less this, paired"),
                *_between("iou_difference", "intersection over union of own maps less this"),
                number(
                    "p",
                    "that the difference is 0: by second maps given to other images for shuffled, "
                    "by flipped signs of clusters else; none with fewer than 20 clusters",
                ),
                integer("rows", "of the common grid, the coarser of both"),
                integer("columns", "of the common grid"),
                integer("images", "that both methods have a map of"),
                integer("undefined", "images that are left out, since a map is constant"),
                *OVER,
            ),
        ),
        Table(
            name="areas",
            title="Areas under the deletion and insertion curves",
            shown=0,
            columns=(
                text("method", "that puts the cells in order; random, centre, edges: controls"),
                text("kind", "deletion, where less is better, or insertion, where more is"),
                text("fill", "what deleted cells are filled with"),
                number("area", "under the curve of the score against the share of cells"),
                *INTERVAL,
                *_between("random_difference", "area less that of random orders, paired", "random"),
                number("random_p", "that it is 0; none with fewer than 20 clusters"),
                *_between(
                    "centre_difference", "area less that of the centre first, paired", "centre"
                ),
                *_between("edges_difference", "area less that of edges first, paired", "edges"),
                integer("images", "with an order by the method"),
                *OVER,
            ),
        ),
        Table(
            name="curves",
            title="Score as cells are deleted or inserted",
            shown=0,
            columns=(
                text("method", "that puts the cells in order; random, centre, edges: controls"),
                text("kind", "deletion or insertion"),
                text("fill", "what deleted cells are filled with"),
                number("fraction", "of the cells that are deleted, or inserted", "share"),
                number("score", "of the target, mean over images"),
                *INTERVAL,
                *OVER,
            ),
        ),
        Table(
            name="images",
            title="Agreement of each pair of methods on each image",
            shown=0,
            columns=(
                integer("image", "its number in the table of images"),
                text("name", "of the image"),
                integer("target", "unit that the maps are of"),
                integer("cluster", "source of the image"),
                text("first", "method"),
                text("second", "method"),
                number("share", "of the cells that are the top", "share"),
                number("spearman", "rank correlation over cells"),
                number("iou", "intersection over union of the tops"),
            ),
        ),
    ),
    pictures=(
        Picture(
            name="maps",
            title="Where each method says that the network looks",
            caption=(
                "A row for each image with the class that is asked for, a column for each method, "
                "on its own grid. Colors are of one scale for each column, up to the 99th "
                "percentile of its maps, with a middle at 0 where some values are below. The last "
                "row is the mean over all images: what a method shows whatever the image. Variance "
                "maps of the study are of all its images together. Hatched: a constant map, or "
                "none."
            ),
        ),
        Picture(
            name="pairs",
            title="Agreement of the methods, on their own and on other images",
            caption=(
                "Left: mean rank correlation over cells of both maps of an image, and of a map "
                "with a Gaussian in the middle, with the image's edges, and with the same method "
                "on the untrained twin. Right: that on own images less that between images. "
                "Numbers stand where the {level} interval over clusters of images leaves out 0. "
                "The diagonal on the left is that of two images' maps of one method. Hatched: "
                "undefined."
            ),
        ),
        Picture(
            name="curves",
            title="Deletion and insertion",
            caption=(
                "Mean score of the target over images as the cells that matter most to a method "
                "are deleted, or put into the filled image; each fill has a scale of its own. "
                "Broken lines: orders that know nothing of the network. What is between two lines "
                "is of the same images: its interval is in the next picture. Images with cells "
                "deleted are none that the network was trained on."
            ),
        ),
        Picture(
            name="areas",
            title="Better than a random order?",
            caption=(
                "Area under each curve less that of random orders, paired, with its {level} "
                "interval over clusters of images. Below 0 is better for deletion, above 0 for "
                "insertion."
            ),
        ),
    ),
    settings={
        **LOOKED_AT,
        "methods": {
            "oneOf": [
                {"const": AUTO},
                {"type": "array", "minItems": 1, "items": {"type": "string"}, "uniqueItems": True},
            ],
            "allowed": "auto, or a list of methods",
            "default": AUTO,
            "description": (
                "Which methods are compared: names of attributions, variance, and own ones as "
                "path/to/file.py:function. Those that no other analysis gives are run here. auto "
                "takes all that other analyses give, and variance."
            ),
        },
        "shares": {
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            "default": [0.1, 0.2],
            "description": "Shares of the cells that are the top of a map.",
        },
        "cells": {
            "type": "integer",
            "minimum": 2,
            "default": 8,
            "description": "Cells a side that are deleted and inserted.",
        },
        "steps": {
            "type": "integer",
            "minimum": 2,
            "default": 8,
            "description": "Steps from no cell to all.",
        },
        "fills": {
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {"enum": list(FILLS)},
            "default": list(FILLS[:2]),
            "description": (
                "What deleted cells are filled with: blurred, a Gaussian of half a cell; mean, "
                "the image's mean color; black."
            ),
        },
        "random_orders": {
            "type": "integer",
            "minimum": 1,
            "default": 5,
            "description": "Random orders of the cells, a control.",
        },
    },
    shards=shards_of_images,
    passes=_passes,
    shard_memory=_shard_memory,
    held=_held,
    check_settings=check_settings,
    files=users_files,
)
