"""Feature reduction by nested cross-validation: rankings, choices, controls, and words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tabular_cases
import torch
from matplotlib.figure import Figure
from variscope.analyses.reduction import ANALYSIS, nested, rankings, scores, shards
from variscope.analyses.reduction.shard import shard
from variscope.analyses.source import GivenTable, Source
from variscope.analyses.tables import checked
from variscope.errors import UserError
from variscope.inputs.tables.network import Fitted, TableNetwork, fit
from variscope.inputs.tables.opening import open_table
from variscope.inputs.tables.table import Table
from variscope.study.config import complete
from variscope.study.experiment import Experiment

# Indices and networks of seconds: of the analysis, and of each table.
SMALL: dict[str, Any] = {
    **{name: setting["default"] for name, setting in ANALYSIS.settings.items()},
    "outer": 3, "inner": 2, "repeats": 1, "blocks": 64, "orders": 2,
}  # fmt: skip
OF_TABLE: dict[str, Any] = {
    **tabular_cases.settings(epochs=100), "margins": "empirical", "bounds": {}, "correlated": 0.6,
}  # fmt: skip


def linear(table: Table, weights: np.ndarray) -> Fitted:
    """A network that is a linear function of the columns."""
    network = TableNetwork(len(weights), [], 1)
    state = network.state_dict()
    state["scale"].fill_(1)
    state["target_scale"].fill_(1)
    state["layers.0.weight"].copy_(torch.from_numpy(weights)[None])
    state["layers.0.bias"].zero_()
    network.load_state_dict(state)
    names = tuple(feature.name for feature in table.features)
    return Fitted(network=network, features=names, classes=(), history=np.empty((0, 3)))


def ranked(table: Table, network: Fitted, **settings: Any) -> rankings.Ranked:
    return rankings.Ranked(
        table=table, network=network, settings=OF_TABLE | settings, blocks=1024, replicates=4,
        seed=1,
    )  # fmt: skip


WEIGHTS = np.array([3.0, 0.0, -2.0, 1.0])


def linear_case() -> tuple[Table, Fitted, np.ndarray]:
    """Independent uniform columns of unlike width, a linear network, and its closed-form shares."""
    rng = np.random.default_rng(0)
    values = rng.random((4000, 4)) * [1, 1, 2, 3]
    table = tabular_cases.table(values, values @ WEIGHTS)
    parts = (WEIGHTS * [1, 1, 2, 3]) ** 2 / 12
    return table, linear(table, WEIGHTS), parts / parts.sum()


@pytest.mark.parametrize("name", ["sobol", "shapley", "salib"])
@pytest.mark.parametrize("margins", ["empirical", "uniform"])
def test_importance_by_indices_of_a_linear_network_is_its_share(name: str, margins: str) -> None:
    table, network, truth = linear_case()
    found = rankings.RANKINGS[name](ranked(table, network, margins=margins))
    np.testing.assert_allclose(found, truth, atol=0.03)


def test_permuting_a_feature_of_a_linear_network_costs_twice_its_variance() -> None:
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.inspection import permutation_importance

    table, network, _ = linear_case()
    found = rankings.permutation(ranked(table, network))
    # E (b (x - x'))^2 = 2 b^2 var x, where x' is another row's.
    np.testing.assert_allclose(found, 2 * WEIGHTS**2 * table.values.var(axis=0), rtol=0.03)
    assert found[1] == 0

    class Peer(RegressorMixin, BaseEstimator):
        def fit(self, values: np.ndarray, target: np.ndarray) -> Peer:
            return self

        def __sklearn_is_fitted__(self) -> bool:
            return True

        def predict(self, values: np.ndarray) -> np.ndarray:
            return network.predict(values)[:, 0]

    peer = permutation_importance(
        Peer(), table.values, table.target, scoring="neg_mean_squared_error", n_repeats=5,
        random_state=0,
    )  # fmt: skip
    np.testing.assert_allclose(found, peer.importances_mean, rtol=0.06)


def test_a_players_index_is_shared_out_by_what_the_network_uses_of_it() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.random((2, 4000))
    # Two copies, of which the network uses the second four times as much (in variance), and
    # another feature: the copies together have 9 of 10 parts.
    values = np.column_stack([one, one, other])
    table = tabular_cases.table(values, one)
    network = linear(table, np.array([1.0, 2.0, 1.0]))
    found = rankings.sobol(ranked(table, network))
    np.testing.assert_allclose(found, [0.9 / 5, 0.9 * 4 / 5, 0.1], atol=0.02)
    alone = rankings.sobol(ranked(table, network, correlated=None))
    np.testing.assert_allclose(alone, [1 / 6, 4 / 6, 1 / 6], atol=0.03)


def test_a_network_that_never_changes_its_answer_ranks_at_random() -> None:
    table, _, _ = linear_case()
    given = ranked(table, linear(table, np.zeros(4)))
    for make in rankings.RANKINGS.values():
        assert (make(given) == 0).all()
    orders = {tuple(rankings.places(np.zeros(4), seed, "sobol")) for seed in range(40)}
    assert len(orders) > 10


def test_scores_are_those_of_scikit_learn() -> None:
    from sklearn import metrics

    rng = np.random.default_rng(0)
    for classes in (2, 4):
        target = rng.integers(classes, size=200)
        answers = rng.dirichlet(np.ones(classes), size=200).round(2) + np.eye(classes)[target] / 5
        answers /= answers.sum(axis=1, keepdims=True)
        given = answers[:, 1] if classes == 2 else answers
        pairs = [
            (scores.accuracy, metrics.accuracy_score(target, answers.argmax(1))),
            (scores.balanced_accuracy, metrics.balanced_accuracy_score(target, answers.argmax(1))),
            (scores.auc, metrics.roc_auc_score(target, given, multi_class="ovr")),
        ]
        for own, peer in pairs:
            assert own(target, answers) == pytest.approx(peer)
    value = rng.normal(size=50)
    answer = value + rng.normal(size=50)
    assert scores.determination(value, answer[:, None]) == pytest.approx(
        metrics.r2_score(value, answer)
    )
    assert np.isnan(scores.determination(np.ones(5), np.ones((5, 1))))
    assert np.isnan(scores.auc(np.zeros(5, int), np.full((5, 2), 0.5)))


def informative(rows: int = 240, columns: int = 8) -> Table:
    """A linear target of the first three of some independent columns."""
    rng = np.random.default_rng(4)
    values = rng.normal(size=(rows, columns))
    target = values[:, :3] @ [2.0, 1.5, 1.0] + 0.2 * rng.normal(size=rows)
    return tabular_cases.table(values, target)


def noise(rows: int = 60, columns: int = 40, seed: int = 7) -> Table:
    """Classes that no column tells anything of."""
    rng = np.random.default_rng(seed)
    target = rng.permutation(np.arange(rows) % 2)
    return tabular_cases.table(rng.normal(size=(rows, columns)), target, ["no", "yes"])


def written(table: Table, folder: Path) -> dict[str, Any]:
    """The settings of a table, once it is a file."""
    data = pd.DataFrame(table.values, columns=[feature.name for feature in table.features])
    target = table.target
    data["target"] = [table.classes[c] for c in target] if table.classes else target
    data.to_csv(folder / f"{table.name}.csv", index=False)
    entry = {
        "source": str(folder / f"{table.name}.csv"),
        "target": "target",
        "network": {"epochs": 100},
    }
    completed = complete({"experiment": "test", "tables": {table.name: entry}})
    return dict(completed["tables"][table.name])


def analysed(
    tables: list[Table], folder: Path, **settings: Any
) -> tuple[Source, Mapping[str, pd.DataFrame]]:
    """Run all steps of the analysis on some tables."""
    given = {
        table.name: GivenTable(settings=written(table, folder), trained=folder) for table in tables
    }
    source = Source(studies=[], settings=SMALL | settings, tables=given, level=0.95)
    made = {}
    for name in shards(source.settings, tables):  # type: ignore[arg-type]
        made[name] = folder / name
        made[name].mkdir()
        shard(source, name, made[name])
    source = replace(source, shards=made)
    found = ANALYSIS.compute(source)
    return source, {table.name: checked(table, found[table.name]) for table in ANALYSIS.tables}


def test_the_curve_flattens_where_all_informative_features_are_in(tmp_path: Path) -> None:
    source, tables = analysed([informative()], tmp_path, outer=5, inner=4)
    curve = tables["curve"].set_index(["ranking", "k"])["score"]
    for name in ("sobol", "shapley", "permutation", "salib"):
        assert curve[name, 1] < curve[name, 2] - 0.05 < curve[name, 3] - 0.1
        assert curve[name, 3] > curve[name, 8] - 0.02
        places = tables["rankings"].set_index(["ranking", "feature"])["place"]
        assert [places[name, f"f{k}"] for k in range(3)] == [1, 2, 3]
    choice = tables["choice"].set_index(["ranking", "rule"])
    assert choice["k"]["sobol", "not worse"] == 3
    assert choice["least"]["sobol", "inside"] == 3
    assert choice["k"]["sobol", "inside"] <= 4
    assert choice["over_random_low"]["sobol", "not worse"] > 0
    assert curve["random", 3] < curve["sobol", 3] - 0.2
    words = ANALYSIS.words(source, tables)
    assert words.answer.startswith("t: 3 of 8 features are enough, the first by Sobol's total")
    assert "not worse by more than the margin of 0.02 (n = 5 outer folds)" in words.answer
    assert "more than random orders at this number of features" in words.control


def test_nothing_outside_an_outer_folds_training_rows_is_learned_from() -> None:
    table = informative()
    (fold, *_) = nested.outer_folds(table, 3, 1, 1)
    found, placed = nested.nested_fold(table, OF_TABLE, SMALL, 1, fold)
    values, target = table.values.copy(), table.target.copy()
    values[fold.test] = 1e6 * np.random.default_rng(1).normal(size=values[fold.test].shape)
    target[fold.test] = -1e6
    other = replace(table, values=values, target=target)
    found_other, placed_other = nested.nested_fold(other, OF_TABLE, SMALL, 1, fold)
    assert placed == placed_other
    assert [one for one in found if one.inner] == [one for one in found_other if one.inner]
    outer = [[one.score for one in some if not one.inner] for some in (found, found_other)]
    assert all(a != b for a, b in zip(*outer, strict=True))


def test_of_noise_ranking_on_all_rows_makes_a_prediction_and_nested_folds_none() -> None:
    naive, own = [], []
    settings = SMALL | {"rankings": ["permutation"], "numbers": [5]}
    of_table = OF_TABLE | tabular_cases.settings(hidden=[64], learning_rate=0.05)
    for seed in range(8):
        table = noise(columns=100, seed=seed)
        # What is often done: the best five features of all rows, then folds with these.
        whole = fit(table, of_table, 1)
        places = rankings.places(rankings.permutation(ranked(table, whole)), 1, "permutation")
        few = table.select(np.flatnonzero(places < 5).tolist())
        for fold in nested.outer_folds(table, 3, 1, seed):
            answers = fit(few.rows(fold.train), of_table, 1).predict(few.values[fold.test])
            naive.append(scores.balanced_accuracy(few.target[fold.test], answers))
            found, _ = nested.nested_fold(table, of_table, settings, seed, fold)
            own += [one.score for one in found if one.inner == 0 and one.k == 5]
    assert np.mean(naive) > 0.6
    assert abs(np.mean(own) - 0.5) < 0.05


def test_of_noise_no_number_of_features_is_said_to_be_enough(tmp_path: Path) -> None:
    source, tables = analysed([noise()], tmp_path)
    curve = tables["curve"]
    held = curve[(curve["low"] <= 0.5) & (curve["high"] >= 0.5)]
    assert len(held) >= 0.9 * len(curve)
    assert abs(curve["score"].mean() - 0.5) < 0.1
    words = ANALYSIS.words(source, tables)
    assert "it is not shown to have learned anything" in words.answer
    assert "are enough, the first by" not in words.answer


def test_results_do_not_depend_on_how_folds_are_shared_out(tmp_path: Path) -> None:
    found = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        found.append(analysed([informative(90, 5)], folder, shards=number)[1])
    for name in found[0]:
        pd.testing.assert_frame_equal(found[0][name], found[1][name], check_exact=True)


def test_a_category_is_one_feature_of_every_ranking(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    site = rng.choice(["left", "middle", "right"], size=120)
    number = rng.normal(size=120)
    score = 3.0 * (site == "left") - 2.0 * (site == "right") + 0.5 * number
    data = pd.DataFrame({"number": number, "site": site, "noise": rng.normal(size=120)})
    data.assign(score=score).to_csv(tmp_path / "sites.csv", index=False)
    for margins in ("empirical", "uniform"):
        entry = {"source": str(tmp_path / "sites.csv"), "target": "score", "margins": margins}
        of_table = complete({"experiment": "e", "tables": {"sites": entry}})["tables"]["sites"]
        table = open_table("sites", of_table, tmp_path)
        assert table.values.shape == (120, 5)
        (fold, *_) = nested.outer_folds(table, 3, 1, 1)
        found, placed = nested.nested_fold(table, of_table, SMALL, 1, fold)
        first = {(one.ranking, one.feature) for one in placed if one.place == 1}
        assert {(name, "site") for name in rankings.RANKINGS} <= first
        scored = {(one.ranking, one.k): one.score for one in found if one.inner == 0}
        assert scored["sobol", 1] > 0.85 > scored["constant", 0]


def degenerate() -> dict[str, Table]:
    """Tables that leave little to reduce."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2))
    classes = (x[:, 0] > 0).astype(int)
    return {
        "one feature": tabular_cases.table(x[:, :1], x[:, 0], name="one"),
        "a class of few": tabular_cases.table(
            x, np.where(np.arange(60) < 10, 2, classes), ["a", "b", "c"], "few"
        ),
        "told without an error": tabular_cases.table(
            x + 10 * classes[:, None], classes, ["a", "b"], "easy"
        ),
    }


