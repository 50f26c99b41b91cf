"""Indices of functions of a table's rows, against closed forms and enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.neighbors import NearestNeighbors
from variscope.designs import Design
from variscope.indices.layer import layer_dataset
from variscope.inputs.tables.table import Feature, Table
from variscope.responses.nearness import far_from_all
from variscope.responses.tables import (
    Decoder,
    Margins,
    design_points,
    feature_correlation,
    players_of,
    rank_correlation,
    table_sums,
)

Array = NDArray[np.float64]


def table(values: Array, levels: dict[int, tuple[str, ...]] | None = None) -> Table:
    """A table of numbers, and of categories that begin at some columns."""
    features: list[Feature] = []
    at = 0
    while at < values.shape[1]:
        names = (levels or {}).get(at, ())
        width = max(1, len(names))
        features.append(
            Feature(name=f"x{len(features)}", columns=tuple(range(at, at + width)), levels=names)
        )
        at += width
    return Table(name="t", features=tuple(features), values=values, target=values[:, 0],
                 target_name="y")  # fmt: skip


def indices(function, of: Table, correlated: float | None = 0.6, margins: Margins = "empirical",
            bounds=None, blocks: int = 4096, seed: int = 3) -> xr.Dataset:  # fmt: skip
    """The dataset of a function of rows."""
    players = players_of(of, correlated)
    sums = table_sums(function, of, players, margins=margins, bounds=bounds, blocks=blocks,
                      replicates=16, seed=seed)  # fmt: skip
    return layer_dataset([sums], [p.name for p in players], ["neuron"], 0.95, {})


def held(found: xr.Dataset, name: str, truth: Array | list[float], slack: float = 0.01) -> None:
    """An index's values are near the truth."""
    np.testing.assert_allclose(found[name].values[:, 0], truth, atol=slack)


def test_of_a_linear_function_with_empirical_margins_indices_are_shares_of_the_sample_variance():
    rng = np.random.default_rng(0)
    values = np.column_stack(
        [rng.normal(5, 2, 300), rng.exponential(3, 300), rng.integers(0, 4, 300).astype(float)]
    )
    b = np.array([1.0, -0.7, 2.0])
    truth = b**2 * values.var(axis=0)
    found = indices(lambda x: x @ b[:, None], table(values))
    for name in ("S1", "ST", "shapley"):
        held(found, name, truth / truth.sum())
    np.testing.assert_allclose(found["variance"].values, truth.sum(), rtol=0.02)
    np.testing.assert_allclose(found["mean"].values, b @ values.mean(axis=0), rtol=0.01)


def test_of_a_linear_function_with_uniform_margins_indices_follow_the_bounds():
    values = np.random.default_rng(1).normal(size=(100, 3))
    b = np.array([1.0, 2.0, 0.5])
    found = indices(lambda x: x @ b[:, None], table(values), margins="uniform",
                    bounds={"x1": [0.0, 1.0]})  # fmt: skip
    width = np.ptp(values, axis=0)
    width[1] = 1
    truth = (b * width) ** 2 / 12
    for name in ("S1", "ST", "shapley"):
        held(found, name, truth / truth.sum())
    np.testing.assert_allclose(found["variance"].values, truth.sum(), rtol=0.02)


def test_two_copies_of_a_feature_are_one_player_with_the_index_of_the_single_one():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(200, 2))
    single = indices(lambda r: r[:, :1] + r[:, 1:2], table(x))
    copies = table(np.column_stack([x[:, 0], x[:, 1], x[:, 0]]))

    def halves(r: Array) -> Array:
        return 0.5 * r[:, :1] + r[:, 1:2] + 0.5 * r[:, 2:]

    joined = indices(halves, copies)
    assert joined["variable"].values.tolist() == ["x0 + x2", "x1"]
    for name in ("S1", "ST", "shapley"):
        np.testing.assert_allclose(joined[name].values, single[name].values, atol=1e-6)
    # The naive way: each copy a player of its own, drawn apart from the other. Half the variance of
    # the feature is gone, and its share is split.
    alone = indices(halves, copies, correlated=None)
    variance = x.var(axis=0)
    naive = np.array([0.25 * variance[0], variance[1], 0.25 * variance[0]])
    held(alone, "shapley", naive / naive.sum())
    assert alone["shapley"].values[[0, 2]].sum() < 0.8 * joined["shapley"].values[0]


