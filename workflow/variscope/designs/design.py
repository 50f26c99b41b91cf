"""Designs: the tables of points at which the network is evaluated, one block at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from variscope.designs.points import base_points, permutations, replicate_sizes

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Blocks:
    """Consecutive blocks of one replicate.

    Attributes:
        replicate: its number.
        start: number of the first of them within the replicate.
        points: ``(block, row, factor)`` in [0, 1).
        order: the cycle's permutation of each block, ``(block, D)``; the star's is empty.
    """

    replicate: int
    start: int
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
        return rows_of_block(self.kind, len(self.groups))

    def replicate(self, number: int) -> Blocks:
        """Return the blocks of one replicate: a pure function of (seed, kind, number)."""
        return self.part([number], 0, self.sizes[number]).blocks_of(number)

    def part(self, replicates: Sequence[int], start: int, stop: int) -> DesignPart:
        """Return the blocks [start, stop) of some replicates."""
        return DesignPart(self.kind, self.groups, self.seed, tuple(replicates), start, stop)


@dataclass(frozen=True)
class DesignPart:
    """The same blocks of some replicates, which a shard evaluates.

    A replicate's blocks do not depend on how many of them there are, so neither does a part.

    Attributes:
        kind, groups, seed: as of `Design`.
        replicates: their numbers, increasing.
        start, stop: the blocks [start, stop) of each of them.
    """

    kind: str
    groups: tuple[tuple[int, ...], ...]
    seed: int
    replicates: tuple[int, ...]
    start: int
    stop: int

    def __post_init__(self) -> None:
        if self.kind not in ROWS:
            raise ValueError(f"design is {self.kind!r}; allowed: {', '.join(ROWS)}")
        if not 0 <= self.start < self.stop:
            raise ValueError(f"blocks are [{self.start}, {self.stop}); at least one is needed")

    @property
    def rows(self) -> int:
        """Rows of one block."""
        return rows_of_block(self.kind, len(self.groups))

    @property
    def blocks(self) -> int:
        """Blocks of all replicates."""
        return len(self.replicates) * (self.stop - self.start)

    def blocks_of(self, replicate: int) -> Blocks:
        """Return the part's blocks of one of its replicates."""
        factors, kept = sum(len(group) for group in self.groups), slice(self.start, None)
        x, y = base_points(self.seed, self.kind, replicate, self.stop, factors)
        order = np.zeros((self.stop, 0), dtype=np.int64)
        if self.kind == "cycle":
            order = permutations(self.seed, self.kind, replicate, self.stop, len(self.groups))
        points = ROWS[self.kind](x[kept], y[kept], order[kept], self.groups)
        return Blocks(replicate, self.start, points, order[kept])


def rows_of_block(kind: str, variables: int) -> int:
    """Return the rows of one block: 2 D of the cycle, 2 D + 2 of the star."""
    return 2 * variables + (2 if kind == "star" else 0)


def cycle_rows(
    x: Array, y: Array, order: NDArray[np.int64], groups: tuple[tuple[int, ...], ...]
) -> Array:
    """Walk from x to y one variable at a time in the block's order, and back.

    Row k holds pi(1..k) of y and the rest of x; row D + k the reverse.

    Returns:
        ``(block, 2 D, factor)``.

    Example:
        >>> x, y = np.array([[0.1, 0.2, 0.3]]), np.array([[0.7, 0.8, 0.9]])
        >>> cycle_rows(x, y, np.array([[1, 0, 2]]), ((0,), (1,), (2,)))[0]
        array([[0.1, 0.2, 0.3],
               [0.1, 0.8, 0.3],
               [0.7, 0.8, 0.3],
               [0.7, 0.8, 0.9],
               [0.7, 0.2, 0.9],
               [0.1, 0.2, 0.9]])
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

    Example:
        >>> a, b = np.array([[0.1, 0.2]]), np.array([[0.7, 0.8]])
        >>> star_rows(a, b, np.zeros((1, 0), int), ((0,), (1,)))[0]
        array([[0.1, 0.2],
               [0.7, 0.2],
               [0.1, 0.8],
               [0.1, 0.8],
               [0.7, 0.2],
               [0.7, 0.8]])
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
