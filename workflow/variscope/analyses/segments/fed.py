"""What is kept of a segment's outputs to one feeding: maps of two halves, and the layer's sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from variscope.designs import kinds
from variscope.estimators import (
    Estimate,
    Layout,
    Moments,
    aggregate_indices,
    deviations,
    summed_over,
)
from variscope.estimators.indices import describe, half_indices
from variscope.estimators.intervals import Array
from variscope.vocabulary import FINE, HALVES


class Kept:
    """Adds up the replicates of one feeding: of units two halves of what their maps need."""

    def __init__(self) -> None:
        self._halves: dict[int, Moments] = {}
        self._whole: list[Moments] = []

    def add(self, moments: Moments) -> None:
        """Add the sums of one replicate, of which there are one after another."""
        finite = np.asarray(np.isfinite(moments.sums).all(axis=(0, 1)))
        self._whole.append(summed_over(moments, finite, keep=0))
        half = int(moments.replicates[0]) % len(HALVES)
        held = self._halves.get(half)
        self._halves[half] = moments if held is None else _added(held, moments)

    def write(self, path: Path) -> None:
        """Write the maps of both halves and the layer's sums by replicate, as .npz."""
        halves = [self._halves[half] for half in sorted(self._halves)]
        both = _joined(halves)
        layout = both.layout
        index = kinds.sums_of(layout.design).main_index
        whole = _joined(self._whole)
        maps = half_indices(both, describe(both)[0] == FINE)[index]
        np.savez_compressed(
            path,
            maps=maps.astype(np.float32),
            design=layout.design,
            variables=layout.variables,
            **{
                name: getattr(whole, name)
                for name in ("replicates", "first", "blocks", "sums", "pair_counts", "moved")
            },
        )


@dataclass(frozen=True)
class Fed:
    """What a segment's last layer gave to one feeding.

    Attributes:
        maps: of the main index by halves of the replicates, ``(half, variable, channel, pixel)``.
        shares: of the layer, with their intervals, ``(variable,)``.
        deviations: of the shares over the replicates, ``(replicate, variable)``.
    """

    maps: Array
    shares: Estimate
    deviations: Array

    @classmethod
    def read(cls, path: Path, level: float) -> Fed:
        """Read what `Kept.write` wrote.

        Args:
            path: of the .npz.
            level: of the shares' intervals.
        """
        with np.load(path) as file:
            stored = {name: file[name] for name in file.files}
        maps = stored.pop("maps").astype(np.float64)
        layout = Layout(str(stored.pop("design")), int(stored.pop("variables")))
        whole = Moments(layout=layout, **stored, weighted=True)
        index = kinds.sums_of(layout.design).main_index
        status = np.full(whole.unit, FINE, dtype=np.int8)
        estimate = aggregate_indices(whole, status, level).estimates[index]
        apart = deviations(whole.numerator(index), whole.variance, whole.blocks)
        count = layout.variables
        return cls(
            maps.reshape(*maps.shape[:3], -1),
            Estimate(*(part.reshape(count) for part in estimate)),
            apart.reshape(-1, count),
        )


def _added(held: Moments, moments: Moments) -> Moments:
    """Add sums to those of the half's first replicate, under whose number they are held."""
    return replace(
        held,
        blocks=held.blocks + moments.blocks,
        sums=held.sums + moments.sums,
        pair_counts=held.pair_counts + moments.pair_counts,
        moved=held.moved + moments.moved,
    )


def _joined(parts: Sequence[Moments]) -> Moments:
    """Join the sums of different replicates."""
    names = ("replicates", "first", "blocks", "sums", "pair_counts", "moved")
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in names
    }
    return replace(parts[0], **joined)
