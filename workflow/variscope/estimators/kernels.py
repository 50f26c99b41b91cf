"""Compiled sums of the cycle's and the star's terms, as defined in `cycle` and `star`.

Differences and products are taken in float32, at most 32 of them are added in float32, and totals
are float64. The squares of very small or very large outputs leave the range of float32: a unit with
outputs of such a size (`SMALL`, `LARGE`) is worked on in float64 throughout, so that units of any
scale keep their variance, and none depends on its neighbours. Constant factors are left out
(`Layout.scale`). Blocks are added in their order, in groups that begin at the first block of a
call: a result depends on which blocks each call had, and on nothing else.

A block's rows lie apart in memory. They are read side by side, `LANES` units at a time in the
processor's registers, and the next block's are asked for meanwhile. The sums of a tile of units
stay in the cache while the blocks of a group are added.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from variscope.estimators.layout import GROUP, LARGE, SMALL
from variscope.estimators.vectors import (
    LANES,
    every,
    fetch,
    is_nonzero,
    join_bits,
    load,
    store,
)

# Units of a tile: the sums of 9 variables take 37 KiB in float32.
_TILE = 8 * LANES

# Blocks of a span: a tile's sums are fetched once a span, and rows that lie further apart than
# a span's are slower to read.
_SPAN = 4 * GROUP

_COMPILED: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract", "nsz"},
}


@njit(**_COMPILED)
def add_cycle(
    outputs: NDArray[np.floating[Any]],
    rows: NDArray[np.int64],
    order: NDArray[np.int64],
    pair_table: NDArray[np.int64],
    sums: NDArray[np.float64],
    pair_counts: NDArray[np.int64],
) -> None:
    """Add the terms of every block to the sums of one replicate, in place.

    Args:
        outputs: of the evaluations, ``(evaluation, unit)``, C-contiguous.
        rows: which evaluation each row is, ``(block, 2 D)``.
        order: ``(block, D)``.
        pair_table: `Layout.pair_table`, ``(D, D)``.
        sums: ``(Layout.sum_rows, unit)``, changed.
        pair_counts: ``(pair,)``, changed.
    """
    blocks, n = order.shape
    pairs = np.zeros((blocks, n), np.int64)  # of the k-th variable and the next one
    for b in range(blocks if n > 1 else 0):
        for k in range(n):
            pairs[b, k] = pair_table[order[b, k], order[b, (k + 1) % n]]
            pair_counts[pairs[b, k]] += 1
    _add(False, outputs, rows, order, pairs, sums)


@njit(**_COMPILED)
def add_star(
    outputs: NDArray[np.floating[Any]], rows: NDArray[np.int64], sums: NDArray[np.float64]
) -> None:
    """Add the terms of every block to the sums of one replicate, in place.

    Args:
        outputs: of the evaluations, ``(evaluation, unit)``, C-contiguous.
        rows: which evaluation each row is, ``(block, 2 D + 2)``.
        sums: ``(Layout.sum_rows, unit)``, changed.
    """
    blocks, n = rows.shape[0], rows.shape[1] // 2 - 1
    order, pairs = np.empty((blocks, n), np.int64), np.empty((blocks, n * (n - 1) // 2), np.int64)
    order[:], pairs[:] = np.arange(n), np.arange(pairs.shape[1])
    _add(True, outputs, rows, order, pairs, sums)


@njit(**_COMPILED)
def _add(star, outputs, rows, order, pairs, sums):  # type: ignore[no-untyped-def]
    """Add blocks to sums, a tile of units and a group of blocks at a time.

    Args:
        star: of which design the blocks are.
        outputs, rows, sums: as of `add_cycle`.
        order: which variable the k-th is, ``(block, D)``.
        pairs: those whose sums a block adds to, ``(block, any)``.
    """
    units, n = outputs.shape[1], order.shape[1]
    fast, exact = _room(len(sums), np.float32(0)), _room(len(sums), np.float64(0))
    met, left = np.ones(len(sums), np.bool_), np.ones(_TILE, np.bool_)
    pair_end = len(sums) - n - 2
    pair_start = pair_end - n * (n - 1) // 2
    for span in range(0, len(rows), _SPAN):
        for start in range(0, units, _TILE):
            stop = min(start + _TILE, units)
            for first in range(span, min(span + _SPAN, len(rows)), GROUP):
                blocks = slice(first, min(first + GROUP, len(rows)))
                met[pair_start:pair_end] = False
                for pair in pairs[blocks].flat:
                    met[pair_start + pair] = True
                left[: stop - start] = True
                if outputs.itemsize == 4:
                    _sum_group(star, outputs, start, stop, rows, blocks, order, pairs, *fast)
                    _find_extraordinary(fast[0], fast[1], n, left[: stop - start])
                    _add_group(sums, start, fast[0], met, ~left[: stop - start])
                if left[: stop - start].any():
                    _sum_group(star, outputs, start, stop, rows, blocks, order, pairs, *exact)
                    _add_group(sums, start, exact[0], met, left[: stop - start])


@njit(**_COMPILED)
def _room(rows, zero):  # type: ignore[no-untyped-def]
    """Return room for a tile's sums of a group and the bits of its steps, and ``zero``."""
    return _aligned(rows * _TILE, zero), _aligned(_TILE, zero), zero


