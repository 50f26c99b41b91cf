"""The study of tables, from a table to its page: known answers, controls, little to say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from variscope.analyses.registry import built_in
from variscope.analyses.source import GivenTable, Source
from variscope.analyses.tables import checked
from variscope.analyses.tabular.compute import over_trainings
from variscope.analyses.tabular.shard import with_shuffled
from variscope.analyses.tabular.stored import SHUFFLED
from variscope.analyses.words import Words
from variscope.inputs.tables.network import train_table
from variscope.inputs.tables.opening import open_table
from variscope.inputs.tables.table import Feature, Table

ENTRY = built_in()["tabular"]
SETTINGS: dict[str, Any] = {
    "source": "t.csv", "target": "y", "task": None, "threshold": None, "leave_out": [],
    "missing": "refuse", "margins": "empirical", "bounds": {}, "correlated": 0.6,
    "test_fraction": 0.2,
    "network": {"hidden": [8], "epochs": 200, "learning_rate": 0.02, "weight_decay": 0.001},
}  # fmt: skip
SMALL = {"blocks": 256, "replicates": 8, "trainings": 3}
N = 240


def study(folder: Path, monkeypatch: pytest.MonkeyPatch, data: dict[str, pd.DataFrame],
          seed: int = 1, **settings: Any) -> tuple[Source, dict[str, pd.DataFrame]]:  # fmt: skip
    """Run the analysis as the workflow does, on tables that are written as CSV."""
    monkeypatch.chdir(folder)
    given, shards = {}, {}
    for name, frame in data.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
        completed = SETTINGS | settings | {"source": f"{name}.csv"}
        table = open_table(name, completed, folder)
        train_table(table, completed, seed, folder / f"{name}-trained")
        given[name] = GivenTable(settings=completed, trained=folder / f"{name}-trained")
        shards[name] = folder / f"{name}-shard"
        shards[name].mkdir()
    for name, path in shards.items():
        ENTRY.shard(Source(studies=[], settings=SMALL, seed=seed, tables=given), name, path)
    source = Source(studies=[], settings=SMALL, seed=seed, tables=given, shards=shards, level=0.95)
    tables = ENTRY.compute(source)
    return source, {table.name: checked(table, tables[table.name]) for table in ENTRY.tables}


def page(source: Source, tables: dict[str, pd.DataFrame]) -> Words:
    """Draw all pictures, and return the words."""
    for picture in ENTRY.pictures:
        assert isinstance(ENTRY.draw(picture, source, tables), Figure)
    words = ENTRY.words(source, tables)
    for sentence in (words.headline, words.answer, *words.more, words.control, words.note):
        assert "nan" not in sentence and "None" not in sentence and "inf " not in sentence
    return words


def rows_of(table: pd.DataFrame, **values: str) -> list[dict[str, Any]]:
    """Rows that have these values."""
    return [
        {str(name): value for name, value in row.items()}
        for row in table.to_dict("records")
        if all(row[name] == value for name, value in values.items())
    ]


def only(table: pd.DataFrame, **values: str) -> dict[str, Any]:
    """The one row that has these values."""
    (row,) = rows_of(table, **values)
    return row


def linear(rows: int = N, seed: int = 0) -> pd.DataFrame:
    """A target that is 2 a + b, with a copy of a, and a feature of no use."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3))
    return pd.DataFrame(
        {
            "a": x[:, 0],
            "b": x[:, 1],
            "copy": x[:, 0] + 0.05 * rng.normal(size=rows),
            "noise": x[:, 2],
            "y": 2 * x[:, 0] + x[:, 1] + 0.2 * rng.normal(size=rows),
        }
    )


def test_a_linear_target_is_found_with_its_shares_and_noise_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, tables = study(tmp_path, monkeypatch, {"line": linear(800)},
                           network=SETTINGS["network"] | {"hidden": []})  # fmt: skip
    indices = tables["indices"]

    def share(player: str, players: str = "joined", index: str = "shapley") -> float:
        return float(only(indices, player=player, players=players, index=index)["value"])

    assert share("a + copy") == pytest.approx(0.8, abs=0.04)
    assert share("b") == pytest.approx(0.2, abs=0.04)
    assert share("noise") < 0.005
    # Drawn alone, the copies split the variance, and half of it is gone.
    assert share("a + copy", "alone", "shapley_sum") < share("a + copy")
    copy = only(tables["trainings"], control="yes", index="ST")
    assert 0 <= copy["value"] < 0.01 and copy["player"] == SHUFFLED
    assert copy["beyond"] == copy["beyond_low"] == copy["beyond_high"] == 0
    assert abs(only(tables["trainings"], player="noise", index="shapley")["beyond"]) < 0.01
    outside = tables["outside"]
    assert only(outside, players="alone", distance="mahalanobis")["share"] > 0.8
    assert only(outside, players="joined", distance="mahalanobis")["share"] < 0.1
    words = page(source, tables)
    assert words.answer.startswith("line: the predicted y depends most on a + copy, 2 features as")
    assert words.headline.startswith(
        "line: the predicted y depends most on a + copy, 2 features as"
    )
    assert "2 of 3 players have more, each" in words.control


