"""What a model on a table depends on, in the process: any model, any table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from variscope.designs.asked import check_mapping, check_numbers
from variscope.errors import UserError
from variscope.estimators.intervals import proportion
from variscope.indices.layer import layer_dataset
from variscope.inputs.tables.columns import as_columns, kind_of
from variscope.inputs.tables.opening import check_bounds
from variscope.inputs.tables.reading import unknown
from variscope.inputs.tables.table import Feature, Table
from variscope.responses.nearness import DISTANCES, far_from_all
from variscope.responses.predictors import predictor, tried
from variscope.responses.tables import (
    Margins,
    Player,
    design_points,
    named_players,
    players_of,
    table_sums,
)
from variscope.study.provenance import versions

if TYPE_CHECKING:
    import pandas as pd

# Points that are held against the rows of the table.
POINTS = 2048


def decompose_table(
    model: Any,
    table: Table | pd.DataFrame | ArrayLike,
    *,
    target: str | None = None,
    margins: Margins = "empirical",
    bounds: Mapping[str, Sequence[float]] | None = None,
    correlated: float | None = 0.6,
    groups: Mapping[str, Sequence[str]] | None = None,
    outputs: Sequence[str] | None = None,
    blocks: int = 1024,
    replicates: int = 16,
    seed: int = 1,
    confidence_level: float = 0.95,
) -> xr.Dataset:
    """Decompose the variance of a model's outputs over the features of a table.

    Args:
        model: an estimator of scikit-learn, whose probabilities are studied where it has some, of
            two classes the second one's alone; a torch module, which is given float32 and put into
            eval mode meanwhile; or any function of rows. Rows are ``(n, column)`` float64; they are
            frames again for an estimator that was fitted on one, and, where a feature is a
            category, for functions as well.
        table: a DataFrame, an array ``(n, column)``, or a table of `variscope`. No value is
            missing.
        target: column of a frame that is no feature.
        margins: "empirical": features have the values of the table's rows; "uniform": they lie
            between bounds.
        bounds: of uniform margins, ``{feature: (low, high)}``; the least and the greatest value of
            what is not named.
        correlated: features whose ranks correlate by more than this, in absolute value, are one
            player and move together; None: each is a player by itself, which makes rows that are
            like none of the table where features go together.
        groups: in the place of `correlated` which features are one player, by a name of yours;
            each of those left out is a player by itself.
        outputs: names of the outputs, where the model does not say them.
        blocks: base points of the cycle over all replicates.
        replicates: independent randomisations, at least 2; intervals are over them.
        seed: same seed and settings, same numbers.
        confidence_level: of the intervals.

    Returns:
        The arrays of the workflow's datasets, over players for variables and outputs for units:
        ``S1``, ``ST`` and ``shapley`` (variable, neuron), ``S2`` (pair, neuron), each with
        ``_low`` and ``_high``, ``mean``, ``variance`` and ``status`` (neuron); beside these
        ``features`` (variable), which they are, and ``outside`` (distance), the share of points
        farther from every row of the table than 99 % of its rows from their nearest other row
        (`variscope.responses.nearness.far_from_all`). What never moves has NaN.

    Raises:
        UserError: an argument is wrong; the message says which, and what is allowed.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(200, 3))
        >>> found = decompose_table(lambda rows: 2 * rows[:, 0] + rows[:, 1], x)
        >>> found["variable"].values.tolist()
        ['0', '1', '2']
        >>> truth = np.array([4, 1, 0]) * x.var(axis=0)
        >>> bool(abs(found["shapley"].values[:, 0] - truth / truth.sum()).max() < 0.01)
        True
    """
    check_numbers(confidence_level, blocks=(blocks, 2), replicates=(replicates, 2), seed=(seed, 0))
    if blocks < replicates:
        raise UserError(f"blocks: found {blocks}; allowed: at least replicates ({replicates})")
    if margins not in ("empirical", "uniform"):
        raise UserError(f"margins: found {margins!r}; allowed: empirical, uniform")
    check_mapping("bounds", bounds)
    check_mapping("groups", groups)
    made, as_given = _table(table, target)
    check_bounds(dict(bounds or {}), margins, made.features)
    players = _players(made, correlated, groups)
    given: dict[str, Any] = {"margins": margins, "bounds": bounds, "seed": seed}
    with predictor(model, made, as_given) as (predict, known):
        first = tried(predict, made)
        names = _names(outputs, known, first.shape[1])
        sums = table_sums(predict, made, players, blocks=blocks, replicates=replicates, **given)
    data = layer_dataset(
        [sums],
        [player.name for player in players],
        ["neuron"],
        confidence_level,
        {
            "margins": margins,
            "seed": seed,
            "provenance": json.dumps({"versions": versions(), "seed": seed}),
        },
    )
    points = design_points(made, players, POINTS, replicates=replicates, **given)
    far = [far_from_all(made, points, seed, distance) for distance in DISTANCES]
    shares = [proportion(int(one.sum()), len(one), confidence_level) for one in far]
    text = "points farther from every row than 99 % of the rows from their nearest other row"
    held = [", ".join(made.features[f].name for f in player.features) for player in players]
    return data.assign(
        {
            f"outside{end}": ("distance", np.array(values), {"long_name": text, "units": "1"})
            for end, values in zip(("", "_low", "_high"), zip(*shares, strict=True), strict=True)
        }
    ).assign_coords(
        unit_name=("neuron", names),
        features=("variable", np.array(held, dtype=object)),
        distance=np.array(DISTANCES, dtype=object),
    )


def _table(
    given: Table | pd.DataFrame | ArrayLike, target: str | None
) -> tuple[Table, pd.DataFrame | None]:
    """Return the rows as a table, and the frame that they came as, features alone."""
    import pandas as pd

    if isinstance(given, Table):
        if target is not None:
            raise UserError("target: found one, and a table of variscope has its own; leave it out")
        return given, None
    if not isinstance(given, pd.DataFrame):
        if target is not None:
            raise UserError(f"target: found {target!r}; allowed: a column, of a DataFrame")
        try:
            values = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise UserError(f"table: found what is no array of numbers ({error})") from error
        if values.ndim != 2 or min(values.shape) < 1 or len(values) < 2:
            raise UserError(
                f"table: found the shape {values.shape}; allowed: (rows, columns), 2 rows at least"
            )
        if not np.isfinite(values).all():
            raise UserError("table: found values that are not finite; allowed: finite numbers")
        features = tuple(Feature(name=str(k), columns=(k,)) for k in range(values.shape[1]))
        return Table(name="table", features=features, values=values, target=np.zeros(len(values)),
                     target_name=""), None  # fmt: skip
    frame = given.rename(columns=str)
    if target is not None:
        if target not in frame:
            raise UserError(f"target: {unknown(target, list(frame.columns))}")
        frame = frame.drop(columns=target)
    if frame.shape[1] < 1 or len(frame) < 2:
        raise UserError(
            f"table: found {len(frame)} rows of {frame.shape[1]} features; allowed: 2 rows and a "
            "feature at least"
        )
    if frame.columns.duplicated().any():
        raise UserError("table: found two columns of one name; allowed: a name of its own for each")
    missing = [str(name) for name in frame.columns[frame.isna().any()]]
    if missing:
        raise UserError(
            f"table: found missing values in {', '.join(missing[:5])}; fill them in as the model's "
            "training did, or drop the rows"
        )
    frame = frame.reset_index(drop=True)
    kinds = {name: kind_of(frame[name], f"table: column {name!r}") for name in map(str, frame)}
    columns = as_columns(frame, kinds, every=True)
    return Table(name="table", features=columns.features, values=columns.values,
                 target=np.zeros(len(frame)), target_name=target or ""), frame  # fmt: skip


def _players(
    table: Table, correlated: float | None, groups: Mapping[str, Sequence[str]] | None
) -> list[Player]:
    if groups is None:
        if correlated is not None and not 0 < correlated <= 1:
            raise UserError(f"correlated: found {correlated!r}; allowed: above 0 to 1, or None")
        return players_of(table, correlated)
    number = {feature.name: k for k, feature in enumerate(table.features)}
    members: dict[str, list[int]] = {}
    for name, features in groups.items():
        for feature in features:
            if feature not in number:
                raise UserError(f"groups.{name}: {unknown(str(feature), list(number))}")
        if isinstance(features, str) or not features:
            raise UserError(f"groups.{name}: found {features!r}; allowed: a list of features")
        members[name] = [number[feature] for feature in features]
    taken = [feature for group in members.values() for feature in group]
    twice = sorted({table.features[k].name for k in taken if taken.count(k) > 1})
    if twice:
        raise UserError(f"groups: found {twice[0]!r} twice; allowed: each feature in one group")
    alone = {feature.name: [k] for k, feature in enumerate(table.features) if k not in taken}
    both = sorted(set(alone) & set(members))
    if both:
        raise UserError(f"groups: found {both[0]!r}, which is the name of a feature by itself")
    every = members | alone
    return named_players(table, list(every.values()), list(every))


def _names(given: Sequence[str] | None, known: Sequence[str], count: int) -> list[str]:
    if given is not None:
        if isinstance(given, str) or len(given) != count:
            raise UserError(
                f"outputs: found {given!r}; allowed: {count} names, one for each output"
            )
        return [str(name) for name in given]
    return list(known) if len(known) == count else [str(k) for k in range(count)]
