"""Sums of the cycle's and the star's terms on a GPU, in one pass over a layer's outputs.

What `variscope.estimators.kernels` is to the CPU, by the same rule: differences and products in
float32, at most 32 of them added in float32, totals in float64; a group of blocks in which a
unit's squares leave the range of float32 (`SMALL`, `LARGE`) is worked on in float64 for that unit.
Needs Triton, which torch brings along on Linux, a C compiler, with which Triton builds what
launches its kernels, and a GPU of NVIDIA's, whose warps are of 32 threads.

A program owns a tile of units, one unit a thread, and goes through all blocks of a call: nothing
passes between programs or threads, no sum depends on which of them runs first, and a repeated run
gives the same bits. What a thread adds to stays in its registers. Registers cannot be chosen at run
time, but which variable the cycle's k-th is changes from block to block: so its rows are read
twice, in the order of the variables, for the sums of each, and in the order of the walk, for T_k
and the pairs, which pass through memory that the cache holds.

Traffic. Of the device's memory a call of B blocks takes, in bytes per unit, with R rows per block,
P pairs and S sums,

    4 R B  outputs, each once: what reads them again finds them in the cache
    16 S   totals, read and written once
    4 (P + D)  of the cycle at most: pairs' sums and T_k, if the cache does not hold them to the end
    3 B / 16   which units are left to float64: filled, written and read

Beside the outputs that is a fixed sum per call, so a call should have many blocks. For 8 variables,

    B               4    16    32    64   256
    cycle        18 %  47 %  64 %  78 %  93 %  of what is moved are outputs
    star         25 %  57 %  73 %  84 %  95 %

Of the cache alone the cycle takes two more readings of the outputs, and 16 bytes per variable, unit
and block for the pairs and T_k; the star one more reading, of up to 12 variables, and every call
16 bytes per sum and unit for each group of blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl
from numpy.typing import NDArray

from variscope.estimators import Layout
from variscope.estimators.layout import GROUP, LARGE, SMALL

# One unit per thread: a thread then reads again only what it wrote itself, and needs no barrier.
_WARPS = 4
_UNITS = 32 * _WARPS

# Registers of a thread in float32: with more, too few programs share a processor to keep its memory
# busy; with fewer, sums leave the registers while blocks are added.
_REGISTERS = 128


def prepare() -> None:
    """Build what Triton launches kernels with, if that was not done before.

    Raises:
        RuntimeError, OSError, subprocess.SubprocessError: there is no C compiler, or it fails.
    """
    _ = triton.runtime.driver.active.utils


def add(
    layout: Layout,
    outputs: torch.Tensor,
    rows: NDArray[np.int64],
    order: NDArray[np.int64],
    sums: torch.Tensor,
) -> None:
    """Add the terms of every block to the sums of one replicate, in place.

    Nothing waits for the device.

    Args:
        layout: of the sums.
        outputs: of the evaluations, float32 or float64, ``(evaluation, unit)``.
        rows: which evaluation each row is, ``(block, row)``.
        order: the blocks' permutations, ``(block, D)``; a design that has none ignores it.
        sums: ``(Layout.sum_rows, unit)``, float64, contiguous, on the outputs' device; changed. All
            of a unit with an output that is not finite may become NaN.

    Raises:
        ValueError: shapes that do not fit the layout, or rows beyond the evaluations.
    """
    units, blocks = outputs.shape[1], len(rows)
    if rows.shape[1:] != (layout.rows,) or sums.shape != (layout.sum_rows, units):
        raise ValueError(
            f"rows have shape {rows.shape} and sums {tuple(sums.shape)}, "
            f"expected {(blocks, layout.rows)} and {(layout.sum_rows, units)}"
        )
    if not (blocks and units):
        return
    if not 0 <= rows.min() <= rows.max() < len(outputs):
        raise ValueError(f"rows name evaluations beyond the {len(outputs)} that are given")
    outputs, device = outputs.contiguous(), outputs.device
    layout.check_order(order, blocks)
    kernel = KERNELS[layout.design]
    on_device = [_on(device, table) for table in kernel.tables(layout, rows * units, order)]
    room = []
    if kernel.room(layout):
        room = [torch.empty((kernel.room(layout), units), dtype=torch.float64, device=device)]
    left = torch.ones((triton.cdiv(blocks, GROUP), units), dtype=torch.int8, device=device)
    # What is left to float64 is few units or none: a launch of its own has registers of its own.
    with torch.cuda.device_of(outputs):
        for work in (torch.float32, torch.float64):
            if work.itemsize < outputs.itemsize:
                continue
            arrays = (outputs, *on_device, *(array.view(work) for array in room), left, sums)
            kernel.add[(triton.cdiv(units, _UNITS),)](
                *arrays, blocks, units, **constants(layout, work), **options(work)
            )


def constants(layout: Layout, work: torch.dtype) -> dict[str, Any]:
    """Return what a kernel of the layout is compiled for, to work in float32 or float64."""
    n, exact = layout.variables, work == torch.float64
    # So many that their sums stay in a thread's registers; float64 takes two a number.
    held = KERNELS[layout.design].held(n, exact)
    return {
        "N": n,
        "VARIABLES": min(held, triton.next_power_of_2(n)),
        "EXACT": exact,
        "UNITS": _UNITS,
        "GROUP": GROUP,
        "SMALL": SMALL,
        "LARGE": LARGE,
    }


def options(work: torch.dtype) -> dict[str, Any]:
    """Return the options that a kernel is compiled with."""
    return {"num_warps": _WARPS} | ({} if work == torch.float64 else {"maxnreg": _REGISTERS})


def _cycle_tables(
    layout: Layout, at: NDArray[np.int64], order: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    """Return `_cycle`'s ``walk``, ``moves`` and ``steps``, from where each row begins."""
    n = layout.variables
    k = np.argsort(order, axis=1) + 1
    moves = [np.take_along_axis(at, row % (2 * n), axis=1) for row in (k, k + n, k - 1, k + n - 1)]
    pairs = layout.pair_table()[np.roll(order, 1, axis=1), order]
    return [
        np.concatenate([at, at[:, :1]], axis=1),
        np.stack(moves, axis=1),
        np.stack([order, pairs], axis=1),
    ]


