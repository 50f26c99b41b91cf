"""Images and parameters to try augmentations on, and the strategies that draw them."""

from __future__ import annotations

import math

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st
from scipy import ndimage
from variscope.space.augmentations import get

SIZES = ((16, 16), (13, 21), (24, 9), (7, 5), (3, 3))
many = settings(max_examples=25, deadline=None, derandomize=True)


def make_images(seed: int, size: tuple[int, int], n: int = 3) -> torch.Tensor:
    """Images (n, 3, H, W) of one kind out of six: among them the hard cases of color spaces."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(n, 3, *size, generator=generator)
    kind = seed % 6
    if kind == 1:
        images = images.round()  # saturated: every channel 0 or 1
    elif kind == 2:
        images = images[:, :1].expand(-1, 3, -1, -1)  # gray
    elif kind == 3:
        images = images[:, :, :1, :1].expand(-1, -1, *size)  # flat
    elif kind == 4:
        images = (images * 4).round() / 4  # many ties between channels
    elif kind == 5:
        images = 0.5 + 1e-4 * (images - 0.5)  # almost gray
    return images.contiguous()


def draw(name: str, n: int, size: tuple[int, int], seed: int = 0) -> torch.Tensor:
    """Parameters (n, k), uniform within the bounds of the augmentation."""
    generator = torch.Generator().manual_seed(seed)
    parameters = get(name).parameters
    u = torch.rand(n, len(parameters), generator=generator).double().numpy()
    drawn = [parameter.decode(u[:, k], *size) for k, parameter in enumerate(parameters)]
    return torch.from_numpy(np.stack(drawn, 1)).float() if drawn else no_parameters(n)


def repeat(values: list[float], n: int) -> torch.Tensor:
    return torch.tensor([values] * n)


def no_parameters(n: int) -> torch.Tensor:
    return torch.empty(n, 0)


seeds = st.integers(0, 10_000)
sizes = st.sampled_from(SIZES)


def factors(low: float, high: float) -> st.SearchStrategy[list[float]]:
    return st.lists(st.floats(low, high, width=32), min_size=3, max_size=3)


def blur_with_scipy(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur (3, H, W) in double precision, with the kernel cut where it cannot be reflected."""
    for axis in (1, 2):
        radius = min(math.ceil(3 * sigma), image.shape[axis] - 1)
        image = ndimage.gaussian_filter1d(image, sigma, axis=axis, mode="mirror", radius=radius)
    return image
