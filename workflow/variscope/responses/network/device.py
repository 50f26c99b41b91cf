"""Devices and the settings that make them repeat themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from variscope.errors import UserError

DEVICES = ("auto", "cpu", "cuda")

# What a network computes in. tf32 is a mode of NVIDIA's GPUs: elsewhere it is float32.
PRECISIONS = ("float32", "tf32", "bfloat16")


def choose_device(device: str | None) -> str:
    """Return "cpu" or a CUDA device for "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        UserError: an unknown device, or CUDA where there is none.
    """
    if device in (None, "auto"):
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind = str(device).split(":")[0]
    if kind not in ("cpu", "cuda"):
        raise UserError(f"device: found {device!r}; allowed: {', '.join(DEVICES)}")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device: found {device!r}, but torch sees no CUDA device; use auto or cpu")
    return str(device)


def name_of(device: torch.device) -> str:
    """Return what a device is called: CPU, or the GPU's name."""
    return "CPU" if device.type == "cpu" else str(torch.cuda.get_device_name(device))


@contextmanager
def repeatable(threads: int | None) -> Iterator[None]:
    """Fix what the last bits of a result depend on, for as long as the block runs.

    The number of threads splits sums, so it is a setting and never the number of cores. TF32 and
    autotuned convolutions are off: they would change results between runs or devices.

    Args:
        threads: of torch on the CPU; None leaves them as they are.
    """
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = torch.get_num_threads(), cudnn.benchmark, cudnn.deterministic
    before_tf32 = cudnn.allow_tf32, matmul.allow_tf32
    before_algorithms = torch.are_deterministic_algorithms_enabled()
    if threads is not None:
        torch.set_num_threads(threads)
    cudnn.benchmark, cudnn.deterministic = False, True
    cudnn.allow_tf32 = matmul.allow_tf32 = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Every output is written in full: filling memory beforehand would cost a sixth of the run.
    deterministic: Any = torch.utils.deterministic
    filling = deterministic.fill_uninitialized_memory
    deterministic.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cudnn.benchmark, cudnn.deterministic = before[1:]
        cudnn.allow_tf32, matmul.allow_tf32 = before_tf32
        torch.use_deterministic_algorithms(before_algorithms)
        deterministic.fill_uninitialized_memory = filling


@contextmanager
def computing_in(precision: str, device: torch.device) -> Iterator[None]:
    """Let networks compute in one of `PRECISIONS`, for as long as the block runs.

    Raises:
        UserError: an unknown precision.
    """
    if precision not in PRECISIONS:
        raise UserError(f"precision: found {precision!r}; allowed: {', '.join(PRECISIONS)}")
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    cudnn.allow_tf32 = matmul.allow_tf32 = precision == "tf32"
    try:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32 = before
