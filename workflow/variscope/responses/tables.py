"""Rows of a table through a design: which features are one player, and what their values are.

The inputs of the analysis are *players*: features that go together in the data move together, since
drawn apart they would make rows that no patient is like (a tumour with a large radius and a small
area), on which a network was never trained. Players are drawn independently of each other. The
columns of a player come from

    empirical   a row of the table: the player's joint distribution among the rows as it is
    uniform     between the bounds of each feature, drawn apart, and moved together

so that indices with empirical margins and a single player's features are those of the data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from variscope.designs import Design
from variscope.designs.points import base_points, replicate_sizes
from variscope.estimators import Moments
from variscope.inputs.tables.table import Table
from variscope.responses.functions import function_sums

Array = NDArray[np.float64]
Margins = Literal["empirical", "uniform"]

DESIGN = "cycle"


@dataclass(frozen=True, kw_only=True)
class Player:
    """Features that move together.

    Attributes:
        name: of one feature its own, else made of those of its features, short.
        features: numbers of the table's features.
        columns: numbers of their columns.
    """

    name: str
    features: tuple[int, ...]
    columns: tuple[int, ...]


def rank_correlation(values: Array) -> Array:
    """Return Spearman's correlation of columns ``(row, column)``, 0 of a column that is constant.

    Spearman (1904, Am. J. Psychol. 15: 72-101): Pearson's correlation of ranks, ties at their mean.
    """
    from scipy.stats import rankdata  # costly to import

    ranks = rankdata(values, axis=0)
    centred = ranks - ranks.mean(axis=0)
    norm = np.sqrt((centred**2).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(centred.T @ centred / np.outer(norm, norm))


def feature_correlation(table: Table) -> Array:
    """Return the largest absolute rank correlation of two features' columns, each with each.

    Returns:
        ``(feature, feature)``; 1 for features that hold the same values.
    """
    of_columns = np.abs(rank_correlation(table.values))
    count = len(table.features)
    found = np.ones((count, count))
    for i, one in enumerate(table.features):
        for j, other in enumerate(table.features[:i]):
            found[i, j] = found[j, i] = of_columns[np.ix_(one.columns, other.columns)].max()
    return found


def players_of(table: Table, correlated: float | None) -> list[Player]:
    """Return the players of a table, in the order of their first features.

    Features with an absolute rank correlation above a threshold are joined, and so is what goes
    with one of a player's features already (single linkage).

    Args:
        table: the rows.
        correlated: the threshold; None: each feature is a player, whatever goes with it.

    Example:
        >>> import numpy as np
        >>> from variscope.inputs.tables.table import Feature
        >>> x = np.random.default_rng(0).random((50, 2))
        >>> table = Table(
        ...     name="t",
        ...     features=tuple(Feature(name=name, columns=(k,)) for k, name in enumerate("abc")),
        ...     values=np.column_stack([x, x[:, 0] ** 2]),
        ...     target=x[:, 0],
        ...     target_name="y",
        ... )
        >>> [player.name for player in players_of(table, 0.6)]
        ['a + c', 'b']
    """
    count = len(table.features)
    number = np.arange(count)  # of each feature's player: its first feature
    if correlated is not None:
        together = feature_correlation(table)
        # Two that hold the same values are one, whatever the threshold is.
        joined = (together > correlated) | (together > 1 - 1e-12)
        for i in range(count):
            for j in np.flatnonzero(joined[i, :i]):
                number[number == max(number[i], number[j])] = min(number[i], number[j])
    return named_players(table, [np.flatnonzero(number == first) for first in np.unique(number)])


def named_players(
    table: Table,
    groups: Sequence[Sequence[int] | NDArray[Any]],
    names: Sequence[str] | None = None,
) -> list[Player]:
    """Return players of given features, by names of the caller's or made of the features'."""
    made = names or [
        _short([table.features[feature].name for feature in group]) for group in groups
    ]
    found: list[Player] = []
    for name, group in zip(made, groups, strict=True):
        taken = {player.name for player in found}
        again = sum(one == name or one.startswith(f"{name} [") for one in taken)
        columns = [column for feature in group for column in table.features[feature].columns]
        found.append(
            Player(
                name=f"{name} [{again + 1}]" if again else name,
                features=tuple(map(int, group)),
                columns=tuple(columns),
            )
        )
    return found


def _short(names: Sequence[str]) -> str:
    """Join two names; of more say how many."""
    text = " + ".join(names[:2])
    return text if len(names) < 3 else f"{text} (+ {len(names) - 2} more)"


class Decoder:
    """From points of a design to rows of a table.

    Args:
        table: whose rows the margins are of.
        players: whose features they are.
        margins: empirical or uniform.
        bounds: of uniform margins, lowest and highest value by the feature's name; what is not
            named lies between the table's own. A category has each level equally often, and so has
            a number of which there are two values and no bounds.
    """

    def __init__(
        self,
        table: Table,
        players: Sequence[Player],
        margins: Margins = "empirical",
        bounds: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        self._table = table
        self._players = players
        self._rows: list[Array] = []
        self._pieces: list[tuple[tuple[int, ...], Array, bool]] = []
        if margins == "empirical":
            self._rows = [_in_order(table.values[:, list(one.columns)]) for one in players]
            self.groups: tuple[tuple[int, ...], ...] = tuple((k,) for k in range(len(players)))
            return
        groups, at = [], 0
        for player in players:
            groups.append(tuple(range(at, at + len(player.features))))
            at += len(player.features)
            self._pieces += [self._uniform(feature, bounds or {}) for feature in player.features]
        self.groups = tuple(groups)

    def _uniform(
        self, number: int, bounds: Mapping[str, Sequence[float]]
    ) -> tuple[tuple[int, ...], Array, bool]:
        """Return a feature's columns, and its levels, or its bounds with True."""
        feature = self._table.features[number]
        values = self._table.values[:, list(feature.columns)]
        if feature.name in bounds:
            return feature.columns, np.array(bounds[feature.name], dtype=np.float64), True
        distinct = np.unique(values, axis=0)
        if feature.levels or len(distinct) <= 2:
            return feature.columns, distinct, False
        return feature.columns, np.array([values.min(), values.max()]), True

    def __call__(self, points: Array) -> Array:
        """Return rows of the table's columns, ``(n, column)``.

        Args:
            points: ``(n, factor)`` in [0, 1).
        """
        rows = np.empty((len(points), self._table.values.shape[1]))
        for u, player, values in zip(points.T, self._players, self._rows, strict=False):
            rows[:, list(player.columns)] = values[_place(u, len(values))]
        for u, (columns, held, between) in zip(points.T, self._pieces, strict=False):
            if between:
                rows[:, columns[0]] = held[0] + u * (held[1] - held[0])
            else:
                rows[:, list(columns)] = held[_place(u, len(held))]
        return rows


