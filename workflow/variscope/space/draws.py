"""Whether code draws at random: from the global generators, or so that it shows in its results."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def generator_states() -> tuple[Any, ...]:
    """Return the states of the global generators of torch (CPU), NumPy and Python.

    Two that differ say that something was drawn in between, however small its effect was.
    """
    name, keys, *others = np.random.get_state(legacy=True)
    return (
        torch.get_rng_state().numpy().tobytes(),
        (name, keys.tobytes(), *others),  # type: ignore[union-attr]
        random.getstate(),
    )


def restore_generators(state: tuple[Any, ...]) -> None:
    """Put the global generators back into a state of `generator_states`."""
    of_torch, (name, keys, *others), of_python = state
    torch.set_rng_state(torch.frombuffer(bytearray(of_torch), dtype=torch.uint8))
    np.random.set_state((name, np.frombuffer(keys, dtype=np.uint32), *others))
    random.setstate(of_python)
