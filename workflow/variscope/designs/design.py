"""Designs: the tables of points at which the network is evaluated, one block at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from variscope.designs import kinds
from variscope.designs.points import base_points, permutations, replicate_sizes

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Blocks:
    """Consecutive blocks of one replicate.

    Attributes:
        replicate: its number.
        start: number of the first of them within the replicate.
        points: ``(block, row, factor)`` in [0, 1).
        order: the permutation of each block, ``(block, D)``; ``(block, 0)`` of a design that has
            none.
    """

    replicate: int
    start: int
    points: Array
    order: NDArray[np.int64]


@dataclass(frozen=True)
class Design:
    """A design over groups of factors.

    Attributes:
        kind: its name in `variscope.designs.kinds`.
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
        kinds.get(self.kind)
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
        return kinds.get(self.kind).rows(len(self.groups))

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
        kinds.get(self.kind)
        if not 0 <= self.start < self.stop:
            raise ValueError(f"blocks are [{self.start}, {self.stop}); at least one is needed")

    @property
    def rows(self) -> int:
        """Rows of one block."""
        return kinds.get(self.kind).rows(len(self.groups))

    @property
    def blocks(self) -> int:
        """Blocks of all replicates."""
        return len(self.replicates) * (self.stop - self.start)

    def blocks_of(self, replicate: int) -> Blocks:
        """Return the part's blocks of one of its replicates."""
        factors, kept = sum(len(group) for group in self.groups), slice(self.start, None)
        x, y = base_points(self.seed, self.kind, replicate, self.stop, factors)
        order = np.zeros((self.stop, 0), dtype=np.int64)
        kind = kinds.get(self.kind)
        if kind.permuted:
            order = permutations(self.seed, self.kind, replicate, self.stop, len(self.groups))
        points = kind.points(x[kept], y[kept], order[kept], self.groups)
        return Blocks(replicate, self.start, points, order[kept])
