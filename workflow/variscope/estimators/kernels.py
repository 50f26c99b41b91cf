"""Compiled sums of the cycle's and the star's terms, as defined in `cycle` and `star`.

Differences and products are taken in float32, at most 32 of them are added in float32, and totals
are float64. The squares of very small or very large outputs leave the range of float32: a unit with
outputs of such a size (`SMALL`, `LARGE`) is worked on in float64 throughout, so that units of any
scale keep their variance, and none depends on its neighbours. Constant factors are left out
(`Layout.scale`). Blocks are added in their order, in groups that begin at the first block of a
call: a result depends on which blocks each call had, and on nothing else. Calls are of the cells of
`variscope.designs.cells`.

A block's rows lie apart in memory. They are read side by side, `LANES` units at a time in the
processor's registers, and the next block's are asked for meanwhile. The sums of a tile of units
stay in the cache while the blocks of a group are added.

Compiling is costly, so little is compiled: what runs once per call is Python, a design's terms are
compiled when the design is met, and those in float64 when a unit needs them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from variscope.estimators.layout import GROUP, LARGE, SMALL
from variscope.estimators.vectors import (
    LANES,
    any_nonzero,
    every,
    fetch,
    is_nonzero,
    join_bits,
    less,
    load,
    round_bits,
    store,
    where_zero,
)

# Units of a tile: the sums of 9 variables take 37 KiB in float32.
_TILE = 8 * LANES

# Blocks of a span: a tile's sums are fetched once a span, and rows that lie further apart than
# a span's are slower to read.
_SPAN = 4 * GROUP

# Order and pairs of a design that has none: of other dimensions, by which the compiler chooses.
_NONE = np.empty(0, np.int64)

_COMPILED: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract", "nsz"},
}


def add_cycle(
    outputs: NDArray[np.floating[Any]],
    rows: NDArray[np.int64],
    order: NDArray[np.int64],
    pair_table: NDArray[np.int64],
    sums: NDArray[np.float64],
) -> None:
    """Add the terms of every block to the sums of one replicate, in place.

    Args:
        outputs: of the evaluations, ``(evaluation, unit)``, C-contiguous.
        rows: which evaluation each row is, ``(block, 2 D)``.
        order: ``(block, D)``.
        pair_table: `Layout.pair_table`, ``(D, D)``.
        sums: ``(Layout.sum_rows, unit)``, C-contiguous, changed.
    """
    n = order.shape[1]
    following = order.take(np.arange(1, n + 1) % n, axis=1)  # variables, after the last the first
    pairs = pair_table[order, following]
    met = np.ones((-(-len(rows) // GROUP), len(sums)), np.bool_)
    if n > 1:
        met[:, 3 * n : 3 * n + n * (n - 1) // 2] = False
        met[np.arange(len(rows))[:, None] // GROUP, 3 * n + pairs] = True
    _add(outputs, rows, order, pairs, met, sums)


def add_star(
    outputs: NDArray[np.floating[Any]],
    rows: NDArray[np.int64],
    order: NDArray[np.int64],
    pair_table: NDArray[np.int64],
    sums: NDArray[np.float64],
) -> None:
    """Add the terms of every block to the sums of one replicate, in place.

    Args:
        outputs, sums: as of `add_cycle`.
        rows: which evaluation each row is, ``(block, 2 D + 2)``.
        order, pair_table: ignored.
    """
    met = np.ones((-(-len(rows) // GROUP), len(sums)), np.bool_)
    _add(outputs, rows, _NONE, _NONE, met, sums)


# What adds the terms of a design's blocks, by its name.
ADD = {"cycle": add_cycle, "star": add_star}


@njit(**_COMPILED)
def close_shell(total, shell):  # type: ignore[no-untyped-def]
    """Round the sums of a shell, add them to the total, round that, and empty the shell.

    Args:
        total: ``(any,)``, a multiple of `LANES` entries, changed.
        shell: ``(any,)``, as many, changed; 0 afterwards.
    """
    zero = total.dtype.type(0)
    for u in range(0, len(total), LANES):
        both = load(total, u, zero) + round_bits(load(shell, u, zero))
        store(total, u, round_bits(both))
        store(shell, u, every(zero))


def _add(
    outputs: NDArray[np.floating[Any]],
    rows: NDArray[np.int64],
    order: NDArray[np.int64],
    pairs: NDArray[np.int64],
    met: NDArray[np.bool_],
    sums: NDArray[np.float64],
) -> None:
    """Add blocks to sums: whole vectors of units where they are, the last units in a copy.

    Args:
        outputs, rows, sums: as of `add_cycle`.
        order: of the cycle, ``(block, D)``; `_NONE` of the star.
        pairs: those whose sums a block of the cycle adds to, ``(block, D)``; `_NONE` of the star.
        met: whether any block of a group adds to a sum, ``(group, Layout.sum_rows)``.
    """
    units = sums.shape[1]
    whole = units - units % LANES
    if whole:
        _add_vectors(outputs.reshape(-1), rows * units, order, pairs, met, sums, whole)
    if whole < units:
        last = np.zeros((len(outputs), LANES), outputs.dtype)
        last[:, : units - whole] = outputs[:, whole:]
        last_sums = np.zeros((len(sums), LANES))
        last_sums[:, : units - whole] = sums[:, whole:]
        _add_vectors(last.reshape(-1), rows * LANES, order, pairs, met, last_sums, LANES)
        sums[:, whole:] = last_sums[:, : units - whole]


def _add_vectors(
    source: NDArray[np.floating[Any]],
    places: NDArray[np.int64],
    order: NDArray[np.int64],
    pairs: NDArray[np.int64],
    met: NDArray[np.bool_],
    sums: NDArray[np.float64],
    units: int,
) -> None:
    """Add blocks to the sums of the first ``units`` units, a multiple of `LANES`.

    Args:
        source: outputs, ``(any,)``.
        places: where each row begins in it, ``(block, row)``.
        order, pairs, met, sums: as of `_add`.
        units: how many.
    """
    end = -(-len(places) // _SPAN) * -(-units // _TILE) * (_SPAN // GROUP)
    lost = np.zeros(_TILE)
    given = (source, places, order, pairs, met, sums.reshape(-1), sums.shape[1], units, lost)
    room = _room(len(sums), places.shape[1], source.dtype)
    done = _add_groups(*given, *room, 0, end)
    if done == end:
        return
    exact = _room(len(sums), places.shape[1], np.dtype(np.float64))
    while done < end:
        lost[:] = lost == 0
        _add_groups(*given, *exact, done, done + 1)
        done = _add_groups(*given, *room, done + 1, end)


def _room(sum_rows: int, rows: int, dtype: np.dtype[np.floating[Any]]) -> tuple[Any, ...]:
    """Return room for a group's sums of a tile, its bits and a block's steps, and 0, of a type.

    They begin at cache lines: a vector that crosses lines takes twice as long.
    """
    parts, bits, steps = sum_rows * _TILE, _TILE, rows * LANES
    room = np.empty(LANES + parts + bits + steps, dtype)
    room = room[-(room.__array_interface__["data"][0] // room.itemsize) % LANES :]
    ends = parts, parts + bits, parts + bits + steps
    return room[: ends[0]], room[ends[0] : ends[1]], room[ends[1] : ends[2]], dtype.type(0)


@njit(**_COMPILED)
def _add_groups(  # type: ignore[no-untyped-def]
    source, places, order, pairs, met, sums, width, units, lost,
    parts, bits, steps, zero, first, end,
):  # fmt: skip
    """Add groups of blocks to the sums of tiles, up to one that has units it cannot sum.

    Groups are counted through the tiles of a span, and through the spans.

    Args:
        source, places, order, pairs, met, units: as of `_add_vectors`.
        sums: ``(Layout.sum_rows * width,)``, changed.
        width: units that the sums have room for.
        lost: not 0 for the units of a tile that are not added to, ``(_TILE,)``. Sums in float32
            find them: those that float32 does not hold.
        parts, bits, steps, zero: `_room`, in whose type the terms are taken.
        first, end: of the groups.

    Returns:
        The group whose sums lack the units that are lost, or ``end``.
    """
    in_span = _SPAN // GROUP
    tiles = (units + _TILE - 1) // _TILE
    variables = len(steps) // (2 * LANES) - (1 if order.ndim == 1 else 0)
    for group in range(first, end):
        start = group // in_span % tiles * _TILE
        size = min(_TILE, units - start)
        at = group // (in_span * tiles) * in_span + group % in_span
        if at >= len(met):  # the last span is shorter
            continue
        for u in range(0, size, LANES):
            store(bits, u, every(zero))
            for row in range(met.shape[1]):
                store(parts, row * _TILE + u, every(zero))
        for b in range(at * GROUP, min((at + 1) * GROUP, len(places))):
            ahead = places[min(b + 1, len(places) - 1)]
            if order.ndim == 1:
                _star_block(source, places[b], ahead, start, size, steps, parts, bits, zero)
            else:
                _cycle_block(
                    source, places[b], ahead, start, size, order[b], pairs[b], parts, bits, zero
                )
        any_lost = False
        for u in range(0, size, LANES):
            if parts.itemsize == 4:
                _find_lost(parts, bits, u, variables, steps, zero, lost)
            any_lost |= any_nonzero(load(lost, u, 0.0))
        for row in range(met.shape[1]):
            if met[at, row]:
                for u in range(0, size, LANES):
                    part = where_zero(load(lost, u, 0.0), load(parts, row * _TILE + u, 0.0))
                    _add_to(sums, row * width + start + u, part, 0.0)
        if any_lost:
            return group
    return end


@njit(**_COMPILED)
def _cycle_block(  # type: ignore[no-untyped-def]
    source, at, ahead, start, size, order, pairs, parts, bits, zero
):
    """Add one block's terms to the sums of a tile.

    Args:
        source: outputs, ``(any,)``.
        at: where each row begins in it, ``(2 D,)``.
        ahead: where those of the next block do.
        start, size: of the tile, in units.
        order, pairs: of the block, ``(D,)``.
        parts, bits, zero: as of `_add_groups`.
    """
    n = len(order)
    pair_rows = 3 * n
    nonzero = len(parts) // _TILE - n - 2
    two = every(zero + parts.dtype.type(2))
    for u in range(0, size, LANES):
        unit = start + u
        f_0, f_d = load(source, at[0] + unit, zero), load(source, at[n] + unit, zero)
        t_1 = f_d - f_0  # T_1 = E_1 + ... + E_D, and E_D = -E_0
        for k in range(1, n):
            t_1 = t_1 + (load(source, at[k] + unit, zero) - load(source, at[k + n] + unit, zero))
        there, back, held, joined = f_0, f_d, t_1, load(bits, u, zero)
        variance, half = every(zero), every(zero)
        x_1, y_1, x_before, y_before = variance, variance, variance, variance
        for k in range(n):
            fetch(source, ahead[k] + unit)
            fetch(source, ahead[k + n] + unit)
            there_before, back_before = there, back
            if k + 1 < n:
                there = load(source, at[k + 1] + unit, zero)
                back = load(source, at[k + 1 + n] + unit, zero)
            else:
                there, back = f_d, f_0
            x, y = there - there_before, back - back_before  # D_k, D_{k+D}
            e, product = there - back, x * y
            place = order[k] * _TILE + u
            _add_to(parts, place, product, zero)
            _add_two(parts, place + n * _TILE, x, x, y, y, zero)
            _add_to(parts, place + 2 * n * _TILE, (x - y) * held, zero)
            _add_to(parts, place + nonzero * _TILE, is_nonzero(product), zero)
            if k == 0:
                x_1, y_1 = x, y
            else:
                place = (pair_rows + pairs[k - 1]) * _TILE + u
                _add_two(parts, place, x_before, y, y_before, x, zero)
            held = held - two * e
            variance = variance + e * e
            half = half + there
            joined = join_bits(joined, x, y)
            x_before, y_before = x, y
        if n > 1:  # after D_D comes D_{D+1}, the first step back; after D_2D comes D_1
            place = (pair_rows + pairs[n - 1]) * _TILE + u
            _add_two(parts, place, x_before, x_1, y_before, y_1, zero)
        _add_to(parts, (nonzero + n) * _TILE + u, variance, zero)
        _add_to(parts, (nonzero + n + 1) * _TILE + u, two * half - t_1, zero)
        store(bits, u, joined)


@njit(**_COMPILED)
def _star_block(  # type: ignore[no-untyped-def]
    source, at, ahead, start, size, steps, parts, bits, zero
):
    """Add one block's terms as `_cycle_block` does; ``steps`` is room for d_i and h_i."""
    n = len(at) // 2 - 1
    pair_rows = 2 * n
    nonzero = len(parts) // _TILE - n - 2
    many = every(zero + parts.dtype.type(n))
    for u in range(0, size, LANES):
        unit = start + u
        a, b = load(source, at[0] + unit, zero), load(source, at[2 * n + 1] + unit, zero)
        fetch(source, ahead[0] + unit)
        fetch(source, ahead[2 * n + 1] + unit)
        apart = a - b
        joined = join_bits(load(bits, u, zero), apart, apart)
        variance, total = many * (apart * apart), a + b
        for i in range(n):
            fetch(source, ahead[1 + i] + unit)
            fetch(source, ahead[1 + n + i] + unit)
            ab = load(source, at[1 + i] + unit, zero)
            ba = load(source, at[1 + n + i] + unit, zero)
            d, h = ab - a, ba - b
            store(steps, 2 * i * LANES, d)
            store(steps, (2 * i + 1) * LANES, h)
            product, place = d * h, i * _TILE + u
            _add_to(parts, place, product, zero)
            _add_two(parts, place + n * _TILE, d, d, h, h, zero)
            _add_to(parts, place + nonzero * _TILE, is_nonzero(product), zero)
            apart = ab - ba
            variance = variance + apart * apart
            total = total + (ab + ba)
            joined = join_bits(joined, d, h)
        place = pair_rows * _TILE + u
        for i in range(n):
            d, h = load(steps, 2 * i * LANES, zero), load(steps, (2 * i + 1) * LANES, zero)
            for j in range(i + 1, n):
                d_j, h_j = load(steps, 2 * j * LANES, zero), load(steps, (2 * j + 1) * LANES, zero)
                _add_two(parts, place, d, h_j, d_j, h, zero)
                place += _TILE
        _add_to(parts, (nonzero + n) * _TILE + u, variance, zero)
        _add_to(parts, (nonzero + n + 1) * _TILE + u, total, zero)
        store(bits, u, joined)


