"""What a network predicts in each condition of guided masking, with intervals over images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from variscope.analyses.conditions import SETTING, conditions, inference
from variscope.estimators.overlap import Array
from variscope.estimators.resampling import cluster_bootstrap, cluster_numbers, generator

RESAMPLES = 1000

# What tells a mask from all others, but for its control.
KEY = ["input", "mask", "kind", "layer", *SETTING]


@dataclass(frozen=True)
class Answers:
    """What the network predicts in each condition.

    Attributes:
        outcomes: of guided masking.
        level: of confidence.
        seed: of the experiment.
    """

    outcomes: xr.Dataset
    level: float
    seed: int

    @cached_property
    def table(self) -> pd.DataFrame:
        """What was tried, by the number of the condition."""
        return conditions(self.outcomes)

    @cached_property
    def top(self) -> NDArray[np.int64]:
        """The k predicted classes, ``(condition, image, k)``."""
        return np.asarray(self.outcomes["top"].values, dtype=np.int64)

    @cached_property
    def label(self) -> NDArray[np.int64]:
        """The right class of each image."""
        return np.asarray(self.outcomes["label"].values, dtype=np.int64)

    @cached_property
    def cluster(self) -> NDArray[np.int64]:
        """The cluster of each image."""
        return np.asarray(self.outcomes["cluster"].values, dtype=np.int64)

    @cached_property
    def counted(self) -> dict[str, Any]:
        """What intervals over images are about."""
        clusters = cluster_numbers(self.cluster)[1]
        return {"n": clusters, "inference": inference(clusters, len(self.cluster), RESAMPLES)}

    @cached_property
    def unmasked(self) -> dict[str, int]:
        """The condition of each input without a mask."""
        plain = self.table[self.table["control"] == "none"]
        return dict(zip(plain["input"], map(int, plain.index), strict=True))

    @cached_property
    def _matched(self) -> dict[tuple[Any, ...], list[int]]:
        found: dict[tuple[Any, ...], list[int]] = {}
        rows = self.table[self.table["control"] == "matched"]
        for row, *key in rows[KEY].itertuples():
            found.setdefault(tuple(key), []).append(int(row))
        return found

    def matched(self, row: int) -> list[int]:
        """Return the matched random masks that a mask is held against."""
        return self._matched.get(tuple(self.table.loc[row, KEY]), [])

    def predicted(self, row: int) -> NDArray[np.bool_]:
        """Return whether a class is the first of an image in a condition, ``(image, class)``."""
        return self.top[row][:, :1] == np.arange(int(self.outcomes.attrs["classes"]))

    def among(self, row: int) -> NDArray[np.bool_]:
        """Return whether a class is among the k predicted of an image, ``(image, class)``."""
        found = np.zeros((len(self.label), int(self.outcomes.attrs["classes"])), dtype=bool)
        np.put_along_axis(found, self.top[row], True, axis=1)
        return found

    def bounds(
        self, values: Array, *purpose: str, over: NDArray[np.bool_] | None = None
    ) -> tuple[Array, Array]:
        """Return intervals of means over images, ``(statistic,)`` each.

        Args:
            values: ``(image, statistic)``.
            purpose: what the resamples are drawn for.
            over: the images that each statistic is over, ``(image, statistic)``; all without it.
                Of images of fewer than two clusters there is no interval.
        """
        counts = np.ones_like(values) if over is None else over.astype(float)

        def means(weights: Array) -> Array:
            total = weights @ counts
            return np.asarray(weights @ (values * counts) / np.where(total > 0, total, np.nan))

        low, high = cluster_bootstrap(
            means,
            self.cluster,
            rng=generator(self.seed, "single_class", *purpose),
            resamples=RESAMPLES,
            level=self.level,
        )
        if over is None:
            return low, high
        alone = np.array([len(np.unique(self.cluster[images])) < 2 for images in over.T])
        return np.where(alone, np.nan, low), np.where(alone, np.nan, high)
