"""The rounds of a study that grows until its intervals are narrow, and which shards are of each.

All rounds up to the most blocks are planned before the first job, since Snakemake's checkpoints
crash or duplicate jobs in groups (its issues 4202, 2151). Between two rounds stands a gate
(`variscope.study.gates`), which is named by the first block that waits for it, a power of two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from variscope.designs import replicate_sizes
from variscope.designs.cells import is_boundary
from variscope.indices.precision import Target
from variscope.study.sharding import Shard, plan_shards


@dataclass(frozen=True)
class Round:
    """A size of a study.

    Attributes:
        blocks: base points over all replicates.
        shards: that hold them, those of the round before among them.
    """

    blocks: int
    shards: tuple[Shard, ...]


def sizes_of(blocks: int, replicates: int, target: Target | None) -> tuple[tuple[int, ...], ...]:
    """Return the blocks of each replicate in each round; one round where there is no target.

    Args:
        blocks: of the first round, over all replicates.
        replicates: of the design.
        target: what is asked of the intervals.
    """
    rounds = (blocks,) if target is None else target.sizes(blocks)
    return tuple(replicate_sizes(size, replicates) for size in rounds)


def plan_rounds(
    sizes: Sequence[Sequence[int]], most_blocks: int, there: Iterable[Shard] = ()
) -> tuple[Round, ...]:
    """Plan the shards of each round.

    Args:
        sizes: of `sizes_of`.
        most_blocks, there: as of `variscope.study.sharding.plan_shards`.
    """
    rounds: list[Round] = []
    left = frozenset(there)
    for of_replicates in sizes:
        before = rounds[-1].shards if rounds else ()
        shards = plan_shards(of_replicates, most_blocks, left.union(before))
        rounds.append(Round(sum(of_replicates), shards))
    return tuple(rounds)


def round_before(sizes: Sequence[Sequence[int]], start: int) -> int | None:
    """Return the round that says whether blocks from ``start`` on are wanted; None: they are."""
    at = next(number for number, one in enumerate(sizes) if start < max(one))
    return at - 1 if at else None


def gate_after(sizes: Sequence[Sequence[int]], number: int) -> int:
    """Return the first block of a replicate that waits for a round, a power of two.

    Raises:
        ValueError: it is the last round, for which nothing waits.
    """
    if number + 1 >= len(sizes):
        raise ValueError(f"nothing waits for round {number} of {len(sizes)}")
    first, beyond = max(sizes[number]), max(sizes[number + 1])
    return next(start for start in range(first, beyond) if is_boundary(start))
