"""Try an augmentation before a study: it must be a function of its image and parameters alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from variscope.errors import UserError
from variscope.space.augmentations import Augmentation
from variscope.space.draws import generator_states, restore_generators

# Sums over an image may round differently in a batch of another size: float32, values of about 1.
_ROUNDING = 1e-5


def try_augmentation(
    augmentation: Augmentation, bounds: Sequence[tuple[float, float]], images: torch.Tensor
) -> None:
    """Alter a few images alone, in a batch, and in a batch of another order, each twice.

    Args:
        augmentation: to be tried.
        bounds: of its parameters, as `Space.bounds` gives them.
        images: ``(n, C, H, W)`` float32 in [0, 1], at least 3 that differ. The first is altered
            with the parameters at their lowest, the second at their highest, others in between.

    Raises:
        UserError: it fails, gives values that are not finite, modifies its images, draws at random,
            or alters an image differently when others are beside it.
    """
    n = len(images)
    low_high = torch.tensor(bounds, dtype=torch.float32).reshape(-1, 2)
    share = torch.cat([torch.tensor([0.0, 1.0]), torch.linspace(0.25, 0.75, n)])[:n, None]
    parameters = low_high[:, 0] + share * (low_high[:, 1] - low_high[:, 0])
    named = f"augmentation {augmentation.name}"
    fails = f"{named} fails on images of {tuple(images.shape[1:])}"

    def altered(rows: list[int]) -> torch.Tensor:
        batch = images[rows].clone()
        before = batch.clone()
        try:
            result = augmentation(batch, parameters[rows])
        except Exception as error:  # a user's operation may raise anything
            text = " ".join(str(error).split())
            raise UserError(f"{fails}: {type(error).__name__}: {text}") from error
        if not torch.equal(batch, before):
            raise UserError(f"{fails}: it modifies the images that it receives; work on a copy")
        return result.clone()

    together = list(range(n))
    states = generator_states()
    try:
        first = altered(together)
        drew = generator_states() != states
        if not torch.isfinite(first).all():
            raise UserError(f"{fails}: it gives values that are not finite")
        again = [altered(together) for _ in range(2)]
        if drew or not all(torch.equal(first, other) for other in again):
            raise UserError(
                f"{named} draws at random: the same images and parameters must always give the "
                "same result; make a parameter of what is drawn, or draw from a generator that is "
                "seeded by the parameters in each call"
            )
        reverse = altered(together[::-1]).flip(0)
        alone = torch.cat([altered([row]) for row in together])
    finally:
        restore_generators(states)
    scale = _ROUNDING * max(1.0, float(first.abs().max()))
    touched = sum(
        any(_rms(other[row] - first[row]) > scale for other in (reverse, alone)) for row in together
    )
    # A rounded sum may move a pixel over a threshold, rarely; mixing moves all images but one.
    if touched > 1:
        raise UserError(
            f"{named} alters an image differently when other images are beside it; each image of a "
            "batch must be altered by itself, from its own pixels and parameters"
        )


def _rms(values: torch.Tensor) -> float:
    return float(values.double().square().mean().sqrt())
