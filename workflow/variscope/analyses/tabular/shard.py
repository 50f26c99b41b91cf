"""Sum what a table's network answers to the rows of its designs, and train it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from variscope.analyses.source import Source
from variscope.analyses.tabular.stored import ALONE, JOINED, SHUFFLED, Described, write
from variscope.estimators import Moments, unit_indices
from variscope.estimators.resampling import generator
from variscope.inputs.tables.network import Fitted, fit, load, read_predictions, table_seed
from variscope.inputs.tables.opening import open_table
from variscope.inputs.tables.table import Feature, Table
from variscope.responses.nearness import DISTANCES, far_from_all
from variscope.responses.tables import (
    Player,
    design_points,
    feature_correlation,
    named_players,
    players_of,
    table_sums,
)

Array = NDArray[np.float64]

# Points that are held against the rows of the table.
POINTS = 2048
# A design of features alone may have many more variables: its rows are at most about so many.
MOST_ROWS = 2**18


def shard(source: Source, name: str, folder: Path) -> None:
    """Write what is to be known of a table.

    Args:
        source: of the experiment.
        name: of the table.
        folder: where it goes.
    """
    given, settings = source.tables[name], source.settings
    table = open_table(name, given.settings, Path.cwd())
    fitted = load(given.trained)
    test, target, predicted = read_predictions(given.trained)
    players = {JOINED: players_of(table, given.settings["correlated"])}
    alone = players_of(table, None)
    if len(alone) > len(players[JOINED]):
        players[ALONE] = alone
    study = _Study(
        table=table,
        margins={"margins": given.settings["margins"], "bounds": given.settings["bounds"]},
        blocks=settings["blocks"],
        replicates=settings["replicates"],
        seed=table_seed(source.seed, name, "design"),
    )
    training = table.rows(np.setdiff1d(np.arange(len(table)), test))
    answers = outputs_of(fitted)(table.values)
    described = Described(
        target=table.target_name,
        task="classification" if table.is_classification else "regression",
        classes=table.classes,
        rows=len(table),
        test_rows=len(test),
        margins=given.settings["margins"],
        notes=table.notes,
        outputs=output_names(table),
        players={
            design: [(one.name, [table.features[f].name for f in one.features]) for one in found]
            for design, found in players.items()
        },
        nearest=_nearest(table, players[JOINED]),
        far={design: study.far(found) for design, found in players.items()},
        mean=answers.mean(axis=0).tolist(),
        variance=answers.var(axis=0).tolist(),
        constant=_constant(training),
    )
    sums = {design: study.sums(outputs_of(fitted), found) for design, found in players.items()}

    def again(noised: Table, number: int) -> Fitted:
        rows = np.setdiff1d(np.arange(len(table)), test)
        seed = table_seed(source.seed, name, "again", number)
        return fit(noised.rows(rows), given.settings, seed)

    trainings = _trainings(study, players[JOINED], again, settings["trainings"], source.seed)
    told = xr.Dataset(
        {
            "target": ("row", target.astype(np.float64)),
            "predicted": (("row", "answer"), predicted),
            "history": (("epoch", "loss"), fitted.history),
        }
    )
    write(folder, described, sums, trainings, told)


def outputs_of(fitted: Fitted) -> Callable[[Array], Array]:
    """Return what is studied of a network: of two classes the second one's probability alone."""
    chosen = slice(1, None) if len(fitted.classes) == 2 else slice(None)
    return lambda values: fitted.predict(values)[:, chosen]


def output_names(table: Table) -> list[str]:
    """Name the outputs of `outputs_of`."""
    if not table.is_classification:
        return [table.target_name]
    return list(table.classes[1:] if len(table.classes) == 2 else table.classes)


