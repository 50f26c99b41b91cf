"""What several methods share: the unit that is asked for, and how channels become one map."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# How the values of an image's channels become one of the pixel.
REDUCED = {
    "absolute": lambda values: values.abs().sum(dim=-3),
    "norm": lambda values: values.norm(dim=-3),
    "signed": lambda values: values.sum(dim=-3),
}


def asked(outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the unit that is asked for of each image, ``(n,)``.

    Args:
        outputs: ``(n, unit)``.
        target: numbers of units, int64 ``(n,)``.
    """
    return outputs.gather(1, target.to(outputs.device)[:, None])[:, 0]


def reduced(values: torch.Tensor, how: str) -> torch.Tensor:
    """Return values ``(*, C, H, W)`` as maps ``(*, H, W)``.

    Args:
        values: of each channel.
        how: ``"absolute"``, the sum of absolute values; ``"norm"``, the root of the sum of squares;
            ``"signed"``, the sum.

    Raises:
        ValueError: another way.
    """
    if how not in REDUCED:
        raise ValueError(f"channels: found {how!r}; allowed: {', '.join(REDUCED)}")
    return REDUCED[how](values)


@contextmanager
def differentiable() -> Iterator[None]:
    """Keep what gradients need, whatever the caller has switched off."""
    with torch.inference_mode(mode=False), torch.enable_grad():
        yield
