"""Gradient ascent of units by images.

An ascent walks from its start along the unit's gradient, so scaled that the weights of regularisers
mean the same for every unit and network. Of an image x with N values in [0, 1], n steps, and a
step k = 0 ... n - 1 of the size eta (1 - k / n):

    latent += step (P g / rms(P g) - l2 (x - c) - tv L(x - c)),    g the gradient of the unit at x,

c the centre (the start itself, or mid-gray), L the negative Laplacian, and P the identity or what
prefers natural images (`Basis`). It rests where g / rms(g) = l2 (x - c) + tv L(x - c), which is
what holds at the maximum of the unit among images of the same penalty (Karush, Kuhn and Tucker):
with l2 alone at the distance rms(x - c) = 1 / l2. So a linear unit w has the optimum

    x = c + sqrt(N) w / |w| / l2        where that lies in [0, 1], and its nearest bound elsewhere;

with l2 = 0 that is the sign pattern: 1 where w > 0, 0 where w < 0, c where w = 0.

Simonyan et al. (2014, arXiv 1312.6034, eq. 1) have the ascent with L2, Mahendran and Vedaldi (2015,
CVPR, eq. 4 at beta = 2) the total variation, Yosinski et al. (2015, arXiv 1506.06579) the blur,
Mordvintsev et al. (2015, "Inceptionism") the jitter, Olah et al. (2017, Distill, "Feature
visualization") the ascent in the basis of natural images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import exp
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from variscope.attributions.asked import asked, differentiable
from variscope.attributions.natural_basis import Basis, rms
from variscope.estimators.resampling import generator

Bound = Literal["sigmoid", "clip"]

# A sigmoid is never 0 or 1: starts are kept so far away from both.
MARGIN = 1 / 512

# Modules that are flat somewhere.
RECTIFIERS = (nn.ReLU, nn.Hardtanh, nn.Threshold, nn.Hardswish, nn.Hardsigmoid, nn.Hardshrink)


def maximise(
    model: nn.Module,
    start: torch.Tensor,
    target: torch.Tensor,
    *,
    steps: int = 64,
    step_size: float = 0.05,
    centre: torch.Tensor | float | None = None,
    l2: float = 0.0,
    total_variation: float = 0.0,
    jitter: int = 0,
    blur: float = 0.0,
    basis: Basis | None = None,
    bound: Bound = "sigmoid",
    leak: float = 0.0,
    draws: Sequence[np.random.Generator] | None = None,
    at_once: int = 32,
) -> torch.Tensor:
    """Return images that excite units, by gradient ascent.

    What an image becomes depends on its own start, target and draws, whatever the batch: the
    ascents do not know of each other. Only the last bits of a network's convolutions may depend on
    how many images pass at once, which `at_once` says.

    Args:
        model: from images ``(n, C, H, W)`` in [0, 1] to units ``(n, unit)``: classes, neurons, or
            means over the maps of channels (`variscope.responses.network.pooled.Pooled`).
        start: images that the ascents begin at, ``(n, C, H, W)`` float32 in [0, 1].
        target: number of the unit that each image shall excite, int64 ``(n,)``.
        steps: how many.
        step_size: eta, in pixel values from 0 to 1: what the first step changes at mid-gray.
        centre: what the regularisers draw to; None: the start itself.
        l2: weight of the distance from the centre; the image comes to rest at the root mean square
            distance 1 / l2 where nothing else acts.
        total_variation: weight of the squared differences of neighbours of x - c.
        jitter: pixels by which the image is rolled at most, before the network sees it, in a
            direction drawn at each step.
        blur: standard deviation in pixels of a Gaussian that x - c is blurred with after each step;
            it falls to 0 at the last one.
        basis: P; None: the identity.
        bound: "sigmoid": the latent is the logit of the image; "clip": it is the image, which is
            clipped to [0, 1] after each step. A sigmoid is flat near black and white, where a
            start that is an image would not move.
        leak: where a unit is off, and so has no gradient, that of a pass is taken whose rectifiers
            hand on this much of it (Olah et al. 2017); of those that are modules of the network.
        draws: what draws an image's jitter, one for each; None: that of seed 1 for all.
        at_once: images of one pass.

    Returns:
        Images in [0, 1], ``(n, C, H, W)``. One whose unit has no gradient where it stands, or none
        that is finite, stays there.

    Example:
        >>> class Sum(nn.Module):
        ...     def forward(self, images):
        ...         return images.sum(dim=(2, 3))  # one unit for each channel
        >>> gray = torch.full((1, 3, 2, 2), 0.5)
        >>> found = maximise(Sum(), gray, torch.tensor([1]), l2=10, step_size=0.1, bound="clip")
        >>> [round(float(value), 2) for value in found.mean(dim=(2, 3))[0]]  # sqrt(3) / l2 more
        [0.5, 0.67, 0.5]
    """
    draws = draws or [generator(1, "maximisation") for _ in start]
    if not len(start) == len(target) == len(draws):
        raise ValueError(f"{len(start)} starts, {len(target)} targets and {len(draws)} draws")
    if not len(start):
        return start.clone()
    # All at first: which are drawn does not depend on the batch.
    shifts = np.stack([one.integers(-jitter, jitter + 1, (steps, 2)) for one in draws])
    found = []
    for begin in range(0, len(start), at_once):
        part = slice(begin, begin + at_once)
        latent, to_image = _latent(start[part], bound), _TO_IMAGE[bound]
        middle = to_image(latent)
        origin = latent
        if centre is not None:
            given = centre[part] if isinstance(centre, torch.Tensor) else centre
            middle = torch.as_tensor(given, dtype=middle.dtype, device=middle.device)
            origin = _latent(middle, bound)
        for step in range(steps):
            left = 1 - step / steps
            image = to_image(latent)
            pull = _pull(model, image, target[part], shifts[part, step], basis, leak)
            if l2:
                pull = pull - l2 * (image - middle)
            if total_variation:
                pull = pull + total_variation * _laplacian(image - middle)
            # Of a sigmoid the slope at mid-gray is 1 / 4.
            latent = latent + (4 if bound == "sigmoid" else 1) * step_size * left * pull
            if bound == "clip":
                latent = latent.clamp(0, 1)
            if blur:
                latent = origin + _blurred(latent - origin, blur * left)
        found.append(to_image(latent))
    return torch.cat(found)


def represented(start: torch.Tensor, bound: Bound) -> torch.Tensor:
    """Return a start as an ascent sees it: what no step moves is the same to the last bit."""
    return _TO_IMAGE[bound](_latent(start, bound))


def has_gradient(
    model: nn.Module,
    images: torch.Tensor,
    target: torch.Tensor,
    leak: float = 0.0,
    at_once: int = 32,
) -> torch.Tensor:
    """Say of each image whether its unit has a gradient there that is finite, bool ``(n,)``."""
    still = np.zeros((len(images), 2), dtype=np.int64)
    found = [
        _pull(model, images[part], target[part], still[part], None, leak).flatten(1).any(dim=1)
        for part in (slice(at, at + at_once) for at in range(0, len(images), at_once))
    ]
    return torch.cat(found)


def _pull(
    model: nn.Module,
    image: torch.Tensor,
    target: torch.Tensor,
    shifts: np.ndarray,
    basis: Basis | None,
    leak: float,
) -> torch.Tensor:
    """Return P g of each image, of root mean square 1; 0 where there is none that is finite."""
    seen = _rolled(image, shifts)
    gradient, usable = _gradient(model, seen, target)
    if leak and not usable.all():
        off = ~usable[:, 0, 0, 0]
        with leaking(model, leak):
            gradient[off], usable[off] = _gradient(model, seen[off], target[off])
    gradient = _rolled(gradient, -shifts)
    if basis is not None:
        gradient = basis(gradient, 2)
    return torch.where(usable, gradient / rms(gradient), 0)


def _gradient(
    model: nn.Module, images: torch.Tensor, target: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the gradient of each image's unit, at most 1, and where there is one, (n, 1, 1, 1)."""
    seen = images.detach().requires_grad_()
    with differentiable():
        units = asked(model(seen), target).sum()
        gradient = (
            torch.autograd.grad(units, seen, allow_unused=True)[0] if units.requires_grad else None
        )
    if gradient is None:  # nothing of the network reads the image
        gradient = torch.zeros_like(images)
    # So large or small that squares would not be: scaled first.
    largest = gradient.flatten(1).abs().amax(dim=1)[:, None, None, None]
    usable = torch.isfinite(largest) & (largest > 0)
    return torch.where(usable, gradient / largest, 0), usable