def test_of_a_target_that_is_noise_the_network_is_no_better_than_a_constant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = linear()
    data["y"] = np.random.default_rng(5).integers(2, size=N)
    source, tables = study(tmp_path, monkeypatch, {"noise": data})
    assert only(tables["scores"], predictor="difference", metric="accuracy")["low"] < 0
    area = only(tables["scores"], predictor="network", metric="auc")
    assert area["low"] < 0.5 < area["high"]
    assert "from which it cannot be told" in page(source, tables).answer


def test_several_classes_and_categories_have_an_output_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = linear()
    data["kind"] = np.array(["red", "green", "blue"])[np.arange(N) % 3]
    data["y"] = np.where(data["kind"] == "red", "u", np.where(data["a"] > 0, "v", "w"))
    source, tables = study(tmp_path, monkeypatch, {"three": data}, margins="uniform")
    assert set(tables["indices"]["output"]) == {"u", "v", "w"}
    of_u = rows_of(tables["indices"], output="u", index="shapley", players="joined")
    assert max(of_u, key=lambda row: float(row["value"]))["player"] == "kind"
    page(source, tables)


@pytest.mark.parametrize(
    "case", ["one feature", "all go together", "one row decides", "two tables"]
)
def test_tables_that_leave_little_to_say_are_said_so(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = linear(60)
    frames = {"t": data}
    settings: dict[str, Any] = {}
    if case == "one feature":
        frames = {"t": data[["a", "y"]]}
    elif case == "all go together":
        frames = {"t": data.assign(b=data["a"] + 1, noise=-data["a"])}
    elif case == "one row decides":
        settings = {"network": SETTINGS["network"] | {"epochs": 1}}
        frames = {"t": data.assign(b=0.0 + (np.arange(60) == 3))}
    else:
        frames |= {
            "u": data.rename(
                columns={
                    "a": "a very long name, with a comma, and (brackets)",
                    "copy": "another name that is even longer: a colon",
                }
            )
        }
    page(*study(tmp_path, monkeypatch, frames, **settings))


def test_a_prediction_that_never_changes_depends_on_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from variscope.inputs.tables import network

    def dead(*arguments: Any) -> Any:
        fitted = fit(*arguments)
        with torch.no_grad():
            for parameter in fitted.network.parameters():
                parameter.zero_()
        return fitted

    fit = network.fit
    monkeypatch.setattr("variscope.inputs.tables.network.fit", dead)
    monkeypatch.setattr("variscope.analyses.tabular.shard.fit", dead)
    words = page(*study(tmp_path, monkeypatch, {"t": linear(60)}))
    assert "never changes, so that it depends on nothing" in words.answer
    assert "no other training gives a prediction that varies" in words.control


def test_the_same_seed_gives_the_same_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    for number, seed in enumerate((1, 1, 2)):
        folder = tmp_path / str(number)
        folder.mkdir()
        runs.append(study(folder, monkeypatch, {"t": linear(60)}, seed=seed)[1])
    for name, table in runs[0].items():
        pd.testing.assert_frame_equal(table, runs[1][name])
    assert not runs[0]["indices"].equals(runs[2]["indices"])


def test_a_shuffled_copy_has_the_values_of_its_feature_and_goes_with_nothing() -> None:
    rng = np.random.default_rng(0)
    kinds = np.eye(2)[rng.integers(2, size=2000)]
    values = np.column_stack([rng.normal(size=2000), kinds])
    features = (
        Feature(name="a", columns=(0,)),
        Feature(name="k", columns=(1, 2), levels=("u", "v")),
    )
    table = Table(name="t", features=features, values=values, target=values[:, 0], target_name="y")
    made = with_shuffled(table, features[1], rng)
    assert made.features[2] == Feature(name=SHUFFLED, columns=(3, 4), levels=("u", "v"))
    assert (made.values[:, :3] == values).all()
    assert (made.values[:, 3:].sum(axis=0) == kinds.sum(axis=0)).all()
    assert (made.values[:, 3:].sum(axis=1) == 1).all()
    assert abs(np.corrcoef(made.values[:, 3], kinds[:, 0])[0, 1]) < 0.08


def test_intervals_over_trainings_are_students() -> None:
    values = np.array([[0.1, np.nan], [0.2, 0.5], [0.3, np.nan]])
    found = over_trainings(values, 0.95)
    np.testing.assert_allclose(found[:, 0], [0.2, 0.2 - 4.302653 * 0.1 / 3**0.5,
                                             0.2 + 4.302653 * 0.1 / 3**0.5], rtol=1e-6)  # fmt: skip
    assert found[0, 1] == 0.5 and np.isnan(found[1:, 1]).all()