def test_of_a_product_the_interaction_is_shared():
    values = np.random.default_rng(3).uniform(size=(150, 2))
    values -= values.mean(axis=0)
    found = indices(lambda r: r[:, :1] * r[:, 1:2], table(values), blocks=16384)
    exact: dict[str, list[float]] = {"S1": [0, 0], "ST": [1, 1], "shapley": [0.5, 0.5], "S2": [1]}
    for name, truth in exact.items():
        held(found, name, truth, 0.03)
        assert (found[f"{name}_low"].values[:, 0] <= truth).all()
        assert (found[f"{name}_high"].values[:, 0] >= truth).all()


def test_a_feature_that_is_not_read_has_exactly_no_index():
    values = np.random.default_rng(4).normal(size=(100, 3))
    found = indices(lambda r: np.tanh(r[:, :1]) * r[:, 1:2], table(values))
    for name in ("S1", "ST", "shapley"):
        for end in ("", "_low"):
            assert (found[f"{name}{end}"].values[2] == 0).all()
        assert found[f"{name}_high"].values[2] < 0.01


@pytest.mark.parametrize("margins", ["empirical", "uniform"])
def test_categories_go_by_their_frequencies_or_equally(margins: Margins):
    rng = np.random.default_rng(5)
    one = np.eye(3)[rng.choice(3, 200, p=[0.7, 0.2, 0.1])]
    two = np.eye(2)[rng.choice(2, 200, p=[0.9, 0.1])]
    both = table(np.column_stack([one, two]), {0: ("a", "b", "c"), 3: ("no", "yes")})
    effects = np.array([0.0, 1.0, 3.0, 0.0, 2.0])
    found = indices(lambda r: r @ effects[:, None], both, margins=margins)
    assert [len(p.columns) for p in players_of(both, 0.6)] == [3, 2]
    weights = [one.mean(axis=0), two.mean(axis=0)]
    if margins == "uniform":
        weights = [np.full(3, 1 / 3), np.full(2, 1 / 2)]
    truth = []
    for weight, effect in zip(weights, (effects[:3], effects[3:]), strict=True):
        truth.append(weight @ effect**2 - (weight @ effect) ** 2)
    held(found, "S1", np.array(truth) / sum(truth))
    np.testing.assert_allclose(found["variance"].values, sum(truth), rtol=0.02)


def test_indices_are_those_of_all_combinations_of_rows_of_the_players():
    """A function of interactions, against full enumeration of a small table."""
    rng = np.random.default_rng(6)
    x = rng.normal(size=(12, 2))
    values = np.column_stack([x[:, 0], x[:, 0] + 0.01 * rng.normal(size=12), x[:, 1],
                              rng.normal(size=12)])  # fmt: skip
    of = table(values)
    players = players_of(of, 0.95)
    assert [p.features for p in players] == [(0, 1), (2,), (3,)]

    def function(r: Array) -> Array:
        return (r[:, 0] * r[:, 2] + np.sin(r[:, 1]) * r[:, 3] + r[:, 3])[:, None]

    cube = np.empty((12, 12, 12))
    for i, j, k in product(range(12), repeat=3):
        row = np.concatenate([values[i, :2], values[j, 2:3], values[k, 3:]])
        cube[i, j, k] = function(row[None])[0, 0]
    total = cube.var()
    first = [cube.mean(axis=tuple({0, 1, 2} - {d})).var() / total for d in range(3)]
    rest = [1 - cube.mean(axis=d).var() / total for d in range(3)]
    found = indices(function, of, correlated=0.95, blocks=8192)
    held(found, "S1", first, 0.015)
    held(found, "ST", rest, 0.015)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    values = np.random.default_rng(7).exponential(size=(60, 3))
    b = np.array([1.0, 0.5, 0.25])
    truth = b**2 * values.var(axis=0)
    truth /= truth.sum()
    hits = []
    for seed in range(40):
        found = indices(lambda r: r @ b[:, None], table(values), blocks=128, seed=seed)
        low, high = found["shapley_low"].values[:, 0], found["shapley_high"].values[:, 0]
        hits.append((low <= truth) & (truth <= high))
    assert np.mean(hits) > 0.88