@contextmanager
def leaking(model: nn.Module, slope: float) -> Iterator[None]:
    """Let rectifiers that are modules hand back so much more of a gradient, and give the same."""
    inputs: list[torch.Tensor] = []

    def before(_: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        inputs.append(given[0].clone())  # it may work in place

    def after(_: nn.Module, __: object, output: torch.Tensor) -> torch.Tensor:
        given = inputs.pop()
        return output + slope * (given - given.detach())

    handles = []
    for module in model.modules():
        if isinstance(module, RECTIFIERS):
            handles += [
                module.register_forward_pre_hook(before),
                module.register_forward_hook(after),
            ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _rolled(images: torch.Tensor, shifts: np.ndarray) -> torch.Tensor:
    """Roll each image by its rows and columns ``(n, 2)``."""
    if not shifts.any():
        return images
    rolled = [
        torch.roll(image, (int(y), int(x)), (1, 2))
        for image, (y, x) in zip(images, shifts, strict=True)
    ]
    return torch.stack(rolled)


def _laplacian(values: torch.Tensor) -> torch.Tensor:
    """Return each pixel's neighbours less itself, summed: half the slope of squared differences."""
    found = torch.zeros_like(values)
    for axis in (2, 3):
        step = values.diff(dim=axis)
        size = values.shape[axis]
        found.narrow(axis, 0, size - 1).add_(step)
        found.narrow(axis, 1, size - 1).sub_(step)
    return found


def _blurred(values: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur images with a Gaussian, up to three standard deviations; edges are repeated."""
    radius = int(np.ceil(3 * sigma))
    if radius == 0:
        return values
    weights = [exp(-0.5 * (at / sigma) ** 2) for at in range(-radius, radius + 1)]
    kernel = torch.tensor(weights, dtype=values.dtype, device=values.device)
    kernel = kernel / kernel.sum()
    channels = values.shape[1]
    padded = functional.pad(values, (radius,) * 4, mode="replicate")
    rows = kernel.expand(channels, 1, -1)[..., None]
    blurred = functional.conv2d(padded, rows, groups=channels)
    return functional.conv2d(blurred, rows.transpose(2, 3), groups=channels)


def _latent(image: torch.Tensor, bound: Bound) -> torch.Tensor:
    return torch.logit(image, MARGIN) if bound == "sigmoid" else image


_TO_IMAGE: dict[Bound, Callable[[torch.Tensor], torch.Tensor]] = {
    "sigmoid": torch.sigmoid,
    "clip": lambda latent: latent,
}
