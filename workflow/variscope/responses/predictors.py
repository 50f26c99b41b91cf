"""Models of any kind as functions of a table's rows: estimators, torch modules, functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from variscope.errors import UserError
from variscope.inputs.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Predict = Callable[[Array], Array]

# Rows that are tried first.
TRIED = 8


@contextmanager
def predictor(
    model: Any, table: Table, frame: pd.DataFrame | None
) -> Iterator[tuple[Predict, list[str]]]:
    """Give what predicts from rows of a table, and the names of its outputs if it knows them.

    Args:
        model: an estimator of scikit-learn, a torch module, or a function of rows.
        table: whose rows are asked for, ``(n, column)``.
        frame: that the table was made of; estimators that were fitted on frames, and what takes
            categories, are given rows as such frames again.

    Raises:
        UserError: it is no model, or takes no categories.
    """
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
        if frame is not None and (categories or hasattr(model, "feature_names_in_")):
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


def tried(predict: Predict, table: Table) -> Array:
    """Return outputs of some rows, ``(n, output)``.

    Raises:
        UserError: the model fails, or an output is not its row's alone: a row is evaluated in
            batches of any size, and once where it stands several times.
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
