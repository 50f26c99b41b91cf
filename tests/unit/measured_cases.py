"""A laboratory made of a small network: its outputs with noise are what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
import torch
from closed_forms import Array, enumerate_exact
from numpy.typing import NDArray
from tiny import network, photographs
from torchvision.transforms.v2 import functional as tv
from variscope.designs import Design
from variscope.inputs.images import ImageTable, table_from_arrays
from variscope.responses.measured.export import altered
from variscope.responses.measured.presentations import Presentations, presentations
from variscope.space.augmentations import Augmentation, get
from variscope.space.images import ImageIndex
from variscope.space.space import Space

VARIABLES = ("sharpness", "grayscale", "inert", "class", "image")
INERT = VARIABLES.index("inert")


@cache
def laboratory() -> tuple[Space, ImageTable]:
    """Sharpness, grayscale, an augmentation that changes nothing, class and image."""
    table = table_from_arrays(*photographs())
    inert = Augmentation("inert", lambda images, parameters: images)
    space = Space(
        augmentations=(get("sharpness"), get("grayscale"), inert),
        auxiliary=("class", "image"),
        index=ImageIndex.of(table.label, table.part),
        size=table.size,
        part="train",
    )
    return space, table


def answers(images: NDArray[np.float32]) -> Array:
    """Outputs of 24 cells, readouts of the network's layers, ``(image, unit)``."""
    model = network()
    with torch.inference_mode():
        first, second, _ = model.children()
        hidden = second(first(torch.from_numpy((images - 0.4) / 0.25))).flatten(1)
    mixed = np.random.default_rng(3).standard_normal((hidden.shape[1], 24)) / 5
    drive = hidden.double().numpy() @ mixed
    return np.where(np.arange(24) % 2, drive, np.tanh(drive))


@cache
def truth() -> dict[str, Array]:
    """Exact indices by enumeration, with torchvision's operations."""
    images, _ = photographs()
    grid = []
    for sharp, gray, _inert in product((0, 1), repeat=3):
        for image in images:
            one = torch.from_numpy(image).to(torch.float32) / 255
            one = tv.adjust_sharpness(one, 1.5).clamp(0, 1) if sharp else one
            one = tv.rgb_to_grayscale(one, 3) if gray else one
            grid.append(one.numpy())
    levels = (2, 2, 2, 3, 4)
    outputs = answers(np.stack(grid)).reshape(*levels, -1)
    return enumerate_exact(outputs, [[1 / n] * n for n in levels])


@dataclass(frozen=True)
class Session:
    """What was shown, and what the network answers to it without noise."""

    design: Design
    shown: Presentations
    clean: Array


def session(kind: str = "cycle", blocks: int = 512, seed: int = 0, repeats: float = 0.1) -> Session:
    """Show a design to the network."""
    space, images = laboratory()
    design = Design(kind, space.groups, blocks, 16, seed)
    shown = presentations(design, space, repeats)
    stimuli = np.concatenate([batch for _, batch in altered(shown, space, images)])
    return Session(design, shown, answers(stimuli)[shown.stimulus])


def noise_variance() -> Array:
    """The noise's variance of each cell: 0.2 to 1.5 of what the stimuli cause."""
    return truth()["variance"] * np.linspace(0.2, 1.5, 24)


def noisy(one: Session, seed: int = 0) -> Array:
    """Add noise of each cell's variance."""
    rng = np.random.default_rng([seed, 77])
    return one.clean + rng.standard_normal(one.clean.shape) * np.sqrt(noise_variance())
