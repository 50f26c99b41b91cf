"""Which features of a table the prediction of a network trained on it depends on."""

from collections.abc import Mapping, Sequence
from typing import Any

from variscope.analyses.registry import (
    Analysis,
    Picture,
    Planned,
    Table,
    integer,
    number,
    share,
    text,
)


def shards(settings: Mapping[str, Any], tables: Sequence[Planned]) -> Sequence[str]:
    """Name a job for each table."""
    return [table.name for table in tables]  # type: ignore[attr-defined]


TABLE = text("table", "by which the configuration calls it")
OUTPUT = text("output", "of the network: the probability of a class, or the predicted value")
PLAYERS = text("players", "joined: correlated features are one player; alone: each feature is one")
OVER = (
    integer("n", "of what the interval is over"),
    text("inference", "what the interval is over"),
)


def bounds(prefix: str = "", of: str = "") -> tuple[Any, Any]:
    """Return the columns of a confidence interval."""
    what = f" of {of}" if of else ""
    return (
        number(f"{prefix}low", f"lower confidence bound{what}"),
        number(f"{prefix}high", f"upper confidence bound{what}"),
    )


ANALYSIS = Analysis(
    name="tabular",
    title="Tables",
    question="Which features does the prediction of a network on a table depend on?",
    scope="experiment",
    reads=("tables",),
    place=101,
    shards=shards,
    tables=(
        Table(
            name="scores",
            title="How well the networks predict rows that they were not trained on",
            columns=(
                TABLE,
                text(
                    "predictor",
                    "network; constant: the commonest class, or the mean, of the training rows; "
                    "difference: network less constant, paired",
                ),
                text(
                    "metric",
                    "accuracy; auc: area under the receiver operating characteristic, of two "
                    "classes; r2: share of the target's variance that is predicted",
                ),
                number("score", "on the test rows"),
                *bounds(),
                *OVER,
            ),
        ),
        Table(
            name="indices",
            title="What the prediction depends on",
            columns=(
                TABLE,
                OUTPUT,
                PLAYERS,
                text(
                    "player",
                    "the features that move together, shortly; of S2 two players, of the 30 with "
                    "the largest Shapley effects",
                ),
                text("features", "all of them by name"),
                text(
                    "index",
                    "S1, ST, shapley or S2; shapley_sum: sum of the Shapley effects of a joined "
                    "player's features, where each is drawn alone",
                ),
                share("value", "the index"),
                *bounds(),
                *OVER,
            ),
            sheets="table",
        ),
        Table(
            name="trainings",
            title="What other trainings depend on, and a shuffled copy of a feature beside",
            columns=(
                TABLE,
                OUTPUT,
                text("player", "joined features, or the shuffled copy"),
                text("control", "yes of the shuffled copy, which says nothing of the target"),
                text("index", "S1, ST or shapley"),
                share("value", "mean of the index over trainings"),
                *bounds(),
                share("beyond", "index less that of the shuffled copy in the same training, mean"),
                *bounds("beyond_", "beyond"),
                *OVER,
            ),
            sheets="table",
        ),
        Table(
            name="outside",
            title="Points of the design where no row of the table is near",
            columns=(
                TABLE,
                PLAYERS,
                text(
                    "distance",
                    "euclidean: columns by their standard deviation; mahalanobis: principal "
                    "components by theirs, so that a row that breaks a correlation is far",
                ),
                share(
                    "share",
                    "of points farther from every row of the table than 99 % of its rows from "
                    "their nearest other row",
                ),
                *bounds(),
                *OVER,
            ),
        ),
        Table(
            name="variances",
            title="How much the prediction varies, among rows of the table and points of a design",
            columns=(
                TABLE,
                OUTPUT,
                text("points", "rows: of the table; joined or alone: of the design"),
                number("mean", "of the output", "output"),
                number("variance", "of the output", "output^2"),
            ),
        ),
        Table(
            name="players",
            title="Which features are one player",
            columns=(
                TABLE,
                text("player", "its short name"),
                text("feature", "one of its features"),
                text("nearest", "the feature whose ranks go with this one's most"),
                number("correlation", "absolute rank correlation with that one"),
            ),
            shown=0,
        ),
        Table(
            name="training",
            title="Training curves",
            columns=(
                TABLE,
                integer("epoch", "from 1"),
                number("train", "loss on the rows that are learned from"),
                number("validation", "loss on rows that say when to stop"),
            ),
            shown=0,
        ),
        Table(
            name="tables",
            title="The tables",
            columns=(
                TABLE,
                text("target", "column that is predicted"),
                text("task", "classification or regression"),
                text("classes", "of a classification"),
                integer("rows", "that are used"),
                integer("test_rows", "of them that the network was not trained on"),
                integer("features", "that are used"),
                integer("players", "that the features make"),
                text("margins", "empirical: the values of the table; uniform: between bounds"),
            ),
        ),
        Table(
            name="notes",
            title="How the tables were read",
            columns=(TABLE, text("note", "a rule that was applied")),
        ),
    ),
    pictures=(
        Picture(
            name="indices",
            title="What predictions depend on",
            caption=(
                "Left: shares of the prediction's variance that players account for, with {level} "
                "intervals over replicates. Correlated features are one player, which moves as a "
                "whole. Middle: Shapley effects over trainings on the same rows, with {level} "
                "intervals over trainings; a shuffled copy of a feature, which says nothing of the "
                "target, was put into the table before each, and the band is its interval. Right: "
                "Shapley effects where each feature is drawn alone, whatever goes with it; the "
                "share of points that lie far from every row of the table (Mahalanobis distance) "
                "stands above. Of several classes the one whose probability varies most is shown."
            ),
        ),
        Picture(
            name="training",
            title="Training curves",
            caption=(
                "Loss on the rows that are learned from and on rows held out from them, epoch by "
                "epoch: cross-entropy in nats, or squared error over the target's variance. The "
                "network is kept as it was at the line, where the loss on rows held out was least."
            ),
            appendix=True,
        ),
    ),
    settings={
        "blocks": {
            "type": "integer",
            "minimum": 32,
            "maximum": 1048576,
            "default": 2048,
            "description": "base points of the cycle of each table, over all replicates",
        },
        "replicates": {
            "type": "integer",
            "minimum": 2,
            "maximum": 32,
            "default": 16,
            "description": "independently scrambled sequences; intervals are over them",
        },
        "trainings": {
            "type": "integer",
            "minimum": 2,
            "maximum": 100,
            "default": 10,
            "description": "more trainings of each table's network, with a shuffled copy of a "
            "feature, that say how far indices depend on the training",
        },
    },
)
