"""How few features of a table a network needs, by nested cross-validation."""

from collections.abc import Mapping, Sequence
from typing import Any

from variscope.analyses.registry import (
    Analysis,
    Picture,
    Planned,
    Table,
    integer,
    memory_of_network,
    number,
    text,
)
from variscope.errors import UserError

# Controls: random orders; the ranking of a network that learned shuffled targets, which knows the
# features' margins and nothing of what they are for; and what is answered without any feature. No
# number of features is chosen by them.
RANDOM, SHUFFLED, CONSTANT = "random", "shuffled", "constant"
CONTROLS = (RANDOM, SHUFFLED, CONSTANT)

# How a number of features is chosen: over the outer folds, or inside each of them.
NOT_WORSE, INSIDE = "not worse", "inside"

# Rows that a fold is tested on, at least.
LEAST_ROWS = 5

# Files of a shard.
SCORES, PLACES, DESCRIBED = "scores.csv", "places.csv", "table.json"


def shards(settings: Mapping[str, Any], tables: Sequence[Planned]) -> list[str]:
    """Name the jobs of each table: each takes every so-manieth outer fold."""
    count = min(settings["shards"], settings["outer"] * settings["repeats"])
    return [
        f"{table.name}-{number}_of_{count}"  # type: ignore[attr-defined]
        for table in tables
        for number in range(1, count + 1)
    ]


