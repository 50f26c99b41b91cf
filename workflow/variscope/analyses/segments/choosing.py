"""Which segments of a network are looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from variscope.errors import UserError

# The image itself, where a segment begins with it.
INPUT = "input"


class Chosen(NamedTuple):
    """A segment: its name, layers by name, channels of the last one that are looked at."""

    name: str
    start: str
    end: str
    channels: tuple[int, ...]


def segments_of(settings: Mapping[str, Any], model: str, layers: Sequence[Any]) -> list[Chosen]:
    """Return the segments of a model.

    Args:
        settings: of the analysis.
        model: its name.
        layers: that are studied, `variscope.inputs.axes.Layer`, in the order of the network.

    Raises:
        UserError: a layer is unknown or has no maps, comes after the other, or a channel is not
            there.
    """
    maps = {layer.name: layer for layer in layers if _has_maps(layer)}
    given = settings["segments"]
    if given == "auto":
        names = list(maps)
        return [
            Chosen(f"{a} to {b}", a, b, _evenly(maps[b].shape[0], settings["channels"]))
            for a, b in pairwise(names)
        ]
    found = []
    for name, entry in (given.get(model) or {}).items():
        key = f"analyses.segments.segments.{model}.{name}"
        if not isinstance(entry, Mapping) or set(entry) - {"channels"} != {"from", "to"}:
            raise UserError(
                f"{key}: found {entry!r}; allowed: {{from: layer, to: layer, channels: [0, 1]}}"
            )
        start, end = str(entry["from"]), str(entry["to"])
        for what, layer, allowed in (("from", start, [INPUT, *maps]), ("to", end, list(maps))):
            if layer not in allowed:
                raise UserError(
                    f"{key}.{what}: found {layer!r}; allowed: studied layers of maps "
                    f"({', '.join(allowed)})"
                )
        if start != INPUT and list(maps).index(start) >= list(maps).index(end):
            raise UserError(f"{key}: found {start!r} to {end!r}; allowed: a later layer in `to`")
        count = maps[end].shape[0]
        channels = _channels(key, entry, count) or _evenly(count, settings["channels"])
        found.append(Chosen(name, start, end, channels))
    return found


def _evenly(count: int, most: int) -> tuple[int, ...]:
    """Return so many of the channels at most, as far apart as can be."""
    chosen = min(count, most)
    return tuple(number * count // chosen for number in range(chosen))


def sets_of(studies: Iterable[Any]) -> dict[str, Any]:
    """Return the first study of each variable set, by the set's name."""
    found: dict[str, Any] = {}
    for study in studies:
        found.setdefault(study.variable_set, study)
    return found


def _channels(key: str, entry: Mapping[str, Any], count: int) -> tuple[int, ...]:
    channels = entry.get("channels") or []
    if not isinstance(channels, Sequence) or isinstance(channels, str):
        raise UserError(f"{key}.channels: found {channels!r}; allowed: a list of numbers")
    for channel in channels:
        if not isinstance(channel, int) or isinstance(channel, bool) or not 0 <= channel < count:
            raise UserError(f"{key}.channels: found {channel!r}; allowed: 0 to {count - 1}")
    return tuple(channels)


def _has_maps(layer: Any) -> bool:
    return layer.dims == ("channel", "y", "x") and layer.shape[1] * layer.shape[2] > 1
