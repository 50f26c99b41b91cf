"""What conditions of guided masking share: which was tried, how settings are ordered and named.

A condition is an input under a mask: the outcomes of `variscope.analyses.masking` hold one row for
each, and one column for each image.
"""

from __future__ import annotations

import pandas as pd
import xarray as xr

from variscope.analyses.masking.outcomes import (
    ORIGINAL,
    PUBLISHED,
    TOGETHER,
    Condition,
    Setting,
    notes_of,
    read_outcomes,
)
from variscope.analyses.source import Source
from variscope.estimators.resampling import MIN_CLUSTERS
from variscope.indices.reading import layers
from variscope.indices.wording import count_text, variable_label

COLUMNS = list(Condition._fields)
SETTING = list(Setting._fields)
MASKED = ("own", "other")  # controls that are a variable's own map


def conditions(outcomes: xr.Dataset) -> pd.DataFrame:
    """Return what was tried, one row for each condition, numbered as in the outcomes."""
    return pd.DataFrame({name: outcomes[name].values for name in COLUMNS})


def at_setting(table: pd.DataFrame, setting: Setting) -> pd.Series[bool]:
    """Say which rows are of a setting."""
    found: pd.Series[bool] = (table[SETTING] == list(setting)).all(axis=1)
    return found


def setting_order(setting: Setting) -> tuple[int, Setting]:
    """Return where a setting stands among others: the published ones first, in their order."""
    place = PUBLISHED.index(setting) if setting in PUBLISHED else len(PUBLISHED)
    return place, setting


def setting_label(setting: Setting) -> str:
    """Write a setting for a reader.

    Example:
        >>> setting_label(Setting("scale", 0.5, 0.2)), setting_label(Setting("multiply", 1.0, 1.0))
        ('0.5 · top 20 %', 'a · m')
    """
    operation, strength, share = setting
    if operation == "scale":
        return f"{strength:g} · top {100 * share:.0f} %"
    return {"multiply": "a · m", "complement": "a · (1 - m)"}.get(operation, operation)


def input_label(name: str) -> str:
    """Write an input for a reader: the variable that alters it, or that none does."""
    return name if name == ORIGINAL else variable_label(name)


def layer_phrase(layer: str) -> str:
    """Name in a sentence where masks act."""
    return "in all convolutional layers at once" if layer == TOGETHER else f"in layer {layer}"


def leading_layer(layers: pd.Series) -> str:
    """Return the layer that sentences are about: all at once where that is there, else the last."""
    found = list(dict.fromkeys(map(str, layers)))
    return TOGETHER if TOGETHER in found else found[-1]


def inference(clusters: int, images: int, resamples: int) -> str:
    """Say what intervals over images are about."""
    what = "images" if clusters == images else f"clusters of {images} images"
    return f"{what}, {resamples:,} resamples"


def count_of_images(row: pd.Series) -> str:
    """Write n for a sentence: "n = 10 clusters of 100 images"."""
    return f"n = {row['n']} {str(row['inference']).split(',')[0]}"


def few_clusters(clusters: int) -> str:
    """Say what so few clusters cannot tell; empty where there are enough."""
    if clusters >= MIN_CLUSTERS:
        return ""
    return (
        f"{count_text(clusters, 'cluster')} of images cannot tell much: no p-value over images is "
        f"given with fewer than {MIN_CLUSTERS}, and intervals are wide."
    )


def read_outcomes_of(source: Source) -> xr.Dataset | None:
    """Read the outcomes of guided masking; None where the analysis could not mask anything."""
    found = source.result("masking")
    if found is None or not found.shards:
        return None
    outcomes = read_outcomes(found.shards)
    return outcomes if outcomes.sizes["condition"] and outcomes.sizes["image"] else None


def notes_on_masking(source: Source) -> list[str]:
    """Return what masking left out, a sentence each, or that it gave nothing at all."""
    found = source.result("masking")
    if found is None or not found.shards:
        return ["No unit was masked."]
    return notes_of(read_outcomes(found.shards, arrays=()))


def confidence_level(source: Source) -> float:
    """Return the confidence level of a source's studies."""
    return float(next(iter(layers(source.studies[0].tree).values())).attrs["confidence_level"])
