"""The tables of the discriminant analysis."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from scipy.linalg import LinAlgError, eigh
from scipy.special import stdtrit

from variscope.analyses.discriminant import ANALYSIS
from variscope.analyses.discriminant.samples import FEATURES, Samples, samples_of
from variscope.analyses.source import Source, Study
from variscope.estimators import proportion
from variscope.estimators.discriminant import (
    exchanged_labels,
    folds_of,
    predicted,
    principal_components,
    shrunk_covariance,
)
from variscope.estimators.resampling import cluster_bootstrap, generator, permutation_p
from variscope.indices.reading import has_index, layers

FOLDS = 5
INFERENCE = "channels"


class Told(NamedTuple):
    """What held-out channels are taken for.

    Attributes:
        given: the variable's number that each sample is given, ``(channel, variable)``.
        null: accuracies where labels are exchanged within channels, ``(draw,)``.
    """

    given: np.ndarray
    null: np.ndarray

    @property
    def hits(self) -> np.ndarray:
        """Share of each channel's maps that are given their variable, ``(channel,)``."""
        return (self.given == np.arange(self.given.shape[1])).mean(axis=1)


def compute(source: Source) -> dict[str, pd.DataFrame]:
    """Return the tables ``accuracy``, ``confusion`` and ``projection``."""
    study = study_of(source)
    rows: dict[str, list[dict[str, Any]]] = {table.name: [] for table in ANALYSIS.tables}
    for kind in kinds_of(study, source.settings["kinds"]):
        for layer, data in layers(study.tree).items():
            samples = samples_of(data, kind, source.settings, source.seed, layer)
            if not samples.usable:
                rows["accuracy"].append(_left_out(layer, kind, samples.note))
                continue
            twin = _twin(study, layer, kind, source)
            for features in FEATURES:
                of = {"layer": layer, "kind": kind, "features": features}
                told = tell(samples, features, source, source.settings["permutations"], layer)
                level = float(data.attrs["confidence_level"])
                rows["accuracy"].append(
                    {**of, **_accuracy(samples, told, features, twin, source, level, layer)}
                )
                rows["confusion"] += [{**of, **row} for row in _confusion(samples, told, level)]
                rows["projection"] += [
                    {**of, **row}
                    for row in _projection(samples, features, source.settings["components"])
                ]
    return {name: pd.DataFrame(rows[name], columns=ANALYSIS.columns(name)) for name in rows}


def study_of(source: Source) -> Study:
    """Return the study whose maps are looked at: one with Shapley effects where there is one."""
    return min(source.studies, key=lambda study: not has_index(study.tree, "shapley"))


def kinds_of(study: Study, asked: list[str]) -> list[str]:
    """Return the kinds of maps that are asked for and that the study has."""
    kinds = dict.fromkeys(study.index if kind == "main" else kind for kind in asked)
    return [kind for kind in kinds if has_index(study.tree, kind)]


def tell(samples: Samples, features: str, source: Source, draws: int, layer: str) -> Told:
    """Tell variables from their maps in channels that are held out, and with exchanged labels."""
    channels, variables, _ = samples.maps.shape
    fold = folds_of(channels, FOLDS, generator(source.seed, "discriminant folds", layer))
    rng = generator(source.seed, "discriminant permuted", layer, features)
    right = np.broadcast_to(np.arange(variables), (1, channels, variables))
    labels = np.concatenate([right, exchanged_labels(channels, variables, draws, rng)])
    given = predicted(samples.features(features), labels, fold, source.settings["components"])
    return Told(given[0], (given[1:] == labels[1:]).mean(axis=(1, 2)))


def _twin(study: Study, layer: str, kind: str, source: Source) -> dict[str, np.ndarray]:
    """Return the hits of the untrained twin's channels by features; empty without one."""
    if study.twin is None:
        return {}
    data: xr.Dataset = layers(study.twin.tree)[layer]
    samples = samples_of(data, kind, source.settings, source.seed, layer)
    if not samples.usable:
        return {}
    return {features: tell(samples, features, source, 0, layer).hits for features in FEATURES}