def _on(device: torch.device, table: NDArray[np.int64]) -> torch.Tensor:
    """Copy a table to a device, behind what it is doing: for pageable memory it would be waited."""
    host = torch.from_numpy(np.ascontiguousarray(table, dtype=np.int64))
    return (host.pin_memory() if device.type == "cuda" else host).to(device, non_blocking=True)


@triton.jit(do_not_specialize=["blocks", "units"])
def _cycle(  # type: ignore[no-untyped-def]
    outputs, walk, moves, steps, room, left, sums, blocks, units,
    N: tl.constexpr, VARIABLES: tl.constexpr, EXACT: tl.constexpr, UNITS: tl.constexpr,
    GROUP: tl.constexpr, SMALL: tl.constexpr, LARGE: tl.constexpr,
):  # fmt: skip
    """Add the cycle's terms of a tile of units.

    Args:
        outputs: ``(evaluation, unit)``.
        walk: where each row begins in them, and once more the first, ``(block, 2 D + 1)``.
        moves: where the rows F_k, F_{k+D}, F_{k-1}, F_{k+D-1} of each variable i = pi(k) begin,
            ``(block, 4, D)``.
        steps: which variable the k-th is, and its pair with the one before it on the circle,
            ``(block, 2, D)``.
        room: for the pairs' sums of a group and the variables' T_k, ``(pair + D, unit)``.
        left: which units of a group are left to float64, ``(group, unit)``: written by the launch
            in float32, read by the one in float64.
        sums: ``(Layout.sum_rows, unit)``.
        blocks, units: how many there are.
        N: variables.
        VARIABLES: whose sums are held at once, a power of 2.
        EXACT: work in float64, on what is left.
        UNITS: of a tile.
    """
    WORK: tl.constexpr = tl.float64 if EXACT else tl.float32
    PAIRS: tl.constexpr = N * (N - 1) // 2
    many = units.to(tl.int64)
    unit = tl.program_id(0).to(tl.int64) * UNITS + tl.arange(0, UNITS)
    into, room = sums + unit, room + unit
    for first in range(0, blocks, GROUP):
        chosen, any_chosen = _asked(left, first // GROUP, unit, many, EXACT)
        if any_chosen:
            for turn in range(0, N, VARIABLES):
                i = turn + tl.arange(0, VARIABLES)
                if turn == 0:
                    for pair in range(PAIRS):
                        tl.store(room + pair * many, tl.zeros((UNITS,), WORK), mask=chosen)
                s1 = tl.zeros((VARIABLES, UNITS), WORK)
                st = tl.zeros((VARIABLES, UNITS), WORK)
                shapley = tl.zeros((VARIABLES, UNITS), WORK)
                nonzero = tl.zeros((VARIABLES, UNITS), WORK)
                variance = tl.zeros((UNITS,), WORK)
                total = tl.zeros((UNITS,), WORK)
                squares = tl.zeros((UNITS,), WORK)
                largest = tl.zeros((UNITS,), WORK)
                for block in range(first, min(first + GROUP, blocks)):
                    # All rows are asked for at once; the walk finds them in the cache.
                    move = moves + block * 4 * N
                    x = _rows(outputs, move, i, N, unit, chosen, WORK)
                    y = _rows(outputs, move + N, i, N, unit, chosen, WORK)
                    x -= _rows(outputs, move + 2 * N, i, N, unit, chosen, WORK)
                    y -= _rows(outputs, move + 3 * N, i, N, unit, chosen, WORK)
                    product = x * y
                    s1 += product
                    st += x * x
                    st += y * y
                    nonzero += (product != 0).to(WORK)
                    row = walk + block * (2 * N + 1)
                    there = _row(outputs, row, unit, chosen, WORK)
                    back = _row(outputs, row + N, unit, chosen, WORK)
                    # Before D_1 on the circle comes D_{2D}, and before D_{D+1} comes D_D.
                    x_before = there - _row(outputs, row + 2 * N - 1, unit, chosen, WORK)
                    y_before = back - _row(outputs, row + N - 1, unit, chosen, WORK)
                    past = tl.zeros((UNITS,), WORK)  # T_1 - T_k = 2 (E_1 + ... + E_{k-1})
                    for k in range(N):
                        step = steps + block * 2 * N + k
                        there_before, back_before = there, back
                        there = _row(outputs, row + k + 1, unit, chosen, WORK)
                        back = _row(outputs, row + k + 1 + N, unit, chosen, WORK)
                        x_k = there - there_before
                        y_k = back - back_before
                        if N > 1 and turn == 0:
                            pair = room + tl.load(step + N) * many
                            part = tl.load(pair, mask=chosen, other=0)
                            part += x_before * y_k
                            part += y_before * x_k
                            tl.store(pair, part, mask=chosen)
                        tl.store(room + (PAIRS + tl.load(step)) * many, past, mask=chosen)
                        e = there - back
                        past += 2 * e
                        variance += e * e
                        total += there + back
                        squares += x_k * x_k
                        squares += y_k * y_k
                        largest = tl.maximum(largest, tl.maximum(tl.abs(x_k), tl.abs(y_k)))
                        x_before, y_before = x_k, y_k
                    places = room[None, :] + ((PAIRS + i) * many)[:, None]
                    mask = (i < N)[:, None] & chosen[None, :]
                    passed = tl.load(places, mask=mask, other=0)
                    shapley += (x - y) * (past[None, :] / 2 - passed)
                if not EXACT:
                    chosen = _keep(left, first // GROUP, unit, many, chosen, largest,
                                   squares + variance, total, SMALL, LARGE)  # fmt: skip
                nonzero_row: tl.constexpr = 3 * N + PAIRS
                _add_rows(into, i, N, many, s1, chosen)
                _add_rows(into + N * many, i, N, many, st, chosen)
                _add_rows(into + 2 * N * many, i, N, many, shapley, chosen)
                _add_rows(into + nonzero_row * many, i, N, many, nonzero, chosen)
                if turn == 0:
                    _add_row(into + (nonzero_row + N) * many, variance, chosen)
                    _add_row(into + (nonzero_row + N + 1) * many, total, chosen)
                    for pair in range(PAIRS):
                        part = tl.load(room + pair * many, mask=chosen, other=0)
                        _add_row(into + (3 * N + pair) * many, part, chosen)


@triton.jit(do_not_specialize=["blocks", "units"])
def _star(  # type: ignore[no-untyped-def]
    outputs, walk, left, sums, blocks, units,
    N: tl.constexpr, VARIABLES: tl.constexpr, EXACT: tl.constexpr, UNITS: tl.constexpr,
    GROUP: tl.constexpr, SMALL: tl.constexpr, LARGE: tl.constexpr,
):  # fmt: skip
    """Add the star's terms of a tile of units.

    Args:
        walk: where each row begins in the outputs, ``(block, 2 D + 2)``.
        outputs, left, sums, blocks, units, N, VARIABLES, EXACT, UNITS: as of `_cycle`.
    """
    WORK: tl.constexpr = tl.float64 if EXACT else tl.float32
    many = units.to(tl.int64)
    unit = tl.program_id(0).to(tl.int64) * UNITS + tl.arange(0, UNITS)
    into = sums + unit
    for first in range(0, blocks, GROUP):
        last = min(first + GROUP, blocks)
        chosen, any_chosen = _asked(left, first // GROUP, unit, many, EXACT)
        if any_chosen:
            variance = tl.zeros((UNITS,), WORK)
            total = tl.zeros((UNITS,), WORK)
            squares = tl.zeros((UNITS,), WORK)
            largest = tl.zeros((UNITS,), WORK)
            for block in range(first, last):
                row = walk + block * (2 * N + 2)
                a = _row(outputs, row, unit, chosen, WORK)
                b = _row(outputs, row + 2 * N + 1, unit, chosen, WORK)
                apart = a - b
                variance += N * (apart * apart)
                total += a + b
                largest = tl.maximum(largest, tl.abs(apart))
                for turn in range(0, N, VARIABLES):
                    i = turn + tl.arange(0, VARIABLES)
                    ab = _rows(outputs, row + 1, i, N, unit, chosen, WORK)
                    ba = _rows(outputs, row + 1 + N, i, N, unit, chosen, WORK)
                    total += tl.sum(ab + ba, axis=0)
                    variance += tl.sum((ab - ba) * (ab - ba), axis=0)
                    d = tl.where((i < N)[:, None], ab - a[None, :], 0)
                    h = tl.where((i < N)[:, None], ba - b[None, :], 0)
                    squares += tl.sum(d * d + h * h, axis=0)
                    steps = tl.maximum(tl.abs(d), tl.abs(h))
                    largest = tl.maximum(largest, tl.max(steps, axis=0))
            if not EXACT:
                chosen = _keep(left, first // GROUP, unit, many, chosen, largest,
                               squares + variance, total, SMALL, LARGE)  # fmt: skip
            nonzero_row: tl.constexpr = 2 * N + N * (N - 1) // 2
            _add_row(into + (nonzero_row + N) * many, variance, chosen)
            _add_row(into + (nonzero_row + N + 1) * many, total, chosen)
            for i_turn in range(0, N, VARIABLES):
                for j_turn in range(i_turn, N, VARIABLES):
                    i = i_turn + tl.arange(0, VARIABLES)
                    j = j_turn + tl.arange(0, VARIABLES)
                    s1 = tl.zeros((VARIABLES, UNITS), WORK)
                    st = tl.zeros((VARIABLES, UNITS), WORK)
                    nonzero = tl.zeros((VARIABLES, UNITS), WORK)
                    s2 = tl.zeros((VARIABLES, VARIABLES, UNITS), WORK)
                    for block in range(first, last):
                        row = walk + block * (2 * N + 2)
                        a = _row(outputs, row, unit, chosen, WORK)[None, :]
                        b = _row(outputs, row + 2 * N + 1, unit, chosen, WORK)[None, :]
                        d = _rows(outputs, row + 1, i, N, unit, chosen, WORK) - a
                        h = _rows(outputs, row + 1 + N, i, N, unit, chosen, WORK) - b
                        d_j = _rows(outputs, row + 1, j, N, unit, chosen, WORK) - a
                        h_j = _rows(outputs, row + 1 + N, j, N, unit, chosen, WORK) - b
                        product = d * h
                        s1 += product
                        st += d * d
                        st += h * h
                        nonzero += (product != 0).to(WORK)
                        s2 += d[:, None, :] * h_j[None, :, :]
                        s2 += h[:, None, :] * d_j[None, :, :]
                    if i_turn == j_turn:
                        _add_rows(into, i, N, many, s1, chosen)
                        _add_rows(into + N * many, i, N, many, st, chosen)
                        _add_rows(into + nonzero_row * many, i, N, many, nonzero, chosen)
                    _add_pairs(into + 2 * N * many, i, j, N, many, s2, chosen)


@triton.jit
def _asked(left, group, unit, many, EXACT: tl.constexpr):  # type: ignore[no-untyped-def]
    """Return which units a group is to be summed of, and whether there is any."""
    chosen = unit < many
    if EXACT:
        chosen = chosen & (tl.load(left + group * many + unit, mask=chosen, other=0) != 0)
        return chosen, tl.max(chosen.to(tl.int32), axis=0) != 0
    else:
        return chosen, True


@triton.jit
def _keep(  # type: ignore[no-untyped-def]
    left, group, unit, many, chosen, largest, squares, total,
    SMALL: tl.constexpr, LARGE: tl.constexpr,
):  # fmt: skip
    """Return which units' differences have squares that float32 holds; leave the others."""
    held = (largest == 0) | ((squares > SMALL) & (squares < LARGE))
    held = held & (tl.abs(total) < float("inf"))  # NaN is not below it
    tl.store(left + group * many + unit, (~held).to(tl.int8), mask=chosen)
    return chosen & held


@triton.jit
def _row(outputs, row, unit, chosen, WORK: tl.constexpr):  # type: ignore[no-untyped-def]
    """Read one row of the chosen units, ``(UNITS,)``; 0 of the others."""
    return tl.load(outputs + tl.load(row) + unit, mask=chosen, other=0).to(WORK)


@triton.jit
def _rows(outputs, row, i, N: tl.constexpr, unit, chosen, WORK: tl.constexpr):  # type: ignore[no-untyped-def]
    """Read the rows ``i`` beyond a row, 0 of those from ``N`` on, ``(VARIABLES, UNITS)``."""
    at = tl.load(row + i, mask=i < N, other=0)
    mask = (i < N)[:, None] & chosen[None, :]
    return tl.load(outputs + at[:, None] + unit[None, :], mask=mask, other=0).to(WORK)


@triton.jit
def _add_row(into, part, chosen):  # type: ignore[no-untyped-def]
    """Add a group's sum to a total, ``(UNITS,)``."""
    total = tl.load(into, mask=chosen, other=0)
    tl.store(into, total + part.to(tl.float64), mask=chosen)


@triton.jit
def _add_rows(into, i, N: tl.constexpr, many, part, chosen):  # type: ignore[no-untyped-def]
    """Add a group's sums to the totals of the variables ``i``."""
    places = into[None, :] + (i * many)[:, None]
    mask = (i < N)[:, None] & chosen[None, :]
    totals = tl.load(places, mask=mask, other=0)
    tl.store(places, totals + part.to(tl.float64), mask=mask)


@triton.jit
def _add_pairs(into, i, j, N: tl.constexpr, many, part, chosen):  # type: ignore[no-untyped-def]
    """Add a group's sums to the totals of the pairs ``i < j``."""
    i, j = i[:, None], j[None, :]
    row = i * (2 * N - i - 1) // 2 + j - i - 1
    mask = ((i < j) & (j < N))[:, :, None] & chosen[None, None, :]
    places = into[None, None, :] + (row * many)[:, :, None]
    totals = tl.load(places, mask=mask, other=0)
    tl.store(places, totals + part.to(tl.float64), mask=mask)


@dataclass(frozen=True)
class Kernel:
    """How a design is summed in one pass.

    Attributes:
        add: the kernel: outputs, tables, room, ``left``, sums, numbers of blocks and units.
        tables: the integers that it reads, from the layout, where each row begins in the outputs
            ``(block, row)``, and the order ``(block, D)``.
        room: rows of the memory that it works in, ``(room, unit)``; 0 for none.
        held: variables whose sums are held at once, from how many there are and whether they are
            summed in float64.
    """

    add: Any
    tables: Callable[[Layout, NDArray[np.int64], NDArray[np.int64]], list[NDArray[np.int64]]]
    room: Callable[[Layout], int]
    held: Callable[[int, bool], int]


def _star_held(variables: int, exact: bool) -> int:
    """Hold half as many where several turns are needed.

    Pairs take VARIABLES^2 / 2 registers where one turn has all variables, VARIABLES^2 where not.
    """
    held = 8 if exact else 16
    return held // 2 if variables > (8 if exact else 12) else held


# By the name of the design; one that is not here is summed by torch.
KERNELS = {
    "cycle": Kernel(
        add=_cycle,
        tables=_cycle_tables,
        room=lambda layout: len(layout.pairs) + layout.variables,
        held=lambda variables, exact: 8 if exact else 16,
    ),
    "star": Kernel(
        add=_star,
        tables=lambda layout, at, order: [at],
        room=lambda layout: 0,
        held=_star_held,
    ),
}