def check_tables(settings: Mapping[str, Any], tables: Sequence[Any]) -> None:
    """Raise a UserError where a table has too few rows for the folds."""
    outer = settings["outer"]
    for table in tables:
        for key, rows, of in (
            ("outer", table.rows, f"the {table.rows} rows"),
            ("inner", table.rows - table.rows // outer, "the training rows of an outer fold"),
        ):
            if settings[key] * LEAST_ROWS > rows:
                raise UserError(
                    f"{key}: found {settings[key]}, and a fold of {of} of the table {table.name} "
                    f"needs {LEAST_ROWS} of them; allowed: at most {rows // LEAST_ROWS}"
                )


def place_of_shard(name: str) -> tuple[str, int, int]:
    """Return the table of a job of `shards`, its number from 1, and how many there are of it."""
    table, _, place = name.rpartition("-")
    number, count = map(int, place.split("_of_"))
    return table, number, count


def shard_memory(table: Planned) -> float:
    """Return MiB of a job that trains: SALib stands in memory beside the networks."""
    return memory_of_network(table) + 150


TABLE = text("table", "name of the table")
RANKING = text(
    "ranking",
    "sobol, shapley: total indices and Shapley effects of the network; permutation: what permuting "
    "a feature costs it; salib: SALib's total indices; random: orders that are drawn; shuffled: "
    "sobol of a network that learned shuffled targets; constant: no feature",
)
NUMBER = integer("k", "how many features the network is given, the first of the ranking")
BOUNDS = (number("low", "lower confidence bound"), number("high", "upper confidence bound"))
OVER = (
    integer("n", "outer folds, over all repeats"),
    text("inference", "what the intervals are over"),
)


def _difference(name: str, meaning: str) -> tuple[Any, ...]:
    return (
        number(name, meaning),
        number(f"{name}_low", f"lower confidence bound of {name}"),
        number(f"{name}_high", f"upper confidence bound of {name}"),
    )


ANALYSIS = Analysis(
    name="reduction",
    title="Feature reduction",
    question=(
        "How few features does a network of a table need, and do its sensitivity indices find them?"
    ),
    scope="experiment",
    reads=("tables",),
    place=102,
    shards=shards,
    check_tables=check_tables,
    shard_memory=shard_memory,
    tables=(
        Table(
            name="choice",
            title="How many features are enough",
            columns=(
                TABLE,
                RANKING,
                text(
                    "rule",
                    "not worse: the smallest k that is not worse than all features by more than "
                    "the margin, over the outer folds; inside: the k that each outer fold's inner "
                    "folds choose",
                ),
                integer("k", "how many features; of the rule inside the median"),
                integer("least", "least k of a fold"),
                integer("most", "largest k of a fold"),
                integer("of", "how many features there are"),
                text("measure", "which score"),
                number("score", "mean score of the outer folds"),
                *BOUNDS,
                *_difference("difference", "score less that with all features, paired by fold"),
                number("margin", "how much worse counts as not worse"),
                *_difference("over_random", "score less that of random orders at the same k"),
                *OVER,
            ),
        ),
        Table(
            name="curve",
            title="Score against the number of features",
            columns=(
                TABLE,
                RANKING,
                NUMBER,
                number("score", "mean score of the outer folds"),
                *BOUNDS,
                integer("chosen", "in how many outer folds the inner folds chose this k"),
                *_difference("difference", "score less that with all features, paired by fold"),
                text("measure", "which score"),
                *OVER,
            ),
            grid=("k", "ranking"),
            sheets="table",
        ),
        Table(
            name="against",
            title="Rankings held against each other, at the same number of features",
            columns=(
                TABLE,
                NUMBER,
                text("first", "a ranking"),
                text("second", "another ranking"),
                number("difference", "score by the first less score by the second, paired by fold"),
                *BOUNDS,
                *OVER,
            ),
            shown=0,
        ),
        Table(
            name="rankings",
            title="Places of the features",
            columns=(
                TABLE,
                RANKING,
                text("feature", "its name"),
                text("player", "the features that it moves with"),
                number("place", "mean place over the outer folds, 1 the first"),
                *BOUNDS,
                number("spread", "standard deviation of the place over the outer folds"),
                *OVER,
            ),
            shown=0,
        ),
        Table(
            name="agreement",
            title="How far rankings agree",
            columns=(
                TABLE,
                text("first", "a ranking"),
                text("second", "another one of the same outer fold; the same: of other folds"),
                number("spearman", "mean rank correlation of the places"),
                *BOUNDS,
                *_difference("kendall", "mean of Kendall's tau of the places"),
                *OVER,
            ),
            grid=("first", "second"),
            sheets="table",
        ),
        Table(
            name="folds",
            title="What each outer fold chose",
            columns=(
                TABLE,
                RANKING,
                integer("repeat", "which drawing of the folds"),
                integer("fold", "number of the outer fold"),
                integer("k", "how many features its inner folds chose"),
                number("score", "with these, on the outer fold's test rows"),
                number("every", "score with all features"),
                integer("trained", "rows that are trained on"),
                integer("tested", "rows that are tested"),
            ),
            shown=0,
        ),
    ),
    pictures=(
        Picture(
            name="curve",
            title="Score against the number of features",
            caption=(
                "The score on rows of the outer folds that nothing was learned from, with {level} "
                "intervals that allow for shared training rows, against the number of features "
                "that a network is trained with: the first of each ranking. A ring marks the "
                "smallest number that is not worse than all features by more than the margin "
                "(dashed). Gray: random orders, with their interval as a band, and the ranking of "
                "a network that learned shuffled targets."
            ),
        ),
        Picture(
            name="places",
            title="Places of the features in the rankings",
            caption=(
                "Mean place of each feature over the outer folds, 1 the most important, by each "
                "ranking; lines span its standard deviation over the folds. The features are those "
                "with the first places by the Sobol indices."
            ),
            appendix=True,
        ),
        Picture(
            name="agreement",
            title="Agreement of the rankings",
            caption=(
                "Rank correlation of the places of all features between two rankings made in the "
                "same outer fold, and on the diagonal of one ranking between different folds, its "
                "stability. Random orders agree with nothing."
            ),
            appendix=True,
        ),
    ),
    settings={
        "outer": {
            "type": "integer",
            "minimum": 3,
            "default": 5,
            "description": "folds whose rows are tested",
        },
        "inner": {
            "type": "integer",
            "minimum": 2,
            "default": 3,
            "description": "folds of their training rows, which choose how many features",
        },
        "repeats": {
            "type": "integer",
            "minimum": 1,
            "default": 2,
            "description": "times that outer folds are drawn anew",
        },
        "margin": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 0.02,
            "description": "of the score, by which fewer features may be worse than all and count "
            "as not worse",
        },
        "score": {
            "enum": ["balanced_accuracy", "accuracy", "auc"],
            "default": "balanced_accuracy",
            "description": "of classes; a regression has R2",
        },
        "rankings": {
            "type": "array",
            "items": {"enum": ["sobol", "shapley", "permutation", "salib", "random", "shuffled"]},
            "minItems": 1,
            "uniqueItems": True,
            "default": ["sobol", "shapley", "permutation", "salib", "random", "shuffled"],
            "description": "that are held against each other; random and shuffled are controls",
        },
        "numbers": {
            "oneOf": [
                {"const": None},
                {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 1},
                    "minItems": 1,
                    "uniqueItems": True,
                },
            ],
            "default": None,
            "description": "of features, that are tried beside all; left out: 1, 2, 3, 4, 6, 8, "
            "12, 16, 24 and so on",
        },
        "orders": {
            "type": "integer",
            "minimum": 1,
            "default": 3,
            "description": "random orders of each outer fold",
        },
        "blocks": {
            "type": "integer",
            "minimum": 32,
            "default": 256,
            "description": "of the designs that rank, of each network",
        },
        "replicates": {
            "type": "integer",
            "minimum": 2,
            "default": 4,
            "description": "of these designs",
        },
        "shards": {
            "type": "integer",
            "minimum": 1,
            "default": 1,
            "description": "jobs of each table; results do not depend on it",
        },
    },
)
