"""Splits of a table, and the network that is trained on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tabular_cases
import torch
from torch import nn
from variscope.errors import UserError
from variscope.inputs.tables import network, splits, stack
from variscope.inputs.tables.opening import open_table
from variscope.inputs.tables.stack import Shape
from variscope.study.config import complete

LINEAR = Shape(
    hidden=(), outputs=1, classes=False, epochs=2000, patience=2000, learning_rate=0.02,
    weight_decay=0.0,
)  # fmt: skip


def noisy(rows: int = 300, columns: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Standard normal columns and a linear target with noise."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(rows, columns))
    target = values @ np.arange(1.0, columns + 1) + rng.normal(size=rows)
    return values, target / target.std()


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_each_class_is_held_out_in_its_share(share: float) -> None:
    strata = np.random.default_rng(1).permutation(np.repeat([0, 1, 2], [210, 90, 40]))
    rows = splits.held_out(strata, share, np.random.default_rng(2))
    assert len(np.unique(rows)) == len(rows) == round(share * 340)
    for label in range(3):
        assert abs((strata[rows] == label).sum() - share * (strata == label).sum()) <= 1


def test_folds_part_the_rows_and_have_each_class_alike() -> None:
    strata = np.random.default_rng(1).permutation(np.repeat([0, 1, 2], [21, 9, 4]))
    folds = splits.fold_numbers(strata, 5, np.random.default_rng(2))
    assert set(np.bincount(folds)) <= {6, 7}
    for label in range(3):
        counts = np.bincount(folds[strata == label], minlength=5)
        assert counts.max() - counts.min() <= 1
    with pytest.raises(ValueError, match="6 folds of 3 rows"):
        splits.fold_numbers(np.zeros(3), 6, np.random.default_rng(2))


def test_a_linear_network_with_a_penalty_is_ridge_regression() -> None:
    values, target = noisy()
    validation = np.arange(250, 300)
    decay = 40.0
    (found,) = stack.train(
        values, target, validation, np.ones((1, 5), bool),
        Shape(**{**vars(LINEAR), "weight_decay": decay}), seed=3,
    )  # fmt: skip
    # min mean (y - X w - b)^2 + decay / (2 n) w^2, solved; the best epoch may lie before the end.
    design = np.column_stack([values[:250], np.ones(250)])
    penalty = decay / 2 * np.diag([1.0] * 5 + [0.0])
    solved = np.linalg.solve(design.T @ design + penalty, design.T @ target[:250])
    last = found.history[-1]
    error = target[:250] - design @ solved
    assert last[1] == pytest.approx((error**2).mean(), rel=1e-4)


def test_steps_are_those_of_torchs_adam() -> None:
    values, target = noisy(60)
    shape = Shape(
        hidden=(4,), outputs=1, classes=False, epochs=12, patience=12, learning_rate=0.03,
        weight_decay=5.0,
    )  # fmt: skip
    validation = np.arange(50, 60)
    (found,) = stack.train(values, target, validation, np.ones((1, 5), bool), shape, seed=3)
    rows, wanted = torch.tensor(values[:50]).float(), torch.tensor(target[:50]).float()[:, None]
    hidden, last = nn.Linear(5, 4), nn.Linear(4, 1)
    model = nn.Sequential(hidden, nn.ReLU(), last)
    start = stack._Stack(torch.ones(1, 5), shape, 3)
    with torch.no_grad():
        for layer, weight in zip((hidden, last), start.weights, strict=True):
            layer.weight.copy_(weight[0].T)
            layer.bias.zero_()
    groups: list[dict[str, Any]] = [
        {"params": [hidden.weight, last.weight], "weight_decay": 5.0 / 50},
        {"params": [hidden.bias, last.bias]},
    ]
    optimizer = torch.optim.Adam(groups, lr=0.03)
    losses = []
    for _ in range(12):
        loss = ((model(rows) - wanted) ** 2).mean()
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    np.testing.assert_allclose(found.history[:, 1], losses, rtol=1e-4)


def test_what_a_network_is_not_shown_changes_no_bit_of_it() -> None:
    values, target = noisy()
    table = tabular_cases.table(values, target)
    other = tabular_cases.table(values * [1, -7, 1, 3, 1] + [0, 5, 0, 1, 0], target)
    subsets = [(0, 2, 4), (0, 1, 2, 3, 4)]
    of_table, of_other = (
        network.fit_subsets(one, subsets, tabular_cases.settings(), 1)[0] for one in (table, other)
    )
    shown = values[:, [0, 2, 4]]
    assert of_table.features == ("f0", "f2", "f4")
    assert (of_table.predict(shown) == of_other.predict(shown)).all()


def test_networks_side_by_side_are_those_that_are_trained_alone() -> None:
    table = tabular_cases.bundled("diabetes")
    subsets = [(2, 8), (0,), tuple(range(10)), (2, 3, 8)]
    together = network.fit_subsets(table, subsets, tabular_cases.settings(), 1)
    for subset, found in zip(subsets, together, strict=True):
        (alone,) = network.fit_subsets(table, [subset], tabular_cases.settings(), 1)
        shown = table.select(subset).values
        assert len(alone.history) == len(found.history)
        np.testing.assert_allclose(alone.predict(shown), found.predict(shown), rtol=1e-4)


@pytest.mark.parametrize("rows", [200, 1300])  # one step an epoch, and several
def test_a_network_is_the_same_bit_for_bit_whatever_was_drawn_before(rows: int) -> None:
    table = tabular_cases.table(*noisy(rows))
    first = network.fit(table, tabular_cases.settings(epochs=20), 5)
    torch.manual_seed(99)
    torch.rand(7)
    second = network.fit(table, tabular_cases.settings(epochs=20), 5)
    other = network.fit(table, tabular_cases.settings(epochs=20), 6)
    assert (first.predict(table.values) == second.predict(table.values)).all()
    assert (first.history == second.history).all()
    assert (first.predict(table.values) != other.predict(table.values)).any()


def test_units_of_columns_and_target_make_no_difference() -> None:
    values, target = noisy()
    plain = network.fit(tabular_cases.table(values, target), tabular_cases.settings(), 1)
    scale, shift = np.array([1e6, 1e-6, 3, 1, 1]), np.array([1e9, 0, -5, 0, 1e4])
    table = tabular_cases.table(values * scale + shift, 50 * target + 1000)
    found = network.fit(table, tabular_cases.settings(), 1)
    expected = 50 * plain.predict(values) + 1000
    np.testing.assert_allclose(found.predict(table.values), expected, atol=0.02)


def test_a_network_that_no_longer_gains_stops_and_is_kept_as_it_was_best() -> None:
    rng = np.random.default_rng(0)
    values, target = rng.normal(size=(60, 20)), rng.normal(size=60)  # nothing to learn
    found = network.fit(tabular_cases.table(values, target), tabular_cases.settings(), 1)
    best = found.history[:, 2].argmin()
    assert len(found.history) == best + 1 + network.PATIENCE < 300
    held = splits.held_out(np.zeros(60), network.VALIDATION, network.generator(1, "validation"))
    errors = (found.predict(values[held])[:, 0] - target[held]) ** 2
    assert errors.mean() / target.var() == pytest.approx(found.history[best, 2], rel=1e-4)


def test_probabilities_are_of_the_classes_in_order() -> None:
    rng = np.random.default_rng(0)
    target = np.repeat([0, 1, 2], 80)
    values = rng.normal(size=(240, 2)) + 6 * np.array([[0, 0], [1, 0], [0, 1]])[target]
    table = tabular_cases.table(values, target, ["a", "b", "c"])
    found = network.fit(table, tabular_cases.settings(), 1).predict(values)
    assert found.shape == (240, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found.argmax(axis=1) == target).mean() > 0.99


def test_columns_that_do_not_vary_are_taken() -> None:
    values, target = noisy()
    values[:, 1] = 7.3
    found = network.fit(tabular_cases.table(values, target), tabular_cases.settings(), 1)
    assert np.isfinite(found.predict(values)).all()


def test_a_loss_that_is_not_finite_is_a_users_error() -> None:
    table = tabular_cases.table(*noisy())
    with pytest.raises(
        UserError, match=r"^tables\.t\.network: .*smaller learning_rate than 1e\+30"
    ):
        network.fit(table, tabular_cases.settings(learning_rate=1e30), 1)


def test_training_a_table_leaves_a_network_its_curve_and_what_it_answers(tmp_path: Path) -> None:
    table = tabular_cases.bundled("breast_cancer")
    settings = tabular_cases.settings()
    network.train_table(table, settings, 1, tmp_path / "trained")
    rows, target, answers = network.read_predictions(tmp_path / "trained")
    learned, test = network.test_split(table, settings, 1)
    assert (rows == test).all()
    assert (target == table.target[test]).all()
    assert len(np.intersect1d(learned, test)) == 0
    assert len(learned) + len(test) == len(table)
    found = network.load(tmp_path / "trained")
    assert found.classes == table.classes
    np.testing.assert_allclose(found.predict(table.values[test]), answers, rtol=1e-9)
    assert (answers.argmax(axis=1) == target).mean() > 0.9
    assert found.history.shape[1] == 3


def test_a_table_is_opened_to_be_trained_on_whatever_is_drawn_of_it() -> None:
    settings = dict(
        complete({"experiment": "e", "tables": {"d": {"source": "diabetes"}}})["tables"]["d"]
    )
    drawn = ("margins", "bounds", "correlated")
    kept = {key: value for key, value in settings.items() if key not in drawn}
    found, whole = (open_table("d", given, Path()) for given in (kept, settings))
    assert (found.values == whole.values).all()


@pytest.mark.parametrize(
    ("name", "worse"),
    [pytest.param("breast_cancer", 0.02, id="accuracy"), pytest.param("diabetes", 0.05, id="R2")],
)
def test_networks_predict_nearly_as_well_as_linear_models_where_these_do_well(
    name: str, worse: float
) -> None:
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    table = tabular_cases.bundled(name)
    folds = splits.fold_numbers(splits.strata(table), 5, np.random.default_rng(1))
    own, peers = [], []
    for number in range(5):
        train, test = np.flatnonzero(folds != number), np.flatnonzero(folds == number)
        linear = LogisticRegression() if table.is_classification else RidgeCV()
        peer = make_pipeline(StandardScaler(), linear).fit(table.values[train], table.target[train])
        peers.append(peer.score(table.values[test], table.target[test]))
        answer = network.fit(table.rows(train), tabular_cases.settings(), 1).predict(
            table.values[test]
        )
        target = table.target[test]
        if table.is_classification:
            own.append((answer.argmax(axis=1) == target).mean())
        else:
            own.append(
                1 - ((answer[:, 0] - target) ** 2).sum() / ((target - target.mean()) ** 2).sum()
            )
    assert np.mean(own) > np.mean(peers) - worse
