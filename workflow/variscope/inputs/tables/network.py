"""The network of a table: small, feed-forward, trained repeatably.

    standardised = (values - mean) / scale          by the rows that it is trained on
    hidden       = ReLU(W hidden + b)               layer by layer
    output       = W hidden + b                     logits of classes; of a regression the
                                                    standardised target, brought to its unit

It learns by cross-entropy or squared error with the penalty lambda / (2 rows) times the sum of
squared weights, as a normal prior of weights has it, so that many rows outweigh it. It stops by the
loss of a fifth of its rows, and is kept as it was when that was least (Prechelt 1998, Early
stopping, but when?).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn

from variscope.errors import UserError
from variscope.estimators.resampling import generator
from variscope.inputs.tables.splits import held_out, strata
from variscope.inputs.tables.stack import Shape, Trained, one_thread, train
from variscope.inputs.tables.table import Table

Array = NDArray[np.float64]

# Of the rows that a network is trained on, the share that says when to stop, and for how many
# epochs it may go on without a lower loss of these.
VALIDATION = 0.2
PATIENCE = 30

PREDICTED_AT_ONCE = 16384

WEIGHTS, DESCRIPTION = "network.pt", "network.json"
TRAINING, PREDICTIONS = "training.csv", "predictions.csv"


class TableNetwork(nn.Module):
    """From the values of a table's columns to logits of classes, or to a value in its unit.

    Args:
        columns: how many.
        hidden: neurons of the hidden layers.
        outputs: how many.
    """

    def __init__(self, columns: int, hidden: Sequence[int], outputs: int) -> None:
        super().__init__()
        for name, count in (("mean", columns), ("scale", columns)):
            self.register_buffer(name, torch.zeros(count, dtype=torch.float64))
        for name in ("target_mean", "target_scale"):
            self.register_buffer(name, torch.zeros(outputs, dtype=torch.float64))
        sizes = [columns, *hidden, outputs]
        layers: list[nn.Module] = []
        for into, out in pairwise(sizes):
            layers += [nn.ReLU(), nn.Linear(into, out)]
        self.layers = nn.Sequential(*layers[1:])
        self.eval()

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return ``(n, output)`` float64 for values ``(n, column)`` as they stand in the table."""
        # In double: a column may be large beside its spread.
        standardised = (values.double() - self.mean) / self.scale  # type: ignore[operator]
        outputs = self.layers(standardised.float()).double()
        return outputs * self.target_scale + self.target_mean


@dataclass(frozen=True, eq=False, kw_only=True)
class Fitted:
    """A trained network.

    Attributes:
        network: in eval mode.
        features: names of the table's features that it is given, in order.
        classes: names of the classes; none of a regression.
        history: epoch from 1, and the mean loss of the rows that it learns from and of those that
            say when to stop, ``(epoch, 3)``: cross-entropy in nats, or squared error over the
            variance of the target.
    """

    network: TableNetwork
    features: tuple[str, ...]
    classes: tuple[str, ...]
    history: Array

    def predict(self, values: Array) -> Array:
        """Return probabilities of the classes, or values in the target's unit.

        Args:
            values: ``(n, column)``, the columns of its features.

        Returns:
            ``(n, output)`` float64: one output for each class, or one.
        """
        found = np.empty((len(values), len(self.classes) or 1))
        with one_thread(), torch.no_grad():
            for start in range(0, len(values), PREDICTED_AT_ONCE):
                part = slice(start, start + PREDICTED_AT_ONCE)
                some = torch.from_numpy(np.ascontiguousarray(values[part], dtype=np.float64))
                outputs = self.network(some)
                found[part] = (outputs.softmax(dim=1) if self.classes else outputs).numpy()
        return found

    def save(self, folder: Path) -> None:
        """Write it into a folder that exists."""
        torch.save(self.network.state_dict(), folder / WEIGHTS)
        linear = [layer for layer in self.network.layers if isinstance(layer, nn.Linear)]
        described = {
            "features": list(self.features),
            "classes": list(self.classes),
            "columns": linear[0].in_features,
            "hidden": [layer.out_features for layer in linear[:-1]],
            "outputs": linear[-1].out_features,
            "history": self.history.tolist(),
        }
        (folder / DESCRIPTION).write_text(json.dumps(described, indent=1))


def load(folder: Path) -> Fitted:
    """Read what `Fitted.save` wrote."""
    described = json.loads((folder / DESCRIPTION).read_text())
    network = TableNetwork(described["columns"], described["hidden"], described["outputs"])
    network.load_state_dict(torch.load(folder / WEIGHTS, weights_only=True))
    return Fitted(
        network=network.eval(),
        features=tuple(described["features"]),
        classes=tuple(described["classes"]),
        history=np.array(described["history"], dtype=np.float64).reshape(-1, 3),
    )


def fit(table: Table, settings: Mapping[str, Any], seed: int) -> Fitted:
    """Train a network on all rows of a table.

    Args:
        table: with two rows at least.
        settings: of the table, completed: of ``network`` its ``hidden``, ``epochs``,
            ``learning_rate`` and ``weight_decay``.
        seed: of the network: the same gives the same bits.

    Raises:
        UserError: the loss is not finite.
    """
    (found,) = fit_subsets(table, [range(len(table.features))], settings, seed)
    return found