@pytest.mark.parametrize("case", list(degenerate()))
def test_tables_that_leave_little_to_reduce_have_words_and_pictures(
    case: str, tmp_path: Path
) -> None:
    source, tables = analysed([degenerate()[case]], tmp_path)
    for picture in ANALYSIS.pictures:
        assert isinstance(ANALYSIS.draw(picture, source, tables), Figure)
    words = ANALYSIS.words(source, tables)
    for sentence in (words.answer, *words.more, words.control):
        assert "nan" not in sentence and "None" not in sentence
    if case == "one feature":
        assert words.answer == "one: there is one feature, and nothing to leave out."
    if case == "told without an error":
        assert any("the same in every outer fold" in sentence for sentence in words.more)


def test_controls_alone_choose_no_number(tmp_path: Path) -> None:
    source, tables = analysed([informative(90, 5)], tmp_path, rankings=["random"])
    assert set(tables["choice"]["rule"]) == {"not worse"}
    assert tables["folds"].empty
    assert ANALYSIS.words(source, tables).answer


@pytest.mark.parametrize(
    ("key", "found", "most"), [("outer", 13, 12), ("inner", 10, 9)], ids=["outer", "inner"]
)
def test_more_folds_than_rows_allow_are_refused_before_the_first_job(
    key: str, found: int, most: int, tmp_path: Path
) -> None:
    settings = written(noise(), tmp_path)
    config = {
        "experiment": "e",
        "tables": {"t": {name: settings[name] for name in ("source", "target")}},
        "analyses": {"reduction": {key: found}},
    }
    message = rf"^analyses\.reduction\.{key}: found {found}, .* allowed: at most {most}$"
    with pytest.raises(UserError, match=message):
        Experiment.open(config, tmp_path, tmp_path / "cache")
    config["analyses"] = {"reduction": {key: most}}
    Experiment.open(config, tmp_path, tmp_path / "cache")


def test_numbers_of_features_end_at_all() -> None:
    assert nested.numbers_of([2, 5, 99], 10) == [2, 5, 10]
    assert nested.numbers_of(None, 1) == [1]
    assert nested.numbers_of(None, 30) == [1, 2, 3, 4, 6, 8, 12, 16, 24, 30]
