"""How the blocks of a replicate are cut: for the network into cells, for the sums into shells.

Which blocks are evaluated and added together decides the last bits of outputs and sums. So that a
replicate that grows gives the bits of one that was large from the beginning, both cuts depend on
the blocks' numbers alone, and never on how many there are:

    shells   [0, 1), [1, 2), [2, 4), [4, 8), ...          between powers of two
    cells    shells up to a size B, then B blocks each    B a power of two, what a batch holds

A cell never crosses a shell's end; a replicate's last cell and shell may be cut short. The sums of
a shell are added up in float64 and rounded, and so is the total after each shell
(`variscope.estimators.spine`): shards that are cut at powers of two merge to the same bits. What
begins in the middle begins at a power of two.
"""

from __future__ import annotations


def is_boundary(block: int) -> bool:
    """Say whether a shell may begin at a block: at 0 and at the powers of two."""
    return block >= 0 and block & (block - 1) == 0


def largest_power(count: int) -> int:
    """Return the largest power of two that is at most ``count``, which is at least 1."""
    return 1 << (count.bit_length() - 1)


def shells(start: int, stop: int) -> list[tuple[int, int]]:
    """Cut the blocks [start, stop) at the powers of two.

    Raises:
        ValueError: ``start`` is neither 0 nor a power of two.

    Example:
        >>> shells(4, 12)
        [(4, 8), (8, 12)]
    """
    return _cut(start, stop, stop)


def cells(start: int, stop: int, at_once: int) -> list[tuple[int, int]]:
    """Cut the blocks [start, stop) into those that are evaluated together.

    Args:
        start: 0 or a power of two.
        stop: at least ``start``.
        at_once: blocks that a batch holds, a power of two.

    Raises:
        ValueError: ``start`` is neither 0 nor a power of two, or ``at_once`` no power of two.

    Example:
        >>> cells(4, 12, at_once=2)
        [(4, 6), (6, 8), (8, 10), (10, 12)]
    """
    if at_once < 1 or not is_boundary(at_once):
        raise ValueError(f"at_once is {at_once}; allowed: powers of two")
    return _cut(start, stop, at_once)


def summed_ranges(start: int, stop: int) -> list[tuple[int, int]]:
    """Return the ranges of blocks of which a shard keeps sums of their own.

    From the first block on the total is one; what begins later is added shell by shell to the
    total of the blocks before it, which another shard has.
    """
    return [(0, stop)] if start == 0 else shells(start, stop)


def _cut(start: int, stop: int, at_most: int) -> list[tuple[int, int]]:
    """Cut [start, stop) where a shell ends, and after ``at_most`` blocks where it is longer."""
    if not is_boundary(start):
        raise ValueError(f"blocks begin at {start}; allowed: 0 and powers of two")
    pieces = []
    while start < stop:
        end = min(stop, start + min(max(start, 1), at_most))
        pieces.append((start, end))
        start = end
    return pieces
