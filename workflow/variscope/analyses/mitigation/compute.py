"""Gains by scaling units down: chosen on train images, measured on valid ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from variscope.analyses.masking.compute import Images, Rows, with_intervals
from variscope.analyses.masking.effects import MEASURES, Effects
from variscope.analyses.masking.outcomes import ORIGINAL, Condition, notes_of, read_outcomes
from variscope.analyses.mitigation import ANALYSIS
from variscope.analyses.source import Source
from variscope.vocabulary import PARTS

READ = ("correct", "margin")
EVERY = "all"  # variables, of which the mean is taken


def compute(source: Source) -> dict[str, pd.DataFrame]:
    """Return the tables of the entry."""
    train, valid = (
        read_outcomes({name: folder / part for name, folder in source.shards.items()}, READ)
        for part in PARTS
    )
    found = tables_of(train, valid, source.seed)
    found["notes"] = [{"note": note} for note in notes_of(valid)]
    return {
        table.name: pd.DataFrame(found[table.name], columns=ANALYSIS.columns(table.name))
        for table in ANALYSIS.tables
    }


def tables_of(train: xr.Dataset, valid: xr.Dataset, seed: int) -> dict[str, Rows]:
    """Return the rows of all tables but the notes'.

    Args:
        train: outcomes on the images that a factor is chosen on.
        valid: outcomes on the images that it is tested on.
        seed: of the resampling.
    """
    found: dict[str, Rows] = {table.name: [] for table in ANALYSIS.tables}
    if 0 in (valid.sizes["condition"], valid.sizes["image"], train.sizes["image"]):
        return found
    found["strengths"] = _strengths(Effects(train, "margin"), Images(train, seed))
    chosen = {
        (row["layer"], row["control"]): row["strength"]
        for row in found["strengths"]
        if row["chosen"] == "yes"
    }
    images = Images(valid, seed)
    for measure in MEASURES:
        found["gains"] += _gains(Effects(valid, measure), chosen, images)
    return found


def _masks(effects: Effects, layer: str, name: str, control: str) -> dict[float, list[Condition]]:
    """Return the conditions of a variable's masks by their strength."""
    found: dict[float, list[Condition]] = {}
    for condition in effects.conditions:
        if (condition.layer, condition.mask, condition.control) == (layer, name, control):
            found.setdefault(condition.strength, []).append(condition)
    return found


def _layers(effects: Effects) -> list[str]:
    return list(dict.fromkeys(layer for layer, _ in effects.targets))


def _gain(effects: Effects, name: str, masks: Sequence[Condition]) -> np.ndarray:
    """Return what masks add to the outcome of an input, averaged over the masks, ``(image,)``."""
    loss = effects.loss(name, masks)
    assert loss is not None  # they are among the conditions
    return -loss


def _strengths(effects: Effects, images: Images) -> Rows:
    """Return the mean gain of every factor on train images, and which is chosen."""
    rows: Rows = []
    values = []
    for layer in _layers(effects):
        for control in ("own", "matched"):
            gains: dict[float, list[np.ndarray]] = {}
            for name in effects.inputs:
                for strength, masks in _masks(effects, layer, name, control).items():
                    gains.setdefault(strength, []).append(_gain(effects, name, masks))
            means = {strength: np.mean(each, axis=0) for strength, each in gains.items()}
            # Of equal gains that of the least change.
            best = max(means, key=lambda strength: (means[strength].mean(), strength))
            for strength, mean in means.items():
                values.append(mean)
                rows.append({"layer": layer, "control": control, "strength": strength,
                             "chosen": "yes" if strength == best else "no"})  # fmt: skip
    return with_intervals(rows, values, images, "gain")


def _gains(effects: Effects, chosen: dict[tuple[str, str], float], images: Images) -> Rows:
    """Return the gain by the chosen factors on valid images."""
    rows: Rows = []
    gains: list[np.ndarray] = []
    beyond: list[np.ndarray] = []
    for layer in _layers(effects):
        found: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        for name in effects.inputs:
            own, matched = (
                _gain(effects, name, _masks(effects, layer, name, control)[chosen[layer, control]])
                for control in ("own", "matched")
            )
            found[name] = (effects.plain(ORIGINAL) - effects.plain(name), own, matched)
        if len(found) > 1:
            lost, own, matched = np.mean(list(found.values()), axis=0)
            found[EVERY] = lost, own, matched
        for name, (lost, own, matched) in found.items():
            gains.append(own)
            beyond.append(own - matched)
            rows.append(
                {
                    "layer": layer,
                    "variable": name,
                    "outcome": effects.measure,
                    "strength": chosen[layer, "own"],
                    "matched_strength": chosen[layer, "matched"],
                    "lost": lost.mean(),
                    "matched": matched.mean(),
                }
            )
    with_intervals(rows, beyond, images, "beyond", "beyond_")
    with_intervals(rows, gains, images, "gain")
    for row, p in zip(rows, images.p_values(np.array(gains)), strict=True):
        row["p"] = p
    return rows
