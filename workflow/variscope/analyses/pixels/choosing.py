"""Which units are asked for beside the class score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

from variscope.errors import UserError


class Asked(NamedTuple):
    """A unit: its layer, its number among the layer's units in C order, and what it is called."""

    layer: str
    number: int
    name: str


def units_of(settings: Mapping[str, Any], model: str, layers: Sequence[Any]) -> list[Asked]:
    """Return the units of a model that the settings name.

    Args:
        settings: of the analysis.
        model: its name.
        layers: that are studied, `variscope.inputs.axes.Layer`.

    Raises:
        UserError: a layer is not studied, or has no such unit.
    """
    known = {layer.name: layer for layer in layers}
    key = f"analyses.pixels.units.{model}"
    given = settings["units"].get(model) or {}
    if not isinstance(given, Mapping):
        raise UserError(f"{key}: found {given!r}; allowed: {{layer: [unit, ...]}}")
    found: list[Asked] = []
    for name, units in given.items():
        if name not in known:
            raise UserError(f"{key}: found {name!r}; allowed: studied layers ({', '.join(known)})")
        if not isinstance(units, Sequence) or isinstance(units, str):
            raise UserError(f"{key}.{name}: found {units!r}; allowed: a list of units")
        found += [_asked(f"{key}.{name}", known[name], unit) for unit in units]
    return list(dict.fromkeys(found))


def _asked(key: str, layer: Any, unit: Any) -> Asked:
    shape = layer.shape
    place = list(unit) if isinstance(unit, Sequence) and not isinstance(unit, str) else [unit]
    whole = len(place) == 1 and len(shape) > 1
    sides = (prod(shape),) if whole else shape
    fits = len(place) == len(sides) and all(
        isinstance(at, int) and not isinstance(at, bool) and 0 <= at < side
        for at, side in zip(place, sides, strict=True)
    )
    if not fits:
        one = f", or one of each of {', '.join(layer.dims)} below {shape}" if len(shape) > 1 else ""
        raise UserError(f"{key}: found {unit!r}; allowed: 0 to {prod(shape) - 1}{one}")
    number = place[0] if whole else 0
    for at, side in zip(() if whole else place, shape, strict=False):
        number = number * side + at
    places: list[int] = []
    left = number
    for side in reversed(shape):
        places.insert(0, left % side)
        left //= side
    return Asked(layer.name, number, f"{layer.name}[{', '.join(map(str, places))}]")
