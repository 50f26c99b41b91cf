"""Tables of guided masking: effects of masks with intervals over images, and their controls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from variscope.analyses.masking import ANALYSIS
from variscope.analyses.masking.effects import MEASURES, Effects
from variscope.analyses.masking.outcomes import (
    TOGETHER,
    Condition,
    Setting,
    notes_of,
    read_outcomes,
)
from variscope.analyses.source import Source
from variscope.estimators.labels import matching
from variscope.estimators.resampling import (
    cluster_bootstrap,
    cluster_numbers,
    generator,
    sign_flip_p,
)

READ = ("correct", "correct5", "margin", "agree", "shared")
RESAMPLES = 1000
_AT_ONCE = 2000  # conditions whose resampled means are held at once

Rows = list[dict[str, Any]]


def compute(source: Source) -> dict[str, pd.DataFrame]:
    """Return the tables of the entry."""
    outcomes = read_outcomes(source.shards, READ)
    found = tables_of(outcomes, source.seed)
    found["inputs"] = _inputs(found["accuracy"], source.settings["published"])
    found["notes"] = [{"note": note} for note in notes_of(outcomes)]
    return {
        table.name: pd.DataFrame(found[table.name], columns=ANALYSIS.columns(table.name))
        for table in ANALYSIS.tables
    }


def tables_of(outcomes: xr.Dataset, seed: int) -> dict[str, Rows]:
    """Return the rows of all tables but the notes'."""
    found: dict[str, Rows] = {table.name: [] for table in ANALYSIS.tables}
    if outcomes.sizes["condition"] == 0 or outcomes.sizes["image"] == 0:
        return found
    images = Images(outcomes, seed)
    for measure in MEASURES:
        effects = Effects(outcomes, measure)
        found["interaction"] += _interactions(effects, images)
        found["specificity"] += _specificities(effects, images)
        found["losses"] += _losses(effects, images)
        found["matrix"] += _matrices(effects, images)
        found["doses"] += _doses(effects, images)
    found["accuracy"] = _accuracy(outcomes, images)
    return found


