"""Rankings of a table's features, from the network that was trained on the same rows.

Each is an importance of every feature; the largest has place 0, and ties are broken at random.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from variscope.designs.cells import largest_power
from variscope.estimators.resampling import generator
from variscope.estimators.sampling import ranks
from variscope.indices.layer import layer_dataset
from variscope.inputs.tables.network import Fitted
from variscope.inputs.tables.table import Table
from variscope.responses.tables import Decoder, Player, players_of, table_sums

Array = NDArray[np.float64]

# Times that each feature is permuted.
PERMUTATIONS = 5
# Numbers that SALib's points are, at most, which it makes all at once; and rows of them that are
# predicted together.
SALIB_NUMBERS, SALIB_ROWS = 2**24, 4096
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

    @cached_property
    def players(self) -> list[Player]:
        """Features that go together in the data are one player."""
        return players_of(self.table, self.settings["correlated"])

    @cached_property
    def of_players(self) -> xr.Dataset:
        """The indices of players."""
        return self._indices(self.players)

    @cached_property
    def of_features(self) -> xr.Dataset:
        """The indices of features, each drawn by itself whatever goes with it."""
        return self._indices(players_of(self.table, None))

    def _indices(self, players: list[Player]) -> xr.Dataset:
        sums = table_sums(
            self.outputs, self.table, players, margins=self.settings["margins"],
            bounds=self.settings["bounds"], blocks=self.blocks, replicates=self.replicates,
            seed=self.seed,
        )  # fmt: skip
        names = [player.name for player in players]
        return layer_dataset([sums], names, ["neuron"], _ANY_LEVEL, {})


def sobol(given: Ranked) -> Array:
    """Return the total indices ST of players, shared out among their features (`shared`)."""
    return shared(given, "ST")


def shapley(given: Ranked) -> Array:
    """Return the Shapley effects of players, shared out among their features (`shared`)."""
    return shared(given, "shapley")


def shared(given: Ranked, index: str) -> Array:
    """Return an index of players, each shared out among its features in proportion to their own.

    A player alone is drawn as patients are, and says nothing of which of its features the network
    uses; the index of each feature drawn by itself does, and nothing of how much the features
    account for together.

    Returns:
        ``(feature,)``, of outputs together weighted by their variance; the sum over the features of
        a player is the player's.
    """
    found = np.zeros(len(given.table.features))
    of_players = _of_outputs(given.of_players, index)
    for player, value in zip(given.players, of_players, strict=True):
        members = list(player.features)
        if len(members) == 1:
            found[members] = value
            continue
        own = np.maximum(_of_outputs(given.of_features, index)[members], 0)
        total = own.sum()
        found[members] = value * (own / total if total > 0 else 1 / len(members))
    return found


def _of_outputs(indices: xr.Dataset, index: str) -> Array:
    """Return an index of all outputs together, 0 where no output varies."""
    return np.nan_to_num(indices[f"{index}_layer"].values)


def permutation(given: Ranked) -> Array:
    """Return how much the loss of the training rows grows when a feature is permuted.

    Breiman (2001, Mach. Learn. 45: 5-32, section 10) and Fisher, Rudin and Dominici (2019, J. Mach.
    Learn. Res. 20: 177, eq. 3), as a difference: cross-entropy, or squared error.
    """
    rng = generator(given.seed, "permutation")
    values, rows = given.table.values, len(given.table)
    before = _loss(given, values)
    found = np.zeros(len(given.table.features))
    for number, feature in enumerate(given.table.features):
        columns = list(feature.columns)
        changed = values.copy()
        for _ in range(PERMUTATIONS):
            changed[:, columns] = values[rng.permutation(rows)][:, columns]
            found[number] += (_loss(given, changed) - before).mean() / PERMUTATIONS
    return found


def _loss(given: Ranked, values: Array) -> Array:
    """Return the loss of each training row with other values, ``(row,)``."""
    answers, target = given.network.predict(values), given.table.target
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
    most = max(1, SALIB_NUMBERS // (variables * (variables + 2)))
    points = sample.sample(
        problem, largest_power(min(given.blocks, most)), calc_second_order=False, seed=given.seed
    )[:, :count]
    parts = range(0, len(points), SALIB_ROWS)
    outputs = np.concatenate(
        [given.outputs(decode(points[start : start + SALIB_ROWS])) for start in parts]
    )
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
