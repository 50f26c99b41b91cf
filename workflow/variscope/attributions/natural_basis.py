"""What ascents prefer: the frequencies and colors of natural images; and noise that has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

# The least variance of a color direction, as a share of their mean.
_LEAST_COLOR = 1e-3


@dataclass(frozen=True)
class Basis:
    """What prefers natural images: amplitudes fall with frequency, colors vary as in the data.

    Attributes:
        amplitude: of each frequency of `torch.fft.fft2`, ``(H, W)``, mean square 1.
        colors: symmetric root of the covariance of the channels, ``(C, C)``, mean variance 1.
    """

    amplitude: torch.Tensor
    colors: torch.Tensor

    @classmethod
    def of(cls, images: torch.Tensor, spectrum: float = 1.0) -> Basis:
        """Return the basis of images.

        Args:
            images: ``(n, C, H, W)``, of which the covariance of colors is taken.
            spectrum: amplitudes are 1 / frequency^spectrum; natural images have about 1 (Field
                1987, J. Opt. Soc. Am. A 4: 2379-2394). The mean counts as the lowest frequency.
        """
        channels, rows, columns = images.shape[1:]
        y, x = np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns)[None]
        amplitude = np.maximum(np.hypot(y, x), 1 / max(rows, columns)) ** -spectrum
        amplitude /= np.sqrt(np.mean(amplitude**2))
        values = images.transpose(0, 1).reshape(channels, -1).double().cpu().numpy()
        covariance = np.atleast_2d(np.cov(values))
        mean = float(np.trace(covariance)) / channels
        colors = np.eye(channels)
        if mean > 0:  # else all images are of one color
            variance, directions = np.linalg.eigh(covariance / mean)
            root = np.sqrt(np.maximum(variance, _LEAST_COLOR))
            colors = (directions * root) @ directions.T
        return cls(
            torch.from_numpy(amplitude).to(images.device, torch.float32),
            torch.from_numpy(colors).to(images.device, torch.float32),
        )

    def __call__(self, values: torch.Tensor, power: int = 1) -> torch.Tensor:
        """Multiply images ``(n, C, H, W)`` by amplitudes and colors; a gradient, by both twice."""
        spectrum = torch.fft.fft2(values) * self.amplitude**power
        colors = torch.linalg.matrix_power(self.colors, power)
        return torch.einsum("dc,nchw->ndhw", colors, torch.fft.ifft2(spectrum).real)


def noise(
    shape: Sequence[int], draws: Sequence[np.random.Generator], basis: Basis | None
) -> torch.Tensor:
    """Draw noise, normal and white but for the basis, of root mean square 1.

    Args:
        shape: of an image, (C, H, W).
        draws: what draws each.
        basis: what colors the noise.

    Returns:
        ``(n, C, H, W)``, on the device of the basis.
    """
    white = [one.standard_normal(tuple(shape), dtype=np.float32) for one in draws]
    values = torch.from_numpy(np.stack(white))
    if basis is not None:
        values = basis(values.to(basis.amplitude.device))
    return values / rms(values)


def rms(values: torch.Tensor) -> torch.Tensor:
    """Return the root mean square of each image, ``(n, 1, 1, 1)``."""
    return values.flatten(1).square().mean(dim=1).sqrt()[:, None, None, None]
