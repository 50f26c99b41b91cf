"""Estimators: pure functions from network outputs to sums, and from sums to indices.

`Moments` are summed block by block (`Moments.update`), merged (`merge`) and turned into
indices with intervals (`unit_indices`, `aggregate_indices`). Nothing here knows of networks,
images or files.
"""

from variscope.estimators.cycle import cycle_terms
from variscope.estimators.differences import deviations, paired_difference
from variscope.estimators.groups import group_indices, group_numerators
from variscope.estimators.indices import (
    Indices,
    UnitIndices,
    aggregate_indices,
    half_indices,
    join_units,
    unit_indices,
)
from variscope.estimators.intervals import Estimate, Proportion, proportion, ratio
from variscope.estimators.layout import Layout
from variscope.estimators.moments import Moments, join, merge, summed_over
from variscope.estimators.star import star_terms

__all__ = [
    "Estimate",
    "Indices",
    "Layout",
    "Moments",
    "Proportion",
    "UnitIndices",
    "aggregate_indices",
    "cycle_terms",
    "deviations",
    "group_indices",
    "group_numerators",
    "half_indices",
    "join",
    "join_units",
    "merge",
    "paired_difference",
    "proportion",
    "ratio",
    "star_terms",
    "summed_over",
    "unit_indices",
]
