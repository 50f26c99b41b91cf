"""Which regions of an image carry the network's answer, from the variance of its score."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from variscope.analyses.passes import LOOKED_AT, shards_of_images
from variscope.analyses.registry import (
    Analysis,
    Picture,
    Planned,
    Table,
    integer,
    memory_of_network,
    number,
    share,
    text,
)
from variscope.errors import UserError
from variscope.space.regions import FILLS, OFFSETS, Cells

MIB = 2**20


def grids(settings: Mapping[str, Any]) -> list[tuple[str, Cells, list[str]]]:
    """Name the offsets, with the cells of each and the fills that are looked at there.

    All fills with the grid as it is, and the first of them with the shifted ones: what a fill and
    what an offset does is told from these, in half of the passes that all pairs would take.
    """
    fills = list(settings["fills"])
    return [
        (name, Cells(settings["grid"], shift), fills if name == "none" else fills[:1])
        for name, shift in list(OFFSETS.items())[: settings["offsets"]]
    ]


def _check_settings(settings: Mapping[str, Any], folder: Path) -> None:
    if settings["blocks"] < settings["replicates"]:
        raise UserError(
            f"blocks: found {settings['blocks']}; allowed: at least one for each of the "
            f"{settings['replicates']} replicates"
        )


def _shards(settings: Mapping[str, Any], studies: Sequence[Any]) -> list[str]:
    """Name the jobs, and refuse a grid that no image of so many pixels has."""
    for study in studies:
        pixels = getattr(study, "pixels", 0)
        if pixels and (2 * settings["grid"]) ** 2 > pixels:
            raise UserError(
                f"analyses.regions.grid: found {settings['grid']}, and an image has {pixels:,} "
                "numbers; allowed: cells of at least two pixels a side"
            )
    return shards_of_images(settings, studies)


def passes(settings: Mapping[str, Any], studies: Sequence[Any], summary: Mapping[str, Any]) -> int:
    """Count the images that pass, masked ones among them, of the network and its twin."""
    networks = 2 if summary.get("twin", True) else 1
    images = min(settings["images"], _looked_at(summary))
    rows = sum(2 * len(cells) * len(fills) for _, cells, fills in grids(settings))
    return images * (1 + networks * (1 + settings["blocks"] * rows))


def _looked_at(summary: Mapping[str, Any]) -> int:
    """Count the images that there are to look at: of part valid, or all where it has none."""
    return int(summary["images_per_part"]["valid"] or summary["images"])


def _sums(settings: Mapping[str, Any]) -> float:
    """Return bytes of the sums of an image and one network."""
    rows = sum(
        (5 * len(cells) + len(cells) * (len(cells) - 1) // 2 + 2) * len(fills)
        for _, cells, fills in grids(settings)
    )
    return 8 * settings["replicates"] * rows


def held(
    settings: Mapping[str, Any], studies: Sequence[Planned], summary: Mapping[str, Any]
) -> float:
    """Return MiB of the sums of all images, as they are read and made indices of."""
    return 3 * 2 * settings["images"] * _sums(settings) / MIB


def _shard_memory(study: Planned) -> float:
    # Beside a batch of masked images the sums of one group of images, and numba that adds them up.
    return memory_of_network(study) + 200


_OF = (
    text("network", "trained, or untrained: its twin with initial weights"),
    text("fill", "what stands in the place of what is masked: mean color, blurred image or black"),
    text("offset", "how the grid is shifted by half a cell: none, both, right or down"),
)
_PLACE = (
    integer("row", "of the cell, from 0 at the top"),
    integer("column", "of the cell, from 0 at the left"),
)
_BOUNDS = (number("low", "lower confidence bound"), number("high", "upper confidence bound"))
_OVER = (
    integer("n", "how many of them there are"),
    text("inference", "what intervals are over"),
)
_IMAGE = (
    integer("image", "number of the image"),
    text("class", "of the image"),
    text("target", "the unit whose score is shared out: the class that is answered"),
)

ANALYSIS = Analysis(
    name="regions",
    title="Regions",
    question=(
        "Which regions of an image carry the network's answer, and how much do they carry only "
        "together?"
    ),
    scope="model",
    reads=("network", "images"),
    place=98,
    shards=_shards,
    passes=passes,
    held=held,
    shard_memory=_shard_memory,
    check_settings=_check_settings,
    tables=(
        Table(
            name="summary",
            title="On how few regions the answer rests, over images",
            columns=(
                text("network", "trained, untrained, or difference: trained less untrained"),
                *_OF[1:],
                text(
                    "quantity",
                    "quarter: share of the score's variance that the leading quarter of the cells "
                    "holds; interaction: share that no cell holds by itself; leading: share of the "
                    "cells that hold half of the variance",
                ),
                share("value", "mean over images"),
                *_BOUNDS,
                number("chance", "were all cells alike; of quarter and leading"),
                *_OVER,
            ),
        ),
        Table(
            name="images",
            title="The regions that carry each answer",
            columns=(
                *_IMAGE,
                integer("cluster", "the source of the image"),
                *_OF,
                number("score", "of the image as it is, before any softmax", "output"),
                number("masked", "mean score over all masks", "output"),
                number("variance", "of the score over all masks", "output^2"),
                integer("cells", "of the grid"),
                integer(
                    "leading",
                    "how many cells hold half of the variance, of half of the replicates",
                ),
                share("held", "of the variance that these hold, by the other half"),
                share("held_low", "lower confidence bound of held"),
                share("held_high", "upper confidence bound of held"),
                share("quarter", "that the leading quarter of the cells holds, chosen alike"),
                share("quarter_low", "lower confidence bound of quarter"),
                share("quarter_high", "upper confidence bound of quarter"),
                share("interaction", "1 less the sum of S1: what no cell holds by itself"),
                share("interaction_low", "lower confidence bound of interaction"),
                share("interaction_high", "upper confidence bound of interaction"),
                integer("row", "of the largest cell"),
                integer("column", "of the largest cell"),
                share("value", "its Shapley effect"),
                share("low", "lower confidence bound of value"),
                share("high", "upper confidence bound of value"),
                integer("unseen", "cells whose interval of the Shapley effect holds 0"),
                text("status", "fine; constant: the score does not see the masks; or not finite"),
                *_OVER,
            ),
        ),
        Table(
            name="fills",
            title="How far the answer depends on the fill and on where the grid lies",
            columns=(
                text("compared", "fills, offsets or networks"),
                text("first", "of the two"),
                text("second", "of the two"),
                *_OF[1:],
                number(
                    "correlation",
                    "of the ranks of the cells' Shapley effects, across halves of the replicates, "
                    "mean over images",
                ),
                *_BOUNDS,
                number(
                    "corrected", "for what noise takes away; none where a reliability is below 0.3"
                ),
                number("corrected_low", "lower confidence bound of corrected"),
                number("corrected_high", "upper confidence bound of corrected"),
                number("reliability", "root of the correlations of each with its other half"),
                number("others", "correlation with the second of other images"),
                number("beyond", "correlation less others, paired"),
                number("beyond_low", "lower confidence bound of beyond"),
                number("beyond_high", "upper confidence bound of beyond"),
                *_OVER,
            ),
        ),
        Table(
            name="mean",
            title="Regions that carry answers whatever the image",
            columns=(
                *_OF,
                *_PLACE,
                share("value", "mean over images of the cell's Shapley effect"),
                *_BOUNDS,
                *_OVER,
            ),
            shown=0,
        ),
        Table(
            name="cells",
            title="Indices of every region",
            columns=(
                *_IMAGE,
                *_OF,
                *_PLACE,
                text("index", "shapley, S1 or ST"),
                share("value", "of the score's variance over masks"),
                *_BOUNDS,
                *_OVER,
            ),
            shown=0,
        ),
    ),
    pictures=(
        Picture(
            name="cells",
            title="Regions that carry the answer",
            caption=(
                "Images, and below each the Shapley effects of its regions: shares of the variance "
                "of the answered class' score when each region is replaced by the fill to a random "
                "degree, on one color scale. Framed: the regions that hold half of the variance, "
                "chosen by half of the replicates; the number below is what they hold by the other "
                "half, with its {level} interval. Lines lie over regions whose {level} interval "
                "holds 0."
            ),
        ),
        Picture(
            name="fills",
            title="The same regions under other fills and offsets",
            caption=(
                "Rank correlation of the regions' Shapley effects, across halves of the "
                "replicates, mean over images with its {level} interval. Filled: of two fills, two "
                "offsets or the two networks on the same image. Hollow: with the second on other "
                "images, which is what the place alone explains. The gray bar ends where noise of "
                "the estimates would let identical maps end."
            ),
        ),
    ),
    settings={
        **LOOKED_AT,
        "grid": {
            "type": "integer",
            "minimum": 2,
            "maximum": 16,
            "default": 4,
            "description": "cells a side",
        },
        "fills": {
            "type": "array",
            "items": {"enum": list(FILLS)},
            "minItems": 1,
            "uniqueItems": True,
            "default": ["mean"],
            "description": "what stands in the place of what is masked: mean, the image's mean "
            "color; blurred, the image without what is finer than a cell; black",
        },
        "offsets": {
            "enum": [1, 4],
            "default": 1,
            "description": "1: the grid as it is; 4: and, under the first fill, shifted by half a "
            "cell down, right and both",
        },
        "blocks": {
            "type": "integer",
            "minimum": 40,
            "default": 128,
            "description": "base points over all replicates, of 2 masks a cell each; fewer than 40 "
            "give no intervals of S1",
        },
        "replicates": {
            "type": "integer",
            "minimum": 8,
            "default": 16,
            "description": "replicates, which intervals are over; cells are chosen by half of them",
        },
    },
)
