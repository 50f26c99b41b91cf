"""In which order cells are deleted: that of each method, and of what knows nothing of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from variscope.analyses.agreement.gathered import CENTRE, Maps, centre
from variscope.analyses.kept_maps import Looked
from variscope.estimators.agreement import Array, Size, levels, pooled
from variscope.estimators.resampling import generator
from variscope.estimators.sampling import ranks

RANDOM = "random"


@dataclass(frozen=True)
class Orders:
    """Orders of the cells of a grid.

    Attributes:
        names: of the methods, and controls: edges, centre, ``random_1`` and so on.
        grid: rows and columns of cells.
        rank: of each cell, 0 the first, ``(image, order, cell)``; all -1 where a method has no map
            of an image, or one that is constant.
    """

    names: tuple[str, ...]
    grid: Size
    rank: NDArray[np.int64]


def orders_of(
    maps: Mapping[str, Maps], looked: Looked, cells: int, random: int, seed: int
) -> Orders:
    """Put the cells of one grid in the order of each method, for each image.

    All orders are of the same cells, so that random ones are as coarse as the others: single pixels
    at random spoil an image sooner than the same number in cells does. Maps are brought to the
    grid by area means; ties, as those within the cells of a coarser map, are broken at random.

    Args:
        maps: by method.
        looked: the images.
        cells: a side.
        random: how many random orders.
        seed: of the study.
    """
    names = (*maps, CENTRE, *(f"{RANDOM}_{k + 1}" for k in range(random)))
    grid = (cells, cells)
    values: dict[str, Array] = {
        name: np.full((len(looked), cells * cells), np.nan) for name in names
    }
    values[CENTRE][:] = levels(centre(grid)[None])
    for name in names[len(maps) + 1 :]:
        values[name][:] = 0.0  # ties, broken at random
    for name, of in maps.items():
        at = np.searchsorted(looked.place, of.place)
        values[name][at] = levels(pooled(of.values, grid))
    rank = np.full((len(looked), len(names), cells * cells), -1, dtype=np.int64)
    for i, place in enumerate(looked.place):
        for j, name in enumerate(names):
            if np.isfinite(values[name][i]).all():
                rng = generator(seed, "agreement", "orders", name, int(place))
                rank[i, j] = ranks(values[name][i], rng)
    return Orders(names, grid, rank)
