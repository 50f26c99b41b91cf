"""A table as a network takes it: numbers in columns, features that they belong to, a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Feature:
    """What people call a column of their file.

    Attributes:
        name: as in the file.
        columns: numbers of the table's columns that hold it: one of a number; of a category one
            for each level.
        levels: of a category, in the order of the columns.
    """

    name: str
    columns: tuple[int, ...]
    levels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Rows of a table.

    Attributes:
        name: by which the configuration calls it.
        features: of which the columns are.
        values: ``(row, column)`` float64, finite.
        target: ``(row,)``: int64 numbers of classes, or float64.
        target_name: of its column.
        classes: names of the classes; none of a regression.
        notes: the rules that were applied, one sentence each.
    """

    name: str
    features: tuple[Feature, ...]
    values: NDArray[np.float64]
    target: NDArray[Any]
    target_name: str
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    @property
    def is_classification(self) -> bool:
        """Whether the target is a class."""
        return bool(self.classes)

    def rows(self, ids: NDArray[np.integer[Any]]) -> Table:
        """Return some of its rows."""
        return replace(self, values=self.values[ids], target=self.target[ids])

    def select(self, features: Sequence[int]) -> Table:
        """Return the table with some of its features, by their numbers, in their order."""
        kept: list[Feature] = []
        columns: list[int] = []
        for number in features:
            feature = self.features[number]
            start = len(columns)
            columns += feature.columns
            kept.append(replace(feature, columns=tuple(range(start, len(columns)))))
        return replace(
            self, features=tuple(kept), values=self.values[:, np.array(columns, dtype=np.int64)]
        )
