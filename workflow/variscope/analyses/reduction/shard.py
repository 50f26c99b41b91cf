"""Train and rank in the outer folds of a table, and keep every score and every place."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from variscope.analyses.reduction import DESCRIBED, PLACES, SCORES, place_of_shard
from variscope.analyses.reduction.nested import Placed, Scored, nested_fold, outer_folds
from variscope.analyses.reduction.scores import score_name
from variscope.analyses.source import Source
from variscope.inputs.tables.opening import open_table
from variscope.responses.tables import players_of


def shard(source: Source, name: str, folder: Path) -> None:
    """Store what came of a shard's outer folds.

    Args:
        source: with the tables.
        name: of the shard, one of `variscope.analyses.reduction.shards`.
        folder: where the results go.
    """
    of, number, count = place_of_shard(name)
    of_table, settings = source.tables[of].settings, source.settings
    table = open_table(of, of_table, Path.cwd())
    folds = outer_folds(table, settings["outer"], settings["repeats"], source.seed)
    scores: list[Scored] = []
    places: list[Placed] = []
    for fold in folds[number - 1 :: count]:
        of_fold = nested_fold(table, of_table, settings, source.seed, fold)
        scores += of_fold[0]
        places += of_fold[1]
    pd.DataFrame(map(asdict, scores)).to_csv(folder / SCORES, index=False)
    pd.DataFrame(map(asdict, places)).to_csv(folder / PLACES, index=False)
    described = {
        "features": [feature.name for feature in table.features],
        "players": {
            table.features[feature].name: player.name
            for player in players_of(table, of_table["correlated"])
            for feature in player.features
        },
        "score": score_name(table, settings["score"]),
        "rows": len(table),
    }
    (folder / DESCRIBED).write_text(json.dumps(described, indent=1))
