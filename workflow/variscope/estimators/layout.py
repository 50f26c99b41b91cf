"""What is summed for one unit and one replicate, and where each sum stands.

Every index but the paired ranks is a ratio of sums over base points (blocks). The sums of one
replicate are one float64 array ``(sum, unit)``; the layout gives its rows names, so that the
compiled kernels, the stores and the estimators agree on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

DESIGNS = ("cycle", "star")

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
        design: ``"cycle"`` or ``"star"``.
        variables: number of variables D (at least 1).
    """

    design: str
    variables: int

    def __post_init__(self) -> None:
        if self.design not in DESIGNS:
            raise ValueError(f"design is {self.design!r}; allowed: {', '.join(DESIGNS)}")
        if self.variables < 1:
            raise ValueError(f"a design needs at least one variable, got {self.variables}")

    @property
    def rows(self) -> int:
        """Rows of one block: 2 D of the cycle, 2 D + 2 of the star."""
        return 2 * self.variables + (2 if self.design == "star" else 0)

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Pairs of variables ``(i, j)``, i < j, in the order of their sums."""
        return tuple(combinations(range(self.variables), 2))

    @property
    def indices(self) -> tuple[str, ...]:
        """Names of the indices that the design estimates per variable."""
        return ("S1", "ST", "shapley") if self.design == "cycle" else ("S1", "ST")

    @property
    def sums(self) -> dict[str, slice]:
        """Rows of the sums by name.

        ``S1``, ``ST``, ``shapley`` (D rows each, the star has no shapley) and ``S2`` (one row a
        pair) are numerators, ``variance`` their common denominator, each still to be multiplied by
        its `scale`; ``nonzero`` counts first-order products that are not 0 (D rows); ``total`` is
        the sum of the outputs over all rows.
        """
        lengths = {name: self.variables for name in self.indices}
        lengths |= {"S2": len(self.pairs), "nonzero": self.variables, "variance": 1, "total": 1}
        slices, start = {}, 0
        for name, length in lengths.items():
            slices[name] = slice(start, start + length)
            start += length
        return slices

    @property
    def scale(self) -> dict[str, float]:
        """The constant factors of the formulas, which are left out of the sums."""
        n = self.variables
        if self.design == "cycle":
            return {"S1": -1 / 2, "ST": 1 / 4, "shapley": 1 / (4 * n), "S2": -1 / 2,
                    "variance": 1 / (2 * n)}  # fmt: skip
        return {"S1": -1 / 2, "ST": 1 / 4, "S2": 1 / 2, "variance": 1 / (4 * n)}

    @property
    def sum_rows(self) -> int:
        """Number of rows."""
        return self.sums["total"].stop

    def pair_table(self) -> NDArray[np.int64]:
        """Row of the pair (i, j) in either order, ``(D, D)``; -1 on the diagonal."""
        table = np.full((self.variables, self.variables), -1, dtype=np.int64)
        for row, (i, j) in enumerate(self.pairs):
            table[i, j] = table[j, i] = row
        return table
