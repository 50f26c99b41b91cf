"""`variscope.decompose_table`: any model on any table, against closed forms and SALib."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import variscope
from SALib.analyze import sobol
from SALib.sample import sobol as sample
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from torch import nn
from variscope.errors import UserError
from variscope.inputs.tables.table import Feature, Table

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 3)) * [1, 2, 0.5] + [3, 0, 1]
B = np.array([1.0, -1.0, 2.0])
TRUTH = B**2 * X.var(axis=0) / (B**2 * X.var(axis=0)).sum()
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])
Y = X @ B


def small(model: Any, table: Any, **settings: Any) -> Any:
    """A study of few blocks."""
    return variscope.decompose_table(model, table, **{"blocks": 512, "replicates": 8, **settings})


def weights(linear: nn.Linear) -> nn.Linear:
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(B)[None])
    return linear


@pytest.mark.parametrize("kind", ["function", "estimator", "module", "double", "table"])
def test_a_linear_model_has_the_shares_of_its_weights(kind: str) -> None:
    model: Any = {
        "function": lambda rows: rows @ B,
        "estimator": LinearRegression().fit(FRAME, Y),
        "module": weights(nn.Linear(3, 1)),
        "double": weights(nn.Linear(3, 1)).double(),
        "table": lambda rows: rows @ B[:, None],
    }[kind]
    table: Any = FRAME if kind == "estimator" else X
    if kind == "table":
        features = tuple(Feature(name=name, columns=(k,)) for k, name in enumerate("abc"))
        table = Table(name="t", features=features, values=X, target=Y, target_name="y")
    found = small(model, table)
    for index in ("S1", "ST", "shapley"):
        np.testing.assert_allclose(found[index].values[:, 0], TRUTH, atol=0.02)
    assert found["S2"].dims == ("pair", "neuron")
    assert found["variable"].values.tolist() == (list("012") if table is X else list("abc"))
    assert found["unit_name"].values.tolist() == ["0"]
    np.testing.assert_allclose(found["mean"].values, B @ X.mean(axis=0), atol=5, rtol=0.02)


def test_indices_with_uniform_margins_are_salibs() -> None:
    """The same function over the same bounds, by another package's sample and estimators."""
    bounds = {"a": (0.0, 1.0), "b": (-1.0, 2.0), "c": (0.0, 3.0)}

    def function(rows: np.ndarray) -> np.ndarray:
        return np.sin(3 * rows[:, 0]) + rows[:, 0] * rows[:, 1] ** 2 + 0.3 * rows[:, 2]

    found = small(function, FRAME, margins="uniform", bounds=bounds, blocks=4096, replicates=16)
    problem = {"num_vars": 3, "names": list(bounds), "bounds": [list(b) for b in bounds.values()]}
    other = sobol.analyze(problem, function(sample.sample(problem, 8192, seed=1)), seed=1)
    for index in ("S1", "ST"):
        np.testing.assert_allclose(found[index].values[:, 0], other[index], atol=0.02)
    total = float(found["shapley"].sum())
    assert total == pytest.approx(1, abs=1e-5)


def test_of_two_classes_the_second_one_is_studied_and_of_more_all() -> None:
    two = LogisticRegression().fit(FRAME, np.where(X[:, 0] > 3, "ill", "well"))
    found = small(two, FRAME)
    assert found["unit_name"].values.tolist() == ["well"]
    assert found["shapley"].values[:, 0].argmax() == 0
    assert found["mean"].values[0] == pytest.approx(two.predict_proba(FRAME)[:, 1].mean(), abs=0.06)
    more = LogisticRegression().fit(FRAME, np.digitize(X[:, 1], [-1, 1]))
    found = small(more, FRAME.assign(y=0), target="y")
    assert found["unit_name"].values.tolist() == ["0", "1", "2"]
    assert (found["shapley"].values.argmax(axis=0) == 1).all()


def test_categories_reach_the_model_as_they_were() -> None:
    levels = np.array(["low", "high", "mid"])[RNG.integers(3, size=150)]
    flag = RNG.random(150) < 0.5
    frame = pd.DataFrame({"a": X[:, 0], "level": pd.Categorical(levels), "flag": flag})
    y = 3.0 * (levels == "high") + flag
    columns = make_column_transformer((OneHotEncoder(), ["level"]), remainder="passthrough")
    model = make_pipeline(columns, LinearRegression()).fit(frame, y)
    seen: list[pd.DataFrame] = []

    def function(rows: pd.DataFrame) -> np.ndarray:
        seen.append(rows)
        return np.asarray(3.0 * (rows["level"] == "high") + rows["flag"])

    high, on = (levels == "high").mean(), flag.mean()
    truth = np.array([0, 9 * high * (1 - high), on * (1 - on)])
    for one in (model, function):
        found = small(one, frame)
        np.testing.assert_allclose(found["S1"].values[:, 0], truth / truth.sum(), atol=0.02)
    assert (seen[-1].dtypes == frame.dtypes).all()
    with pytest.raises(UserError, match="model: a torch module takes numbers, and level is a cat"):
        small(nn.Linear(3, 1), frame)


