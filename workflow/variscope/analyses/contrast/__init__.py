"""Each augmentation alone against the image as it is, unit by unit: treatment and control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from variscope.analyses.registry import (
    Analysis,
    Picture,
    Planned,
    Table,
    integer,
    number,
    share,
    text,
)

# Images of each part that one job evaluates.
IMAGES_OF_SHARD = 512

# A unit counts as moved where its interval lies beyond this rank-biserial correlation.
BEYOND = 0.1

# Of all intervals, and 1 less the rate of false discoveries.
LEVEL = 0.95

_ARRAYS, _PARTS, _MIB = 8, 2, 2**20


def shard_names(settings: Mapping[str, Any], studies: Sequence[Planned]) -> list[str]:
    """Name the jobs: each takes the next `IMAGES_OF_SHARD` of the chosen images of each part."""
    return [f"{start:06d}" for start in range(0, settings["images"], IMAGES_OF_SHARD)]


def passes(
    settings: Mapping[str, Any], studies: Sequence[Planned], summary: Mapping[str, Any]
) -> int:
    """Count the images that pass through the network: each as it is beside each augmentation."""
    from variscope.analyses.passes import augmentations_of

    images = sum(min(settings["images"], count) for count in summary["images_per_part"].values())
    return images * len(augmentations_of(studies)) * (1 + settings["draws"])


def first_image(shard: str) -> int:
    """Return the place of a job's first image among the chosen ones of a part."""
    return int(shard)


def memory_of_contrast(study: Planned) -> float:
    """Return MiB of the dataset of the largest layer, twice, and of one chunk of differences."""
    units = max(layer.units for layer in study.layers)
    # A model may have several sets: the published two have twice the variables of one.
    numbers = 2 * len(study.variables) * _PARTS * _ARRAYS * units
    return 2 * 4 * numbers / _MIB + 512


ANALYSIS = Analysis(
    name="contrast",
    title="Each augmentation alone",
    question="Which units does each augmentation move, applied alone, and which way?",
    scope="model",
    reads=("network", "images"),
    shards=shard_names,
    passes=passes,
    per_layer=True,
    completes=True,
    memory=memory_of_contrast,
    place=60,
    tables=(
        Table(
            name="layers",
            title="Units that each augmentation moves",
            columns=(
                text("part", "part of the images"),
                text("layer", "name of the layer"),
                text("variable", "the augmentation, applied alone"),
                integer("units", "units that were tested: neither constant nor not finite"),
                integer(
                    "beyond",
                    f"units whose interval of the rank-biserial correlation lies beyond +-{BEYOND}",
                ),
                integer(
                    "significant",
                    "units with a p-value of at most 0.05, adjusted over all units, layers and "
                    "variables of the part (Benjamini and Yekutieli); empty with fewer than 20 "
                    "clusters",
                ),
                integer("significant_bh", "the same by Benjamini and Hochberg"),
                share("share", "beyond over units"),
                share("low", "lower confidence bound of the share"),
                share("high", "upper confidence bound of the share"),
                share("raised", "share of units whose interval lies above the limit"),
                number("mean", "mean rank-biserial correlation of the units"),
                share(
                    "twin", "the share in the untrained twin; of one part, where there is a twin"
                ),
                share("difference", "the share less that of the twin"),
                share("difference_low", "lower confidence bound of the difference"),
                share("difference_high", "upper confidence bound of the difference"),
                share("shuffled", "the share with the signs of whole clusters drawn at random"),
                integer("images", "images of the part"),
                integer("clusters", "sources that they come from"),
                integer("n", "channels, or units of a layer without, that the bounds are over"),
                text("inference", "what the intervals are about"),
            ),
        ),
        Table(
            name="agreement",
            title="Agreement of train and valid images, unit by unit",
            columns=(
                text("layer", "name of the layer"),
                text("variable", "the augmentation, applied alone"),
                integer("units", "units tested in both parts"),
                number("correlation", "of the units' rank-biserial correlations in both parts"),
                number("low", "lower confidence bound"),
                number("high", "upper confidence bound"),
                number("others", "the same with other augmentations' in the valid part, the mean"),
                share(
                    "same_side",
                    "of the units beyond the limit in train, those beyond it on the same side in "
                    "valid; empty where there is none",
                ),
                integer("n", "channels, or units of a layer without, that the bounds are over"),
                text("inference", "what the interval is about"),
            ),
        ),
    ),
    pictures=(
        Picture(
            name="beyond",
            title="Units that each augmentation moves",
            caption=(
                "Each augmentation was applied alone, and each image compared with itself. Bars: "
                f"share of a layer's units whose {100 * LEVEL:g} % interval of the rank-biserial "
                f"correlation, over clusters of images, lies beyond +-{BEYOND}, and the interval "
                "of the share over channels. Open circles: the untrained twin. Crosses: the same "
                "with the signs of whole clusters drawn at random."
            ),
        ),
        Picture(
            name="maps",
            title="Which way each augmentation moves the units",
            caption=(
                "Rank-biserial correlation of each unit between images under one augmentation and "
                "as they are: 1 where all rise, -1 where all fall. Of maps the mean over channels, "
                "of tokens over features; of vectors one stripe for each unit, from the lowest to "
                "the highest. Hatched: constant units."
            ),
        ),
    ),
    settings={
        "images": {
            "type": "integer",
            "minimum": 2,
            "default": 60,
            "description": "Images of each part, at most; drawn evenly from classes and clusters.",
        },
        "draws": {
            "type": "integer",
            "minimum": 1,
            "default": 5,
            "description": "Draws of each augmentation's parameters for one image, averaged.",
        },
    },
)
