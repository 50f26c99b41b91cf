"""The sums of one replicate, shell by shell along a spine, so that they can grow.

At each power of two of blocks

    total = round(total + round(sums of the shell that ends there))

with `moments.with_float32_bits` for round; within a shell blocks are added in float64, cell by cell
(`variscope.designs.cells`). What is stored has 24 bits, and adding stored parts in the order of
their blocks (`moments.merge`) takes the same steps: a replicate that grows, or that several shards
hold, has the bits of one that was evaluated at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from variscope.designs.cells import is_boundary, largest_power
from variscope.estimators.layout import Layout
from variscope.estimators.moments import Moments, with_float32_bits


class Spine:
    """Adds up consecutive blocks of one replicate, cell by cell.

    Args:
        layout: of the sums.
        replicate: its number.
        unit: shape of the units.
        start: number of the first block, 0 or a power of two.
    """

    def __init__(
        self, layout: Layout, replicate: int, unit: tuple[int, ...], start: int = 0
    ) -> None:
        self._layout, self._replicate, self._unit = layout, replicate, unit
        self._start = self._at = start
        self._shell = self._empty(start)
        self._closed: list[Moments] = []

    def update(
        self,
        outputs: NDArray[np.floating[Any]],
        order: NDArray[np.integer[Any]],
        rows: NDArray[np.integer[Any]] | None = None,
    ) -> None:
        """Add the blocks of the next cell, as `Moments.update` does.

        Raises:
            ValueError: they go beyond the end of a shell.
        """
        blocks = len(order) if rows is None else len(rows)
        stop = check_within_shell(self._at, blocks)
        self._shell.update(self._replicate, outputs, order, rows)
        self._at = stop
        if is_boundary(stop):
            self._close()

    def moments(self) -> tuple[Moments, ...]:
        """Return the sums of all blocks.

        Returns:
            One entry for a spine that begins at block 0, else one a shell, which `merge` adds to
            the sums of the blocks before.
        """
        if self._shell.blocks[0]:
            self._close()
        return tuple(self._closed)

    def _empty(self, first: int) -> Moments:
        return Moments.zeros(self._layout, [self._replicate], self._unit, first)

    def _close(self) -> None:
        shell = self._shell
        if self._start or not self._closed:
            self._closed.append(shell.rounded())
            self._shell = self._empty(self._at)
            return
        total = self._closed[0]
        _close(total.sums.reshape(-1), shell.sums.reshape(-1))
        for name in ("blocks", "pair_counts", "moved"):
            getattr(total, name)[:] += getattr(shell, name)
            getattr(shell, name)[:] = 0
        shell.first[:] = self._at


def _close(total: NDArray[np.float64], shell: NDArray[np.float64]) -> None:
    """Add the sums of a shell to the total, with the bits of `merge`, and empty the shell."""
    from variscope.estimators.kernels import close_shell
    from variscope.estimators.vectors import LANES

    whole = len(total) - len(total) % LANES
    close_shell(total[:whole], shell[:whole])
    total[whole:] = with_float32_bits(total[whole:] + with_float32_bits(shell[whole:]))
    shell[whole:] = 0


def check_within_shell(at: int, blocks: int) -> int:
    """Return the block after a cell of this many that begins at ``at``.

    Raises:
        ValueError: it goes beyond the end of a shell.
    """
    end = 2 * largest_power(at) if at else 1
    if at + blocks > end:
        raise ValueError(f"blocks {at} to {at + blocks} go beyond {end}, where a shell ends")
    return at + blocks
