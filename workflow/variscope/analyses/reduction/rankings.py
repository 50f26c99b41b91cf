"""Rankings of a table's features, from the network that was trained on the same rows.

Each is an importance of every feature; the largest has place 0, and ties are broken at random.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variscope.designs.cells import largest_power
from variscope.estimators.resampling import generator
from variscope.estimators.sampling import ranks
from variscope.indices.layer import layer_dataset
from variscope.inputs.tables.network import Fitted
from variscope.inputs.tables.table import Table
from variscope.responses.tables import Decoder, Player, players_of, table_sums

Array = NDArray[np.float64]

# Times that each feature is permuted, and rows that are predicted at once.
PERMUTATIONS = 5
# The estimates are as they are at any level of confidence.
_ANY_LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """What a ranking is made from.

    Attributes:
        table: the rows that are trained on, and no others.
        network: trained on them with all features.
        settings: of the table, completed: ``margins``, ``bounds``, ``correlated``.
        blocks, replicates: of the designs.
        seed: of this fold.
    """

    table: Table
    network: Fitted
    settings: Mapping[str, Any]
    blocks: int
    replicates: int
    seed: int

    def outputs(self, values: Array) -> Array:
        """Return what is ranked for, ``(n, output)``: of two classes the second alone."""
        found = self.network.predict(values)
        return found[:, 1:] if len(self.network.classes) == 2 else found


def sobol(given: Ranked) -> Array:
    """Return the total indices ST of players, shared out among their features (`shared`)."""
    return shared(given, "ST")


def shapley(given: Ranked) -> Array:
    """Return the Shapley effects of players, shared out among their features (`shared`)."""
    return shared(given, "shapley")


def shared(given: Ranked, index: str) -> Array:
    """Return an index of players, each shared out among its features in proportion to their own.

    Features that go together in the data are one player, which alone is drawn as patients are. A
    player says nothing of which of its features the network uses; the index of each feature drawn
    by itself does, and how much of the player's is its own.

    Returns:
        ``(feature,)``, summing to the players' indices.
    """
    players = players_of(given.table, given.settings["correlated"])
    of_players = _indices(given, players, index)
    found = np.zeros(len(given.table.features))
    alone = None
    for player, value in zip(players, of_players, strict=True):
        members = list(player.features)
        if len(members) == 1:
            found[members] = value
            continue
        if alone is None:
            alone = np.maximum(_indices(given, players_of(given.table, None), index), 0)
        total = alone[members].sum()
        found[members] = value * (alone[members] / total if total > 0 else 1 / len(members))
    return found


def _indices(given: Ranked, players: list[Player], index: str) -> Array:
    """Return an index of each player, of outputs together weighted by their variance."""
    sums = table_sums(
        given.outputs, given.table, players, margins=given.settings["margins"],
        bounds=given.settings["bounds"], blocks=given.blocks, replicates=given.replicates,
        seed=given.seed,
    )  # fmt: skip
    names = [player.name for player in players]
    found = layer_dataset([sums], names, ["neuron"], _ANY_LEVEL, {})
    return np.nan_to_num(found[f"{index}_layer"].values)


def permutation(given: Ranked) -> Array:
    """Return how much the loss of the training rows grows when a feature is permuted.

    Breiman (2001, Mach. Learn. 45: 5-32, section 10) and Fisher, Rudin and Dominici (2019, J. Mach.
    Learn. Res. 20: 177, eq. 3), as a difference: cross-entropy, or squared error.
    """
    rng = generator(given.seed, "permutation")
    values, rows = given.table.values, len(given.table)
    before = np.tile(_loss(given, values), PERMUTATIONS)
    found = np.zeros(len(given.table.features))
    for number, feature in enumerate(given.table.features):
        columns = list(feature.columns)
        changed = np.tile(values, (PERMUTATIONS, 1))
        order = np.concatenate([rng.permutation(rows) for _ in range(PERMUTATIONS)])
        changed[:, columns] = values[order][:, columns]
        found[number] = (_loss(given, changed) - before).mean()
    return found


def _loss(given: Ranked, values: Array) -> Array:
    """Return the loss of rows, the training rows again and again, ``(row,)``."""
    answers = given.network.predict(values)
    target = np.tile(given.table.target, len(values) // len(given.table))
    if given.table.is_classification:
        likelihood = np.take_along_axis(answers, target[:, None], axis=1)[:, 0]
        return -np.log(np.maximum(likelihood, np.finfo(np.float64).tiny))
    return (answers[:, 0] - target) ** 2


def salib(given: Ranked) -> Array:
    """Return SALib's total indices (Jansen's estimator), each feature drawn by itself, uniformly.

    Between the same bounds as the project's designs have with uniform margins.
    """
    from SALib.analyze import sobol as analyze  # costly to import
    from SALib.sample import sobol as sample

    count = len(given.table.features)
    alone = players_of(given.table, None)
    decode = Decoder(given.table, alone, "uniform", given.settings["bounds"])
    # SALib asks for two variables; one that decodes to nothing has no effect.
    variables = max(2, count)
    problem = {
        "num_vars": variables,
        "names": [f"x{number}" for number in range(variables)],
        "bounds": [[0.0, 1.0]] * variables,
    }
    points = sample.sample(
        problem, largest_power(given.blocks), calc_second_order=False, seed=given.seed
    )
    outputs = given.outputs(decode(points[:, :count]))
    weights = outputs.var(axis=0)
    found = np.zeros(count)
    for output, weight in zip(outputs.T, weights, strict=True):
        if weight > 0:
            indices = analyze.analyze(
                problem, output, calc_second_order=False, num_resamples=2, seed=given.seed
            )
            found += weight / weights.sum() * np.asarray(indices["ST"])[:count]
    return found


RANKINGS: Mapping[str, Callable[[Ranked], Array]] = {
    "sobol": sobol,
    "shapley": shapley,
    "permutation": permutation,
    "salib": salib,
}


def places(importance: Array, seed: int, name: str) -> NDArray[np.int64]:
    """Return the place of each feature, 0 the most important."""
    return ranks(importance, generator(seed, "ties", name))
