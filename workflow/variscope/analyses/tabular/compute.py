"""Tables of the study of tables: from sums to indices, from predictions to scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.special import stdtrit

from variscope.analyses.source import Source
from variscope.analyses.tabular import ANALYSIS
from variscope.analyses.tabular.scoring import scores
from variscope.analyses.tabular.stored import (
    ALONE,
    DIMS,
    JOINED,
    SHUFFLED,
    Described,
    read_answers,
    read_described,
    read_sums,
    read_trainings,
)
from variscope.estimators.intervals import proportion
from variscope.estimators.resampling import generator
from variscope.indices.layer import layer_dataset

Array = NDArray[np.float64]
Rows = list[dict[str, Any]]

INDICES = ("S1", "ST", "shapley")
# Pairs are those of so many players, of the largest Shapley effects.
MOST_PAIRED = 30


def compute(source: Source) -> dict[str, pd.DataFrame]:
    """Return the tables of the entry."""
    found: dict[str, Rows] = {table.name: [] for table in ANALYSIS.tables}
    for name, folder in source.shards.items():
        made = _of_table(name, folder, source.confidence_level, source.seed)
        for table, rows in made.items():
            found[table] += [{"table": name, **row} for row in rows]
    return {
        table.name: pd.DataFrame(found[table.name], columns=ANALYSIS.columns(table.name))
        for table in ANALYSIS.tables
    }


def _of_table(name: str, folder: Path, level: float, seed: int) -> dict[str, Rows]:
    described, answers = read_described(folder), read_answers(folder)
    datasets = {design: _dataset(folder, described, design, level) for design in described.players}
    target, predicted = answers["target"].values, answers["predicted"].values
    rng = generator(seed, "tabular", name, "scores")
    return {
        "scores": [
            {**one._asdict(), "n": len(target), "inference": "test rows"}
            for one in scores(target, predicted, described.constant, level, rng,
                              described.task == "classification")
        ],
        "indices": [
            row for design, data in datasets.items() for row in _indices(described, design, data)
        ],
        "trainings": _trainings(read_trainings(folder), described.outputs, level),
        "outside": [
            {
                "players": design,
                "distance": distance,
                **dict(zip(("share", "low", "high"), proportion(*counts, level), strict=True)),
                "n": counts[1],
                "inference": "points",
            }
            for design, distances in described.far.items()
            for distance, counts in distances.items()
        ],
        "variances": list(_variances(described, datasets)),
        "players": [
            dict(zip(("player", "feature", "nearest", "correlation"), row, strict=True))
            for row in described.nearest
        ],
        "training": [
            dict(zip(("epoch", "train", "validation"), row, strict=True))
            for row in answers["history"].values
        ],
        "tables": [
            {
                "target": described.target,
                "task": described.task,
                "classes": ", ".join(described.classes),
                "rows": described.rows,
                "test_rows": described.test_rows,
                "features": len(described.nearest),
                "players": len(described.players[JOINED]),
                "margins": described.margins,
            }
        ],
        "notes": [{"note": note} for note in described.notes],
    }  # fmt: skip


def _dataset(folder: Path, described: Described, design: str, level: float) -> xr.Dataset:
    """Return the dataset of a design; of features alone with sums over those that are joined."""
    groups = {}
    if design == ALONE:
        groups = {name: held for name, held in described.players[JOINED] if len(held) > 1}
    return layer_dataset([read_sums(folder, design)], described.names(design), DIMS, level, {},
                         groups)  # fmt: skip


def _indices(described: Described, design: str, data: xr.Dataset) -> Iterator[dict[str, Any]]:
    """Yield rows of all indices of a design, the pairs of joined players among them."""
    features = {name: ", ".join(held) for name, held in described.players[design]}
    names = described.names(design)
    pairs = [(one, other) for k, one in enumerate(names) for other in names[k + 1 :]]
    arrays = {str(name): array.values for name, array in data.data_vars.items()}
    for number, output in enumerate(described.outputs):
        every: list[tuple[str, str, str, int]] = [
            (index, name, features[name], k) for index in INDICES for k, name in enumerate(names)
        ]
        if design == JOINED:
            effects = np.nan_to_num(arrays["shapley"][:, number])
            largest = {names[k] for k in np.argsort(-effects, kind="stable")[:MOST_PAIRED]}
            every += [
                ("S2", f"{one} : {other}", f"{features[one]} : {features[other]}", k)
                for k, (one, other) in enumerate(pairs)
                if one in largest and other in largest
            ]
        if "shapley_group" in data:
            joined = dict(described.players[JOINED])
            every += [
                ("shapley_group", name, ", ".join(joined[name]), k)
                for k, name in enumerate(map(str, data["group"].values))
            ]
        for index, player, held, k in every:
            value, low, high = (arrays[f"{index}{end}"][k, number] for end in ("", "_low", "_high"))
            yield {
                "output": output,
                "players": design,
                "player": player,
                "features": held,
                "index": "shapley_sum" if index == "shapley_group" else index,
                "value": value,
                "low": low,
                "high": high,
                "n": data.sizes["replicate"],
                "inference": "replicates",
            }


def _trainings(found: xr.Dataset, outputs: Sequence[str], level: float) -> Rows:
    """Return means over trainings, and how far they lie beyond the shuffled copy."""
    names = [str(name) for name in found["player"].values]
    rows = []
    for number, output in enumerate(outputs):
        for index in INDICES:
            values = found[index].values[:, :, number]
            each = over_trainings(values, level)
            beyond = over_trainings(values - values[:, -1:], level)
            for k, name in enumerate(names):
                control = name == SHUFFLED and k == len(names) - 1
                rows.append(
                    {
                        "output": output,
                        "player": name,
                        "control": "yes" if control else "no",
                        "index": index,
                        **dict(zip(("value", "low", "high"), each[:, k], strict=True)),
                        **dict(
                            zip(("beyond", "beyond_low", "beyond_high"), beyond[:, k], strict=True)
                        ),
                        "n": int(np.isfinite(values[:, k]).sum()),
                        "inference": "trainings",
                    }
                )
    return rows


def over_trainings(values: Array, level: float) -> Array:
    """Return mean, lower and upper bound of each column over trainings, ``(3, column)``.

    Student's interval. Trainings whose prediction never varies have no indices and are left out.

    Args:
        values: ``(training, column)``.
        level: of confidence.
    """
    found = np.full((3, values.shape[1]), np.nan)
    for k, column in enumerate(values.T):
        known = column[np.isfinite(column)]
        if len(known):
            found[0, k] = known.mean()
        if len(known) > 1:
            reach = stdtrit(len(known) - 1, (1 + level) / 2) * known.std(ddof=1)
            found[1:, k] = found[0, k] + np.array([-1, 1]) * reach / np.sqrt(len(known))
    return found


def _variances(described: Described, datasets: dict[str, xr.Dataset]) -> Iterator[dict[str, Any]]:
    for number, output in enumerate(described.outputs):
        yield {"output": output, "points": "rows", "mean": described.mean[number],
               "variance": described.variance[number]}  # fmt: skip
        for design, data in datasets.items():
            yield {"output": output, "points": design, "mean": float(data["mean"].values[number]),
                   "variance": float(data["variance"].values[number])}  # fmt: skip