class _Study:
    """The designs of a table."""

    def __init__(
        self, *, table: Table, margins: dict[str, Any], blocks: int, replicates: int, seed: int
    ) -> None:
        self.table, self.margins = table, margins
        self.blocks, self.replicates, self.seed = blocks, replicates, seed

    def of(self, table: Table) -> _Study:
        """Return the same of another table, with a quarter of the blocks."""
        fewer = max(self.replicates, self.blocks // 4)
        return _Study(table=table, margins=self.margins, blocks=fewer,
                      replicates=self.replicates, seed=self.seed)  # fmt: skip

    def sums(self, predict: Callable[[Array], Array], players: Sequence[Player]) -> Moments:
        """Return the sums of a design over players."""
        blocks = min(self.blocks, MOST_ROWS // (2 * len(players)))
        return table_sums(
            predict,
            self.table,
            players,
            **self.margins,
            blocks=max(2 * self.replicates, blocks),
            replicates=self.replicates,
            seed=self.seed,
        )

    def far(self, players: Sequence[Player]) -> dict[str, tuple[int, int]]:
        """Count points far from all rows, and all that were looked at, by the distance."""
        rows = design_points(
            self.table, players, POINTS, **self.margins, replicates=self.replicates, seed=self.seed
        )
        return {
            distance: (int(far_from_all(self.table, rows, self.seed, distance).sum()), len(rows))
            for distance in DISTANCES
        }


def _constant(training: Table) -> float:
    """Return the commonest class of the training rows, or the mean of their targets."""
    if training.is_classification:
        return float(np.bincount(training.target).argmax())
    return float(training.target.mean())


def _nearest(table: Table, players: Sequence[Player]) -> list[tuple[str, str, str, float]]:
    """Return each feature's player, its name, the feature nearest to it, and their correlation."""
    together = feature_correlation(table)
    np.fill_diagonal(together, -1.0)
    names = [feature.name for feature in table.features]
    found = []
    for player in players:
        for feature in player.features:
            other = int(together[feature].argmax())
            known = len(names) > 1
            found.append((player.name, names[feature], names[other] if known else "",
                          float(together[feature, other]) if known else float("nan")))  # fmt: skip
    return found


def _trainings(
    study: _Study,
    players: Sequence[Player],
    again: Callable[[Table, int], Fitted],
    count: int,
    seed: int,
) -> xr.Dataset:
    """Train networks on the table with a shuffled copy of a feature, and estimate their indices.

    Returns:
        S1, ST and shapley ``(training, player, output)``; the last player is the copy.
    """
    table = study.table
    order = generator(seed, "tabular", table.name, "copied").permutation(len(table.features))
    found: dict[str, list[Array]] = {}
    copied = []
    for number in range(count):
        feature = table.features[order[number % len(order)]]
        copied.append(feature.name)
        rng = generator(seed, "tabular", table.name, "shuffled", number)
        noised = with_shuffled(table, feature, rng)
        groups = [*(one.features for one in players), (len(table.features),)]
        names = [*(one.name for one in players), SHUFFLED]
        sums = study.of(noised).sums(
            outputs_of(again(noised, number)), named_players(noised, groups, names)
        )
        estimates = unit_indices(sums, 0.5).estimates  # the values, whatever the level
        for index in ("S1", "ST", "shapley"):
            found.setdefault(index, []).append(estimates[index].value)
    return xr.Dataset(
        {
            index: (("training", "player", "output"), np.stack(values))
            for index, values in found.items()
        },
        coords={
            "player": np.array([*(one.name for one in players), SHUFFLED], dtype=object),
            "copied": ("training", np.array(copied, dtype=object)),
        },
    )


def with_shuffled(table: Table, feature: Feature, rng: np.random.Generator) -> Table:
    """Return a table with a copy of a feature whose values are dealt out to the rows anew.

    It has the feature's distribution and goes with nothing (the shadow features of Kursa and
    Rudnicki 2010, J. Stat. Softw. 36: 11).
    """
    width = table.values.shape[1]
    copy = table.values[rng.permutation(len(table))][:, list(feature.columns)]
    columns = tuple(range(width, width + copy.shape[1]))
    return replace(
        table,
        features=(*table.features, Feature(name=SHUFFLED, columns=columns, levels=feature.levels)),
        values=np.concatenate([table.values, copy], axis=1),
    )