def test_rank_correlation_is_scipys_and_a_constant_has_none():
    values = np.random.default_rng(8).integers(0, 6, (40, 4)).astype(float)
    np.testing.assert_allclose(rank_correlation(values), spearmanr(values).statistic, atol=1e-12)
    values[:, 1] = 3
    assert (rank_correlation(values)[1] == 0).all()


def test_features_are_joined_by_single_linkage_and_named_shortly_and_apart():
    rng = np.random.default_rng(9)
    x = rng.normal(size=(400, 3))
    # a chain: each goes with the next, the ends do not go together
    values = np.column_stack([x[:, 0], x[:, 1], x[:, 0] + x[:, 1], x[:, 2], -x[:, 2], x[:, 2] ** 3])
    assert feature_correlation(table(values))[0, 1] < 0.2
    players = players_of(table(values), 0.6)
    assert [p.name for p in players] == ["x0 + x1 (+ 1 more)", "x3 + x4 (+ 1 more)"]
    assert [p.features for p in players] == [(0, 1, 2), (3, 4, 5)]
    assert len(players_of(table(values), None)) == 6
    # The same values are one player whatever the threshold.
    twice = table(np.column_stack([x[:, 0], x[:, 1], x[:, 0]]))
    assert [p.features for p in players_of(twice, 1.0)] == [(0, 2), (1,)]


def test_a_player_keeps_the_rows_of_its_features_together():
    rng = np.random.default_rng(10)
    x = rng.normal(size=(30, 1))
    of = table(np.column_stack([x, -(x**3), rng.normal(size=(30, 1))]))
    players = players_of(of, 0.6)
    assert [p.features for p in players] == [(0, 1), (2,)]
    rows = Decoder(of, players)(rng.random((500, 2)))
    pairs = {tuple(row) for row in of.values[:, :2]}
    assert {tuple(row) for row in rows[:, :2]} == pairs
    everywhere = Decoder(of, players)((np.arange(30)[:, None] + 0.5) / 30 * [1, 1])
    assert sorted(everywhere[:, 2]) == sorted(of.values[:, 2])  # each row once
    uniform = Decoder(of, players, "uniform")
    assert uniform.groups == ((0, 1), (2,))


def test_far_from_all_is_told_by_the_nearest_of_all_patients():
    rng = np.random.default_rng(11)
    x = rng.normal(size=(300, 1))
    of = table(np.column_stack([x, x + 0.05 * rng.normal(size=(300, 1))]))
    alone, together = players_of(of, None), players_of(of, 0.6)
    shares = [far_from_all(of, design_points(of, p, 1000)).mean() for p in (alone, together)]
    assert shares[0] > 0.5 and shares[1] == 0  # rows of the table are no farther than 0
    rows = design_points(of, alone, 200)
    scaled = of.values / of.values.std(axis=0)
    near = NearestNeighbors(n_neighbors=2).fit(scaled)
    limit = np.quantile(near.kneighbors(scaled)[0][:, 1], 0.99)
    truth = near.kneighbors(rows / of.values.std(axis=0), n_neighbors=1)[0][:, 0] > limit
    assert (far_from_all(of, rows) == truth).all()


def test_the_same_seed_gives_the_same_sums():
    values = np.random.default_rng(12).normal(size=(50, 3))
    runs = [
        table_sums(lambda r: r[:, :1] * r[:, 1:2], table(values), players_of(table(values), 0.6),
                   blocks=64, replicates=4, seed=seed).sums
        for seed in (1, 1, 2)
    ]  # fmt: skip
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_points_that_are_looked_at_are_those_that_the_design_begins_its_blocks_with():
    values = np.random.default_rng(13).normal(size=(50, 3))
    of = table(values)
    players = players_of(of, None)
    decode = Decoder(of, players)
    blocks = [Design("cycle", decode.groups, 40, 4, 5).replicate(r).points[:, 0] for r in range(4)]
    rows = design_points(of, players, 40, replicates=4, seed=5)
    np.testing.assert_array_equal(rows, decode(np.concatenate(blocks)))