def fit_subsets(
    table: Table, subsets: Sequence[Sequence[int]], settings: Mapping[str, Any], seed: int
) -> list[Fitted]:
    """Train a network on all rows of a table for each of some choices of its features.

    All begin at the same weights, stop by the same rows, and are trained side by side.

    Args:
        table: with two rows at least.
        subsets: numbers of features, at least one, a choice for each network.
        settings, seed: as of `fit`.

    Returns:
        Networks of ``table.select(subset)``, in the order of `subsets`.

    Raises:
        UserError: the loss is not finite.
    """
    shape = shape_of(table, settings["network"])
    mean, scale = table.values.mean(axis=0), _scale(table.values)
    target, target_mean, target_scale = _standardised_target(table)
    columns = [
        np.array([c for f in subset for c in table.features[f].columns], dtype=np.int64)
        for subset in subsets
    ]
    shown = np.zeros((len(subsets), table.values.shape[1]), dtype=bool)
    for number, some in enumerate(columns):
        shown[number, some] = True
    validation = held_out(strata(table), VALIDATION, generator(seed, "validation"))
    rows = (table.values - mean) / scale
    try:
        trained = train(rows, target, validation, shown, shape, seed)
    except FloatingPointError as error:
        raise UserError(
            f"tables.{table.name}.network: {error}; a smaller learning_rate than "
            f"{shape.learning_rate:g} is needed"
        ) from error
    return [
        Fitted(
            network=_network(one, some, shape, mean, scale, target_mean, target_scale),
            features=tuple(table.features[number].name for number in subset),
            classes=table.classes,
            history=one.history,
        )
        for one, some, subset in zip(trained, columns, subsets, strict=True)
    ]


def shape_of(table: Table, network: Mapping[str, Any]) -> Shape:
    """Return what the networks of a table are trained by, from its settings ``network``."""
    return Shape(
        hidden=tuple(network["hidden"]),
        outputs=len(table.classes) or 1,
        classes=table.is_classification,
        epochs=network["epochs"],
        patience=PATIENCE,
        learning_rate=network["learning_rate"],
        weight_decay=network["weight_decay"],
    )


def test_split(
    table: Table, settings: Mapping[str, Any], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows that a table's network is trained on, and those that it is judged by.

    Args:
        table: of all rows.
        settings: of the table, completed: its ``test_fraction``.
        seed: of the study.
    """
    rng = generator(seed, "tables", table.name, "test")
    test = held_out(strata(table), settings["test_fraction"], rng)
    return np.setdiff1d(np.arange(len(table)), test), test


test_split.__test__ = False  # type: ignore[attr-defined]  # pytest takes its name for a test


def train_table(table: Table, settings: Mapping[str, Any], seed: int, folder: Path) -> None:
    """Train a table's network on its training part, and write what it answers to the others.

    Into the folder go the network (`load`), ``training.csv`` (epoch, train, validation: losses as
    of `Fitted.history`) and ``predictions.csv`` (`read_predictions`).

    Args:
        table: of all rows.
        settings: of the table, completed.
        seed: of the study.
        folder: is made where there is none.
    """
    train_rows, test_rows = test_split(table, settings, seed)
    fitted = fit(table.rows(train_rows), settings, table_seed(seed, table.name))
    folder.mkdir(parents=True, exist_ok=True)
    fitted.save(folder)
    history = pd.DataFrame(fitted.history, columns=["epoch", "train", "validation"])
    history.astype({"epoch": int}).to_csv(folder / TRAINING, index=False)
    answers = fitted.predict(table.values[test_rows])
    columns = [f"probability {name}" for name in table.classes] or ["prediction"]
    found = pd.DataFrame(answers, columns=columns)
    found.insert(0, "row", test_rows)
    found.insert(1, "target", table.target[test_rows])
    found.to_csv(folder / PREDICTIONS, index=False)


def read_predictions(folder: Path) -> tuple[NDArray[np.int64], NDArray[Any], Array]:
    """Read what the network answers to the rows that it was not trained on.

    Args:
        folder: that `train_table` filled.

    Returns:
        Numbers of the rows, their targets (numbers of classes, or values), ``(n,)`` each, and what
        is predicted, ``(n, output)`` as of `Fitted.predict`.
    """
    found = pd.read_csv(folder / PREDICTIONS)
    return (
        found["row"].to_numpy(np.int64),
        found["target"].to_numpy(),
        found.iloc[:, 2:].to_numpy(np.float64),
    )


def table_seed(seed: int, *purpose: str | int) -> int:
    """Return the seed of a network of its own for each purpose."""
    return int(generator(seed, "tables", "network", *purpose).integers(2**31))


def _scale(values: Array) -> Array:
    """Return standard deviations; 1 of what does not vary, which standardised is 0 then."""
    found = values.std(axis=0)
    return np.where(values.max(axis=0) > values.min(axis=0), found, 1.0)


def _standardised_target(table: Table) -> tuple[NDArray[Any], Array, Array]:
    """Return the target to learn, and how its outputs are brought to the target's unit."""
    if table.is_classification:
        outputs = len(table.classes)
        return table.target, np.zeros(outputs), np.ones(outputs)
    values = table.target.astype(np.float64)[:, None]
    mean, scale = values.mean(axis=0), _scale(values)
    return ((values - mean) / scale)[:, 0], mean, scale


def _network(
    trained: Trained,
    columns: NDArray[np.int64],
    shape: Shape,
    mean: Array,
    scale: Array,
    target_mean: Array,
    target_scale: Array,
) -> TableNetwork:
    """Return one network of the stack, of its own columns."""
    network = TableNetwork(len(columns), shape.hidden, shape.outputs)
    state = {"mean": mean[columns], "scale": scale[columns]}
    state |= {"target_mean": target_mean, "target_scale": target_scale}
    tensors = {name: torch.from_numpy(np.asarray(part)) for name, part in state.items()}
    for number, (weight, bias) in enumerate(zip(trained.weights, trained.biases, strict=True)):
        own = weight[torch.from_numpy(columns)] if number == 0 else weight
        tensors[f"layers.{2 * number}.weight"] = own.T.contiguous()
        tensors[f"layers.{2 * number}.bias"] = bias.clone()
    network.load_state_dict(tensors)
    return network
