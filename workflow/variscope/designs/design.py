"""Designs: the tables of points at which the network is evaluated, one block at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from variscope.designs.points import base_points, permutations, replicate_sizes

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Blocks:
    """All blocks of one replicate.

    Attributes:
        replicate: its number.
        points: ``(block, row, factor)`` in [0, 1).
        order: the cycle's permutation of each block, ``(block, D)``; the star's is empty.
    """

    replicate: int
    points: Array
    order: NDArray[np.int64]


@dataclass(frozen=True)
class Design:
    """A design over groups of factors.

    Attributes:
        kind: ``"cycle"`` or ``"star"``.
        groups: the factors (columns) of each variable, in the order of the variables.
        blocks: base points over all replicates.
        replicates: independent randomisations, at least 2.
        seed: of the study.
    """

    kind: str
    groups: tuple[tuple[int, ...], ...]
    blocks: int
    replicates: int
    seed: int

    def __post_init__(self) -> None:
        if self.kind not in ROWS:
            raise ValueError(f"design is {self.kind!r}; allowed: {', '.join(ROWS)}")
        replicate_sizes(self.blocks, self.replicates)

    @property
    def factors(self) -> int:
        """Coordinates of a point."""
        return sum(len(group) for group in self.groups)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Blocks of each replicate."""
        return replicate_sizes(self.blocks, self.replicates)

    @property
    def rows(self) -> int:
        """Rows of one block."""
        return 2 * len(self.groups) + (2 if self.kind == "star" else 0)

    def replicate(self, number: int) -> Blocks:
        """Return the blocks of one replicate: a pure function of (seed, kind, number)."""
        size = self.sizes[number]
        x, y = base_points(self.seed, self.kind, number, size, self.factors)
        rows, order = ROWS[self.kind], np.zeros((size, 0), dtype=np.int64)
        if self.kind == "cycle":
            order = permutations(self.seed, self.kind, number, size, len(self.groups))
        return Blocks(number, rows(x, y, order, self.groups), order)


def cycle_rows(
    x: Array, y: Array, order: NDArray[np.int64], groups: tuple[tuple[int, ...], ...]
) -> Array:
    """Walk from x to y one variable at a time in the block's order, and back.

    Row k holds pi(1..k) of y and the rest of x; row D + k the reverse.

    Returns:
        ``(block, 2 D, factor)``.
    """
    variables = order.shape[1]
    position = np.argsort(order, axis=1)  # when each variable moves
    moved = position[:, None, :] < np.arange(variables)[None, :, None]  # (block, k, variable)
    from_y = np.concatenate([moved, ~moved], axis=1)
    return np.where(_factors_of(from_y, groups), y[:, None], x[:, None])


def star_rows(
    x: Array, y: Array, order: NDArray[np.int64], groups: tuple[tuple[int, ...], ...]
) -> Array:
    """Saltelli's rows A, AB_1..AB_D, BA_1..BA_D, B, with A = x and B = y.

    Returns:
        ``(block, 2 D + 2, factor)``.
    """
    one = np.eye(len(groups), dtype=bool)
    none = np.zeros((1, len(groups)), dtype=bool)
    from_y = np.concatenate([none, one, ~one, ~none])[None]
    return np.where(_factors_of(from_y, groups), y[:, None], x[:, None])


ROWS = {"cycle": cycle_rows, "star": star_rows}


def _factors_of(
    variables: NDArray[np.bool_], groups: tuple[tuple[int, ...], ...]
) -> NDArray[np.bool_]:
    """Spread a choice of variables ``(..., variable)`` over their factors ``(..., factor)``."""
    factors = np.zeros((*variables.shape[:-1], sum(map(len, groups))), dtype=bool)
    for variable, group in enumerate(groups):
        factors[..., list(group)] = variables[..., variable, None]
    return factors
