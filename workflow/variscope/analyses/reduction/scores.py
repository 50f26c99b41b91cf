"""How well a network of a table predicts rows that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variscope.inputs.tables.table import Table

Array = NDArray[np.float64]

# Of a regression.
DETERMINATION = "R2"


def accuracy(target: NDArray[Any], answers: Array) -> float:
    """Return the share of rows whose class is the likeliest.

    Args:
        target: numbers of classes, ``(row,)``.
        answers: probabilities, ``(row, class)``.
    """
    return float((answers.argmax(axis=1) == target).mean())


def balanced_accuracy(target: NDArray[Any], answers: Array) -> float:
    """Return the mean over the classes that there are of the share of their rows that is right.

    A network that always gives the commonest class has one over the number of classes.

    Args:
        target, answers: as of `accuracy`.
    """
    right = answers.argmax(axis=1) == target
    return float(np.mean([right[target == label].mean() for label in np.unique(target)]))


def auc(target: NDArray[Any], answers: Array) -> float:
    """Return the area under the ROC curve: of two classes, or the mean of each against the rest.

    The share of pairs of a row of the class and one that is not in which the first has the larger
    probability, ties by half (Hanley and McNeil 1982, Radiology 143: 29-36).

    Args:
        target, answers: as of `accuracy`.

    Returns:
        NaN where all rows are of one class.
    """
    from scipy.stats import rankdata  # costly to import

    classes = [1] if answers.shape[1] == 2 else range(answers.shape[1])
    areas = []
    for label in classes:
        own = target == label
        positive, negative = int(own.sum()), int((~own).sum())
        if positive and negative:
            above = rankdata(answers[:, label])[own].sum() - positive * (positive + 1) / 2
            areas.append(above / (positive * negative))
    return float(np.mean(areas)) if areas else np.nan


def determination(target: NDArray[Any], answers: Array) -> float:
    """Return R2 = 1 - sum (y - prediction)^2 / sum (y - mean y)^2 of these rows.

    Args:
        target: values, ``(row,)``.
        answers: ``(row, 1)``.

    Returns:
        NaN where the target is constant.
    """
    spread = float(((target - target.mean()) ** 2).sum())
    return 1 - float(((target - answers[:, 0]) ** 2).sum()) / spread if spread > 0 else np.nan


OF_CLASSES: Mapping[str, Callable[[NDArray[Any], Array], float]] = {
    "balanced_accuracy": balanced_accuracy,
    "accuracy": accuracy,
    "auc": auc,
}


def score_name(table: Table, chosen: str) -> str:
    """Return which score a table is judged by: the chosen one, or R2 of a regression."""
    return chosen if table.is_classification else DETERMINATION


def score_of(name: str, target: NDArray[Any], answers: Array) -> float:
    """Return a score by its name."""
    return {**OF_CLASSES, DETERMINATION: determination}[name](target, answers)


def constant_answers(table: Table, rows: int) -> Array:
    """Return what is answered without any feature: shares of classes, or the mean target.

    Args:
        table: of the rows that are trained on.
        rows: how many answers.

    Returns:
        ``(row, output)``.
    """
    if table.is_classification:
        shares = np.bincount(table.target, minlength=len(table.classes)) / len(table)
        return np.tile(shares, (rows, 1))
    return np.full((rows, 1), table.target.mean())
