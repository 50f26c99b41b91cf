"""Shares that sum to 1 correlate by arithmetic: what is left of a correlation without it.

D exchangeable shares correlate at -1 / (D - 1) with each other, whatever they measure (Chayes 1960,
On correlation between variables of constant sum, J. Geophys. Res. 65: 4185-4193): where one
variable has more of a unit's variance, the others have less. The null permutes what each variable
contributes over the channels, each variable in an order of its own, and divides by the new sum.

What is permuted are the numerators of outputs that are scaled to variance 1: indices do not depend
on scale. Those of the outputs as they are would carry the channels' loudness, which all variables
of a channel share, from each to other channels; independent shares were then called correlated
twice as often as the level says.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def permuted(shares: Array, orders: NDArray[np.intp]) -> Array:
    """Exchange the channels of each variable's shares.

    Args:
        shares: ``(..., variable, pixel, channel)``; whole channels are exchanged, the same at all
            pixels and in all leading dimensions.
        orders: which channel comes where, ``(variable, channel)``.
    """
    return np.take_along_axis(shares, np.broadcast_to(orders[:, None], shares.shape), axis=-1)


def permuted_and_closed(shares: Array, orders: NDArray[np.intp]) -> Array:
    """Exchange the channels of each variable's contribution, and make shares of it again.

    Args:
        shares: as of `permuted`. Where they do not sum to 1, as first-order indices, what is left
            of the variance is a contribution of its own.
        orders: which channel comes where, ``(variable + 1, channel)``; the last row is of what is
            left.

    Returns:
        Shares of the same shape; NaN where contributions do not sum to a variance above 0.
    """
    left = 1 - shares.sum(axis=-3, keepdims=True)
    parts = permuted(np.concatenate([shares, left], axis=-3), orders)
    total = parts.sum(axis=-3, keepdims=True)
    return parts[..., :-1, :, :] / np.where(total > 0, total, np.nan)


def random_orders(series: int, channels: int, generator: np.random.Generator) -> NDArray[np.intp]:
    """Draw an order of the channels for each series, ``(series, channel)``."""
    return np.argsort(generator.random((series, channels)), axis=-1)
