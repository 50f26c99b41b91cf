"""Sums of a layer's outputs, on the device that made them.

On the CPU `variscope.estimators.Moments` sums with a compiled kernel. On a GPU copying outputs to
the host would cost more than the network, so the same terms (`variscope.estimators.cycle`, `star`)
are summed there, and only the sums are copied: by the kernels of `fused` beside this file in one
pass, or by torch's operations, which move them many times, where those cannot run. The
arithmetic is the compiled kernel's: terms in float32, in float64 where their squares leave its
range, at most 32 of them added in that precision, totals in float64 and rounded at each power of
two (`variscope.estimators.spine`). Results agree with the
compiled kernel's to the rounding of float32's products, not to the last bit: a GPU adds in another
order.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from variscope.designs.cells import is_boundary
from variscope.estimators import Layout, Moments
from variscope.estimators.layout import DROPPED_BITS, GROUP, LARGE, SMALL
from variscope.estimators.spine import Spine, check_within_shell
from variscope.log import LOG

# Units that are summed at once take about this much: several arrays like the outputs are held.
_BYTES_AT_ONCE, _ARRAYS = 256 * 2**20, 6

# Sums that are rounded at once: what is made on the way is small beside them.
_ROUNDED_AT_ONCE = 2**22


def layer_sums(
    layout: Layout, replicate: int, unit: tuple[int, ...], device: torch.device, start: int = 0
) -> HostSums | DeviceSums:
    """Return empty sums of one replicate of one layer, for outputs on ``device``.

    Blocks come from ``start`` on, 0 or a power of two.
    """
    if device.type == "cpu":
        return HostSums(layout, replicate, unit, start)
    add = fused_sums(layout.design) if device.type == "cuda" else None
    return DeviceSums(layout, replicate, unit, device, add, start)


@cache
def fused_sums(design: str) -> Callable[..., None] | None:
    """Return `variscope.responses.network.fused.add` where it sums a design on this GPU, or None.

    Compilers, drivers and GPUs are many: it has to sum a few blocks as torch does.
    """
    if torch.version.hip is not None:
        return None
    try:
        from variscope.responses.network import fused

        if design not in fused.KERNELS:
            return None
        fused.prepare()
        agree = sums_agree(fused.add, torch.device("cuda"), design)
    except (ImportError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        LOG.warning("layers are summed by torch, slower than by Triton: %s", error)
        return None
    if not agree:
        LOG.warning("layers are summed by torch: Triton's sums differ from its")
    return fused.add if agree else None


def sums_agree(add: Callable[..., None], device: torch.device, design: str) -> bool:
    """Return whether some blocks of a design have the sums that torch gives them."""
    generator = torch.Generator().manual_seed(0)
    blocks, units = GROUP + 1, 200
    layout = Layout(design, 3)
    outputs = torch.randn(blocks * layout.rows, units, generator=generator)
    outputs[:, 1], outputs[:, 2] = 1e-20 * outputs[:, 1], 1e18 * outputs[:, 2]
    rows = np.arange(len(outputs)).reshape(blocks, -1)
    order = np.array([[0, 1, 2], [2, 0, 1]])[np.arange(blocks) % 2]
    found = []
    for one in (add, None):
        sums = DeviceSums(layout, 0, (units,), device, one, start=2 * GROUP)
        sums.update(outputs.to(device), rows, order)
        found.append(sums.moments()[0].sums[0])
    size = np.maximum(np.abs(found[1]), found[1][layout.sums["variance"]])
    return bool((np.abs(found[0] - found[1]) <= 1e-4 * size).all())


def _round(values: torch.Tensor) -> None:
    """Round float64 in place as `variscope.estimators.moments.with_float32_bits` does."""
    entries = values.view(torch.int64).reshape(-1)
    for start in range(0, len(entries), _ROUNDED_AT_ONCE):
        bits = entries[start : start + _ROUNDED_AT_ONCE]
        odd = (bits >> DROPPED_BITS) & 1
        bits.add_(odd.add_(2 ** (DROPPED_BITS - 1) - 1)).bitwise_and_(-(2**DROPPED_BITS))


class HostSums:
    """The sums of one replicate of one layer, by the compiled kernel.

    Args:
        layout: of the sums.
        replicate: its number.
        unit: shape of the units.
        start: number of the first block, 0 or a power of two.
    """

    def __init__(
        self, layout: Layout, replicate: int, unit: tuple[int, ...], start: int = 0
    ) -> None:
        self._spine = Spine(layout, replicate, unit, start)

    def update(
        self, outputs: torch.Tensor, rows: NDArray[np.int64], order: NDArray[np.int64]
    ) -> None:
        """Add the blocks of a cell.

        Args:
            outputs: of the evaluations, ``(evaluation, *unit)``.
            rows: which evaluation each row is, ``(block, row)``.
            order: the blocks' permutations, ``(block, D)``.
        """
        self._spine.update(outputs.numpy(), order, rows)

    def moments(self) -> tuple[Moments, ...]:
        """Return the sums of all blocks, as `Spine.moments` does."""
        return self._spine.moments()


class DeviceSums:
    """The sums of one replicate of one layer, on a device, along the spine of `Spine`.

    Args:
        layout: of the sums.
        replicate: its number.
        unit: shape of the units.
        device: where the outputs are.
        add: `variscope.responses.network.fused.add`, or None for torch's operations.
        start: number of the first block, 0 or a power of two.
    """

    def __init__(
        self,
        layout: Layout,
        replicate: int,
        unit: tuple[int, ...],
        device: torch.device,
        add: Callable[..., None] | None = None,
        start: int = 0,
    ) -> None:
        self._layout, self._unit, self._start = layout, unit, start
        units = int(np.prod(unit))
        self._sums = torch.zeros((layout.sum_rows, units), dtype=torch.float64, device=device)
        self._total: torch.Tensor | None = None
        self._pairs = torch.from_numpy(layout.pair_table()).to(device)
        # What is counted, and not summed, is on the host.
        self._counted = Moments.zeros(layout, [replicate], (0,), start)
        self._at = self._closed_at = start
        self._closed: list[Moments] = []
        self._add = add

    def update(
        self, outputs: torch.Tensor, rows: NDArray[np.int64], order: NDArray[np.int64]
    ) -> None:
        """Add the blocks of a cell, as `HostSums.update` does."""
        stop = check_within_shell(self._at, len(rows))
        flat = outputs.reshape(len(outputs), -1)
        if self._add is not None:
            self._add(self._layout, flat, rows, order, self._sums)
        else:
            self._add_by_torch(flat, rows, order)
        self._counted.count(0, rows, order)
        self._at = stop
        if is_boundary(stop):
            self._close()

    def moments(self) -> tuple[Moments, ...]:
        """Copy the sums of all blocks to the host, as `Spine.moments` returns them."""
        if self._at > self._closed_at:
            self._close()
        return tuple(self._closed) if self._total is None else (self._on_host(self._total),)

    def _close(self) -> None:
        """Round the shell's sums, and add them to the total where that begins at block 0."""
        _round(self._sums)
        if not self._start and self._total is not None:
            _round(self._total.add_(self._sums))
            self._sums.zero_()
        else:
            if self._start:
                self._closed.append(self._on_host(self._sums))
                replicates = self._counted.replicates.tolist()
                self._counted = Moments.zeros(self._layout, replicates, (0,), self._at)
            else:
                self._total = self._sums
            self._sums = torch.zeros_like(self._sums)
        self._closed_at = self._at

    def _on_host(self, sums: torch.Tensor) -> Moments:
        return replace(self._counted, sums=sums.cpu().numpy().reshape(1, -1, *self._unit))

    def _add_by_torch(
        self, flat: torch.Tensor, rows: NDArray[np.int64], order: NDArray[np.int64]
    ) -> None:
        """Add blocks to the sums, from outputs ``(evaluation, unit)``."""
        held_by = torch.from_numpy(rows).to(flat.device)
        permutation = torch.from_numpy(order).to(flat.device)
        unit_bytes = 4 * _ARRAYS * GROUP * self._layout.rows
        at_once = max(1, _BYTES_AT_ONCE // unit_bytes)
        for first in range(0, flat.shape[1], at_once):
            units = slice(first, first + at_once)
            for start in range(0, len(rows), GROUP):
                group = slice(start, start + GROUP)
                self._sums[:, units] += self._group(
                    flat[:, units][held_by[group]], permutation[group]
                )

    def _group(self, f: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        """Sum a group of blocks ``(block, row, unit)``: ``(Layout.sum_rows, unit)``, float64."""
        terms = TERMS[self._layout.design]
        sums = terms(self._layout, f, order, self._pairs)
        if f.dtype == torch.float32:
            left = self._extraordinary(sums, f)
            sums = sums.double()
            if left.any():
                sums[:, left] = terms(self._layout, f[:, :, left].double(), order, self._pairs)
        return sums

    def _extraordinary(self, sums: torch.Tensor, f: torch.Tensor) -> torch.Tensor:
        """Return the units whose differences have squares that float32 does not hold."""
        of = self._layout.sums
        squares = sums[of["ST"]].sum(dim=0) + sums[of["variance"]][0]
        constant = (f == f[:, :1]).all(dim=1).all(dim=0)  # within each block
        held = constant | ((squares > SMALL) & (squares < LARGE))
        return ~(held & sums[of["total"]][0].isfinite())


def _empty(layout: Layout, f: torch.Tensor) -> torch.Tensor:
    return torch.zeros((layout.sum_rows, f.shape[2]), dtype=f.dtype, device=f.device)


def _cycle(
    layout: Layout, f: torch.Tensor, order: torch.Tensor, pair_table: torch.Tensor
) -> torch.Tensor:
    """Sum the cycle's terms of a group of blocks.

    Args:
        layout: of the sums.
        f: outputs, ``(block, 2 D, unit)``.
        order: of the blocks, ``(block, D)``.
        pair_table: `Layout.pair_table`, ``(D, D)``.

    Returns:
        ``(Layout.sum_rows, unit)``, in the outputs' precision.
    """
    n, of, sums = layout.variables, layout.sums, _empty(layout, f)
    step = f - f.roll(1, dims=1)  # D_k, with D_2D in the place of D_0
    complement = f[:, :n] - f[:, n:]  # E_k
    there, back = step[:, 1 : n + 1], step.roll(-n, dims=1)[:, 1 : n + 1]
    passed = complement.clone()
    passed[:, 0] = 0
    held = complement.sum(dim=1, keepdim=True) - 2 * complement[:, :1]  # T_1
    held = held - 2 * passed.cumsum(dim=1)  # T_k = T_1 - 2 (E_1 + ... + E_{k-1})
    product = there * back
    position = order.argsort(dim=1)[:, :, None].expand(-1, -1, f.shape[2])
    for name, terms in (
        ("S1", product),
        ("ST", there * there + back * back),
        ("shapley", (there - back) * held),
        ("nonzero", (product != 0).to(f.dtype)),
    ):
        sums[of[name]] = terms.gather(1, position).sum(dim=0)
    sums[of["variance"]] = (complement * complement).sum(dim=(0, 1))
    sums[of["total"]] = f.sum(dim=(0, 1))
    if n > 1:
        pair = pair_table[order, order.roll(-1, dims=1)].reshape(-1)
        next_there, next_back = there.roll(-1, dims=1), back.roll(-1, dims=1)
        # After D_D comes D_{D+1}, the first step back; after D_2D comes D_1.
        next_there[:, -1], next_back[:, -1] = back[:, 0], there[:, 0]
        terms = (there * next_back + back * next_there).reshape(len(pair), -1)
        sums[of["S2"]] = sums[of["S2"]].index_add(0, pair, terms)
    return sums


def _star(
    layout: Layout, f: torch.Tensor, order: torch.Tensor, pair_table: torch.Tensor
) -> torch.Tensor:
    """Sum the star's terms of a group of blocks, as `_cycle` does; order and table are ignored."""
    n, of, sums = layout.variables, layout.sums, _empty(layout, f)
    a, b = f[:, :1], f[:, -1:]
    ab, ba = f[:, 1 : n + 1], f[:, n + 1 : -1]
    d, h = ab - a, ba - b
    sums[of["S1"]] = (d * h).sum(dim=0)
    sums[of["ST"]] = (d * d + h * h).sum(dim=0)
    sums[of["nonzero"]] = (d * h != 0).to(f.dtype).sum(dim=0)
    apart, ends = ab - ba, a - b
    sums[of["variance"]] = n * (ends * ends).sum(dim=0) + (apart * apart).sum(dim=(0, 1))
    sums[of["total"]] = f.sum(dim=(0, 1))
    for row, (i, j) in enumerate(layout.pairs, start=of["S2"].start):
        sums[row] = (d[:, i] * h[:, j] + d[:, j] * h[:, i]).sum(dim=0)
    return sums


# What sums the terms of a group of a design's blocks, by its name.
TERMS = {"cycle": _cycle, "star": _star}
