"""Small tools for batches whose images must not influence each other, to the last bit.

The sum of a batch is not safe to leave to `torch.sum`: in which order it adds depends on the shape
and on the number of threads. Nor is `torch.exp`, whose vectorised loop and remainder may round
differently. A share of unit variance that comes from rounding would be read as sensitivity, and a
row that changes with its batch would break the promise that equal rows give equal activations.
"""

from __future__ import annotations

import torch


def column(parameters: torch.Tensor, index: int) -> torch.Tensor:
    """Return one parameter of `(n, k)` as `(n, 1, 1, 1)`, to broadcast over images."""
    return parameters[:, index, None, None, None]


def precise(values: torch.Tensor) -> torch.Tensor:
    """Return `values` in double precision, where the device has it.

    Functions such as exp and cos, computed in double and rounded to float32, are the same wherever
    in the batch they stand; it is done for a few values per image, never for pixels.
    """
    return values if values.device.type == "mps" else values.double()


def pairwise_mean(values: torch.Tensor) -> torch.Tensor:
    """Return the mean of `(n, m)` over m as `(n,)`, by adding halves onto each other.

    The order of the additions depends on m alone, and the error grows with log m only.
    """
    count = values.shape[1]
    while values.shape[1] > 1:
        half = values.shape[1] // 2
        added = values[:, :half] + values[:, half : 2 * half]
        odd = values[:, 2 * half :]
        values = torch.cat([added, odd], dim=1) if odd.shape[1] else added
    return values[:, 0] / count


def centred(size: int, images: torch.Tensor) -> torch.Tensor:
    """Return the positions of `size` pixels relative to their centre, in pixels, `(size,)`."""
    positions = torch.arange(size, dtype=images.dtype, device=images.device)
    return positions - (size - 1) / 2
