"""Moments: the mergeable sums that every estimator but the paired ranks is a function of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variscope.designs import kinds
from variscope.estimators.layout import DROPPED_BITS, Layout

# Sums of all replicates that are turned into indices at once.
SLAB_BYTES = 256 * 2**20

_AT_ONCE = 2**16


@dataclass(frozen=True)
class Moments:
    """Sums of one layer's units over the blocks of some replicates.

    Attributes:
        layout: what each row of ``sums`` is.
        replicates: their numbers, increasing, ``(replicate,)``.
        first: number of the first block that is summed, ``(replicate,)``.
        blocks: base points summed so far, ``(replicate,)``.
        sums: float64, ``(replicate, Layout.sum_rows, *unit)``.
        pair_counts: blocks' S2 products per pair, int64, ``(replicate, pair)``.
        moved: steps in which a variable changed the stimulus, int64, ``(replicate, variable)``.
        weighted: the counts of non-zero products are weighted by the units' variances, as
            `summed_over` has them.
    """

    layout: Layout
    replicates: NDArray[np.int64]
    first: NDArray[np.int64]
    blocks: NDArray[np.int64]
    sums: NDArray[np.float64]
    pair_counts: NDArray[np.int64]
    moved: NDArray[np.int64]
    weighted: bool = False

    @classmethod
    def zeros(
        cls, layout: Layout, replicates: Sequence[int], unit: tuple[int, ...], first: int = 0
    ) -> Moments:
        """Return empty sums for units of shape ``unit``, of the blocks from ``first`` on."""
        numbers = np.array(sorted(set(replicates)), dtype=np.int64)
        n = len(numbers)
        return cls(
            layout,
            numbers,
            np.full(n, first, dtype=np.int64),
            np.zeros(n, dtype=np.int64),
            np.zeros((n, layout.sum_rows, *unit)),
            np.zeros((n, len(layout.pairs)), dtype=np.int64),
            np.zeros((n, layout.variables), dtype=np.int64),
        )

    @property
    def unit(self) -> tuple[int, ...]:
        """Shape of the units."""
        return self.sums.shape[2:]

    def update(
        self,
        replicate: int,
        outputs: NDArray[np.floating[Any]],
        order: NDArray[np.integer[Any]],
        rows: NDArray[np.integer[Any]] | None = None,
    ) -> None:
        """Add blocks of one replicate, in their order, in place.

        Args:
            replicate: its number, one of ``replicates``.
            outputs: ``(block, row, *unit)``, float32 or float64; never changed.
            order: the blocks' permutations, ``(block, D)``; a design that has none ignores it.
            rows: where rows repeat each other, the evaluation that holds each row's outputs,
                ``(block, row)``; outputs are then ``(evaluation, *unit)``.

        Raises:
            ValueError: shapes that do not fit the layout, or an unknown replicate.
        """
        # numba is costly to import, and whoever only plans or merges does not need it.
        from variscope.estimators.kernels import ADD

        layout = self.layout
        if rows is None:
            expected = (layout.rows, *self.unit)
            if outputs.shape[1:] != expected:
                raise ValueError(
                    f"outputs have rows and units {outputs.shape[1:]}, expected {expected}"
                )
            rows = np.arange(outputs.shape[0] * layout.rows).reshape(-1, layout.rows)
        elif outputs.shape[1:] != self.unit or rows.shape[1:] != (layout.rows,):
            raise ValueError(
                f"outputs have units {outputs.shape[1:]} and rows {rows.shape[1:]}, "
                f"expected {self.unit} and {(layout.rows,)}"
            )
        (where,) = np.nonzero(self.replicates == replicate)
        if len(where) != 1:
            raise ValueError(f"replicate {replicate} is not one of {self.replicates.tolist()}")
        at = int(where[0])
        evaluations = int(np.prod(outputs.shape)) // max(1, int(np.prod(self.unit)))
        flat = np.ascontiguousarray(outputs).reshape(evaluations, -1)
        if rows.size and not 0 <= rows.min() <= rows.max() < evaluations:
            raise ValueError(f"rows name evaluations beyond the {evaluations} that are given")
        row_evaluations = np.ascontiguousarray(rows, dtype=np.int64)
        sums = self.sums[at].reshape(layout.sum_rows, -1)
        layout.check_order(order, len(rows))
        variables = np.ascontiguousarray(order, dtype=np.int64)
        ADD[layout.design](flat, row_evaluations, variables, layout.pair_table(), sums)
        self.count(at, rows, order)

    def count(
        self, at: int, rows: NDArray[np.integer[Any]], order: NDArray[np.integer[Any]]
    ) -> None:
        """Count blocks, their products and steps, whose terms are summed elsewhere, in place.

        Args:
            at: place of their replicate.
            rows: which evaluation each row is, ``(block, row)``.
            order: as of `update`.
        """
        layout = self.layout
        pair_counts = kinds.sums_of(layout.design).pair_counts
        self.pair_counts[at] += pair_counts(rows, order, layout.pair_table())
        self.moved[at] += kinds.get(layout.design).moved(rows, order)
        self.blocks[at] += len(rows)

    def rounded(self) -> Moments:
        """Return the sums of whole replicates with float32's bits: their terms have no more."""
        return replace(self, sums=with_float32_bits(self.sums))

    def flat(self, units: slice) -> Moments:
        """Return the sums of some units, counted without their shape; nothing is copied."""
        flat = self.sums.reshape(*self.sums.shape[:2], -1)[..., units]
        return replace(self, sums=flat)

    def numerator(self, name: str) -> NDArray[np.float64]:
        """Return the sums of an index's terms, ``(replicate, variable or pair, *unit)``."""
        return self.layout.scale[name] * self.sums[:, self.layout.sums[name]]

    @property
    def variance(self) -> NDArray[np.float64]:
        """The sums of the common denominator's terms, ``(replicate, *unit)``."""
        return self.layout.scale["variance"] * self.raw("variance")

    def raw(self, name: str) -> NDArray[np.float64]:
        """Return a sum that has one row, as it is, ``(replicate, *unit)``."""
        return self.sums[:, self.layout.sums[name].start]


