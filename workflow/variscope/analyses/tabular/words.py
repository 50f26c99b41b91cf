"""What predictions on tables depend on, in sentences."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd

from variscope.analyses.source import Source
from variscope.analyses.tabular.scoring import CONSTANT, DIFFERENCE, NETWORK
from variscope.analyses.tabular.stored import ALONE, JOINED
from variscope.analyses.words import Words
from variscope.indices.wording import count_text, estimate_text, join_words, share_text

Row = Mapping[str, Any]

METRICS = {"accuracy": "accuracy", "auc": "area under the curve", "r2": "R\N{SUPERSCRIPT TWO}"}
NAMED = 3  # players in a sentence


def words(source: Source, tables: Mapping[str, pd.DataFrame]) -> Words:
    """Say of each table what its prediction depends on, how good it is, and what controls say."""
    names = list(tables["tables"]["table"])
    if not names:
        return Words(answer="The configuration has no tables.")
    each = [_Table(name, tables) for name in names]
    return Words(
        headline="\n".join(one.headline() for one in each),
        answer="\n".join(one.answer() for one in each),
        more=[sentence for one in each for sentence in one.more()],
        control="\n".join(one.control() for one in each),
        note=(
            "Intervals of indices are over replicates of the design, for the network as it is; "
            "those over trainings say how far another training on the same rows depends on the "
            "same. Players are drawn independently of each other. What the network depends on is "
            "no cause of the target. Scores are of rows that the network was not trained on. No "
            "row is near a point whose Mahalanobis distance to the nearest one is more than that "
            "of 99 % of the rows to their nearest other one."
        ),
    )


class _Table:
    """Sentences on a table."""

    def __init__(self, name: str, tables: Mapping[str, pd.DataFrame]) -> None:
        def of(table: str) -> list[Row]:
            found = tables[table]
            found = found[found["table"] == name]
            columns = [str(column) for column in found.columns]
            return [dict(zip(columns, row, strict=True)) for row in found.itertuples(index=False)]

        self.name = name
        self.table = of("tables")[0]
        self.variances = of("variances")
        self.joins = Counter(str(row["player"]) for row in of("players"))
        joined = [row for row in self.variances if row["points"] == JOINED]
        self.outputs = len(joined)
        self.output = str(max(joined, key=lambda row: _known(row["variance"]))["output"])
        self.indices = [row for row in of("indices") if row["output"] == self.output]
        self.trainings = [row for row in of("trainings") if row["output"] == self.output
                          and row["index"] == "shapley"]  # fmt: skip
        self.scores = {(row["predictor"], row["metric"]): row for row in of("scores")}
        # The distance that sees whether a point breaks the correlations of the table.
        self.outside = {row["players"]: row for row in of("outside")
                        if row["distance"] == "mahalanobis"}  # fmt: skip

    @property
    def classifies(self) -> bool:
        """Whether it is a classification."""
        return bool(self.table["task"] == "classification")

    def of(self, players: str, index: str) -> list[Row]:
        """Return one index of a design, the largest first."""
        found = [row for row in self.indices
                 if row["players"] == players and row["index"] == index]  # fmt: skip
        return sorted(found, key=lambda row: -_known(row["value"]))

    @property
    def start(self) -> str:
        """What a sentence on the table begins with."""
        if not self.classifies:
            return f"{self.name}: the predicted {self.output}"
        of = "" if self.outputs == 1 else f" (of {self.outputs} classes that which varies most)"
        return f"{self.name}: the predicted probability of {self.output}{of}"

    def headline(self) -> str:
        """Say in one sentence what the prediction depends on most, and how good it is."""
        effects = [row for row in self.of(JOINED, "shapley") if math.isfinite(row["value"])]
        if not effects:
            return f"{self.start} never changes."
        metric = "accuracy" if self.classifies else "r2"
        score, difference = (self.scores[who, metric] for who in (NETWORK, DIFFERENCE))
        better = "" if difference["low"] > 0 else ", which cannot be told from a constant's"
        return (
            f"{self.start} depends most on {self._player(effects[0])} ({_estimate(effects[0])} of "
            f"its variance); its {METRICS[metric]} on rows that the network has not seen is "
            f"{_estimate(score, 'score')}{better}."
        )

    def answer(self) -> str:
        """Say which players have the largest Shapley effects, and how good the prediction is."""
        effects = [row for row in self.of(JOINED, "shapley") if math.isfinite(row["value"])]
        if not effects:
            return f"{self.start} never changes, so that it depends on nothing. {self._score()}"
        named = [f"{self._player(row)} ({_estimate(row)})" for row in effects[:NAMED]]
        rest = len(effects) - len(named)
        more = f", of {count_text(len(effects), 'player')}" if rest else ""
        first = f"{self.start} depends most on {named[0]}"
        then = f", then on {join_words(named[1:])}" if named[1:] else ""
        return f"{first}{then}: Shapley effects, shares of its variance{more}. {self._score()}"

    def _player(self, row: Row) -> str:
        """Name a player, and say how many features it joins."""
        count = self.joins[row["player"]]
        return f"{row['player']}" + (f", {count} features as one player" if count > 1 else "")

    def _score(self) -> str:
        metric = "accuracy" if self.classifies else "r2"
        network, constant, difference = (
            self.scores[who, metric] for who in (NETWORK, CONSTANT, DIFFERENCE)
        )
        other = "always the commonest class" if self.classifies else "always the mean"
        text = (
            f"On {count_text(int(network['n']), 'row')} that it was not trained on, the network's "
            f"{METRICS[metric]} is {_estimate(network, 'score')}; saying {other} has "
            f"{share_text(float(constant['score']))}, "
        )
        by = _estimate(difference, "score")
        if difference["low"] > 0:
            return f"{text}{by} less."
        return f"{text}from which it cannot be told (difference {by}): what such a network " \
               "depends on says little of the target."  # fmt: skip

    def more(self) -> list[str]:
        """Say how much is interaction, and what drawing features one by one would have said."""
        found = []
        area = self.scores.get((NETWORK, "auc"))
        if area and math.isfinite(area["score"]):
            found.append(
                f"{self.name}: the area under the receiver operating characteristic is "
                f"{_estimate(area, 'score')}; a constant has 0.5."
            )
        pairs = [row for row in self.of(JOINED, "S2") if row["low"] > 0]
        if pairs:
            names = str(pairs[0]["player"]).replace(" : ", " with ")
            found.append(
                f"{self.name}: the largest interaction of two players that is above 0 is that of "
                f"{names}, {_estimate(pairs[0])} (of {len(self.of(JOINED, 'S2'))} pairs, each "
                "looked at by itself)."
            )
        sums = self.of(ALONE, "shapley_sum")
        if sums:
            joined = {row["player"]: row for row in self.of(JOINED, "shapley")}
            row = max(sums, key=lambda one: _known(joined[one["player"]]["value"]))
            found.append(
                f"{self.name}: were each feature drawn alone, whatever goes with it, the "
                f"{self.joins[row['player']]} features of {row['player']} would have "
                f"{_estimate(row)} together in the place of "
                f"{_estimate(joined[row['player']])} as one player, and the prediction's variance "
                f"would be {self._times(ALONE)} that among the rows of the table, in the place of "
                f"{self._times(JOINED)}."
            )
        return found

    def _times(self, points: str) -> str:
        variance = {row["points"]: float(row["variance"]) for row in self.variances
                    if row["output"] == self.output}  # fmt: skip
        if not variance["rows"] > 0:
            return "undefined times"
        return f"{variance[points] / variance['rows']:.2f} times"

    def control(self) -> str:
        """Say what a shuffled copy has, who is beyond it, and where no row of the table is near."""
        copy = next(row for row in self.trainings if row["control"] == "yes")
        players = [row for row in self.trainings if row["control"] == "no"]
        if not math.isfinite(copy["value"]):
            text = f"{self.name}: no other training gives a prediction that varies."
        else:
            beyond = sum(row["beyond_low"] > 0 for row in players)
            text = (
                f"{self.name}: in {count_text(int(copy['n']), 'other training')} a shuffled copy "
                f"of a feature, which says nothing of the target, has a Shapley effect of "
                f"{_estimate(copy)}; {beyond} of {count_text(len(players), 'player')} "
                f"{'has' if beyond == 1 else 'have'} more, each looked at by itself."
            )
        far = {players: _estimate(row, "share") for players, row in self.outside.items()}
        text = f"{text} Of the points of the design, {far[JOINED]} lie where no row is near"
        if self.outside[JOINED]["share"] > 0.5:
            return f"{text}: the indices say what the network makes of rows like none of the table."
        if ALONE not in far:
            return f"{text}."
        return f"{text}; were each feature drawn alone, {far[ALONE]} would."


def _estimate(row: Row, value: str = "value") -> str:
    return estimate_text(*(float(row[name]) for name in (value, "low", "high")))


def _known(value: Any) -> float:
    number = float(value)
    return number if math.isfinite(number) else -math.inf
