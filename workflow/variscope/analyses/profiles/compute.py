"""Profiles of guided masks: how they go together, and which form clusters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from variscope.analyses.conditions import (
    conditions,
    confidence_level,
    inference,
    read_outcomes_of,
)
from variscope.analyses.masking.outcomes import ORIGINAL, TOGETHER
from variscope.analyses.profiles import ANALYSIS
from variscope.analyses.profiles.groups import (
    MOST_CONFUSED,
    Array,
    Group,
    Outcomes,
    groups,
    pieces,
    profiles,
)
from variscope.analyses.source import Source
from variscope.estimators.labels import matching
from variscope.estimators.profiles import (
    cophenetic,
    distances,
    rank_correlations,
    stability,
    tree,
)
from variscope.estimators.resampling import (
    cluster_bootstrap,
    cluster_numbers,
    cluster_weights,
    generator,
)

RESAMPLES = 1000  # of intervals
FEWEST_ITEMS = 3  # of a tree that has anything to tell


def compute(source: Source) -> dict[str, pd.DataFrame]:
    """Return the tables ``matching``, ``tests``, ``clusters`` and ``profiles``."""
    outcomes = read_outcomes_of(source)
    rows: dict[str, list[dict[str, Any]]] = {table.name: [] for table in ANALYSIS.tables}
    if outcomes is not None:
        level = confidence_level(source)
        for name, found in found_rows(outcomes, source.settings, source.seed, level):
            rows[name] += found
    return {name: pd.DataFrame(rows[name], columns=ANALYSIS.columns(name)) for name in rows}


def found_rows(
    outcomes: xr.Dataset, settings: Mapping[str, Any], seed: int, level: float
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Return rows of the tables, with the table's name, group by group.

    Args:
        outcomes: of `variscope.analyses.masking.outcomes.read_outcomes`.
        settings: of the analysis.
        seed: of the experiment.
        level: of confidence.
    """
    classes = len(np.unique(outcomes["label"].values))
    wanted = [
        name for name in settings["outcomes"] if name != "confusion" or classes <= MOST_CONFUSED
    ]
    made = {name: Outcomes(outcomes, name) for name in wanted}
    for group in groups(conditions(outcomes)):
        for outcome, of_images in made.items():
            yield from _group_rows(group, outcome, of_images, settings, seed, level)


