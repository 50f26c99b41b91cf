"""From outcomes of guided masks to profiles: one group for each kind and layer.

A profile is the outcome over the settings of a mask, less that under matched random masks. All
outcomes fall with the dose, so that without the control any two profiles correlate at 0.9 and more.

Which random masks are taken away matters as well. A network is hit by one random mask in its own
way, and that way would be in both profiles if the same mask were taken from both: they would then
agree by their control. So altered inputs take every other seed, and the original input the seeds
between. Where there is one seed only, all profiles under the original input take the mean over all
variables' matched masks: what they then share with an altered input, they all share alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from variscope.analyses.conditions import MASKED, SETTING, setting_order
from variscope.analyses.masking.outcomes import ORIGINAL, PUBLISHED, Setting

FEWEST_SETTINGS = 5  # of a rank correlation
MOST_CONFUSED = 50  # classes, whose square is what a profile of confusions is of
LARGEST_PIECE = 10_000_000  # numbers at once

Array = NDArray[np.float64]
Places = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Group:
    """The profiles of one kind of mask in one layer.

    Attributes:
        kind, layer: of the masks.
        items: input and mask of each profile, by their names.
        settings: of the masks.
        rows: of the outcomes, ``(item, setting)``.
        controls: of each item the rows of its random masks, ``(control, setting)``.
        seeds: of random masks that each profile has at least.
    """

    kind: str
    layer: str
    items: list[tuple[str, str]]
    settings: list[Setting]
    rows: Places
    controls: list[Places]
    seeds: int

    @property
    def variables(self) -> list[str]:
        """Variables whose mask was tried with the original input and with their own alteration."""
        return [
            mask for name, mask in self.items if name == mask and (ORIGINAL, mask) in self.items
        ]


def groups(table: pd.DataFrame) -> Iterator[Group]:
    """Sort conditions into groups; kinds and layers with fewer than five settings are left out.

    Args:
        table: of `variscope.analyses.conditions.conditions`.
    """
    published = [Setting(*row) in PUBLISHED for row in table[SETTING].itertuples(index=False)]
    swept = table[published].reset_index(names="row")
    own = swept[swept["control"].isin(MASKED)]
    own = own[(own["input"] == ORIGINAL) | (own["input"] == own["mask"])]
    random = swept[swept["control"] == "matched"]
    for (kind, layer), tried in own.groupby(["kind", "layer"], sort=False):
        same = random[(random["kind"] == kind) & (random["layer"] == layer)]
        found = _group(str(kind), str(layer), tried, same)
        if found is not None:
            yield found


def _group(kind: str, layer: str, tried: pd.DataFrame, random: pd.DataFrame) -> Group | None:
    """Return a group of the conditions of a kind and a layer; None where it has no profiles."""
    places = tried.pivot_table(values="row", index=["input", "mask"], columns=SETTING)
    controls = random.pivot_table(values="row", index=["input", "mask", "seed"], columns=SETTING)
    both = [setting for setting in places.columns if setting in controls.columns]
    places = places[both]
    fullest = places.index[int(places.notna().sum(axis=1).to_numpy().argmax())] if both else None
    if fullest is None:
        return None
    full = [Setting(*key) for key in places.columns[places.loc[fullest].notna()]]
    settings = sorted(full, key=setting_order)
    places = places[settings].dropna()
    controls = controls[settings].dropna()
    seeds = {
        (str(name), str(mask)): part for (name, mask), part in controls.groupby(["input", "mask"])
    }
    items = sorted(item for item in places.index if item in seeds)
    if len(settings) < FEWEST_SETTINGS or not items:
        return None
    chosen = [_controls(item, seeds) for item in items]
    return Group(
        kind=kind,
        layer=layer,
        items=items,
        settings=settings,
        rows=places.loc[items].to_numpy().astype(np.int64),
        controls=chosen,
        seeds=min(map(len, chosen)),
    )


def _controls(item: tuple[str, str], seeds: dict[tuple[str, str], pd.DataFrame]) -> Places:
    """Return the rows ``(control, setting)`` of the random masks that are taken from a profile."""
    name = item[0]
    rows = seeds[item].to_numpy().astype(np.int64)
    if len(rows) > 1:
        return rows[1::2] if name == ORIGINAL else rows[::2]
    if name != ORIGINAL:
        return rows
    return np.concatenate([part for key, part in seeds.items() if key[0] == name]).astype(np.int64)


class Outcomes:
    """Outcomes of conditions as rates of resampled images.

    Attributes:
        cluster: of each image, ``(image,)``.
        features: names of what an outcome is of: classes, pairs of classes, or one without a name.
    """

    def __init__(self, outcomes: xr.Dataset, outcome: str) -> None:
        label = np.asarray(outcomes["label"].values)
        classes = np.unique(label)
        self.cluster = np.asarray(outcomes["cluster"].values)
        everyone = np.ones(len(label), dtype=bool)
        name = "margin" if outcome == "margin" else "correct"
        values = np.asarray(outcomes[name].values, dtype=float)
        # Of each feature the images that it is over, and their values in each condition.
        self._parts = [(everyone, values)]
        self.features = [""]
        if outcome == "class_accuracy":
            self._parts = [(label == one, values[:, label == one]) for one in classes]
            self.features = [str(one) for one in classes]
        elif outcome == "confusion":
            predicted = np.asarray(outcomes["predicted"].values)
            pairs = [(one, other) for one in classes for other in classes if one != other]
            self._parts = [
                (label == one, (predicted[:, label == one] == other).astype(float))
                for one, other in pairs
            ]
            self.features = [f"{one} as {other}" for one, other in pairs]

    def rates(self, weights: Array, rows: Places) -> Array:
        """Return weighted means of some conditions.

        Args:
            weights: how often each image counts, ``(resample, image)``.
            rows: numbers of conditions, ``(condition,)``.

        Returns:
            ``(resample, condition, feature)``; NaN where no image of a feature counts.
        """
        found = np.empty((len(weights), len(rows), len(self._parts)))
        for k, (images, values) in enumerate(self._parts):
            part = weights[:, images]
            total = part.sum(axis=1, keepdims=True)
            found[:, :, k] = part @ values[rows].T / np.where(total > 0, total, np.nan)
        return found


def profiles(group: Group, outcomes: Outcomes, weights: Array) -> tuple[Array, Array]:
    """Return the outcomes of a group's masks, and those of their controls.

    Args:
        group: of profiles.
        outcomes: of all conditions.
        weights: how often each image counts, ``(resample, image)``.

    Returns:
        Two arrays ``(resample, item, setting * feature)``.
    """
    used, place = np.unique(
        np.concatenate([group.rows.ravel(), *(part.ravel() for part in group.controls)]),
        return_inverse=True,
    )
    rates = outcomes.rates(weights, used)
    ends = np.cumsum([group.rows.size, *(part.size for part in group.controls)])
    own, *random = np.split(place.ravel(), ends[:-1])
    values = rates[:, own.reshape(group.rows.shape)]
    control = np.stack(
        [
            rates[:, part.reshape(rows.shape)].mean(axis=1)
            for part, rows in zip(random, group.controls, strict=True)
        ],
        axis=1,
    )
    shape = (len(weights), len(group.items), -1)
    return values.reshape(shape), control.reshape(shape)


def pieces(group: Group, outcomes: Outcomes, weights: Array) -> Iterator[Array]:
    """Cut resamples into pieces whose rates fit into memory."""
    rows = group.rows.size + sum(part.size for part in group.controls)
    many = max(1, LARGEST_PIECE // (rows * len(outcomes.features)))
    for start in range(0, len(weights), many):
        yield weights[start : start + many]
