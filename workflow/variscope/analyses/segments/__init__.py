"""Segments of a network, fed with one plane of an image's colors at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
    share,
    text,
)

MIB = 2**20

# Units of segments that are run in one pass, and channels that are looked at by default.
TOGETHER = 20_000
MOST_CHANNELS = 32


# What a segment is fed with: the image, four planes, and pictures of three coordinates.
_FEEDINGS = 8


def _shards(settings: Mapping[str, Any], studies: Sequence[Any]) -> list[str]:
    from variscope.analyses.segments.choosing import segments_of, sets_of

    found = segments_of(settings, studies[0].model, studies[0].layers)
    return list(sets_of(studies)) if found else []


def _passes(settings: Mapping[str, Any], studies: Sequence[Any], summary: Mapping[str, Any]) -> int:
    """Count the images, or planes, that pass through the network, up to a segment's end."""
    from variscope.analyses.segments.choosing import segments_of, sets_of
    from variscope.designs import kinds

    segments = segments_of(settings, studies[0].model, studies[0].layers)
    rows = sum(
        kinds.get(study.design).rows(len(study.variables)) for study in sets_of(studies).values()
    )
    return settings["blocks"] * rows * _FEEDINGS * len(segments)


def _sums(study: Planned) -> float:
    """Return bytes of the sums of the outputs that are looked at together, of one replicate."""
    variables = len(study.variables)
    rows = 4 * variables + variables * (variables - 1) // 2 + 2
    maps = [layer.shape for layer in study.layers if layer.dims == ("channel", "y", "x")]
    units = [min(shape[0], MOST_CHANNELS) * shape[1] * shape[2] for shape in maps]
    # In float64, of eight feedings; segments that are small are run together.
    return 8 * 8 * rows * max([TOGETHER, *units])


def _memory_of_shard(study: Planned) -> float:
    # Totals, those of a shell and as they are merged, and two halves; outputs are fewer.
    return memory_of_network(study) + 5 * _sums(study) / MIB


def _memory(study: Planned) -> float:
    # Maps of both halves of the original and of one plane, their ranks and resamples.
    return memory_of_indices(study) + _sums(study) / MIB


_WHAT: tuple[Column, ...] = (
    text("variable_set", "whose rows are shown"),
    text("network", "trained or untrained"),
    text("segment", "its name"),
    text("via", "original, segment: the plane is what the segment is fed with, or network: a "
         "picture in which it varies alone is what the network sees"),
    text("plane", "hue_cosine, hue_sine, hue, saturation or value; empty of the original"),
)  # fmt: skip
_INFERENCE: tuple[Column, ...] = (
    number("low", "lower confidence bound"),
    number("high", "upper confidence bound"),
    integer("n", "how many of them there are"),
    text("inference", "what the interval is over"),
)

ANALYSIS = Analysis(
    name="segments",
    title="Color planes and segments",
    question="What does a part of the network make of hue, saturation or value alone?",
    scope="model",
    reads=("network", "images", "twin"),
    place=95,
    tables=(
        Table(
            name="planes",
            title="What is left of the original's maps under each plane",
            columns=(
                *_WHAT,
                number(
                    "kept",
                    "correlation across pixels of a variable's map under the plane with "
                    "that of the original, across halves of the replicates, mean over channels "
                    "and variables",
                ),
                *_INFERENCE,
                number("other_channels", "the same of other channels' maps of the original"),
                number(
                    "difference",
                    "mean difference of the correlations between variables, less the original's",
                ),
                number("difference_low", "lower confidence bound of it"),
                number("difference_high", "upper confidence bound of it"),
                number("triangles", "correlation of the matrices' triangles with the original's"),
                number("p", "that permuted variables correlate as much"),
                integer("permutations", "that p is from, the observed order among them"),
                share("outside", "of the segment's inputs outside their natural 1 to 99 % range"),
            ),
        ),
        Table(
            name="variables",
            title="Each variable's maps under each plane, against the original",
            columns=(
                *_WHAT,
                text("variable", "name of the variable"),
                number(
                    "correlation",
                    "across pixels with the original, across halves, mean over channels",
                ),
                number("spread", "its standard deviation over channels"),
                *_INFERENCE,
                number(
                    "corrected", "for what noise takes away; none where a reliability is below 0.3"
                ),
                number("reliability", "correlation of the plane's maps of the two halves"),
                number("other_channels", "the same of other channels' maps of the original"),
            ),
        ),
        Table(
            name="shares",
            title="Each variable's share under each plane, less the original's",
            columns=(
                *_WHAT,
                text("variable", "name of the variable"),
                share("share", "the variable's index in the segment's last layer"),
                share("original", "the same of the whole network and the image itself"),
                share("difference", "share less the original's"),
                *_INFERENCE,
            ),
        ),
        Table(
            name="pairs",
            title="Correlation across pixels of the maps of two variables",
            shown=0,
            columns=(
                *_WHAT,
                text("first", "variable"),
                text("second", "variable"),
                number(
                    "correlation",
                    "across pixels within a channel, across halves, mean over channels",
                ),
                number("spread", "its standard deviation over channels"),
                *_INFERENCE,
            ),
        ),
    ),
    pictures=(
        Picture(
            name="planes",
            title="Maps under each plane, against the original",
            caption=(
                "Correlation across pixels of each variable's map with the original's, mean over "
                "channels, of the trained network. Maps are of different halves of the replicates, "
                "so that they share no noise. Rows: planes that the segment is fed with, then "
                "pictures in which one coordinate varies. Numbers stand where the {level} interval "
                "over channels leaves out 0, of up to 14 variables. Hatched: undefined."
            ),
        ),
        Picture(
            name="shares",
            title="Shares under each plane, less the original's",
            caption=(
                "What a variable's share of the variance of the segment's last layer gains or "
                "loses where the segment is fed with one plane, or the network sees one coordinate "
                "vary. Numbers stand where the paired {level} interval over replicates leaves out "
                "0."
            ),
        ),
    ),
    settings={
        "segments": {
            "oneOf": [{"const": "auto"}, {"type": "object"}],
            "allowed": "auto, or {model: {name: {from: layer, to: layer, channels: [...]}}}",
            "default": "auto",
            "description": (
                "Which segments, by model and a name of your choice: {from: stage1, to: stage2, "
                "channels: [0, 3]}. from is a studied layer of maps, or input for the image "
                "itself; channels are those of to that are looked at. auto takes those between "
                "consecutive studied layers of maps."
            ),
        },
        "channels": {
            "type": "integer",
            "minimum": 1,
            "default": MOST_CHANNELS,
            "description": "Channels that are looked at where a segment names none, evenly spaced.",
        },
        "blocks": {
            "type": "integer",
            "minimum": 4,
            "default": 64,
            "description": "Base points over all replicates of the study's design.",
        },
        "replicates": {
            "type": "integer",
            "minimum": 4,
            "default": 8,
            "description": "Replicates, halves of which are held against each other.",
        },
    },
    by_model=("segments",),
    shards=_shards,
    passes=_passes,
    memory=_memory,
    shard_memory=_memory_of_shard,
)
