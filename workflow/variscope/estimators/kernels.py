"""Compiled sums of the cycle's and the star's terms, as defined in `cycle` and `star`.

Differences and products are taken in float32, at most 32 of them are added in float32, and totals
are float64. The squares of very small or very large outputs leave the range of float32: a unit with
outputs of such a size (`SMALL`, `LARGE`) is worked on in float64 throughout, so that units of any
scale keep their variance, and none depends on its neighbours. Constant factors are left out
(`Layout.scale`). Blocks are added in their order, in groups that begin at the first block of a
call: a result depends on which blocks each call had, and on nothing else.

The inner loops run over neighbouring units, which compilers turn into vector instructions. What one
loop touches lies in few arrays, there at fixed distances: otherwise the compiler would not see that
nothing overlaps. A tile's sums stay in the cache while the blocks of a group are added.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from variscope.estimators.layout import GROUP, LARGE, SMALL

# Units of a tile.
_TILE = 256

# Where `state` holds what of each unit of a tile: of the current block T_k, the variance's terms
# and the sum of the outputs, and of the group the largest absolute output.
_HELD, _VARIANCE, _TOTAL, _LARGEST = 0, _TILE, 2 * _TILE, 3 * _TILE

# Multiplications and additions may be fused; additions keep their order.
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
    pairs = n * (n - 1) // 2
    # The walk's row k holds F_k and, a tile further, F_{k+D}, for k = 0..D + 1.
    fast = _room(n + 2, n, 4, pairs, np.float32(0))
    exact = _room(n + 2, n, 4, pairs, np.float64(0))
    met, left = np.zeros(pairs, np.bool_), np.ones(_TILE, np.bool_)
    for start in range(0, outputs.shape[1], _TILE):
        units = slice(start, min(start + _TILE, outputs.shape[1]))
        for first in range(0, blocks, GROUP):
            some, moved = rows[first : first + GROUP], order[first : first + GROUP]
            met[:] = False
            for b in range(len(moved)):
                for k in range(n if n > 1 else 0):
                    met[pair_table[moved[b, k], moved[b, (k + 1) % n]]] = True
            left[:] = True
            if outputs.itemsize == 4:
                _cycle_group(outputs, units, some, moved, pair_table, *fast)
                _find_extraordinary(fast[1], left)
                _add_group(sums, units, fast[2], fast[3], fast[4], met, ~left)
            if left.any():
                _cycle_group(outputs, units, some, moved, pair_table, *exact)
                _add_group(sums, units, exact[2], exact[3], exact[4], met, left)
    if n > 1:
        for b in range(blocks):
            for k in range(n):
                pair_counts[pair_table[order[b, k], order[b, (k + 1) % n]]] += 1


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
    pairs = n * (n - 1) // 2
    # Row i of the moves holds d_i and, a tile further, h_i.
    fast = _room(n, n, 3, pairs, np.float32(0))
    exact = _room(n, n, 3, pairs, np.float64(0))
    met, left = np.ones(pairs, np.bool_), np.ones(_TILE, np.bool_)
    for start in range(0, outputs.shape[1], _TILE):
        units = slice(start, min(start + _TILE, outputs.shape[1]))
        for first in range(0, blocks, GROUP):
            some = rows[first : first + GROUP]
            left[:] = True
            if outputs.itemsize == 4:
                _star_group(outputs, units, some, *fast)
                _find_extraordinary(fast[1], left)
                _add_group(sums, units, fast[2], fast[3], fast[4], met, ~left)
            if left.any():
                _star_group(outputs, units, some, *exact)
                _add_group(sums, units, exact[2], exact[3], exact[4], met, left)


@njit(**_COMPILED)
def _room(rows, variables, kinds, pairs, zero):  # type: ignore[no-untyped-def]
    """Return room for a tile in the precision of ``zero``.

    Returns:
        The current block's values, two a row; its `state`; the group's sums of each variable, of
        each pair; and, in float64, those of the variance and of the outputs.
    """
    return (
        np.full((rows, 2 * _TILE), zero),
        np.full(4 * _TILE, zero),
        np.full((variables, kinds * _TILE), zero),
        np.full((pairs, _TILE), zero),
        np.zeros((2, _TILE)),
    )


@njit(**_COMPILED)
def _cycle_group(outputs, units, rows, order, pair_table, walk, state, single, pair, common):  # type: ignore[no-untyped-def]
    """Sum a group of blocks of a tile, the ``units``, afresh."""
    size, n = units.stop - units.start, order.shape[1]
    single[:], pair[:], common[:], state[_LARGEST:] = 0, 0, 0, 0
    number = state.dtype.type
    two, one, zero = number(2), number(1), number(0)
    flat = walk.reshape(-1)
    for b in range(len(order)):
        state[:_LARGEST] = 0
        for k in range(n):
            there, back = outputs[rows[b, k], units], outputs[rows[b, k + n], units]
            both = walk[k]
            sign = -one if k == 0 else one  # T_1 = E_1 + ... + E_D, and E_D = -E_0
            for u in range(size):
                x, y = number(there[u]), number(back[u])
                both[u], both[_TILE + u] = x, y
                state[_HELD + u] += sign * (x - y)
                state[_TOTAL + u] += x + y
                state[_LARGEST + u] = max(state[_LARGEST + u], max(abs(x), abs(y)))
        for k in range(2):  # F_{D+k}, and F_{2D+k}, which is F_k
            walk[n + k, :_TILE], walk[n + k, _TILE:] = walk[k, _TILE:], walk[k, :_TILE]
        for k in range(1, n + 1):
            i = order[b, k - 1]
            of_i, of_pair = single[i], state[:0]
            f = flat[2 * _TILE * (k - 1) : 2 * _TILE * (k + 2)]  # F_{k-1}, F_{k-1+D}, F_k, ...
            if n > 1:
                of_pair = pair[pair_table[i, order[b, k % n]]]
            for u in range(_TILE):
                there, back = f[2 * _TILE + u], f[3 * _TILE + u]
                x, y = there - f[u], back - f[_TILE + u]  # D_k, D_{k+D}
                e, held = there - back, state[_HELD + u]
                product = x * y
                of_i[u] += product
                of_i[_TILE + u] += x * x + y * y
                of_i[2 * _TILE + u] += (x - y) * held
                of_i[3 * _TILE + u] += one if product != 0 else zero
                state[_HELD + u] = held - two * e
                state[_VARIANCE + u] += e * e
            if n > 1:
                for u in range(_TILE):
                    there, back = f[2 * _TILE + u], f[3 * _TILE + u]
                    of_pair[u] += (there - f[u]) * (f[5 * _TILE + u] - back) + (
                        back - f[_TILE + u]
                    ) * (f[4 * _TILE + u] - there)
        for u in range(_TILE):
            common[0, u] += state[_VARIANCE + u]
            common[1, u] += state[_TOTAL + u]


@njit(**_COMPILED)
def _star_group(outputs, units, rows, moves, state, single, pair, common):  # type: ignore[no-untyped-def]
    """Sum a group of blocks of a tile, the ``units``, afresh."""
    size, n = units.stop - units.start, len(single)
    single[:], pair[:], common[:], state[_LARGEST:] = 0, 0, 0, 0
    one, zero = state.dtype.type(1), state.dtype.type(0)
    many = state.dtype.type(n)
    ends = np.zeros((2, _TILE), state.dtype)
    both = np.zeros((2, _TILE), state.dtype)
    for b in range(len(rows)):
        ends[0, :size] = outputs[rows[b, 0], units]
        ends[1, :size] = outputs[rows[b, 2 * n + 1], units]
        for u in range(_TILE):
            x, y = ends[0, u], ends[1, u]
            state[_VARIANCE + u] = many * (x - y) * (x - y)
            state[_TOTAL + u] = x + y
            state[_LARGEST + u] = max(state[_LARGEST + u], max(abs(x), abs(y)))
        for i in range(n):
            both[0, :size] = outputs[rows[b, 1 + i], units]
            both[1, :size] = outputs[rows[b, 1 + n + i], units]
            of_i, move = single[i], moves[i]
            for u in range(_TILE):
                x, y = both[0, u], both[1, u]
                state[_VARIANCE + u] += (x - y) * (x - y)
                state[_TOTAL + u] += x + y
                state[_LARGEST + u] = max(state[_LARGEST + u], max(abs(x), abs(y)))
            for u in range(_TILE):
                move[u], move[_TILE + u] = both[0, u] - ends[0, u], both[1, u] - ends[1, u]
            for u in range(_TILE):
                d, h = move[u], move[_TILE + u]
                product = d * h
                of_i[u] += product
                of_i[_TILE + u] += d * d + h * h
                of_i[2 * _TILE + u] += one if product != 0 else zero
        row = 0
        for i in range(n):
            for j in range(i + 1, n):
                of_pair, at_i, at_j = pair[row], moves[i], moves[j]
                for u in range(_TILE):
                    of_pair[u] += at_i[u] * at_j[_TILE + u] + at_j[u] * at_i[_TILE + u]
                row += 1
        for u in range(_TILE):
            common[0, u] += state[_VARIANCE + u]
            common[1, u] += state[_TOTAL + u]


@njit(**_COMPILED)
def _find_extraordinary(state, found):  # type: ignore[no-untyped-def]
    """Find the units of a tile whose differences have squares that float32 does not hold."""
    for u in range(_TILE):
        largest = state[_LARGEST + u]
        found[u] = largest != 0 and not SMALL < largest < LARGE


@njit(**_COMPILED)
def _add_group(sums, units, single, pair, common, met, chosen):  # type: ignore[no-untyped-def]
    """Add a group's sums of the chosen units to the replicate's, in the rows of `Layout.sums`."""
    size, n = units.stop - units.start, len(single)
    kinds = single.shape[1] // _TILE - 1  # nonzero stands behind the pairs
    for i in range(n):
        for kind in range(kinds + 1):
            row = kind * n + i if kind < kinds else kinds * n + len(pair) + i
            into, part = sums[row, units], single[i, kind * _TILE : (kind + 1) * _TILE]
            for u in range(size):
                into[u] += part[u] if chosen[u] else 0.0
    for p in range(len(pair)):
        if met[p]:
            into, part = sums[kinds * n + p, units], pair[p]
            for u in range(size):
                into[u] += part[u] if chosen[u] else 0.0
    for k in range(2):
        into, part = sums[(kinds + 1) * n + len(pair) + k, units], common[k]
        for u in range(size):
            into[u] += part[u] if chosen[u] else 0.0
