"""What can be measured of a network's answers: accuracy, agreement with itself, or nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from variscope.inputs.layers import Layer, capture
from variscope.inputs.scores import Answers


def answers_of(
    network: nn.Module,
    last: Layer,
    images: torch.Tensor,
    classes: Sequence[str],
    known: Sequence[str] | None,
) -> Answers:
    """Say what can be measured, and the names of the network's classes where they are known.

    Args:
        network: in eval mode.
        last: the last layer that is studied.
        images: two of them, normalised, ``(2, C, H, W)``.
        classes: of the data.
        known: names of the classes that the weights were trained on.
    """
    caught: list[torch.Tensor] = []
    with (
        torch.inference_mode(),
        capture(network, [last], lambda name, output: caught.append(output.clone())),
    ):
        outputs = network(images)
    if not (isinstance(outputs, torch.Tensor) and outputs.ndim == 2 and outputs.shape[1] > 1):
        return Answers()
    count = outputs.shape[1]
    fits = count == len(classes)
    names = known if known is not None and len(known) == count else classes if fits else None
    at_last = len(caught) == 1 and torch.equal(caught[0], outputs)
    return Answers(
        measured="accuracy" if fits else "agreement",
        outputs=count,
        names=None if names is None else list(names),
        scores=last.name if at_last else None,
    )
