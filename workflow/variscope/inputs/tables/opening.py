"""Open a table of the configuration, by stated rules; what does not fit is refused by name.

The rules, in their order; each that was applied leaves a note:

1. Columns of ``leave_out`` are left out, and rows without a target.
2. A feature is a number, or a category of up to `MOST_LEVELS` different texts (booleans are one),
   with a column for each level. Other text, dates and infinities are refused.
3. Missing values are refused, their rows dropped, or filled in: ``missing``.
4. Columns that number the rows, and those that never change, are left out.
5. Rows that stand in the file again, target included, are counted once.
6. Columns that hold the same values as another, and those that alone determine the target, stay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from variscope.errors import UserError
from variscope.inputs.tables.columns import Columns, Kind, as_columns, filled, kind_of
from variscope.inputs.tables.reading import BUNDLED, bundled, read_file, unknown
from variscope.inputs.tables.table import Feature, Table
from variscope.inputs.tables.targets import Target, target_of

if TYPE_CHECKING:
    import pandas as pd

LEAST_ROWS = 40
MOST_FEATURES = 500


def open_table(name: str, settings: Mapping[str, Any], folder: Path) -> Table:
    """Return a table of the configuration.

    Args:
        name: by which the configuration calls it.
        settings: its entry under ``tables``, completed; what trains a network is told nothing of
            what is drawn, its ``margins``, ``bounds`` and ``correlated``.
        folder: what relative paths start at.

    Raises:
        UserError: the file, a column or a setting cannot be used; the message says which, what was
            found and what is allowed.

    Example:
        >>> settings = {"source": "diabetes", "target": None, "task": None, "threshold": "median",
        ...             "leave_out": [], "missing": "refuse", "margins": "empirical", "bounds": {}}
        >>> table = open_table("progression", settings, Path())
        >>> len(table), len(table.features), table.classes
        (442, 10, ('progression at most 140.5', 'progression above 140.5'))
    """
    source = str(settings["source"])
    key = f"tables.{name}"
    try:
        if source in BUNDLED:
            frame, notes = bundled(source)
        else:
            frame, notes = read_file((folder / source), source)
    except UserError as error:
        raise UserError(f"{key}.source: {error}") from error
    target_name = _target_name(key, source, settings, frame)
    shown = source if source not in BUNDLED else f"scikit-learn's {source}"
    features, more = _features(key, settings, frame, target_name)
    frame = frame[[*features, target_name]]
    notes += more
    without = int(frame[target_name].isna().sum())
    if without == len(frame):
        raise UserError(f"{key}.target: the column {target_name!r} of {shown} is empty")
    if without:
        notes.append(f"Rows without a target are left out: {without} of {len(frame)}.")
        frame = frame[frame[target_name].notna()]
    try:
        kinds: dict[str, Kind] = {
            feature: kind_of(frame[feature], f"{shown}, column {feature!r},")
            for feature in features
        }
        inputs, more = filled(frame[features], kinds, settings["missing"], shown)
    except UserError as error:
        raise UserError(
            f"{key}.{error}" if str(error).startswith("missing:") else f"{key}: {error}"
        ) from error
    notes += more
    frame = frame.loc[inputs.index]
    twice = frame.assign(**{feature: inputs[feature] for feature in features}).duplicated()
    if twice.any():
        again = int(twice.sum())
        notes.append(
            f"Rows that stand in the file again, target included, are counted once: {again} "
            f"{'is' if again == 1 else 'are'} left out."
        )
        inputs, frame = inputs[~twice], frame[~twice]
    columns = as_columns(inputs, kinds)
    _check_size(key, shown, columns, len(frame))
    try:
        target = target_of(frame[target_name], settings, f"the target {target_name!r} of {shown}")
    except UserError as error:
        at = str(error).split(":")[0]
        where = f"{key}.{error}" if at in ("task", "threshold") else f"{key}.target: {error}"
        raise UserError(where) from error
    try:
        if "bounds" in settings:
            check_bounds(settings["bounds"] or {}, settings["margins"], columns.features)
    except UserError as error:
        raise UserError(f"{key}.{error}") from error
    return Table(
        name=name,
        features=columns.features,
        values=columns.values,
        target=target.values,
        target_name=target_name,
        classes=target.classes,
        notes=(*notes, *columns.notes, *target.notes, *_alike(columns), *_leaks(columns, target)),
    )


def _target_name(key: str, source: str, settings: Mapping[str, Any], frame: pd.DataFrame) -> str:
    name = settings["target"]
    if name is None and source in BUNDLED:
        return BUNDLED[source]
    known = [str(column) for column in frame.columns]
    if name is None:
        some = ", ".join(map(repr, known[:12])) + (", ..." if len(known) > 12 else "")
        raise UserError(f"{key}.target: left out; allowed: a column of {source}: {some}")
    if name not in known:
        raise UserError(f"{key}.target: {unknown(str(name), known)} (columns of {source})")
    return str(name)


def _features(
    key: str, settings: Mapping[str, Any], frame: pd.DataFrame, target: str
) -> tuple[list[str], list[str]]:
    """Return the names of the features that are not left out, and a note."""
    known = [str(column) for column in frame.columns]
    left = [str(name) for name in settings["leave_out"]]
    for name in left:
        if name not in known:
            raise UserError(f"{key}.leave_out: {unknown(name, known)}")
        if name == target:
            raise UserError(f"{key}.leave_out: found {name!r}, which is the target")
    features = [name for name in known if name not in left and name != target]
    if not features:
        raise UserError(f"{key}.leave_out: no feature is left; allowed: at least one stays")
    return features, [f"Left out as the configuration says: {', '.join(left)}."] if left else []


def _check_size(key: str, shown: str, columns: Columns, rows: int) -> None:
    if not columns.features:
        raise UserError(f"{key}.source: no feature of {shown} changes; at least one must")
    if len(columns.features) > MOST_FEATURES:
        raise UserError(
            f"{key}.source: {shown} has {len(columns.features)} features; allowed: up to "
            f"{MOST_FEATURES}; name others in leave_out"
        )
    if rows < LEAST_ROWS:
        raise UserError(
            f"{key}.source: {shown} has {rows} rows that can be used; at least {LEAST_ROWS} are "
            "needed to train a network and test it"
        )


def check_bounds(bounds: Mapping[str, Any], margins: str, features: Sequence[Feature]) -> None:
    """Raise a UserError where bounds are given that are not used, or fit no feature."""
    if bounds and margins != "uniform":
        raise UserError(
            f"bounds: found bounds of {next(iter(bounds))!r}, and the margins are {margins}; "
            "allowed: bounds with margins: uniform"
        )
    known = {feature.name: feature for feature in features}
    for name, limits in bounds.items():
        if name not in known:
            raise UserError(f"bounds: {unknown(str(name), list(known))}")
        if known[name].levels:
            raise UserError(f"bounds: found {name!r}, a category, which has levels and no bounds")
        low, high = limits
        if not low < high:
            raise UserError(f"bounds.{name}: found [{low:g}, {high:g}]; allowed: low below high")


def _alike(columns: Columns) -> list[str]:
    """Name features that hold the same values."""
    seen: dict[bytes, str] = {}
    notes = []
    for feature in columns.features:
        held = columns.values[:, list(feature.columns)].tobytes()
        if held in seen:
            notes.append(
                f"{feature.name} holds the same values as {seen[held]}: they are one player."
            )
        else:
            seen[held] = feature.name
    return notes


def _leaks(columns: Columns, target: Target) -> list[str]:
    """Name features that alone determine the target: it may have been made from them."""
    leaking = [
        feature.name
        for feature in columns.features
        if _determines(columns.values[:, list(feature.columns)], target)
    ]
    if not leaking:
        return []
    return [
        f"{', '.join(leaking)}: alone, by thresholds or levels, this determines the target in "
        "every row. Was the target made from it, or is it known only after the target is?"
    ]


def _determines(values: NDArray[np.float64], target: Target) -> bool:
    if values.shape[1] > 1:  # a category: each level has one value of the target
        of_level = [np.unique(target.values[column > 0]) for column in values.T]
        return all(len(found) == 1 for found in of_level)
    order = np.argsort(values[:, 0], kind="stable")
    sorted_values, sorted_target = values[order, 0], target.values[order]
    steps = np.diff(sorted_target)
    changes = np.flatnonzero(steps)
    if (np.diff(sorted_values)[changes] == 0).any():
        return False  # equal values, different targets
    if target.classes:  # as few changes from class to class as can be
        return len(changes) == len(target.classes) - 1
    return bool((steps >= 0).all() or (steps <= 0).all())