def _place(u: Array, count: int) -> NDArray[np.int64]:
    return np.minimum((u * count).astype(np.int64), count - 1)


def _in_order(values: Array) -> Array:
    """Sort rows from low to high, so that near points are near rows.

    By the sum of the ranks of the columns, those that fall with the first one counted downwards.
    Which row stands where changes no distribution; in an order, evenly spread points are evenly
    spread rows. Ranks are exact, so that the order is the same on every machine.
    """
    from scipy.stats import rankdata  # costly to import

    ranks = rankdata(values, axis=0)
    centred = ranks - ranks.mean(axis=0)
    sign = np.where((centred * centred[:, :1]).sum(axis=0) < 0, -1.0, 1.0)
    return values[np.argsort((centred * sign).sum(axis=1), kind="stable")]


def table_sums(
    predict: Callable[[Array], NDArray[Any]],
    table: Table,
    players: Sequence[Player],
    *,
    margins: Margins = "empirical",
    bounds: Mapping[str, Sequence[float]] | None = None,
    blocks: int = 1024,
    replicates: int = 16,
    seed: int = 1,
) -> Moments:
    """Sum a model's outputs over a design whose variables are players.

    Args:
        predict: from rows ``(n, column)`` the outputs, ``(n, output)``.
        table: whose rows the margins are of.
        players: the variables.
        margins, bounds: as of `Decoder`.
        blocks, replicates, seed: of the design, a cycle (`variscope.designs.Design`).

    Returns:
        The sums, of which `variscope.indices.layer.layer_dataset` makes a dataset.
    """
    decode = Decoder(table, players, margins, bounds)
    design = Design(DESIGN, decode.groups, blocks, replicates, seed)
    return function_sums(predict, design, decode)


def design_points(
    table: Table,
    players: Sequence[Player],
    count: int,
    *,
    margins: Margins = "empirical",
    bounds: Mapping[str, Sequence[float]] | None = None,
    replicates: int = 16,
    seed: int = 1,
) -> Array:
    """Return base points of a design as rows of the table, ``(count, column)``.

    One of each block: a block's rows are made of two base points, and depend on each other.
    """
    decode = Decoder(table, players, margins, bounds)
    factors = sum(map(len, decode.groups))
    points = [
        base_points(seed, DESIGN, number, size, factors)[0]
        for number, size in enumerate(replicate_sizes(max(count, replicates), replicates))
    ]
    return decode(np.concatenate(points)[:count])
