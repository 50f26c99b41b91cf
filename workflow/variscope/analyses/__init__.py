"""Analyses of studies: a registry, and one folder for each with its entry, computing and words.

An analysis of your own is one file, named in the configuration as
``analyses: {blur_rank: {file: blur_rank.py}}``; README.md shows one of twenty lines.
"""

from variscope.analyses.registry import (
    Analysis,
    Column,
    Picture,
    Table,
    built_in,
    integer,
    number,
    share,
    text,
)

__all__ = [
    "Analysis",
    "Column",
    "Picture",
    "Source",
    "Table",
    "Words",
    "built_in",
    "integer",
    "number",
    "share",
    "text",
]


def __getattr__(name: str) -> object:
    if name == "Words":  # entries alone need neither xarray nor pandas
        from variscope.analyses.words import Words

        return Words
    if name == "Source":
        from variscope.analyses.source import Source

        return Source
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
