"""How far beyond natural images the ascents go, whether starts agree, and what controls say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from variscope.analyses.kept_maps import TRAINED, UNTRAINED, read_maps
from variscope.analyses.maximisation import ANALYSIS
from variscope.analyses.maximisation.stored import Maximised, about, maximised, unit_name
from variscope.analyses.source import Source
from variscope.estimators.resampling import cluster_bootstrap, cluster_weights, generator
from variscope.vocabulary import PARTS

Array = NDArray[np.float64]
Rows = list[dict[str, Any]]

CLASSES, EVERY, DIFFERENCE = "classes", "all", "difference"
MEASURES = ("times", "shuffled", "beyond shuffled", "image likeness", "response likeness")
LIKENESS = ("image likeness", "response likeness")
RESAMPLES = 2000

# Of a float32 sum of all pixels, whose order shuffling changes: no difference.
ROUNDING = 1e-5


def compute(source: Source) -> dict[str, pd.DataFrame]:
    """Return the tables of the entry."""
    known = about(source.shards)
    found: dict[str, Rows] = {table.name: [] for table in ANALYSIS.tables}
    for network in (TRAINED, UNTRAINED):
        for one in maximised(source.shards, network):
            reached, starts = units_rows(one, known, source.images, source.confidence_level)
            found["reached"] += reached
            found["starts"] += starts
            if network == TRAINED:
                found["natural"] += _natural(one, known, source.images)
        found["images"] += _images(source, network, known)
    found["summary"] = summary(found["reached"], source.seed, source.confidence_level)
    found["notes"] = [{"note": note} for note in dict.fromkeys(known["notes"])]
    return {
        table.name: pd.DataFrame(found[table.name], columns=ANALYSIS.columns(table.name))
        for table in ANALYSIS.tables
    }


def beyond(value: Array | float, natural: Array) -> dict[str, Any]:
    """Say where values lie among those of natural images.

    Args:
        value: any shape.
        natural: of natural images, ``(image,)``.

    Returns:
        ``quantile``, the share of natural images that are no greater; ``times``, the distance from
        their median in times the distance of the greatest; ``deviations``, the same in median
        absolute deviations. NaN where a distance would be over 0.
    """
    natural = np.asarray(natural, dtype=np.float64)
    value = np.asarray(value, dtype=np.float64)
    median, greatest = np.median(natural), np.max(natural)
    deviation = np.median(np.abs(natural - median))
    quantile = np.mean(natural <= value[..., None], axis=-1)
    return {
        "quantile": np.where(np.isfinite(value), quantile, np.nan),
        "times": (value - median) / (greatest - median) if greatest > median else value * np.nan,
        "deviations": (value - median) / deviation if deviation > 0 else value * np.nan,
    }


def interval_of_mean(values: Array, level: float) -> tuple[float, float, float]:
    """Return the mean of few values and its interval by Student's t; NaN bounds of one value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, np.nan, np.nan
    half = float(stdtrit(len(values) - 1, (1 + level) / 2)) * float(
        np.std(values, ddof=1) / np.sqrt(len(values))
    )
    return mean, mean - half, mean + half


