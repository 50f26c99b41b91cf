"""What is summed for one unit and one replicate, and where each sum stands.

Every index but the paired ranks is a ratio of sums over base points (blocks). The sums of one
replicate are one float64 array ``(sum, unit)``; the layout gives its rows names, so that the
compiled kernels, the stores and the estimators agree on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variscope.designs import kinds

# How blocks are summed, by every code that sums them. Blocks of a group: each adds up to two terms
# to a sum, so that at most 32 are added in float32 before they go to the totals in float64.
GROUP = 16

# Of the 52 stored bits of a float64's mantissa, those that a sum is kept without: 23 stay, as in
# float32.
DROPPED_BITS = 29

# Between these sizes of the sum of a group's squared differences, float32 holds the squares and
# products that make a difference to it: those of 2^-24 of the largest are 1e-43, its smallest
# number, or more, and the largest are far from its 3e38. Units beyond are worked on in float64.
SMALL, LARGE = 1e-28, 1e30


@dataclass(frozen=True)
class Layout:
    """Rows of the sums of a design over ``variables`` variables.

    Attributes:
        design: its name, of a kind that has sums (`variscope.designs.kinds`).
        variables: number of variables D (at least 1).
    """

    design: str
    variables: int

    def __post_init__(self) -> None:
        kinds.sums_of(self.design)
        if self.variables < 1:
            raise ValueError(f"a design needs at least one variable, got {self.variables}")

    @property
    def rows(self) -> int:
        """Rows of one block."""
        return kinds.get(self.design).rows(self.variables)

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Pairs of variables ``(i, j)``, i < j, in the order of their sums."""
        return _pairs(self.variables)

    @property
    def indices(self) -> tuple[str, ...]:
        """Names of the indices that the design estimates per variable."""
        return kinds.sums_of(self.design).indices

    @property
    def main_index(self) -> str:
        """The index whose values are disjoint shares of the variance."""
        return kinds.sums_of(self.design).main_index

    @property
    def sums(self) -> dict[str, slice]:
        """Rows of the sums by name.

        `indices` (D rows each) and ``S2`` (one row per pair) are numerators, ``variance`` their
        common denominator, each still to be multiplied by its `scale`; ``nonzero`` counts
        first-order products that are not 0 (D rows); ``total`` is the sum of the outputs over all
        rows.
        """
        lengths = {name: self.variables for name in self.indices}
        lengths |= {
            "S2": comb(self.variables, 2),
            "nonzero": self.variables,
            "variance": 1,
            "total": 1,
        }
        slices, start = {}, 0
        for name, length in lengths.items():
            slices[name] = slice(start, start + length)
            start += length
        return slices

    @property
    def scale(self) -> dict[str, float]:
        """The constant factors of the formulas, which are left out of the sums."""
        return dict(kinds.sums_of(self.design).scale(self.variables))

    @property
    def sum_rows(self) -> int:
        """Number of rows."""
        return self.sums["total"].stop

    def check_order(self, order: NDArray[np.integer[Any]], blocks: int) -> None:
        """Check that there is a permutation per block, where the design has permutations.

        Raises:
            ValueError: it has another shape than ``(block, D)``.
        """
        expected = blocks, self.variables
        if kinds.get(self.design).permuted and order.shape != expected:
            raise ValueError(f"order has shape {order.shape}, expected {expected}")

    def pair_table(self) -> NDArray[np.int64]:
        """Row of the pair (i, j) in either order, ``(D, D)``; -1 on the diagonal."""
        table = np.full((self.variables, self.variables), -1, dtype=np.int64)
        first, second = np.triu_indices(self.variables, 1)  # in the order of the pairs
        table[first, second] = table[second, first] = np.arange(len(first))
        return table


@cache
def _pairs(variables: int) -> tuple[tuple[int, int], ...]:
    """Return all pairs; of hundreds of variables there are tens of thousands."""
    return tuple(combinations(range(variables), 2))
