"""What a model on a table depends on, in the process: any model, any table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from variscope.designs.asked import check_mapping, check_numbers
from variscope.errors import UserError
from variscope.estimators.intervals import proportion
from variscope.indices.layer import layer_dataset
from variscope.inputs.tables.columns import as_columns, kind_of
from variscope.inputs.tables.opening import check_bounds
from variscope.inputs.tables.reading import unknown
from variscope.inputs.tables.table import Feature, Table
from variscope.responses.tables import (
    DISTANCES,
    Margins,
    Player,
    design_points,
    far_from_all,
    named_players,
    players_of,
    table_sums,
)
from variscope.study.provenance import versions

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Predict = Callable[[Array], Array]

# Rows that are tried first, and points that are held against the rows of the table.
TRIED, POINTS = 8, 2048


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
            eval mode meanwhile; or any function of rows. Rows are what the model was trained on:
            those of a frame go to an estimator as a frame, to a function as ``(n, column)`` float64
            where all features are numbers and as a frame where not, to a module as numbers.
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
        (`variscope.responses.tables.far_from_all`). What never moves has NaN.

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
    with _predictor(model, made, as_given) as (predict, known):
        first = _tried(predict, made)
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


@contextmanager
def _predictor(
    model: Any, table: Table, frame: pd.DataFrame | None
) -> Iterator[tuple[Predict, list[str]]]:
    """Give what predicts from rows of the table, and the names of its outputs if it knows them."""
    categories = [feature.name for feature in table.features if feature.levels]
    if _is_module(model):
        if frame is not None and categories:
            raise UserError(
                f"model: a torch module takes numbers, and {categories[0]} is a category; give a "
                "function that takes a frame"
            )
        with _in_eval_mode(model) as predict:
            yield predict, []
        return
    rows: Callable[[Array], Any] = lambda values: values  # noqa: E731
    answer: Any = model
    names: list[str] = []
    if hasattr(model, "predict"):
        if frame is not None:
            rows = _frames(table, frame)
        answer = model.predict
        if hasattr(model, "predict_proba"):
            answer = model.predict_proba
            classes = [str(name) for name in getattr(model, "classes_", [])]
            if len(classes) == 2:
                yield lambda values: np.asarray(answer(rows(values)))[:, 1:], classes[1:]
                return
            names = classes
    elif not callable(model):
        raise UserError(
            f"model: found {type(model).__name__}; allowed: a scikit-learn estimator, a torch "
            "module, or a function of rows"
        )
    elif frame is not None and categories:
        rows = _frames(table, frame)
    yield lambda values: _columns(answer(rows(values)), len(values)), names


def _is_module(model: Any) -> bool:
    """Say whether it is a torch module, without importing torch for what is none."""
    return any(base.__module__.startswith("torch.nn") for base in type(model).__mro__)


@contextmanager
def _in_eval_mode(model: Any) -> Iterator[Predict]:
    import torch

    modes = [(module, module.training) for module in model.modules()]
    some = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))

    def predict(values: Array) -> Array:
        with torch.no_grad():
            found = model(torch.from_numpy(values).to(some.device, some.dtype))
        if not isinstance(found, torch.Tensor):
            raise UserError(f"model: gave {type(found).__name__}; allowed: a tensor")
        return _columns(found.double().cpu().numpy(), len(values))

    model.eval()
    try:
        yield predict
    finally:
        for module, mode in modes:  # one by one: some may be frozen in a mode of their own
            module.training = mode


def _frames(table: Table, frame: pd.DataFrame) -> Callable[[Array], pd.DataFrame]:
    """Return what makes frames of rows of the table, with the kinds of values that it had."""
    import pandas as pd

    originals = {
        feature.name: dict(zip(frame[feature.name].map(str), frame[feature.name], strict=True))
        for feature in table.features
        if feature.levels
    }

    def made(values: Array) -> pd.DataFrame:
        found = {}
        for feature in table.features:
            held = values[:, list(feature.columns)]
            if feature.levels:
                known = [originals[feature.name][level] for level in feature.levels]
                level = held.argmax(axis=1)
                found[feature.name] = pd.Series(
                    [known[k] for k in level], dtype=frame[feature.name].dtype
                )
            else:
                found[feature.name] = pd.Series(held[:, 0])
        return pd.DataFrame(found)

    return made


def _columns(found: Any, rows: int) -> Array:
    """Return outputs as ``(n, output)``."""
    try:
        values = np.asarray(found, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"model: gave what are no numbers ({error})") from error
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or len(values) != rows or not values.shape[1]:
        raise UserError(
            f"model: gave the shape {np.shape(found)} for {rows} rows; allowed: ({rows},) or "
            f"({rows}, outputs)"
        )
    return values


def _tried(predict: Predict, table: Table) -> Array:
    """Return outputs of some rows. UserError: an output is not its row's alone, or the model fails.

    A row is evaluated in batches of any size, and once where it stands several times.
    """
    rows = table.values[: 2 * TRIED]
    try:
        whole, part = predict(rows), predict(rows[: len(rows) // 2])
    except UserError:
        raise
    except Exception as error:  # a user's model may raise anything
        text = " ".join(str(error).split())[:300]
        raise UserError(
            f"model: fails on rows of the table ({type(error).__name__}: {text})"
        ) from error
    scale = np.abs(whole).max(axis=0)
    apart = np.abs(whole[: len(part)] - part).max(axis=0)
    if (apart > 1e-4 * scale).any():
        raise UserError(
            "model: the same row has other outputs in another batch, or when it is asked again; "
            "allowed: outputs that depend on their own row alone"
        )
    return whole


def _names(given: Sequence[str] | None, known: Sequence[str], count: int) -> list[str]:
    if given is not None:
        if isinstance(given, str) or len(given) != count:
            raise UserError(
                f"outputs: found {given!r}; allowed: {count} names, one for each output"
            )
        return [str(name) for name in given]
    return list(known) if len(known) == count else [str(k) for k in range(count)]