def units_rows(
    one: Maximised, known: Mapping[str, Any], images: Any, level: float
) -> tuple[Rows, Rows]:
    """Return the rows of ``reached`` and of ``starts`` of a layer's units."""
    data, scores = one.data, bool(one.data.attrs["scores"])
    reached: Rows = []
    every: Rows = []
    likeness = {
        what: _within_and_between(data[f"{what}_likeness"].values, data.sizes["start"])
        for what in ("image", "response")
    }
    for at, unit in enumerate(data["unit"].values):
        natural = data["natural"].values[:, at].astype(np.float64)
        values, began, shuffled = (
            data[name].values[at].astype(np.float64) for name in ("value", "began", "shuffled")
        )
        what = {
            "network": one.network,
            "layer": one.layer,
            "kind": "class" if scores else str(data.attrs["kind"]),
            "unit": int(unit),
            "name": unit_name(known, scores, int(unit)),
        }
        mean, low, high = interval_of_mean(values, level)
        where = beyond(mean, natural)
        best = int(data["best"].values[at, 0])
        reached.append(
            {
                **what, "value": mean, "low": low, "high": high, "n": len(values),
                "inference": "starts",
                **{key: float(value) for key, value in where.items()},
                "natural_deviations": float(beyond(natural.max(), natural)["deviations"]),
                "natural_median": np.median(natural), "natural_greatest": natural.max(),
                "natural_image": images.source[int(data["natural_id"].values[best])]
                if best >= 0 else "",
                "noise": began.mean(), "shuffled": shuffled.mean(),
                **{
                    f"{what_of}_{of}": likeness[what_of][place][at]
                    for what_of in likeness
                    for place, of in enumerate(("likeness", "others"))
                },
            }
        )  # fmt: skip
        each = beyond(values, natural)
        every += [
            {
                **what, "start": start + 1, "value": values[start],
                "quantile": each["quantile"][start], "times": each["times"][start],
                "noise": began[start], "shuffled": shuffled[start],
            }
            for start in range(len(values))
        ]  # fmt: skip
    return reached, every


def _within_and_between(likeness: Array, starts: int) -> tuple[Array, Array]:
    """Return the mean of each unit's pairs of starts, and of its pairs with other units.

    Args:
        likeness: ``(first, second)``, units and their starts in order.
        starts: of each unit.
    """
    units = len(likeness) // starts
    blocks = likeness.reshape(units, starts, units, starts).transpose(0, 2, 1, 3)
    within, between = np.full(units, np.nan), np.full(units, np.nan)
    pairs = ~np.eye(starts, dtype=bool)
    for unit in range(units):
        within[unit] = _mean(blocks[unit, unit][pairs])
        between[unit] = _mean(np.delete(blocks[unit], unit, axis=0))
    return within, between


def _mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else np.nan


def _natural(one: Maximised, known: Mapping[str, Any], images: Any) -> Rows:
    """Return the rows of ``natural`` of a layer's units."""
    data, scores = one.data, bool(one.data.attrs["scores"])
    rows: Rows = []
    for at, unit in enumerate(data["unit"].values):
        for of, name in (("image", "best"), ("crop", "crop")):
            if name not in data:
                continue
            for rank, place in enumerate(data[name].values[at]):
                if place < 0:
                    continue
                image = int(data["natural_id"].values[place])
                row = {
                    "layer": one.layer,
                    "kind": "class" if scores else str(data.attrs["kind"]),
                    "unit": int(unit),
                    "name": unit_name(known, scores, int(unit)),
                    "of": of,
                    "rank": rank + 1,
                    "image": image,
                    "source": images.source[image],
                    "part": PARTS[int(images.part[image])],
                    "class": images.classes[int(images.label[image])],
                    "value": float(data["natural"].values[place, at]),
                }
                if of == "crop":
                    row["value"] = float(data["crop_value"].values[at, rank])
                    sides = ("row", "column"), ("top", "left", "bottom", "right")
                    for names, array in zip(sides, ("crop_place", "box"), strict=True):
                        row |= dict(zip(names, map(int, data[array].values[at, rank]), strict=True))
                rows.append(row)
    return rows


def _images(source: Source, network: str, known: Mapping[str, Any]) -> Rows:
    """Return the rows of ``images`` of a network."""
    found = read_maps(source.shards, "maximisation", network)
    if found is None:
        return []
    images, names = source.images, known["names"]
    return [
        {
            "network": network,
            "image": int(image),
            "source": images.source[int(image)],
            "class": images.classes[int(label)],
            "target": str(names[target]) if names and target < len(names) else str(int(target)),
            "before": float(before),
            "after": float(after),
            "quantile": float(quantile),
            "change": float(np.mean(change)),
        }
        for image, label, target, before, after, quantile, change in zip(
            found["ids"].values, found["label"].values, found["target"].values,
            found["before"].values, found["after"].values, found["quantile"].values,
            found["map"].values, strict=True,
        )
    ]  # fmt: skip


