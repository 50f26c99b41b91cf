"""Base points: independently scrambled Sobol' sequences, one per replicate.

A replicate's points are a pure function of (seed, design, replicate): one half of the dimensions of
a sequence of twice the number of factors is x (or A), the other half y (or B); which serves which
is chosen in `variscope.designs.assignment`. Permutations come from a stream of their own. Nothing
is drawn anywhere else.
"""

from __future__ import annotations

import warnings
import zlib

import numpy as np
from numpy.typing import NDArray

from variscope.designs.assignment import MOST, dimensions

Array = NDArray[np.float64]


def replicate_sizes(blocks: int, replicates: int) -> tuple[int, ...]:
    """Split the blocks of a study over its replicates, as evenly as can be, the first ones larger.

    Raises:
        ValueError: fewer than two replicates, or fewer blocks than replicates.

    Example:
        >>> replicate_sizes(10, 4)
        (3, 3, 2, 2)
    """
    if replicates < 2:
        raise ValueError(f"replicates is {replicates}; at least 2 are needed for an interval")
    if blocks < replicates:
        raise ValueError(f"blocks is {blocks}; at least one per replicate is needed ({replicates})")
    size, larger = divmod(blocks, replicates)
    return tuple(size + (r < larger) for r in range(replicates))


def base_points(
    seed: int, design: str, replicate: int, blocks: int, factors: int
) -> tuple[Array, Array]:
    """Return the two independent points of every block of a replicate.

    Args:
        seed: of the study.
        design: its name; designs of one study do not share points.
        replicate: its number.
        blocks: how many blocks.
        factors: coordinates of a point. Those beyond the 64 of the table of dimensions are
            independent uniform draws: unbiased as well, without what Sobol' points gain.

    Returns:
        x and y, ``(block, factor)`` in [0, 1).
    """
    from scipy.stats import qmc  # costly to import, and planning needs none of it

    if factors == 0:
        return np.zeros((blocks, 0)), np.zeros((blocks, 0))
    points_seed, _ = _streams(seed, design, replicate)
    balanced = min(factors, MOST)
    rng = np.random.default_rng(points_seed)
    with warnings.catch_warnings():
        # Balance needs powers of two; other sizes stay unbiased, since the points are scrambled.
        warnings.filterwarnings("ignore", message="The balance properties", category=UserWarning)
        points = qmc.Sobol(2 * balanced, scramble=True, rng=rng).random(blocks)
    x, y = points[:, dimensions(balanced).reshape(2, -1)].swapaxes(0, 1)
    if factors > balanced:
        beyond = rng.random((blocks, 2, factors - balanced)).swapaxes(0, 1)
        x, y = (np.concatenate(halves, axis=1) for halves in zip((x, y), beyond, strict=True))
    return x, y


def permutations(
    seed: int, design: str, replicate: int, blocks: int, variables: int
) -> NDArray[np.int64]:
    """Return a uniform random permutation of the variables for each block, ``(block, D)``."""
    _, order_seed = _streams(seed, design, replicate)
    identity = np.tile(np.arange(variables, dtype=np.int64), (blocks, 1))
    return np.random.default_rng(order_seed).permuted(identity, axis=1)


def _streams(seed: int, design: str, replicate: int) -> list[np.random.SeedSequence]:
    return np.random.SeedSequence([seed, zlib.crc32(design.encode()), replicate]).spawn(2)