@njit(**_COMPILED)
def _add_to(parts, place, term, zero):  # type: ignore[no-untyped-def]
    store(parts, place, load(parts, place, zero) + term)


@njit(**_COMPILED)
def _add_two(parts, place, a, b, c, d, zero):  # type: ignore[no-untyped-def]
    """Add a * b, then c * d."""
    store(parts, place, load(parts, place, zero) + a * b + c * d)


@njit(**_COMPILED)
def _find_lost(parts, bits, u, n, room, zero, lost):  # type: ignore[no-untyped-def]
    """Find the units of a vector whose differences have squares that float32 does not hold.

    Args:
        parts, bits, zero: as of `_add_groups`.
        u: the first of the units in its tile.
        n: number of variables.
        room: for a vector.
        lost: gets what is not 0 for these units.
    """
    total = len(parts) - _TILE + u
    squares = load(parts, total - _TILE, zero)  # the variance's, and those of ST
    for row in range(n, 2 * n):
        squares = squares + load(parts, row * _TILE + u, zero)
    store(room, 0, squares)
    squares = load(room, 0, 0.0)
    held = less(every(SMALL), squares) * less(squares, every(LARGE))
    changed, infinite = load(bits, u, 0.0), load(parts, total, 0.0)
    infinite = infinite - infinite  # not 0 where it is not finite
    store(lost, u, is_nonzero(changed) * (every(1.0) - held) + is_nonzero(infinite))
