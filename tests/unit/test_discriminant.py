"""Variables told from their maps: a built world is told, exchanged labels and amplitude are not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import synthetic
import xarray as xr
from matplotlib.figure import Figure
from scipy import stats
from sklearn.covariance import ledoit_wolf
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from variscope.analyses import built_in
from variscope.analyses.discriminant import compute as computing
from variscope.analyses.discriminant.samples import samples_of
from variscope.analyses.source import Source, Study
from variscope.analyses.tables import checked
from variscope.estimators.discriminant import (
    exchanged_labels,
    folds_of,
    predicted,
    principal_components,
    shrunk_covariance,
)

ENTRY = built_in()["discriminant"]
SETTINGS = {
    "kinds": ["main"],
    "components": 10,
    "permutations": 99,
    "most_channels": 256,
    "most_pixels": 1024,
}
NAMES = ["hue", "rolling", "erasing", "image"]


def layer(maps: np.ndarray, name: str = "conv") -> xr.Dataset:
    """A layer whose Shapley effects are these maps ``(variable, channel, y, x)``."""
    unit = ("channel", "y", "x")
    data = xr.Dataset(
        {
            "shapley": (("variable", *unit), maps),
            "shapley_layer": ("variable", maps.mean(axis=(1, 2, 3))),
            "variance": (unit, np.ones(maps.shape[1:])),
        },
        {"variable": NAMES[: len(maps)]},
    )
    return data.assign_attrs(layer=name, model="net", variable_set="set", confidence_level=0.95)


def tables(tree: xr.DataTree, twin: xr.DataTree | None = None) -> dict[str, pd.DataFrame]:
    study = Study.of(tree)
    if twin is not None:
        study = replace(study, twin=Study.of(twin))
        vars(study)["tree"] = tree
    found = computing.compute(Source(studies=[study], settings=SETTINGS))
    return {name: checked(ENTRY.table(name), table) for name, table in found.items()}


def by_features(accuracy: pd.DataFrame) -> dict[str, Any]:
    return {str(row["features"]): row for row in accuracy.to_dict("records")}


def accuracies(maps: np.ndarray) -> dict[str, Any]:
    return by_features(tables(synthetic.study({"conv": layer(maps)}))["accuracy"])


def patterns(rng: np.random.Generator, channels: int = 30) -> np.ndarray:
    """Each variable acts in a place of its own, with a strength of each channel."""
    where = rng.gamma(0.3, size=(4, 1, 6, 6))
    return where * rng.gamma(3.0, size=(4, channels, 1, 1)) + 0.05 * rng.random((4, channels, 6, 6))


def test_a_built_world_is_told_and_exchanged_labels_are_not() -> None:
    found = accuracies(patterns(np.random.default_rng(0)))
    assert found["shape"]["accuracy"] == 1
    assert found["raw"]["accuracy"] > 0.9
    assert all(row["permuted"] == pytest.approx(0.25, abs=0.02) for row in found.values())
    assert found["shape"]["p"] == 1 / 100
    assert 0.85 < found["shape"]["low"] < 1  # 30 channels do not make sure
    assert found["shape"]["high"] == 1


def test_where_only_amplitude_differs_shapes_are_at_chance() -> None:
    rng = np.random.default_rng(1)
    same = rng.gamma(2.0, size=(1, 30, 6, 6))
    same /= np.sqrt((same**2).sum(axis=(2, 3), keepdims=True))
    found = accuracies(same * np.array([1.0, 2.0, 4.0, 8.0])[:, None, None, None])
    assert found["raw"]["accuracy"] == 1  # the naive way: specialised, so it seems
    assert found["mean"]["accuracy"] > 0.8
    assert found["shape"]["accuracy"] == pytest.approx(0.25)
    assert found["shape"]["p"] > 0.05


def test_maps_that_go_by_channel_alone_are_told_as_often_as_the_level_says() -> None:
    rng = np.random.default_rng(2)
    p = [row["p"] for _ in range(12) for row in accuracies(rng.random((4, 12, 3, 3))).values()]
    assert np.mean(np.array(p) <= 0.05) <= 0.15
    assert 0.3 < np.mean(p) < 0.7


def test_the_classifier_is_scikit_learns() -> None:
    rng = np.random.default_rng(3)
    samples = rng.normal(size=(20, 4, 30)) @ rng.normal(size=(30, 30)) + rng.normal(size=(4, 30))
    labels = np.concatenate(
        [np.arange(4) + np.zeros((1, 20, 1), int), exchanged_labels(20, 4, 2, rng)]
    )
    fold = folds_of(20, 5, rng)
    assert np.bincount(fold).tolist() == [4] * 5
    found = predicted(samples, labels, fold, 8)
    for draw, order in enumerate(labels):
        for number in range(5):
            train, held = samples[fold != number].reshape(-1, 30), samples[fold == number]
            components = PCA(8, svd_solver="full").fit(train)
            classifier = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
            classifier.fit(components.transform(train), order[fold != number].ravel())
            expected = classifier.predict(components.transform(held.reshape(-1, 30)))
            assert found[draw, fold == number].ravel().tolist() == expected.tolist()


def test_shrunk_covariances_are_ledoit_and_wolfs() -> None:
    samples = np.random.default_rng(4).normal(size=(2, 12, 7)) * np.arange(1, 8)
    for one in samples:
        scale = one.std(axis=0)
        expected = ledoit_wolf((one - one.mean(axis=0)) / scale)[0] * np.outer(scale, scale)
        np.testing.assert_allclose(shrunk_covariance(one), expected)
    np.testing.assert_allclose(shrunk_covariance(samples)[1], shrunk_covariance(samples[1]))
    assert shrunk_covariance(np.ones((5, 3))).tolist() == np.zeros((3, 3)).tolist()


@pytest.mark.parametrize("shape", [(40, 9), (9, 40)])
def test_principal_components_are_those_of_a_decomposition(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    train, other = rng.normal(size=shape), rng.normal(size=(3, shape[1]))
    expected = PCA(4, svd_solver="full").fit(train)
    for found, given in zip(principal_components(train, other, 4), (train, other), strict=True):
        np.testing.assert_allclose(abs(found), abs(expected.transform(given)), atol=1e-9)
    assert principal_components(np.ones(shape), other, 4)[1].shape == (3, 0)


def test_the_projection_is_scikit_learns() -> None:
    maps = patterns(np.random.default_rng(6))
    found = tables(synthetic.study({"conv": layer(maps)}))["projection"]
    places = found[found["features"] == "raw"].pivot(index="channel", columns="variable")
    flat = maps.transpose(1, 0, 2, 3).reshape(-1, 36)
    scores = principal_components(flat, flat[:0], 10)[0]
    oracle = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto", n_components=2)
    expected = oracle.fit(scores, np.tile(np.arange(4), 30)).transform(scores)
    for k, axis in enumerate(("first", "second")):
        ours = places[axis][NAMES].to_numpy().ravel()
        assert abs(np.corrcoef(ours, expected[:, k])[0, 1]) == pytest.approx(1)


def test_the_twin_is_told_apart_only_where_it_differs() -> None:
    rng = np.random.default_rng(7)
    trained = synthetic.study({"conv": layer(patterns(rng))})
    alike = synthetic.study({"conv": layer(patterns(rng))})
    noise = synthetic.study({"conv": layer(rng.gamma(2.0, size=(4, 30, 6, 6)))})
    for twin, differs in ((alike, False), (noise, True)):
        rows = by_features(tables(trained, twin)["accuracy"])
        assert (rows["shape"]["difference_low"] > 0) == differs
        assert all(np.isfinite(row["twin"]) for row in rows.values())


def test_two_means_are_held_against_welchs_interval() -> None:
    rng = np.random.default_rng(8)
    first, second = rng.random(12), 0.3 + rng.random(30) * 0.2
    expected = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.9)
    assert computing.difference_of_means(first, second, 0.9) == pytest.approx(tuple(expected))


def test_more_channels_and_pixels_than_asked_for_are_not_held() -> None:
    data = layer(np.random.default_rng(9).random((3, 40, 8, 8)))
    settings = {**SETTINGS, "most_channels": 10, "most_pixels": 20}
    found = samples_of(data, "shapley", settings, 1, "conv")
    assert found.maps.shape == (10, 3, 20)
    np.testing.assert_array_equal(
        found.channels, samples_of(data, "shapley", settings, 1, "conv").channels
    )
    assert samples_of(data, "shapley", settings, 2, "conv").channels.tolist() != list(
        found.channels
    )


def test_what_has_no_map_is_left_out_by_name() -> None:
    maps = np.random.default_rng(10).random((4, 12, 4, 4))
    maps[2] = 0
    maps[:, 3] = np.nan  # a channel that never changes
    maps[:, 5, 0, 0] = np.nan
    found = samples_of(layer(maps), "shapley", SETTINGS, 1, "conv")
    assert found.variables == ("hue", "rolling", "image")
    assert found.note == "without erasing, whose maps are 0 everywhere or were not varied"
    assert found.channels.tolist() == [0, 1, 2, *range(4, 12)]
    kept = found.maps[list(found.channels).index(5)]
    np.testing.assert_allclose(kept[:, 0], kept[:, 1:].mean(axis=-1))


def degenerate() -> dict[str, xr.DataTree]:
    rng = np.random.default_rng(11)
    vector = synthetic.dataset("fc", dims="vector", size=(9,), constant=False)
    tokens = synthetic.dataset("patches", dims="other", size=(7, 8), constant=False)
    tokens = tokens.rename_dims({"unit_0": "token", "unit_1": "feature"})
    return {
        "vectors only": synthetic.study({"fc": vector}),
        "one variable": synthetic.study({"conv": layer(rng.random((1, 9, 3, 3)))}),
        "one channel": synthetic.study({"conv": layer(rng.random((3, 1, 3, 3)))}),
        "nothing acts": synthetic.study({"conv": layer(np.zeros((3, 9, 3, 3)))}),
        "constant maps": synthetic.study({"conv": layer(np.full((3, 9, 3, 3), 0.25))}),
        "two variables": synthetic.study({"conv": layer(rng.random((2, 9, 3, 3)))}),
        "tokens": synthetic.study({"patches": tokens.assign_attrs(patch_grid=[2, 3])}),
        "no Shapley effects": synthetic.tree(star=True),
    }


@pytest.mark.parametrize("case", list(degenerate()))
def test_degenerate_layers(case: str) -> None:
    tree = degenerate()[case]
    found = tables(tree)
    made = Source(studies=[Study.of(tree)], settings=SETTINGS)
    said = ENTRY.words(made, found)
    assert not any(
        "nan" in text.lower().split() for text in (said.answer, *said.more, said.control)
    )
    for picture in ENTRY.pictures:
        assert isinstance(ENTRY.draw(picture, made, found), Figure)
    told = found["accuracy"][found["accuracy"]["features"] != ""]
    if case in ("vectors only", "one variable", "one channel", "nothing acts"):
        assert told.empty
        assert any("left out: " in text for text in said.more)
    else:
        assert np.isfinite(told["accuracy"]).all()
    if case == "constant maps":
        np.testing.assert_allclose(told["accuracy"], 1 / 3)
