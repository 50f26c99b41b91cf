"""Which shards evaluate a design: rectangles of replicates and blocks, named by their own rows.

What a shard holds follows from its name alone, and its blocks begin and end where shells do
(`variscope.designs.cells`), so that shards of an earlier, smaller study are shards of a larger one.
Planning takes them first and covers what is left by new ones. It gives the same plan again
whichever of the planned shards are there already: a run that goes on, and the jobs of a cluster,
which plan again, agree with the run that began.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from variscope.designs.cells import is_boundary, largest_power, shells

# What a shard's name looks like, and without its groups: a constraint of Snakemake's wildcard.
NAME = re.compile(r"replicates-(\d+)-(\d+)-blocks-(\d+)-(\d+)")
NAMES = re.sub("[()]", "", NAME.pattern)


@dataclass(frozen=True, order=True)
class Shard:
    """The blocks [start, stop) of the replicates [first, end), which one job evaluates."""

    start: int
    stop: int
    first: int
    end: int

    @classmethod
    def of(cls, name: str) -> Shard:
        """Return the shard of a name.

        Raises:
            ValueError: it is no shard's.
        """
        if not (match := NAME.fullmatch(name)):
            raise ValueError(f"{name!r} is no shard's name")
        first, last, start, stop = map(int, match.groups())
        return cls(start, stop, first, last + 1)

    @property
    def name(self) -> str:
        """Of its directory: first and last replicate, first block and the one after the last."""
        return f"replicates-{self.first:03}-{self.end - 1:03}-blocks-{self.start:06}-{self.stop:06}"

    @property
    def replicates(self) -> tuple[int, ...]:
        """The numbers of its replicates."""
        return tuple(range(self.first, self.end))

    @property
    def blocks(self) -> int:
        """Blocks of all of its replicates."""
        return (self.end - self.first) * (self.stop - self.start)

    @property
    def place(self) -> tuple[slice, slice]:
        """Its replicates and its shells, counted from [0, 1)."""
        shells_before, last = self.start.bit_length(), (self.stop - 1).bit_length()
        return slice(self.first, self.end), slice(shells_before, last + 1)


def plan_shards(
    sizes: Sequence[int], most_blocks: int, there: Iterable[Shard] = ()
) -> tuple[Shard, ...]:
    """Cover all blocks of all replicates, each once.

    Args:
        sizes: blocks of each replicate.
        most_blocks: of a new shard, about; more where one shell of one replicate has more.
        there: shards that an earlier run left, in any order; those are taken that fit, larger ones
            first.

    Returns:
        The shards, by their blocks, then their replicates. New ones are of an aligned group of a
        power of two of replicates, and cut at powers of two of blocks. The last shell of a
        replicate whose size is no power of two is a shard of its own, so that the others are
        those of a larger study.
    """
    taken: list[Shard] = []
    covered = np.zeros((len(sizes), max(sizes).bit_length() + 1), dtype=bool)
    for shard in sorted(there, key=lambda shard: (-shard.blocks, shard)):
        if _fits(shard, sizes) and not covered[shard.place].any():
            covered[shard.place] = True
            taken.append(shard)
    return tuple(sorted([*taken, *_new_shards(sizes, max(1, most_blocks), covered)]))


def _fits(shard: Shard, sizes: Sequence[int]) -> bool:
    """Say whether a shard is of these replicates, and its sums merge to those of a whole run."""
    if not (shard.first < shard.end <= len(sizes) and shard.start < shard.stop):
        return False
    of_replicates = sizes[shard.first : shard.end]
    if not is_boundary(shard.start) or shard.stop > min(of_replicates):
        return False
    if is_boundary(shard.stop):
        return True
    return set(of_replicates) == {shard.stop} and shard.start == largest_power(shard.stop)


def _new_shards(
    sizes: Sequence[int], most_blocks: int, covered: NDArray[np.bool_]
) -> Iterator[Shard]:
    """Cover the shells that are left, of those ``(replicate, shell)``.

    What is cut depends on the shells that are left of one replicate, and a group on where it
    stands: so it is the same where some of these shards are taken already.
    """
    members: dict[tuple[int, int], list[int]] = {}
    for replicate, size in enumerate(sizes):
        for piece in _pieces(size, most_blocks, covered[replicate]):
            members.setdefault(piece, []).append(replicate)
    for (start, stop), replicates in members.items():
        group = largest_power(max(1, most_blocks // (stop - start)))
        first = before = replicates[0]
        for replicate in replicates[1:]:
            if replicate != before + 1 or replicate % group == 0:
                yield Shard(start, stop, first, before + 1)
                first = replicate
            before = replicate
        yield Shard(start, stop, first, before + 1)


def _pieces(size: int, most_blocks: int, covered: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Join a replicate's neighbouring shells that are left, up to this many blocks."""
    piece: tuple[int, int] | None = None
    for at, (start, stop) in enumerate(shells(0, size)):
        if covered[at]:
            continue
        joins = piece is not None and piece[1] == start and is_boundary(stop)
        if piece is not None and joins and stop - piece[0] <= most_blocks:
            piece = piece[0], stop
        else:
            if piece is not None:
                yield piece
            piece = start, stop
    if piece is not None:
        yield piece
