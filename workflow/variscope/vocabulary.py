"""Names that results, tables and pages share: indices, statuses of units, parts, axes."""

from __future__ import annotations

# Of a unit: it has indices, it never changes, or an output was not finite.
FINE, CONSTANT, NOT_FINITE = 0, 1, 2
STATUSES = {"fine": FINE, "constant": CONSTANT, "not_finite": NOT_FINITE}

# Of a data set.
PARTS = ("train", "valid")

# Of the replicates, which share no rows: the even and the odd ones, so that a replicate stays where
# it is when a study grows. What selects units uses A, what is said of them B (Kriegeskorte et al.
# 2009).
HALVES = ("A", "B")

# Variables that are not augmentations, in the order of a study.
AUXILIARY = ("order", "class", "image", "part")

# What each index is of: the dimension that stands before the units'.
FIRST = {"S1": "variable", "ST": "variable", "shapley": "variable", "S2": "pair",
         "shapley_group": "group"}  # fmt: skip

# For the arrays of a dataset.
LONG_NAMES = {
    "S1": "first-order Sobol index",
    "ST": "total-order Sobol index",
    "shapley": "Shapley effect",
    "S2": "second-order Sobol index",
    "shapley_group": "sum of the Shapley effects of a group's variables (not of the group as one)",
}

# For sentences.
INDEX_NAMES = {
    "S1": "first-order index S1",
    "ST": "total-order index ST",
    "S2": "pair index S2",
    "shapley": "Shapley effect",
    "shapley_group": "sum of Shapley effects (not the effect of the group as one player)",
}