def summary(reached: Rows, seed: int, level: float) -> Rows:
    """Return medians and means over the units of each layer, and of all, with their intervals."""
    if not reached:
        return []
    table = pd.DataFrame(reached)
    table["of"] = np.where(table["kind"] == "class", CLASSES, table["layer"])
    median = table["natural_median"]
    reach = (table["natural_greatest"] - median).where(table["natural_greatest"] > median)
    shuffled = (table["shuffled"] - median) / reach
    less = table["times"] - shuffled
    values = {
        "times": table["times"],
        "shuffled": shuffled,
        "beyond shuffled": less.where(
            less.abs() > ROUNDING * table["times"].abs().clip(1), 0 * less
        ),
        "image likeness": table["image_likeness"] - table["image_others"],
        "response likeness": table["response_likeness"] - table["response_others"],
    }
    groups = [EVERY, *dict.fromkeys(table["of"])]
    rows: Rows = []
    for of in groups:
        inside = (table["of"] == of) | (of == EVERY)
        for measure in MEASURES:
            statistic = _weighted_mean if measure in LIKENESS else _median
            by_network = {
                network: values[measure][inside & (table["network"] == network)]
                .dropna()
                .to_numpy(float)
                for network in (TRAINED, UNTRAINED)
            }
            for network, found in by_network.items():
                if len(found):
                    rng = generator(seed, "maximisation", "summary", of, measure, network)
                    bounds = cluster_bootstrap(
                        lambda w, found=found, by=statistic: by(found, w)[:, None],  # type: ignore[misc]
                        np.arange(len(found)), rng=rng, resamples=RESAMPLES, level=level,
                    )  # fmt: skip
                    rows.append(_row(of, network, measure, statistic, found, bounds))
            first, second = by_network.values()
            if len(first) and len(second):
                rows.append(_difference(of, measure, statistic, first, second, seed, level))
    return rows


Statistic = Callable[[Array, Array], Array]


def _row(
    of: str, network: str, measure: str, by: Statistic, found: Array, bounds: tuple[Array, Array]
) -> dict[str, Any]:
    return {
        "of": of, "network": network, "measure": measure,
        "value": float(by(found, np.ones((1, len(found))))[0]),
        "low": float(bounds[0][0]), "high": float(bounds[1][0]),
        "n": len(found), "inference": "units",
    }  # fmt: skip


def _difference(
    of: str, measure: str, by: Statistic, first: Array, second: Array, seed: int, level: float
) -> dict[str, Any]:
    """Return the trained network's less the twin's: their units are not the same, and drawn apart.

    That holds for classes as well: what a class' score reads of an image is not the same unit.
    """
    rng = generator(seed, "maximisation", "summary", of, measure, DIFFERENCE)
    weights = cluster_weights(np.arange(len(second)), RESAMPLES, rng)
    bounds = cluster_bootstrap(
        lambda w: (by(first, w) - by(second, weights))[:, None],
        np.arange(len(first)),
        rng=rng,
        resamples=RESAMPLES,
        level=level,
    )
    if len(second) < 2:
        bounds = np.array([np.nan]), np.array([np.nan])
    row = _row(of, DIFFERENCE, measure, by, first, bounds)
    row["value"] -= float(by(second, np.ones((1, len(second))))[0])
    return row | {"n": len(first) + len(second)}


def _median(values: Array, weights: Array) -> Array:
    """Return the medians of values ``(n,)`` that count as often as weights say ``(resample, n)``.

    Between the two in the middle it is their mean, as of `numpy.median` of the repeated values.
    """
    order = np.argsort(values, kind="stable")
    held, passed = values[order], np.cumsum(weights[:, order], axis=1)
    half = passed[:, -1:] / 2
    low = np.argmax(passed >= half, axis=1)
    high = np.argmax(passed > half, axis=1)
    return (held[low] + held[high]) / 2


def _weighted_mean(values: Array, weights: Array) -> Array:
    return weights @ values / weights.sum(axis=1)