def _group_rows(
    group: Group,
    outcome: str,
    outcomes: Outcomes,
    settings: Mapping[str, Any],
    seed: int,
    level: float,
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Return the rows of one group and outcome."""
    _, clusters = cluster_numbers(outcomes.cluster)
    images = len(outcomes.cluster)
    where = {"kind": group.kind, "layer": group.layer, "outcome": outcome}
    counted = {"n": clusters, "inference": inference(clusters, images, RESAMPLES)}
    purpose = ("profiles", group.kind, group.layer, outcome)
    values, control = profiles(group, outcomes, np.ones((1, images)))
    once = _statistics(group, outcomes, np.ones((1, images)))

    def centred(weights: Array) -> Array:
        """Return the statistics of resamples, moved so that their median is the estimate.

        A resample adds noise of its own, which lowers correlations near 1: percentiles as they are
        would leave the estimate itself out.
        """
        parts = [_statistics(group, outcomes, part) for part in pieces(group, outcomes, weights)]
        found = np.concatenate(parts)
        with np.errstate(invalid="ignore"):
            return found + (once - np.ma.median(np.ma.masked_invalid(found), axis=0).filled(np.nan))

    low, high = cluster_bootstrap(
        centred,
        outcomes.cluster,
        rng=generator(seed, *purpose),
        resamples=RESAMPLES,
        level=level,
    )
    ends = _Ends(group, low, high)
    yield "profiles", _profile_rows(group, outcomes, values[0], control[0], ends, where | counted)
    raw, adjusted = (matching_matrix(group, part[0]) for part in (values, values - control))
    published = settings["published"] if (group.layer, outcome) == (TOGETHER, "accuracy") else {}
    yield (
        "matching",
        [
            {
                **where,
                "variable": name,
                "spearman": adjusted[k, k],
                "low": ends.adjusted[0][k],
                "high": ends.adjusted[1][k],
                "raw": raw[k, k],
                "raw_low": ends.raw[0][k],
                "raw_high": ends.raw[1][k],
                "others": others(adjusted)[k],
                "raw_others": others(raw)[k],
                "published": published.get(group.kind, {}).get(name, np.nan),
                "settings": len(group.settings),
                "seeds": group.seeds,
                **counted,
            }
            for k, name in enumerate(group.variables)
        ],
    )
    row, of_clusters = _tree_rows(group, outcomes, values[0] - control[0], settings, seed)
    # A variable whose profile is constant has no correlation with any other.
    kept = np.isfinite(np.diag(adjusted))
    test = matching(adjusted[np.ix_(kept, kept)], seed)
    kept_raw = np.isfinite(np.diag(raw))
    raw_test = matching(raw[np.ix_(kept_raw, kept_raw)], seed)
    row |= {
        "difference": test.difference,
        "low": ends.difference[0],
        "high": ends.difference[1],
        "p": test.p,
        "raw_difference": raw_test.difference,
        "raw_p": raw_test.p,
        "permutations": test.permutations,
        "masks": int(kept.sum()),
    }
    yield "tests", [where | row | counted]
    counted["inference"] = inference(clusters, images, settings["resamples"])
    yield "clusters", [where | found | counted for found in of_clusters]


class _Ends:
    """Bounds of a group's statistics, in the parts that `_statistics` joins."""

    def __init__(self, group: Group, low: Array, high: Array) -> None:
        count = len(group.variables)
        parts = [np.split(end, [count, 2 * count, 2 * count + 1]) for end in (low, high)]
        adjusted, raw, difference, self.profiles = zip(*parts, strict=True)
        # Moved bounds of correlations may lie beyond what a correlation can be.
        self.adjusted, self.raw = (np.clip(ends, -1, 1) for ends in (adjusted, raw))
        self.difference = [float(end[0]) for end in difference]


def _statistics(group: Group, outcomes: Outcomes, weights: Array) -> Array:
    """Return what has intervals, ``(resample, statistic)``.

    The correlations of matching masks, those of raw profiles, by how much the first exceed those
    of other masks, and the profiles.
    """
    values, control = profiles(group, outcomes, weights)
    adjusted, raw = (matching_matrix(group, part) for part in (values - control, values))
    diagonal, diagonal_raw = (np.diagonal(part, axis1=-2, axis2=-1) for part in (adjusted, raw))
    difference = _mean(diagonal) - _mean(others(adjusted))
    flat = (values - control).reshape(len(weights), -1)
    return np.concatenate([diagonal, diagonal_raw, difference[:, None], flat], axis=1)


def matching_matrix(group: Group, found: Array) -> Array:
    """Return how the profiles under altered inputs go with those under the original input.

    Args:
        group: of profiles.
        found: ``(..., item, setting)``.

    Returns:
        ``(..., variable, variable)``: in a row the variable that alters the input and masks, in a
        column the variable that masks the original input.
    """
    names = group.variables
    altered = [group.items.index((name, name)) for name in names]
    original = [group.items.index((ORIGINAL, name)) for name in names]
    return rank_correlations(found)[..., altered, :][..., original]


def others(matrix: Array) -> Array:
    """Return the mean of each row of square matrices but for the diagonal; NaN are left out."""
    apart = ~np.eye(matrix.shape[-1], dtype=bool)
    return _mean(np.where(apart, matrix, np.nan))


def _mean(values: Array) -> Array:
    """Return means over the last axis of what is defined; NaN where nothing is."""
    defined = np.isfinite(values)
    total = np.where(defined, values, 0.0).sum(axis=-1)
    count = defined.sum(axis=-1)
    return np.asarray(total / np.where(count > 0, count, np.nan))


def _tree_rows(
    group: Group, outcomes: Outcomes, found: Array, settings: Mapping[str, Any], seed: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return what is said of a group's tree, and a row for each of its clusters."""
    defined = np.ptp(np.nan_to_num(found), axis=1) > 0
    row = {
        "cophenetic": np.nan,
        "profiles": int(defined.sum()),
        "constant": int((~defined).sum()),
        "stable": 0,
    }
    if defined.sum() < FEWEST_ITEMS:
        return row, []
    unsigned = settings["distance"] == "unsigned"
    between = distances(rank_correlations(found[defined]), unsigned=unsigned)
    made = tree(between)
    rng = generator(seed, "profiles", "clusters", group.kind, group.layer)
    weights = cluster_weights(outcomes.cluster, settings["resamples"], rng)
    again = []
    for part in pieces(group, outcomes, weights):
        values, control = profiles(group, outcomes, part)
        correlations = rank_correlations((values - control)[:, defined])
        again += [tree(one).members for one in distances(correlations, unsigned=unsigned)]
    held = stability(made.members, np.stack(again), rng)
    names = [f"{mask} @ {name}" for (name, mask), kept in zip(group.items, defined, strict=True)
             if kept]  # fmt: skip
    row |= {"cophenetic": cophenetic(made, between), "stable": int(held.stable.sum())}
    return row, [
        {
            "members": "; ".join(np.array(names)[members]),
            "size": int(members.sum()),
            "height": made.heights[k],
            "jaccard": held.jaccard[k],
            "chance": held.chance[k],
            "stable": "yes" if held.stable[k] else "no",
        }
        for k, members in enumerate(made.members)
    ]


def _profile_rows(
    group: Group,
    outcomes: Outcomes,
    values: Array,
    control: Array,
    ends: _Ends,
    common: dict[str, Any],
) -> list[dict[str, Any]]:
    """Return a row for each number of each profile."""
    low, high = (end.reshape(values.shape) for end in ends.profiles)
    columns = [(s, feature) for s in group.settings for feature in outcomes.features]
    return [
        {
            **common,
            "input": name,
            "mask": mask,
            **setting._asdict(),
            "feature": feature,
            "value": values[k, j],
            "control": control[k, j],
            "difference": values[k, j] - control[k, j],
            "low": low[k, j],
            "high": high[k, j],
        }
        for k, (name, mask) in enumerate(group.items)
        for j, (setting, feature) in enumerate(columns)
    ]
