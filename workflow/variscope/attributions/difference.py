"""Central finite differences of a unit's output, pixel by pixel or cell by cell.

    D = (f(x + h e) - f(x - h e)) / (2 h |e|)

with a pixel or a cell of pixels as direction e and |e| its number of pixels. Of a smooth function D
goes to the mean of the gradient over e as h^2. A network with ReLUs is not smooth: over a step of a
grey value units switch on and off, and D is the slope that such a step meets, where the gradient is
that of a step too small for any image to make.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import nn

from variscope.attributions import Attribution
from variscope.attributions.asked import reduced
from variscope.attributions.cells import cell_of_pixels
from variscope.errors import UserError

GREY_VALUE = 1 / 255
AT_ONCE = 64  # images of a pass


def in_double(model: nn.Module, images: torch.Tensor) -> tuple[nn.Module, torch.Tensor]:
    """Return a copy of a model that computes in float64, and the images for it.

    In float32 a score of 10 is rounded to 1e-6, which a hundredth of a grey value as a step makes
    an error of 0.01 in the derivative.

    Raises:
        UserError: the model does not compute in float64.
    """
    double, images = copy.deepcopy(model).double(), images.double()
    try:
        with torch.no_grad():
            double(images[:1])
    except RuntimeError as error:
        text = str(error).splitlines()[0]
        raise UserError(f"the network does not compute in float64 ({text})") from error
    return double, images


@torch.no_grad()
def _slopes(
    model: nn.Module,
    image: torch.Tensor,
    unit: torch.Tensor,
    directions: Callable[[int, int], torch.Tensor],
    count: int,
    step: float,
    at_once: int,
) -> torch.Tensor:
    """Return D times the size of e, of one image, ``(count,)``.

    Args:
        model: from images to units.
        image: ``(C, H, W)``.
        unit: its number, int64 ``()``.
        directions: gives those from a number to another one, ``(k, C, H, W)``.
        count: of directions.
        step: h in grey values.
        at_once: images of a pass; those of other images are never among them, so that no value
            depends on which images are looked at together.
    """
    h, found = step * GREY_VALUE, []
    for start in range(0, count, at_once):
        move = h * directions(start, min(start + at_once, count))
        # Both stand at the same place of a batch of the same size: what is not read is exactly 0,
        # where the last bit of an output may change from place to place.
        up, down = (model(image + way * move)[:, unit] for way in (1, -1))
        found.append((up - down) / (2 * h))
    return torch.cat(found)


def central_differences(
    model: nn.Module,
    images: torch.Tensor,
    target: torch.Tensor,
    places: torch.Tensor,
    *,
    step: float = 1.0,
    at_once: int = AT_ONCE,
) -> torch.Tensor:
    """Return central differences by single values of images.

    Args:
        model: from images to units.
        images: ``(n, C, H, W)`` in [0, 1], of the type that the model computes in. A moved image
            may leave [0, 1] by the step: where it was cut off, the step would be another one.
        target: numbers of the units, int64 ``(n,)``.
        places: channel, row and column of the values of each image, int64 ``(n, k, 3)``, k above 0.
        step: in grey values of 255.
        at_once: images of a pass.

    Returns:
        ``(n, k)``, units of output over a grey value from 0 to 1.
    """
    found = images.new_zeros(places.shape[:2])
    for slopes, image, unit, own in zip(found, images, target, places, strict=True):

        def directions(start: int, stop: int, own: torch.Tensor = own) -> torch.Tensor:
            made = images.new_zeros((stop - start, *images.shape[1:]))
            channel, row, column = own[start:stop].to(images.device).T
            made[torch.arange(stop - start, device=images.device), channel, row, column] = 1
            return made

        slopes[:] = _slopes(model, image, unit, directions, len(own), step, at_once)
    return found


def difference(
    model: nn.Module,
    images: torch.Tensor,
    target: torch.Tensor,
    *,
    cells: int | None = 16,
    channels: str = "together",
    step: float = 1.0,
    double: bool = False,
    at_once: int = AT_ONCE,
) -> torch.Tensor:
    """Return maps of central differences.

    Args:
        model, images, target, at_once: as of `central_differences`.
        cells: of a side of the grid whose cells are moved as a whole, since single pixels take two
            passes each, 8,192 of an image of 64 x 64. None: single pixels.
        channels: ``"together"``, a cell gets brighter and darker, and the map is signed; else each
            channel is moved by itself, and they become one value by their ``"absolute"`` sum, their
            ``"norm"`` or their ``"signed"`` sum.
        step: in grey values of 255.
        double: compute in float64.

    Returns:
        ``(n, rows, columns)``: the derivative by one pixel's grey value from 0 to 1, mean over the
        pixels of a cell.

    Raises:
        UserError: the model does not compute in float64 where it is asked to.
    """
    if double and len(images):
        model, images = in_double(model, images)
    height, width = images.shape[-2:]
    number = cell_of_pixels(height, width, cells or max(height, width)).to(images.device)
    pixels = torch.bincount(number.reshape(-1)).to(images.dtype)
    rows = len(torch.unique(number[:, 0]))
    every = range(images.shape[1])
    moving = [list(every)] if channels == "together" else [[channel] for channel in every]
    found = images.new_zeros((len(images), len(moving), len(pixels)))
    for of_image, image, unit in zip(found, images, target, strict=True):
        for slopes, some in zip(of_image, moving, strict=True):

            def directions(start: int, stop: int, some: list[int] = some) -> torch.Tensor:
                wanted = torch.arange(start, stop, device=images.device)[:, None, None]
                made = images.new_zeros((stop - start, *images.shape[1:]))
                made[:, some] = (number == wanted)[:, None].to(made.dtype)
                return made

            slopes[:] = _slopes(model, image, unit, directions, len(pixels), step, at_once) / pixels
    maps = found.reshape(len(images), len(moving), rows, -1)
    return reduced(maps, "signed" if channels == "together" else channels)


ATTRIBUTION = Attribution(
    name="difference",
    title="finite difference",
    says="change of the score by a pixel's brightness, by a step of a grey value of its cell",
    attribute=difference,
    signed=True,
)
