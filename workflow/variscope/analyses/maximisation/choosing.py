"""Which units are maximised; imports no torch, as the plan asks as well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from variscope.errors import UserError
from variscope.inputs.axes import Layer

KEY = "analyses.maximisation"

# Layers that are looked at where none are named.
MOST_LAYERS = 4


def kind_of(layer: Layer) -> str:
    """Say what a layer's units are: channels, features, neurons, or single outputs."""
    if layer.dims[0] == "channel":
        return "channel"
    return "feature" if layer.dims == ("token", "feature") else layer.dims[0].partition("_")[0]


def count_of(layer: Layer) -> int:
    """Count the units of a layer: channels or features over their places, or single outputs."""
    kind = kind_of(layer)
    return layer.shape[0] if kind == "channel" else layer.shape[1] if kind == "feature" else (
        layer.units
    )  # fmt: skip


def layers_of(
    settings: Mapping[str, Any], model: str, layers: Sequence[Layer], scores: str | None
) -> list[Layer]:
    """Return the layers whose units are maximised, but for that of the class scores.

    Args:
        settings: of the analysis.
        model: its name.
        layers: that are studied, in the order of the network.
        scores: the layer of class scores, where there is one.

    Raises:
        UserError: a layer that is named is not studied, or has no unit of a number.
    """
    units = units_of(settings, model, layers)
    if units is not None:
        return [layer for layer in layers if layer.name in units and layer.name != scores]
    known = {layer.name: layer for layer in layers}
    given = settings["layers"]
    before = [layer for layer in layers if layer.name != scores]
    if given in ("auto", "all"):
        count = len(before) if given == "all" else min(MOST_LAYERS, len(before))
        # Evenly, the last one among them.
        return [before[(at + 1) * len(before) // count - 1] for at in range(count)]
    for name in given:
        if name not in known:
            raise UserError(
                f"{KEY}.layers: found {name!r}, which is no studied layer of {model}; allowed: "
                f"auto, all, or a list of {', '.join(known)}"
            )
    return [layer for layer in before if layer.name in given]


def units_of(
    settings: Mapping[str, Any], model: str, layers: Sequence[Layer]
) -> dict[str, list[int]] | None:
    """Return the numbers of units that are named for a model, by layer; None where they are chosen.

    Raises:
        UserError: a layer is not studied, or has no unit of a number.
    """
    given = settings["units"]
    if given == "auto" or model not in given:
        return None
    known = {layer.name: layer for layer in layers}
    for name, numbers in given[model].items():
        key = f"{KEY}.units.{model}.{name}"
        if name not in known:
            raise UserError(
                f"{key}: found {name!r}, which is no studied layer; allowed: {', '.join(known)}"
            )
        count = count_of(known[name])
        for number in numbers:
            if number >= count:
                raise UserError(
                    f"{key}: found {number}; allowed: 0 to {count - 1}, {kind_of(known[name])}s"
                )
    return {name: list(dict.fromkeys(numbers)) for name, numbers in given[model].items()}


def planned_targets(settings: Mapping[str, Any], model: str, layers: Sequence[Layer]) -> int:
    """Count the units that are maximised, at most; the last layer is taken for the scores'."""
    units = units_of(settings, model, layers)
    if units is not None:
        return sum(map(len, units.values()))
    scores = layers[-1]
    chosen = layers_of(settings, model, layers, scores.name)
    few = [min(settings["channels"], count_of(layer)) for layer in chosen]
    return min(settings["classes"], count_of(scores)) + sum(few)
