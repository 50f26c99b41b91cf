"""What the jobs on the network stored, read layer by layer in chunks of units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from variscope.inputs.axes import Layer, file_name
from variscope.stores import chunked

# Differences of one variable that are read at once, where chunks are smaller.
_READ = 2**22


@dataclass(frozen=True)
class Stored:
    """Outputs of one network on the images of one part, in the order of choosing.

    Attributes:
        groups: of each job that has images of the part.
        images, clusters: of the images, ``(image,)``.
    """

    groups: tuple[zarr.Group, ...]
    images: NDArray[np.int64]
    clusters: NDArray[np.int64]

    def layer(self, name: str) -> Layer:
        """Return a layer as it was evaluated."""
        described: Any = _group(self.groups[0], file_name(name)).attrs["layer"]
        return Layer.from_json(described)

    def chunks(
        self, layer: str, variables: int
    ) -> Iterator[tuple[slice, NDArray[Any], Iterator[NDArray[Any]]]]:
        """Yield chunks of a layer's units.

        Yields:
            Which units, their plain outputs ``(image, unit)``, and for each variable in turn the
            differences ``(image, unit)``.
        """
        inner = [_group(group, file_name(layer)) for group in self.groups]
        plain = [chunked.open_array(group, "plain") for group in inner]
        difference = [chunked.open_array(group, "difference") for group in inner]
        units, width = plain[0].shape[1], plain[0].chunks[1]
        at_once = max(1, _READ // (len(self.images) * width)) * width
        for start in range(0, units, at_once):
            place = slice(start, min(start + at_once, units))
            yield (
                place,
                np.concatenate([chunked.read_part(array, (..., place)) for array in plain]),
                (
                    np.concatenate(
                        [
                            chunked.read_part(array, (number, slice(None), place))
                            for array in difference
                        ]
                    )
                    for number in range(variables)
                ),
            )


def variables_of(shards: Mapping[str, Path]) -> list[str]:
    """Name the augmentations that were applied."""
    names: Any = _first(shards).attrs["variables"]
    return list(names)


def networks_of(shards: Mapping[str, Path]) -> list[str]:
    """Name the networks that were evaluated: ``trained``, and ``twin`` where there is one."""
    return [name for name in ("trained", "twin") if name in _first(shards)]


def stored(shards: Mapping[str, Path], network: str) -> dict[str, Stored]:
    """Return what is stored of a network, by the name of the part."""
    found = {}
    roots = [chunked.open_group(path) for path in shards.values()]
    for part in sorted(_group(roots[0], network).group_keys()):
        groups = tuple(_group(root, f"{network}/{part}") for root in roots)
        kept = tuple(group for group in groups if group.attrs["images"])
        found[part] = Stored(
            kept,
            np.concatenate([group.attrs["images"] for group in kept]).astype(np.int64),
            np.concatenate([group.attrs["clusters"] for group in kept]).astype(np.int64),
        )
    return found


def _group(parent: zarr.Group, path: str) -> zarr.Group:
    found = parent[path]
    assert isinstance(found, zarr.Group)
    return found


def _first(shards: Mapping[str, Path]) -> zarr.Group:
    return chunked.open_group(next(iter(shards.values())))
