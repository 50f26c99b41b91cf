"""Outputs to sum with `variscope.responses.network.fused`, and a script that sums them on the CPU.

The script runs the kernels in Triton's interpreter, which has to be chosen before they are defined:
so `test_fused` starts it as a process of its own.
"""

import sys
from dataclasses import dataclass

import numpy as np
import torch
from variscope.estimators import Layout


@dataclass(frozen=True)
class Case:
    """Blocks of one layer, in two calls, the first of them ``BLOCKS[0]`` long."""

    design: str
    variables: int
    units: int
    dtype: type = np.float32

    @property
    def name(self) -> str:
        return f"{self.design}-{self.variables}-{self.units}-{self.dtype.__name__}"

    @property
    def layout(self) -> Layout:
        return Layout(self.design, self.variables)


BLOCKS = (18, 3)  # two groups in the first call, neither call ends with a group

CASES = [
    *(
        Case(design, variables, units)
        for design in ("cycle", "star")
        for variables, units in [(1, 17), (2, 1), (2, 17), (5, 1), (5, 17), (5, 300)]
    ),
    Case("cycle", 18, 3),  # more variables than a program holds at once
    Case("star", 14, 3),
    Case("cycle", 3, 17, np.float64),
    Case("star", 3, 17, np.float64),
]

KINDS = np.array([1, 1e-30, 1e-20, 1e-16, 1e14, 1e17, 1e18, 1, 1, 0, 1], np.float32)
SHIFTED, SPARSE, CONSTANT, SPOILED = 7, 8, 9, 10  # kinds of units beside those of other scales


def kinds(case: Case) -> np.ndarray:
    return np.arange(case.units) % len(KINDS)


def blocks_of(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return outputs ``(evaluation, unit)``, rows ``(block, row)`` and order ``(block, D)``.

    A block in three repeats some of its rows, as where a step changes nothing.
    """
    rng = np.random.default_rng([case.variables, case.units])
    blocks, rows = sum(BLOCKS), case.layout.rows
    held_by = np.arange(blocks * rows).reshape(blocks, rows)
    held_by[::3, 1:] = np.sort(rng.choice(held_by[::3, 1:], rows - 1, axis=1), axis=1)
    order = rng.permuted(np.tile(np.arange(case.variables), (blocks, 1)), axis=1)
    outputs: np.ndarray = rng.standard_normal((blocks * rows, case.units)).astype(case.dtype)
    kind = kinds(case)
    outputs *= KINDS[kind]
    outputs[:, kind == SHIFTED] += np.float32(1e4)
    outputs[:, kind == SPARSE] *= rng.random((blocks * rows, 1)) < 0.1
    outputs[:, kind == CONSTANT] = 3e38
    outputs[held_by[1, 1], kind == SPOILED] = np.nan
    return outputs, held_by, order


def sums_of(case: Case, device: str) -> np.ndarray:
    """Sum a case's blocks on a device, ``(Layout.sum_rows, unit)``."""
    from variscope.responses.network import fused

    outputs, rows, order = blocks_of(case)
    sums = torch.zeros(case.layout.sum_rows, case.units, dtype=torch.float64, device=device)
    first = BLOCKS[0]
    for part in (slice(first), slice(first, None)):
        fused.add(case.layout, torch.from_numpy(outputs).to(device), rows[part], order[part], sums)
    return sums.cpu().numpy()


if __name__ == "__main__":
    with np.errstate(all="ignore"):
        found = {case.name: sums_of(case, "cpu") for case in CASES}
    np.savez(sys.argv[1], allow_pickle=False, **found)
