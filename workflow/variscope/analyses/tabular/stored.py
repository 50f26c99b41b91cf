"""What a table's job keeps: sums of its designs, indices of other trainings, and a description."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from variscope.estimators import Moments
from variscope.stores.moments import MomentsReader, write_moments
from variscope.stores.results import read_dataset, write_dataset

# Correlated features as one player, and each feature by itself.
JOINED, ALONE = "joined", "alone"
# What the control's player is called: a feature whose values are dealt out anew.
SHUFFLED = "shuffled copy"

DIMS = ("neuron",)


@dataclass(frozen=True, kw_only=True)
class Described:
    """A table, and what was counted of it.

    Attributes:
        target, task, classes, rows, test_rows, margins, notes: of the table.
        outputs: names of the network's outputs that are studied.
        players: by the design, `JOINED` or `ALONE`, names of the players and their features.
        nearest: of each feature its player, its name, the feature that goes with it most, and the
            absolute rank correlation of the two.
        far: by the design and the distance how many of its points lie far from all rows, and how
            many were looked at.
        mean, variance: of each output over the rows of the table.
        constant: the class, or the value, that a constant predictor says after the training rows.
    """

    target: str
    task: str
    classes: Sequence[str]
    rows: int
    test_rows: int
    margins: str
    notes: Sequence[str]
    outputs: Sequence[str]
    players: dict[str, list[tuple[str, list[str]]]]
    nearest: Sequence[tuple[str, str, str, float]]
    far: dict[str, dict[str, tuple[int, int]]]
    mean: Sequence[float]
    variance: Sequence[float]
    constant: float

    def names(self, design: str) -> list[str]:
        """Return the names of a design's players."""
        return [name for name, _ in self.players[design]]


def write(
    folder: Path,
    described: Described,
    sums: dict[str, Moments],
    trainings: xr.Dataset,
    answers: xr.Dataset,
) -> None:
    """Write all of it into a shard's folder.

    Args:
        folder: of the shard.
        described: the table.
        sums: of each design.
        trainings: indices of other trainings, S1, ST and shapley ``(training, player, output)``.
        answers: ``target`` (row) and ``predicted`` (row, answer) of the test rows, and ``history``
            (epoch, loss): epoch, and the loss of training and of validation rows.
    """
    write_dataset(folder / "answers.zarr", answers)
    for design, one in sums.items():
        write_moments(folder / f"{design}.zarr", [one], DIMS)
    write_dataset(folder / "trainings.zarr", trainings)
    (folder / "table.json").write_text(json.dumps(asdict(described), indent=1))


def read_described(folder: Path) -> Described:
    """Read the description."""
    found: dict[str, Any] = json.loads((folder / "table.json").read_text())
    return Described(**found)


def read_sums(folder: Path, design: str) -> Moments:
    """Read the sums of a design."""
    return MomentsReader(folder / f"{design}.zarr").read()


def read_answers(folder: Path) -> xr.Dataset:
    """Read what the network answers to the test rows, and how it was trained."""
    return read_dataset(folder / "answers.zarr")


def read_trainings(folder: Path) -> xr.Dataset:
    """Read the indices of other trainings, ``(training, player, output)`` by name."""
    return read_dataset(folder / "trainings.zarr")