def _accuracy(
    samples: Samples,
    told: Told,
    features: str,
    twin: dict[str, np.ndarray],
    source: Source,
    level: float,
    layer: str,
) -> dict[str, Any]:
    """Return a row of the table ``accuracy``, without what it is of."""
    hits = told.hits
    low, high = _interval(hits, level, generator(source.seed, "discriminant", layer, features))
    difference = (np.nan, np.nan)
    if features in twin:
        difference = difference_of_means(hits, twin[features], level)
    return {
        "accuracy": hits.mean(),
        "low": low,
        "high": high,
        "chance": 1 / len(samples.variables),
        "permuted": told.null.mean(),
        "p": float(permutation_p(hits.mean(), told.null)),
        "permutations": len(told.null),
        "twin": twin[features].mean() if features in twin else np.nan,
        "difference_low": difference[0],
        "difference_high": difference[1],
        "variables": len(samples.variables),
        "pixels": samples.maps.shape[-1],
        "n": len(hits),
        "inference": INFERENCE,
        "note": samples.note,
    }


def _interval(hits: np.ndarray, level: float, rng: np.random.Generator) -> tuple[float, float]:
    """Return the bounds of a mean over channels.

    Where all channels are told wholly, or none, resamples do not differ: Wilson's interval, one
    draw a channel, then says how sure that is.
    """
    if hits.min() == hits.max() and hits[0] in (0, 1):
        found = proportion(int(hits.sum()), len(hits), level)
        return found.low, found.high
    low, high = cluster_bootstrap(
        lambda weights: weights @ hits / weights.sum(axis=1),
        np.arange(len(hits)),
        rng=rng,
        level=level,
    )
    return float(low), float(high)


def difference_of_means(first: np.ndarray, second: np.ndarray, level: float) -> tuple[float, float]:
    """Return the bounds of the difference of two means of independent values.

    Welch (1947), The generalization of Student's problem when several different population
    variances are involved, Biometrika 34: 28-35.
    """
    parts = np.array([values.var(ddof=1) / len(values) for values in (first, second)])
    total = parts.sum()
    value = float(first.mean() - second.mean())
    if total == 0:
        return value, value
    freedom = total**2 / (parts**2 / (np.array([len(first), len(second)]) - 1)).sum()
    half = float(stdtrit(freedom, (1 + level) / 2) * np.sqrt(total))
    return value - half, value + half


def _confusion(samples: Samples, told: Told, level: float) -> list[dict[str, Any]]:
    """Return the rows of the table ``confusion`` of one layer, without what they are of."""
    channels, rows = len(told.given), []
    shares = {count: proportion(count, channels, level) for count in range(channels + 1)}
    for k, variable in enumerate(samples.variables):
        counts = np.bincount(told.given[:, k], minlength=len(samples.variables))
        for name, count in zip(samples.variables, counts, strict=True):
            found = shares[int(count)]
            rows.append(
                {
                    "variable": variable,
                    "predicted": name,
                    "share": found.value,
                    "low": found.low,
                    "high": found.high,
                    "n": channels,
                    "inference": INFERENCE,
                }
            )
    return rows


def _projection(samples: Samples, features: str, components: int) -> list[dict[str, Any]]:
    """Return the rows of the table ``projection`` of one layer, without what they are of.

    The axes solve the generalised eigenvalue problem of the covariance between classes and the
    shrunk one within, as scikit-learn's ``solver="eigen"`` does.
    """
    channels, variables, _ = samples.maps.shape
    flat = samples.features(features).reshape(channels * variables, -1)
    scores, _ = principal_components(flat, flat[:0], components)
    by_variable = np.swapaxes(scores.reshape(channels, variables, -1), 0, 1)
    within = shrunk_covariance(by_variable).mean(axis=0)
    between = shrunk_covariance(scores) - within
    try:
        values, vectors = eigh(between, within)
    except LinAlgError:  # features without any variance within variables
        return []
    axes = vectors[:, np.argsort(values)[::-1][:2]]
    places = np.zeros((channels, variables, 2))
    places[..., : axes.shape[1]] = (scores @ axes).reshape(channels, variables, -1)
    if variables == 2:
        places[..., 1] = 0
    return [
        {
            "variable": variable,
            "channel": int(channel),
            "first": places[c, k, 0],
            "second": places[c, k, 1],
            "n": channels,
            "inference": INFERENCE,
        }
        for k, variable in enumerate(samples.variables)
        for c, channel in enumerate(samples.channels)
    ]


def _left_out(layer: str, kind: str, why: str) -> dict[str, Any]:
    """Return the row of a layer that has no maps to tell apart."""
    return {
        "layer": layer, "kind": kind, "features": "", "permutations": 0, "variables": 0,
        "pixels": 0, "n": 0, "inference": INFERENCE, "note": why,
    }  # fmt: skip
