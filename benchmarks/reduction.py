"""Feature reduction of two clinical tables: rankings held against each other, and what they cost.

Run it by ``python -m benchmarks.reduction``.

`smallest` is the least number of features that is not worse than all by more than the margin, and
`inside` the median of what the inner folds choose, as of `variscope.analyses.reduction`. `linear`
is scikit-learn's logistic regression, or ridge regression with a penalty of its own choice, on all
features and the same folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median_low
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
from variscope.analyses.reduction import ANALYSIS
from variscope.analyses.reduction.compute import Folds
from variscope.analyses.reduction.nested import Fold, nested_fold, outer_folds
from variscope.analyses.reduction.rankings import RANKINGS, Ranked
from variscope.analyses.reduction.scores import score_name, score_of
from variscope.estimators.cross_validation import smallest_not_worse
from variscope.inputs.tables.network import fit, fit_subsets
from variscope.inputs.tables.opening import open_table
from variscope.inputs.tables.table import Table
from variscope.study.config import complete

from benchmarks.measuring import Row, arguments, write

TABLES = ("breast_cancer", "diabetes")
SHOWN = (1, 2, 4, 8)

NOTES = """
{outer} outer folds drawn {repeats} times, {inner} inner ones, a margin of {margin}, {blocks} blocks
of the designs; balanced accuracy of breast_cancer, R2 of diabetes, the mean over the outer folds.
`seconds` are of the processor, on one thread: of a ranking to rank the features of one network, of
`network` to train one with all features, of `side by side` to train 40 with random choices of
them, of `all folds` everything above.
"""


def main(given: Sequence[str] | None = None) -> list[Row]:
    """Run the benchmark and return its table."""
    options = arguments((__doc__ or "").splitlines()[0], given)
    settings: dict[str, Any] = {
        name: setting["default"] for name, setting in ANALYSIS.settings.items()
    }
    if options.quick:
        settings |= {
            "outer": 3,
            "inner": 2,
            "repeats": 1,
            "blocks": 32,
            "numbers": [2],
            "orders": 1,
        }
    names = TABLES[1:] if options.quick else TABLES
    completed = complete(
        {"experiment": "reduction", "tables": {name: {"source": name} for name in names}}
    )["tables"]
    rows: list[Row] = []
    for name in names:
        rows += rows_of(open_table(name, completed[name], Path.cwd()), completed[name], settings)
    write("reduction", "Feature reduction", NOTES.format(**settings), rows, options)
    return rows


def rows_of(table: Table, of_table: dict[str, Any], settings: dict[str, Any]) -> list[Row]:
    """Return the rows of a table: a ranking each, the linear model, and what training costs."""
    folds = outer_folds(table, settings["outer"], settings["repeats"], seed=1)
    start = process_time()
    scores = [one for fold in folds for one in nested_fold(table, of_table, settings, 1, fold)[0]]
    everything = process_time() - start
    described = {"score": score_name(table, settings["score"])}
    found = Folds(
        table.name, described, pd.DataFrame(map(asdict, scores)), pd.DataFrame(), 0.95,
        settings["margin"],
    )  # fmt: skip
    seconds = costs(table.rows(folds[0].train), of_table, settings)
    rows: list[Row] = []
    for ranking in found.rankings:
        means = dict(zip(found.numbers, found.curve(ranking).mean(axis=0), strict=True))
        smallest, _ = smallest_not_worse(
            found.curve(ranking), settings["margin"], found.test_over_train, 0.95
        )
        rows.append(
            {
                "table": table.name,
                "of": ranking,
                **{f"score at {k}": float(means[k]) if k in means else "" for k in SHOWN},
                "with all": float(means[found.numbers[-1]]),
                "smallest": found.numbers[smallest],
                "inside": median_low(found.chosen[ranking]) if ranking in found.chosen else "",
                "seconds": seconds.get(ranking, ""),
            }
        )
    empty: Row = {key: "" for key in rows[0]}
    rows.append(
        empty
        | {
            "table": table.name,
            "of": "linear",
            "with all": linear(table, folds, described["score"]),
        }
    )
    for name in ("network", "side by side"):
        rows.append(empty | {"table": table.name, "of": name, "seconds": seconds[name]})
    return [*rows, empty | {"table": table.name, "of": "all folds", "seconds": everything}]


def costs(train: Table, of_table: dict[str, Any], settings: dict[str, Any]) -> dict[str, float]:
    """Return the seconds of training one network and 40 of them, and of each ranking."""
    found = {}
    start = process_time()
    network = fit(train, of_table, 1)
    found["network"] = process_time() - start
    rng = np.random.default_rng(1)
    count = len(train.features)
    subsets = [
        sorted(rng.permutation(count)[: rng.integers(1, count + 1)].tolist()) for _ in range(40)
    ]
    start = process_time()
    fit_subsets(train, subsets, of_table, 1)
    found["side by side"] = process_time() - start
    for name, rank in RANKINGS.items():
        # A fresh one each, since rankings share what they are made of.
        given = Ranked(
            table=train, network=network, settings=of_table, blocks=settings["blocks"],
            replicates=settings["replicates"], seed=1,
        )  # fmt: skip
        start = process_time()
        rank(given)
        found[name] = process_time() - start
    return found


def linear(table: Table, folds: Sequence[Fold], score: str) -> float:
    """Return the mean score of a linear model on all features, over the same outer folds."""
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found = []
    for fold in folds:
        train, test = table.rows(fold.train), table.rows(fold.test)
        of_classes = table.is_classification
        model = make_pipeline(StandardScaler(), LogisticRegression() if of_classes else RidgeCV())
        model.fit(train.values, train.target)
        answers = (
            model.predict_proba(test.values) if of_classes else model.predict(test.values)[:, None]
        )
        found.append(score_of(score, test.target, answers))
    return float(np.mean(found))


if __name__ == "__main__":
    main()
