"""Designs: base points, the rows of their blocks, and replicates."""

from variscope.designs.design import Blocks, Design, DesignPart
from variscope.designs.kinds.cycle import cycle_rows
from variscope.designs.kinds.star import star_rows
from variscope.designs.points import base_points, permutations, replicate_sizes

__all__ = [
    "Blocks",
    "Design",
    "DesignPart",
    "base_points",
    "cycle_rows",
    "permutations",
    "replicate_sizes",
    "star_rows",
]
