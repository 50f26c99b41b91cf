"""Shares unit by unit: maps of channels and of patches, strips of neurons."""

from variscope.analyses.registry import Analysis, Picture

ANALYSIS = Analysis(
    name="maps",
    title="Maps",
    question="Where in a layer does each variable act?",
    place=110,
    pictures=(
        Picture(
            name="maps",
            title="Maps",
            of="layer",
            appendix=True,
            caption=(
                "{index} at every unit. In maps each square is a channel's picture plane, each "
                "column a variable; the first row is the variance-weighted mean over all channels, "
                "the others are the channels that carry most of the layer's variance, with how "
                "much of it in brackets. Slanted lines lie over units whose {level} interval holds "
                "0 or lies below it; the mean over channels has no interval. Of tokens the patches "
                "are drawn as the grid that they were cut from, features stand for channels, and "
                "class and register tokens, over all features, follow as numbers. In other layers "
                "units are sorted by their share, "
                "with {level} intervals. All on one scale from 0 to 1. Units that never change "
                "have no share and are hatched or left out."
            ),
        ),
    ),
)
