"""Edges against scipy's operator and a step of known size."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from variscope.estimators.edges import edge_maps


def test_edges_are_scipys() -> None:
    images = np.random.default_rng(0).random((3, 3, 7, 9))
    for image, found in zip(images, edge_maps(images), strict=True):
        bright = image.mean(axis=0)
        across, down = (ndimage.sobel(bright, axis=axis, mode="nearest") / 4 for axis in (1, 0))
        np.testing.assert_allclose(found, np.hypot(across, down))


def test_a_flat_image_has_no_edges_and_a_steps_length_is_its_height() -> None:
    assert not edge_maps(np.full((2, 1, 4, 4), 0.3)).any()
    step = np.zeros((1, 1, 6, 6))
    step[..., 3:] = 0.7
    found = edge_maps(step)[0]
    np.testing.assert_allclose(found[:, 2:4], 0.7)
    assert not found[:, [0, 1, 4, 5]].any()
