"""Sums of a layer's outputs, on the device that made them.

On the CPU `variscope.estimators.Moments` sums with a compiled kernel. On a GPU copying outputs to
the host would cost more than the network, so the same terms (`variscope.estimators.cycle`, `star`)
are summed there, and only the sums are copied: by the kernels of `fused` beside this file in one
pass, or by torch's operations, which move them many times, where those cannot run. The
arithmetic is the compiled kernel's: terms in float32, in float64 where their squares leave its
range, at most 32 of them added in that precision, totals in float64. Results agree with the
compiled kernel's to the rounding of float32's products, not to the last bit: a GPU adds in another
order.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from variscope.estimators import Layout, Moments
from variscope.estimators.layout import DESIGNS, GROUP, LARGE, SMALL
from variscope.estimators.moments import moved_steps
from variscope.log import LOG

# Units that are summed at once take about so much: so many arrays like the outputs are held.
_BYTES_AT_ONCE, _ARRAYS = 256 * 2**20, 6


def layer_sums(
    layout: Layout, replicate: int, unit: tuple[int, ...], device: torch.device
) -> HostSums | DeviceSums:
    """Return empty sums of one replicate of one layer, for outputs on ``device``."""
    if device.type == "cpu":
        return HostSums(layout, replicate, unit)
    add = fused_sums() if device.type == "cuda" else None
    return DeviceSums(layout, replicate, unit, device, add)


@cache
def fused_sums() -> Callable[..., None] | None:
    """Return `variscope.responses.network.fused.add` where it runs on this machine's GPU, or None.

    Compilers, drivers and GPUs are many: it has to sum a few blocks as torch does.
    """
    if torch.version.hip is not None:
        return None
    try:
        from variscope.responses.network import fused

        fused.prepare()
        agree = sums_agree(fused.add, torch.device("cuda"))
    except (ImportError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        LOG.warning("layers are summed by torch, slower than by Triton: %s", error)
        return None
    if not agree:
        LOG.warning("layers are summed by torch: Triton's sums differ from its")
    return fused.add if agree else None


def sums_agree(add: Callable[..., None], device: torch.device) -> bool:
    """Return whether some blocks of each design have the sums that torch gives them."""
    generator = torch.Generator().manual_seed(0)
    blocks, units = GROUP + 1, 200
    for design in DESIGNS:
        layout = Layout(design, 3)
        outputs = torch.randn(blocks * layout.rows, units, generator=generator)
        outputs[:, 1], outputs[:, 2] = 1e-20 * outputs[:, 1], 1e18 * outputs[:, 2]
        rows = np.arange(len(outputs)).reshape(blocks, -1)
        order = np.array([[0, 1, 2], [2, 0, 1]])[np.arange(blocks) % 2]
        found = []
        for one in (add, None):
            sums = DeviceSums(layout, 0, (units,), device, one)
            sums.update(outputs.to(device), rows, order)
            found.append(sums.moments().sums[0])
        size = np.maximum(np.abs(found[1]), found[1][layout.sums["variance"]])
        if not (np.abs(found[0] - found[1]) <= 1e-4 * size).all():
            return False
    return True


class HostSums:
    """The sums of one replicate of one layer, by the compiled kernel."""

    def __init__(self, layout: Layout, replicate: int, unit: tuple[int, ...]) -> None:
        self._replicate = replicate
        self._moments = Moments.zeros(layout, [replicate], unit)

    def update(
        self, outputs: torch.Tensor, rows: NDArray[np.int64], order: NDArray[np.int64]
    ) -> None:
        """Add blocks.

        Args:
            outputs: of the evaluations, ``(evaluation, *unit)``.
            rows: which evaluation each row is, ``(block, row)``.
            order: the blocks' permutations, ``(block, D)``.
        """
        self._moments.update(self._replicate, outputs.numpy(), order, rows)

    def moments(self) -> Moments:
        """Return the sums of the whole replicate."""
        return self._moments.rounded()


class DeviceSums:
    """The sums of one replicate of one layer, on a device.

    Args:
        layout: of the sums.
        replicate: its number.
        unit: shape of the units.
        device: where the outputs are.
        add: `variscope.responses.network.fused.add`, or None for torch's operations.
    """

    def __init__(
        self,
        layout: Layout,
        replicate: int,
        unit: tuple[int, ...],
        device: torch.device,
        add: Callable[..., None] | None = None,
    ) -> None:
        self._layout, self._replicate, self._unit = layout, replicate, unit
        units = int(np.prod(unit))
        self._sums = torch.zeros((layout.sum_rows, units), dtype=torch.float64, device=device)
        self._pairs = torch.from_numpy(layout.pair_table()).to(device)
        self._pair_counts = np.zeros(len(layout.pairs), dtype=np.int64)
        self._moved = np.zeros(layout.variables, dtype=np.int64)
        self._blocks = 0
        self._add = add

    def update(
        self, outputs: torch.Tensor, rows: NDArray[np.int64], order: NDArray[np.int64]
    ) -> None:
        """Add blocks, as `HostSums.update` does."""
        flat = outputs.reshape(len(outputs), -1)
        if self._add is not None:
            self._add(self._layout, flat, rows, order, self._sums)
        else:
            self._add_by_torch(flat, rows, order)
        if self._layout.design == "cycle":
            pairs = self._layout.pair_table()[order, np.roll(order, -1, axis=1)]
            self._pair_counts += np.bincount(pairs[pairs >= 0], minlength=len(self._pair_counts))
        else:
            self._pair_counts += len(rows)
        self._moved += moved_steps(self._layout, rows, order)
        self._blocks += len(rows)

    def moments(self) -> Moments:
        """Copy the sums of the whole replicate to the host."""
        moments = Moments.zeros(self._layout, [self._replicate], self._unit)
        moments.sums[0] = self._sums.cpu().numpy().reshape(-1, *self._unit)
        moments.pair_counts[0] = self._pair_counts
        moments.moved[0] = self._moved
        moments.blocks[0] = self._blocks
        return moments.rounded()

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
        terms = self._cycle if self._layout.design == "cycle" else self._star
        sums = terms(f, order)
        if f.dtype == torch.float32:
            left = self._extraordinary(sums, f)
            sums = sums.double()
            if left.any():
                sums[:, left] = terms(f[:, :, left].double(), order)
        return sums

    def _extraordinary(self, sums: torch.Tensor, f: torch.Tensor) -> torch.Tensor:
        """Return the units whose differences have squares that float32 does not hold."""
        of = self._layout.sums
        squares = sums[of["ST"]].sum(dim=0) + sums[of["variance"]][0]
        constant = (f == f[:, :1]).all(dim=1).all(dim=0)  # within each block
        held = constant | ((squares > SMALL) & (squares < LARGE))
        return ~(held & sums[of["total"]][0].isfinite())

    def _empty(self, f: torch.Tensor) -> torch.Tensor:
        return torch.zeros((self._layout.sum_rows, f.shape[2]), dtype=f.dtype, device=f.device)

    def _cycle(self, f: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        n, of, sums = self._layout.variables, self._layout.sums, self._empty(f)
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
            pair = self._pairs[order, order.roll(-1, dims=1)].reshape(-1)
            next_there, next_back = there.roll(-1, dims=1), back.roll(-1, dims=1)
            # After D_D comes D_{D+1}, the first step back; after D_2D comes D_1.
            next_there[:, -1], next_back[:, -1] = back[:, 0], there[:, 0]
            terms = (there * next_back + back * next_there).reshape(len(pair), -1)
            sums[of["S2"]] = sums[of["S2"]].index_add(0, pair, terms)
        return sums

    def _star(self, f: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
        n, of, sums = self._layout.variables, self._layout.sums, self._empty(f)
        a, b = f[:, :1], f[:, -1:]
        ab, ba = f[:, 1 : n + 1], f[:, n + 1 : -1]
        d, h = ab - a, ba - b
        sums[of["S1"]] = (d * h).sum(dim=0)
        sums[of["ST"]] = (d * d + h * h).sum(dim=0)
        sums[of["nonzero"]] = (d * h != 0).to(f.dtype).sum(dim=0)
        apart, ends = ab - ba, a - b
        sums[of["variance"]] = n * (ends * ends).sum(dim=0) + (apart * apart).sum(dim=(0, 1))
        sums[of["total"]] = f.sum(dim=(0, 1))
        for row, (i, j) in enumerate(self._layout.pairs, start=of["S2"].start):
            sums[row] = (d[:, i] * h[:, j] + d[:, j] * h[:, i]).sum(dim=0)
        return sums
