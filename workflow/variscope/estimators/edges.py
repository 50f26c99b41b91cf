"""Edges of images: what a map that says nothing of the network may show as well.

A map that agrees with the edges of its image as well as with anything may come from the image
alone (Adebayo et al. 2018, NeurIPS, arXiv 1810.03292, section 5: an edge detector as a baseline).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def edge_maps(images: ArrayLike) -> NDArray[np.float64]:
    """Return the length of Sobel's gradient of the images' brightness, ``(n, H, W)``.

    Brightness is the mean of the channels; beyond the border the outermost pixels go on. A step of
    1 between two columns has length 1 in both of them: the operator's weights are over 4.

    Args:
        images: ``(n, C, H, W)``, of any range.

    Example:
        >>> edge_maps(np.array([[[[0, 0, 1, 1]] * 2]]))[0]
        array([[0., 1., 1., 0.],
               [0., 1., 1., 0.]])
    """
    bright = np.asarray(images, dtype=np.float64).mean(axis=1)
    wide = np.pad(bright, ((0, 0), (1, 1), (1, 1)), mode="edge")
    across = wide[:, :, 2:] - wide[:, :, :-2]
    down = wide[:, 2:] - wide[:, :-2]
    horizontal = (across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]) / 4
    vertical = (down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]) / 4
    return np.hypot(horizontal, vertical)