def test_features_that_go_together_are_one_player_or_as_the_groups_say() -> None:
    frame = FRAME.assign(d=X[:, 0] + 0.01 * RNG.normal(size=150))

    def function(rows: np.ndarray) -> np.ndarray:
        return 0.5 * rows[:, 0] + rows[:, 1] + 0.5 * rows[:, 3]

    joined = small(function, frame)
    assert joined["variable"].values.tolist() == ["a + d", "b", "c"]
    assert joined["features"].values.tolist() == ["a, d", "b", "c"]
    apart = small(function, frame, correlated=None)
    assert apart["variable"].values.tolist() == ["a", "b", "c", "d"]
    assert float(apart["outside"].sel(distance="mahalanobis")) > 0.9
    assert float(joined["outside"].sel(distance="mahalanobis")) < 0.1
    named = small(function, frame, groups={"first": ["a", "d"], "rest": ["c"]})
    assert named["variable"].values.tolist() == ["first", "rest", "b"]
    np.testing.assert_allclose(named["shapley"].values[[0, 2, 1]], joined["shapley"].values,
                               atol=0.02)  # fmt: skip


def test_a_constant_feature_is_not_varied_and_a_constant_output_has_no_indices() -> None:
    found = small(lambda rows: rows[:, 0] * rows[:, 1], FRAME.assign(c=1.0))
    assert np.isnan(found["shapley"].values[2]).all() and found["moved"].values[2] == 0
    flat = small(lambda rows: np.full(len(rows), 2.5), FRAME)
    assert flat["status"].values.tolist() == [1] and np.isnan(flat["shapley"]).all()


@pytest.mark.filterwarnings("error")
def test_an_estimator_is_given_rows_as_it_was_fitted_on_them() -> None:
    for model in (LinearRegression().fit(X, Y), LinearRegression().fit(FRAME, Y)):
        for table in (FRAME, X) if not hasattr(model, "feature_names_in_") else (FRAME,):
            np.testing.assert_allclose(small(model, table)["S1"].values[:, 0], TRUTH, atol=0.02)


def test_a_module_is_studied_in_eval_mode_and_left_in_its_own() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 2))
    model[1].eval()
    found = small(model, X.astype(np.float32), outputs=["left", "right"])
    assert found["unit_name"].values.tolist() == ["left", "right"]
    assert model.training and model[2].training and not model[1].training


def test_the_same_seed_gives_the_same_numbers() -> None:
    runs = [small(lambda rows: rows @ B, X, seed=seed)["shapley"].values for seed in (1, 1, 2)]
    assert (runs[0] == runs[1]).all() and (runs[0] != runs[2]).any()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"model": 3}, "^model: found int; allowed: a scikit-learn estimator"),
        ({"model": lambda rows: rows[:5, 0]}, r"^model: gave the shape \(5,\) for 16 rows"),
        ({"model": lambda rows: ["x"] * len(rows)}, "^model: gave what are no numbers"),
        ({"model": lambda rows: rows @ np.ones(7)}, "^model: fails on rows of the table"),
        ({"model": lambda rows: rows[:, 0] - rows[:, 0].mean()}, "^model: the same row has other"),
        ({"model": lambda rows: RNG.random(len(rows))}, "^model: the same row has other outputs"),
        ({"table": X[0]}, r"^table: found the shape \(3,\); allowed: \(rows, columns\)"),
        ({"table": X * np.nan}, "^table: found values that are not finite"),
        ({"table": [["a"], ["b"]]}, "^table: found what is no array of numbers"),
        ({"table": FRAME.assign(a=np.nan)}, "^table: found missing values in a; fill them in"),
        ({"table": FRAME.assign(a=pd.Timestamp("2024-01-01"))}, "^table: column 'a' holds dates"),
        ({"table": FRAME[:1]}, "^table: found 1 rows of 3 features"),
        ({"table": pd.concat([FRAME, FRAME], axis=1)}, "^table: found two columns of one name"),
        ({"target": "z"}, "^target: found 'z'"),
        ({"table": X, "target": "a"}, "^target: found 'a'; allowed: a column, of a DataFrame"),
        ({"margins": "normal"}, "^margins: found 'normal'; allowed: empirical, uniform"),
        ({"bounds": {"a": (0, 1)}}, "^bounds: found bounds of 'a', and the margins are empirical"),
        ({"bounds": {"z": (0, 1)}, "margins": "uniform"}, "^bounds: found 'z'"),
        ({"bounds": {"a": (1, 1)}, "margins": "uniform"}, r"^bounds.a: found \[1, 1\]; allowed"),
        ({"bounds": [0, 1]}, r"^bounds: found \[0, 1\]; allowed: a mapping"),
        ({"correlated": 0}, "^correlated: found 0; allowed: above 0 to 1, or None"),
        ({"groups": {"g": ["z"]}}, "^groups.g: found 'z'"),
        ({"groups": {"g": "a"}}, "^groups.g: found 'a'; allowed: a list of features"),
        ({"groups": {"g": ["a"], "h": ["a"]}}, "^groups: found 'a' twice"),
        ({"groups": {"b": ["a"]}}, "^groups: found 'b', which is the name of a feature"),
        ({"outputs": ["u", "v"]}, r"^outputs: found \['u', 'v'\]; allowed: 1 names"),
        ({"blocks": 1}, "^blocks: found 1; allowed: an integer of at least 2"),
        ({"blocks": 4}, r"^blocks: found 4; allowed: at least replicates \(8\)"),
        ({"replicates": 1.5}, "^replicates: found 1.5"),
        ({"confidence_level": 95}, "^confidence_level: found 95; allowed: between 0 and 1"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(UserError, match=match):
        small(**({"model": lambda rows: rows[:, 0], "table": FRAME} | arguments))


def test_a_function_of_rows_needs_no_torch() -> None:
    code = """
import sys
import numpy as np
import variscope
x = np.random.default_rng(0).random((50, 2))
variscope.decompose_table(lambda rows: rows[:, 0], x, blocks=16, replicates=2)
assert "torch" not in sys.modules and "matplotlib" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