def with_float32_bits(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round to 24 significant bits, float32's, over the range of float64, half to even.

    The other bits are 0 and compress away; no value is too small or too large for it. Infinities
    and NaN stay what they are.
    """
    rounded = np.array(values, dtype=np.float64, order="C")
    entries = rounded.view(np.uint64).reshape(-1)
    for start in range(0, len(entries), _AT_ONCE):  # what is made on the way is small
        bits = entries[start : start + _AT_ONCE]
        odd = (bits >> np.uint64(DROPPED_BITS)) & np.uint64(1)
        bits += np.uint64(2 ** (DROPPED_BITS - 1) - 1) + odd
        bits &= ~np.uint64(2**DROPPED_BITS - 1)
    return rounded


def summed_over(moments: Moments, chosen: NDArray[np.bool_], keep: int = 1) -> Moments:
    """Sum over the chosen units, but for the leading unit dimensions.

    Args:
        moments: units ``(*kept, *rest)``.
        chosen: ``(*unit)``.
        keep: how many leading dimensions are kept; units without any dimension become one.

    Returns:
        Moments with units ``(*kept,)``. Units are dependent: summed inside each replicate, they
        give aggregates whose intervals hold (Gamboa, Janon, Klein, Lagnoux 2014). The counts of
        non-zero products are summed with the variances of the units over all replicates for
        weights, so that over the summed variance they are a mean count.
    """
    kept = moments.unit[:keep] if moments.unit or not keep else (1,)
    sums = np.where(chosen, moments.sums, 0.0)
    if not moments.weighted:
        weight = sums[:, moments.layout.sums["variance"]].sum(axis=0)
        sums[:, moments.layout.sums["nonzero"]] *= weight
    sums = sums.reshape(*sums.shape[:2], *kept, -1).sum(axis=-1)
    return replace(moments, sums=sums, weighted=True)


def join(slabs: Sequence[Moments]) -> Moments:
    """Join moments of the same blocks along the leading unit dimension."""
    return replace(slabs[0], sums=np.concatenate([slab.sums for slab in slabs], axis=2))


def merge(parts: Sequence[Moments]) -> Moments:
    """Return the sums of all parts, which come in any order.

    Replicates that several parts hold are added from their first blocks on, and rounded as
    `variscope.estimators.spine` rounds them: the bits are those of one run over all blocks, where
    the first part of a replicate begins at block 0 and each other is one shell.

    Raises:
        ValueError: no part, layouts or units differ, or blocks in the middle of a replicate are
            missing or there twice.
    """
    if not parts:
        raise ValueError("there are no moments to merge")
    layout, unit = parts[0].layout, parts[0].unit
    for part in parts:
        if part.layout != layout or part.unit != unit:
            raise ValueError(
                f"moments of {layout} with units {unit} do not merge with "
                f"{part.layout} with units {part.unit}"
            )
    entries = sorted(
        (int(number), int(part.first[k]), place, k)
        for place, part in enumerate(parts)
        for k, number in enumerate(part.replicates)
    )
    merged = Moments.zeros(layout, [number for number, *_ in entries], unit)
    seen: set[int] = set()
    for number, first, place, k in entries:
        part, at = parts[place], int(np.searchsorted(merged.replicates, number))
        if number not in seen:
            merged.first[at], merged.sums[at] = first, part.sums[k]
        elif first != merged.first[at] + merged.blocks[at]:
            raise ValueError(
                f"replicate {number}: after block {merged.first[at] + merged.blocks[at]} comes a "
                f"part that begins at {first}"
            )
        else:
            merged.sums[at] = _added(merged.sums[at], part.sums[k])
        seen.add(number)
        merged.blocks[at] += part.blocks[k]
        merged.pair_counts[at] += part.pair_counts[k]
        merged.moved[at] += part.moved[k]
    return merged


def _added(total: NDArray[np.float64], shell: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add the sums of a shell: `variscope.estimators.kernels.close_shell` without numba."""
    return with_float32_bits(with_float32_bits(total) + with_float32_bits(shell))