class Images:
    """Intervals and tests of means over images, by clusters.

    Args:
        outcomes: whose images they are, and the level of confidence.
        seed: of the resampling.
    """

    def __init__(self, outcomes: xr.Dataset, seed: int) -> None:
        self._cluster = outcomes["cluster"].values
        self._level, self._seed = float(outcomes.attrs["confidence_level"]), seed
        self.images = outcomes.sizes["image"]
        self.clusters = cluster_numbers(self._cluster)[1]

    @property
    def inference(self) -> dict[str, Any]:
        """What is resampled, and how many of it: the columns n and inference."""
        own = self.clusters == self.images
        what = "images" if own else f"clusters of {self.images} images"
        return {
            "n": self.clusters,
            "inference": f"{100 * self._level:g} % interval over {self.clusters} {what}",
        }

    def intervals(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the bounds of means over images.

        Args:
            values: ``(row, image)``.
        """
        low, high = np.empty(len(values)), np.empty(len(values))
        for start in range(0, len(values), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            low[some], high[some] = cluster_bootstrap(
                _mean_of(values[some].T.astype(float)),
                self._cluster,
                rng=generator(self._seed, "masking", "bootstrap"),
                resamples=RESAMPLES,
                level=self._level,
            )
        return low, high

    def p_values(self, values: np.ndarray) -> np.ndarray:
        """Return p-values of means of 0 over clusters, NaN with few of them, ``(row,)``."""
        rng = generator(self._seed, "masking", "signs")
        return np.atleast_1d(sign_flip_p(values.T.astype(float), self._cluster, rng=rng))


def _mean_of(values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return what makes of weights ``(resample, image)`` means of values ``(image, row)``."""
    return lambda weights: weights @ values / weights.sum(axis=1, keepdims=True)


def with_intervals(
    rows: Rows, values: Sequence[np.ndarray], images: Images, name: str, prefix: str = ""
) -> Rows:
    """Add to each row the mean of its values ``(image,)`` and the mean's bounds."""
    if rows:
        stacked = np.array(values, dtype=float)
        for row, mean, low, high in zip(
            rows, stacked.mean(axis=1), *images.intervals(stacked), strict=True
        ):
            row |= {name: mean, f"{prefix}low": low, f"{prefix}high": high, **images.inference}
    return rows


def _interactions(effects: Effects, images: Images) -> Rows:
    rows: Rows = []
    values = []
    for layer, kind in effects.targets:
        for name in effects.masks(layer, kind):
            raw = effects.interaction(layer, kind, name, name)
            net = effects.net_interaction(layer, kind, name, name)
            if raw is None or net is None:
                continue  # a variable that no input is altered by
            values.append(net)
            rows.append(
                {
                    "layer": layer,
                    "kind": kind,
                    "variable": name,
                    "outcome": effects.measure,
                    "raw": raw.mean(),
                    "matched": raw.mean() - net.mean(),
                    "shared": effects.shared(layer, kind, name),
                }
            )
    with_intervals(rows, values, images, "interaction")
    if rows:
        for row, p in zip(rows, images.p_values(np.array(values)), strict=True):
            row["p"] = p
    return rows


def _matrices(effects: Effects, images: Images) -> Rows:
    rows: Rows = []
    values: list[np.ndarray] = []
    for layer, kind in effects.targets:
        matrix = effects.matrix(layer, kind)
        if matrix is None:
            continue
        names = [name for name in effects.masks(layer, kind) if name in effects.inputs]
        for given, cells in zip(names, matrix, strict=True):
            for mask, cell in zip(names, cells, strict=True):
                values.append(cell)
                rows.append({"layer": layer, "kind": kind, "input": given, "mask": mask,
                             "outcome": effects.measure})  # fmt: skip
    return with_intervals(rows, values, images, "interaction")


def _specificities(effects: Effects, images: Images) -> Rows:
    rows: Rows = []
    values = []
    for layer, kind in effects.targets:
        matrix = effects.matrix(layer, kind)
        if matrix is None or len(matrix) < 2:
            continue
        count = len(matrix)
        own = np.trace(matrix)
        values.append(own / count - (matrix.sum(axis=(0, 1)) - own) / (count * (count - 1)))
        mean = matrix.mean(axis=2)
        larger, smaller = matching(mean), matching(-mean)
        rows.append(
            {
                "layer": layer,
                "kind": kind,
                "outcome": effects.measure,
                "p": min(1.0, 2 * min(larger.p, smaller.p)),
                "permutations": larger.permutations,
                "variables": count,
            }
        )
    return with_intervals(rows, values, images, "difference")


def _losses(effects: Effects, images: Images) -> Rows:
    rows: Rows = []
    losses, beyond = [], []
    for layer, kind in effects.targets:
        names = [name for name in effects.masks(layer, kind) if name in effects.inputs]
        own = effects.own_loss(layer, kind, "own", names)
        for control in ("own", "matched", "random", "channels"):
            loss = effects.own_loss(layer, kind, control, names)
            if own is None or loss is None:
                continue
            losses.append(loss)
            beyond.append(own - loss)
            rows.append(
                {"layer": layer, "kind": kind, "control": control, "outcome": effects.measure}
            )
    with_intervals(rows, beyond, images, "beyond", "beyond_")
    return with_intervals(rows, losses, images, "loss")


def _doses(effects: Effects, images: Images) -> Rows:
    """Return the mean outcome of inputs altered by the mask's own variable, by setting."""
    rows: Rows = []
    values = []
    known = list(dict.fromkeys(Setting(*c[5:8]) for c in effects.conditions if c.layer == TOGETHER))
    for kind in dict.fromkeys(kind for layer, kind in effects.targets if layer == TOGETHER):
        names = [name for name in effects.masks(TOGETHER, kind) if name in effects.inputs]
        for setting in known:
            for control in ("own", "matched", "random"):
                found = []
                for name in names:
                    condition = effects.mask(TOGETHER, kind, name, name, setting)
                    shuffled = effects.shuffles(condition, control)
                    found.append(effects.mean([condition] if control == "own" else shuffled))
                held = [one for one in found if one is not None]
                if not held or len(held) < len(found):
                    continue
                values.append(np.mean(held, axis=0))
                rows.append({"kind": kind, "control": control, "operation": setting.operation,
                             "strength": setting.strength, "share": setting.share,
                             "outcome": effects.measure})  # fmt: skip
    return with_intervals(rows, values, images, "value")


def _inputs(accuracy: Rows, published: Mapping[str, float]) -> Rows:
    """Return what is right without a mask, beside what a publication says."""
    names = ("input", "top1", "low", "high", "top5", "n", "inference")
    return [
        {name: row[name] for name in names} | {"published": published.get(row["input"], np.nan)}
        for row in accuracy
        if row["control"] == "none"
    ]


def _accuracy(outcomes: xr.Dataset, images: Images) -> Rows:
    correct, margin, agree = (
        np.asarray(outcomes[name].values, dtype=np.float32)
        for name in ("correct", "margin", "agree")
    )
    five = outcomes["correct5"].values.mean(axis=1) if "correct5" in outcomes else None
    columns: dict[str, Any] = {name: outcomes[name].values for name in Condition._fields}
    columns["top1"] = correct.mean(axis=1, dtype=float)
    columns["low"], columns["high"] = images.intervals(correct)
    columns["top5"] = np.full(len(correct), np.nan) if five is None else five
    columns["margin"] = margin.mean(axis=1, dtype=float)
    columns["margin_low"], columns["margin_high"] = images.intervals(margin)
    columns["agree"] = agree.mean(axis=1, dtype=float)
    columns |= {name: [value] * len(correct) for name, value in images.inference.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