@njit(**_COMPILED)
def _aligned(length, zero):  # type: ignore[no-untyped-def]
    """Return zeros that begin at a cache line: a vector that crosses lines takes twice as long."""
    room = np.full(length + LANES, zero)
    start = -(room.ctypes.data // room.itemsize) % LANES
    return room[start : start + length]


@njit(**_COMPILED)
def _sum_group(star, outputs, start, stop, rows, blocks, order, pairs, parts, bits, zero):  # type: ignore[no-untyped-def]
    """Sum a group of blocks of a tile afresh, in the type of ``zero``.

    Args:
        star, outputs, rows, order, pairs: as of `_add`.
        start, stop: units of the tile.
        blocks: those of the group.
        parts: gets the sums, in the rows of `Layout.sums`, `_TILE` entries each.
        bits: gets the joined bits of every difference of a unit: 0 where it never changed.
        zero: of the type to work in.
    """
    flat, size = outputs.reshape(-1), stop - start
    full = size // LANES
    # The last units of the tile are laid out as if they were a full vector.
    padded = np.zeros(rows.shape[1] * LANES, outputs.dtype)
    padded_at = (np.arange(rows.shape[1]) - full) * LANES
    steps = _aligned(2 * order.shape[1] * LANES, zero)
    parts[:], bits[:] = zero, zero
    at = rows[blocks.start] * outputs.shape[1] + start
    for b in range(blocks.start, blocks.stop):
        ahead = rows[min(b + 1, len(rows) - 1)] * outputs.shape[1] + start
        if star:
            _star_block(flat, at, ahead, 0, full, steps, parts, bits, zero)
        else:
            _cycle_block(flat, at, ahead, 0, full, order[b], pairs[b], parts, bits, zero)
        if full * LANES < size:
            for row in range(len(at)):
                for lane in range(size - full * LANES):
                    padded[row * LANES + lane] = flat[at[row] + full * LANES + lane]
            there, last = (padded, padded_at, padded_at, full, full + 1), (parts, bits, zero)
            if star:
                _star_block(*there, steps, *last)
            else:
                _cycle_block(*there, order[b], pairs[b], *last)
        at = ahead


@njit(**_COMPILED)
def _cycle_block(  # type: ignore[no-untyped-def]
    source, at, ahead, start, stop, order, pairs, parts, bits, zero
):
    """Add one block's terms to vectors ``start`` to ``stop`` of a tile.

    Args:
        source: outputs, ``(any,)``.
        at: where each row of the tile begins in it, ``(2 D,)``.
        ahead: where those of the next block do.
        start, stop: in vectors.
        order, pairs: of the block, ``(D,)``.
        parts, bits, zero: as of `_sum_group`.
    """
    n = len(order)
    pair_rows = 3 * n
    nonzero = len(parts) // _TILE - n - 2
    two = every(zero + parts.dtype.type(2))
    for u in range(start * LANES, stop * LANES, LANES):
        f_0, f_d = load(source, at[0] + u, zero), load(source, at[n] + u, zero)
        t_1 = f_d - f_0  # T_1 = E_1 + ... + E_D, and E_D = -E_0
        for k in range(1, n):
            t_1 = t_1 + (load(source, at[k] + u, zero) - load(source, at[k + n] + u, zero))
        there, back, held, joined = f_0, f_d, t_1, load(bits, u, zero)
        variance, half = every(zero), every(zero)
        x_1, y_1, x_before, y_before = variance, variance, variance, variance
        for k in range(n):
            fetch(source, ahead[k] + u)
            fetch(source, ahead[k + n] + u)
            there_before, back_before = there, back
            if k + 1 < n:
                there = load(source, at[k + 1] + u, zero)
                back = load(source, at[k + 1 + n] + u, zero)
            else:
                there, back = f_d, f_0
            x, y = there - there_before, back - back_before  # D_k, D_{k+D}
            e, product = there - back, x * y
            place = order[k] * _TILE + u
            _add_to(parts, place, product)
            _add_two(parts, place + n * _TILE, x, x, y, y)
            _add_to(parts, place + 2 * n * _TILE, (x - y) * held)
            _add_to(parts, place + nonzero * _TILE, is_nonzero(product))
            if k == 0:
                x_1, y_1 = x, y
            else:
                _add_two(parts, (pair_rows + pairs[k - 1]) * _TILE + u, x_before, y, y_before, x)
            held = held - two * e
            variance = variance + e * e
            half = half + there
            joined = join_bits(joined, x, y)
            x_before, y_before = x, y
        if n > 1:  # after D_D comes D_{D+1}, the first step back; after D_2D comes D_1
            _add_two(parts, (pair_rows + pairs[n - 1]) * _TILE + u, x_before, x_1, y_before, y_1)
        _add_to(parts, (nonzero + n) * _TILE + u, variance)
        _add_to(parts, (nonzero + n + 1) * _TILE + u, two * half - t_1)
        store(bits, u, joined)


@njit(**_COMPILED)
def _star_block(  # type: ignore[no-untyped-def]
    source, at, ahead, start, stop, steps, parts, bits, zero
):
    """Add one block's terms as `_cycle_block` does; ``steps`` is room for d_i and h_i."""
    n = len(at) // 2 - 1
    pair_rows = 2 * n
    nonzero = len(parts) // _TILE - n - 2
    many = every(zero + parts.dtype.type(n))
    for u in range(start * LANES, stop * LANES, LANES):
        a, b = load(source, at[0] + u, zero), load(source, at[2 * n + 1] + u, zero)
        fetch(source, ahead[0] + u)
        fetch(source, ahead[2 * n + 1] + u)
        apart = a - b
        joined = join_bits(load(bits, u, zero), apart, apart)
        variance, total = many * (apart * apart), a + b
        for i in range(n):
            fetch(source, ahead[1 + i] + u)
            fetch(source, ahead[1 + n + i] + u)
            ab, ba = load(source, at[1 + i] + u, zero), load(source, at[1 + n + i] + u, zero)
            d, h = ab - a, ba - b
            store(steps, 2 * i * LANES, d)
            store(steps, (2 * i + 1) * LANES, h)
            product, place = d * h, i * _TILE + u
            _add_to(parts, place, product)
            _add_two(parts, place + n * _TILE, d, d, h, h)
            _add_to(parts, place + nonzero * _TILE, is_nonzero(product))
            apart = ab - ba
            variance = variance + apart * apart
            total = total + (ab + ba)
            joined = join_bits(joined, d, h)
        place = pair_rows * _TILE + u
        for i in range(n):
            d, h = load(steps, 2 * i * LANES, zero), load(steps, (2 * i + 1) * LANES, zero)
            for j in range(i + 1, n):
                d_j, h_j = load(steps, 2 * j * LANES, zero), load(steps, (2 * j + 1) * LANES, zero)
                _add_two(parts, place, d, h_j, d_j, h)
                place += _TILE
        _add_to(parts, (nonzero + n) * _TILE + u, variance)
        _add_to(parts, (nonzero + n + 1) * _TILE + u, total)
        store(bits, u, joined)


@njit(**_COMPILED)
def _add_to(parts, place, term):  # type: ignore[no-untyped-def]
    store(parts, place, load(parts, place, parts[0]) + term)


@njit(**_COMPILED)
def _add_two(parts, place, a, b, c, d):  # type: ignore[no-untyped-def]
    """Add a * b, then c * d."""
    store(parts, place, load(parts, place, parts[0]) + a * b + c * d)


@njit(**_COMPILED)
def _find_extraordinary(parts, bits, n, found):  # type: ignore[no-untyped-def]
    """Find the units of a tile whose differences have squares that float32 does not hold."""
    squares = parts[-2 * _TILE : -_TILE].copy()  # the variance's, and those of ST
    for row in range(n, 2 * n):
        for u in range(_TILE):
            squares[u] += parts[row * _TILE + u]
    total = parts[-_TILE:]
    for u in range(len(found)):
        held = bits[u] == 0 or SMALL < squares[u] < LARGE
        found[u] = not (held and np.isfinite(total[u]))


@njit(**_COMPILED)
def _add_group(sums, start, parts, met, chosen):  # type: ignore[no-untyped-def]
    """Add a group's sums of the chosen units to the replicate's, from unit ``start`` on."""
    all_chosen = chosen.all()
    for row in range(len(sums)):
        if met[row]:
            into, part = sums[row, start : start + len(chosen)], parts[row * _TILE :]
            if all_chosen:
                for u in range(len(chosen)):
                    into[u] += part[u]
            else:
                for u in range(len(chosen)):
                    into[u] += part[u] if chosen[u] else 0.0
