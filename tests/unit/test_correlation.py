"""Correlations of maps: what is built is found, and what is arithmetic or noise is not."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import synthetic
import xarray as xr
from matplotlib.figure import Figure
from scipy import stats
from variscope.analyses import built_in
from variscope.analyses.correlation import compute as computing
from variscope.analyses.correlation.estimates import correlate, null_correlations
from variscope.analyses.correlation.layers import LayerMaps, Series, layer_maps
from variscope.analyses.source import Result, Source, Study
from variscope.analyses.tables import checked
from variscope.estimators.closure import permuted_and_closed, random_orders
from variscope.stores.results import write_dataset

ENTRY = built_in()["correlation"]
SETTINGS = {"method": "spearman", "resamples": 60, "permutations": 39}
NAN = np.nan


def shares_of(contributions: np.ndarray) -> np.ndarray:
    return contributions / contributions.sum(axis=-4 if contributions.ndim == 5 else 0)


def layer(
    shares: np.ndarray, halves: np.ndarray, *, name: str = "conv", variables: str = "abcdefgh"
) -> xr.Dataset:
    """A layer of maps of given Shapley effects ``(variable, channel, y, x)`` and their halves."""
    unit = ("channel", "y", "x")
    data = xr.Dataset(
        {
            "shapley": (("variable", *unit), shares),
            "shapley_halves": (("half", "variable", *unit), halves),
            "shapley_layer": ("variable", shares.mean(axis=(1, 2, 3))),
            "variance": (unit, np.full(shares.shape[1:], 2.0)),
            "mean": (unit, np.ones(shares.shape[1:])),
            "status": (unit, np.zeros(shares.shape[1:], np.int8)),
        },
        {"variable": list(variables[: len(shares)]), "half": ["A", "B"]},
    )
    return data.assign_attrs(layer=name, model="net", variable_set="set", confidence_level=0.95)


def study(data: xr.Dataset, **names: str) -> Study:
    return Study.of(synthetic.study({str(data.attrs["layer"]): data}), **names)


def tables(studies: list[Study], **settings: Any) -> dict[str, pd.DataFrame]:
    found = computing.compute(Source(studies=studies, settings={**SETTINGS, **settings}))
    return {name: checked(ENTRY.table(name), table) for name, table in found.items()}


def row(pairs: pd.DataFrame, **where: str) -> Mapping[Hashable, Any]:
    held = pairs
    for key, value in where.items():
        held = held[held[key] == value]
    (found,) = held.to_dict("records")
    return found


def independent(rng: np.random.Generator, channels: int = 40, variables: int = 4) -> np.ndarray:
    """Contributions that have nothing to do with each other, alike at all pixels."""
    own = rng.gamma(2.0, size=(variables, channels, 1, 1))
    return own * rng.gamma(30.0, size=(variables, channels, 3, 3)) / 30


def test_shares_that_sum_to_one_are_not_taken_for_rivals() -> None:
    rng = np.random.default_rng(0)
    raw, cross, called = [], [], []
    for _ in range(20):
        shares = shares_of(independent(rng))
        pairs = tables([study(layer(shares, np.stack([shares, shares])))])["pairs"]
        between = pairs[pairs["kind_second"] == "shapley"]
        raw.append(between["raw"].mean())
        cross.append((between["null_low"] + between["null_high"]).mean() / 2)
        called.append((between["p_adjusted"] <= 0.05).any())
    # By arithmetic, which a test against 0 would call a finding: 40 channels have an error of 0.16.
    assert np.mean(raw) == pytest.approx(-1 / 3, abs=0.04)
    assert np.mean(cross) == pytest.approx(-1 / 3, abs=0.06)
    assert np.mean(called) <= 0.2


def test_loud_channels_are_no_correlation() -> None:
    """Permuting what the outputs contribute as they are calls independent shares correlated."""
    rng = np.random.default_rng(1)
    size = np.array([0.3, 0.6, 0.9, 1.5, 6.0, 18.0])[:, None, None]
    far = {"shares": 0, "as they are": 0}
    for _ in range(60):
        loudness = np.exp(1.5 * rng.normal(size=(1, 1, 48)))
        contributions = rng.gamma(np.broadcast_to(size, (6, 1, 48)))
        shares = contributions / contributions.sum(axis=0)
        for name, parts in (("shares", shares), ("as they are", loudness * contributions)):
            null = []
            for _ in range(39):
                orders = random_orders(7, 48, rng)
                if name == "shares":
                    moved = permuted_and_closed(parts, orders)
                else:
                    moved = np.take_along_axis(parts, orders[:6, None], axis=-1)
                    moved /= moved.sum(axis=0)
                null.append(stats.spearmanr(moved[3, 0], moved[4, 0]).statistic)
            observed = stats.spearmanr(shares[3, 0], shares[4, 0]).statistic
            far[name] += int(not min(null) <= observed <= max(null))
    assert far["shares"] <= 8  # 60 x 2 / 40 are expected
    assert far["as they are"] > far["shares"]


def test_a_built_correlation_is_found_and_shared_noise_is_not() -> None:
    rng = np.random.default_rng(2)
    contributions = independent(rng, 48, 6)
    contributions[1] = contributions[0] * rng.gamma(50.0, size=(1, 48, 1, 1))[0] / 50
    contributions[2:4] *= 0.05  # too small for their errors to show in the other shares
    shares = shares_of(contributions)
    halves = np.log(shares) + 0.2 * rng.normal(size=(2, *shares.shape))
    # The errors of c and d go together in each half.
    halves[:, 3] = np.log(shares[3]) + 3 * (together := rng.normal(size=(2, *shares.shape[1:])))
    halves[:, 2] = np.log(shares[2]) + 3 * together
    halves = np.exp(halves)
    halves /= halves.sum(axis=1, keepdims=True)
    pairs = tables([study(layer(halves.mean(axis=0), halves))])["pairs"]
    built = row(pairs, first="a", second="b")
    noise = row(pairs, first="c", second="d")
    assert built["low"] > 0.5
    assert built["p_adjusted"] <= 0.05
    assert built["cross"] > built["null_high"]
    assert noise["raw"] > 0.2  # the naive answer
    assert noise["cross"] < 0.1
    assert noise["p_adjusted"] > 0.05


def test_a_map_that_follows_the_coefficient_of_variation() -> None:
    rng = np.random.default_rng(3)
    shares = shares_of(independent(rng))
    data = layer(shares, np.stack([shares, shares]))
    data["variance"] = data["shapley"].sel(variable="a", drop=True) ** 2
    pairs = tables([study(data)])["pairs"]
    assert row(pairs, first="a", kind_second="cv")["corrected"] == pytest.approx(1)
    assert np.isnan(row(pairs, first="a", kind_second="cv")["reliability_second"])
    assert abs(row(pairs, first="b", kind_second="cv")["corrected"]) < 0.6


def test_what_the_twin_shares_does_not_differ() -> None:
    rng = np.random.default_rng(4)
    contributions = independent(rng, 48, 5)
    contributions[1] = contributions[0]
    shares = shares_of(contributions)
    other = shares_of(independent(rng, 48, 5))
    trained = study(layer(shares, np.stack([shares, shares])))
    for twin, differs in ((shares, False), (other, True)):
        data = layer(twin, np.stack([twin, twin]))
        both = replace(trained, twin=study(data))
        vars(both)["tree"] = trained.tree
        found = row(tables([both])["pairs"], first="a", second="b")
        assert (found["difference_low"] > 0) is differs
        assert np.isfinite(found["twin"])


def test_two_sets_are_compared_and_named() -> None:
    rng = np.random.default_rng(5)
    shares = shares_of(independent(rng))
    one = study(layer(shares, np.stack([shares, shares])), variable_set="one")
    other = shares_of(independent(rng))
    other[0] = shares[0]
    two = study(layer(other, np.stack([other, other])), variable_set="two")
    pairs = tables([one, two])["pairs"]
    assert row(pairs, first="a", second="a", set="one", set_second="two")["corrected"] == 1
    # Between sets nothing is closed: no correlation by arithmetic.
    between = row(pairs, first="b", second="c", set="one", set_second="two")
    assert between["null_low"] < -0.1 < 0.1 < between["null_high"]
    assert len(pairs) == 8 * 7 / 2  # the coefficient of variation is the same everywhere


def test_a_mean_over_pixels_does_not_depend_on_how_many_are_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = synthetic.dataset("conv1", size=(9, 5, 4))
    made = [Study.of(synthetic.study({"conv1": data}))]
    maps = layer_maps(made, "conv1")
    whole = correlate(maps, "spearman")
    monkeypatch.setattr("variscope.analyses.correlation.estimates._AT_ONCE", 1)
    parts = correlate(maps, "spearman")
    for one, other in zip(whole[:3], parts[:3], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    np.testing.assert_allclose(whole.halves.cross, parts.halves.cross, atol=1e-12)


def test_the_null_leaves_marginals_of_total_indices_alone() -> None:
    values = np.random.default_rng(6).random((2, 3, 12))
    maps = LayerMaps((Series("ST", "s", "a"), Series("ST", "s", "b")), values, values, values, None)
    observed, null = null_correlations(maps, "spearman", 200, np.random.default_rng(7))
    np.testing.assert_allclose(np.diagonal(observed), 1)
    np.testing.assert_allclose(null[:, 0, 0], 1)  # each map with itself: one order for both halves
    assert abs(null[:, 0, 1].mean()) < 0.05


def degenerate() -> dict[str, xr.DataTree]:
    few = synthetic.dataset("pool", size=(3, 2, 2), constant=False)
    one = synthetic.dataset("conv", size=(9, 3, 3), variables=("hue",), constant=False)
    same = synthetic.dataset("conv", size=(9, 3, 3), constant=False)
    for name in ("shapley", "shapley_halves", "S1", "S1_halves", "ST", "ST_halves"):
        same[name] = same[name] * 0
    dead = synthetic.dataset("fc", dims="vector", size=(9,), constant=False)
    for name in ("shapley", "shapley_halves", "S1", "S1_halves", "ST", "ST_halves"):
        dead[name] = dead[name] * NAN
    scores = synthetic.dataset("scores", dims="vector", size=(2,), constant=False)
    tokens = synthetic.dataset("patches", dims="other", size=(7, 8), constant=False)
    names = {"unit_0": "token", "unit_1": "feature"}
    tokens = tokens.rename_dims(names).assign_attrs(patch_grid=[2, 3])
    return {
        "few channels": synthetic.study({"pool": few}),
        "one variable": synthetic.study({"conv": one}),
        "constant maps": synthetic.study({"conv": same}),
        "nothing defined": synthetic.study({"fc": dead}),
        "two classes": synthetic.study({"scores": scores}),
        "tokens": synthetic.study({"patches": tokens}),
        "no Shapley effects": synthetic.tree(star=True),
    }


@pytest.mark.parametrize("case", list(degenerate()))
def test_degenerate_layers_are_left_out_by_name(case: str) -> None:
    tree = degenerate()[case]
    made = Source(studies=[Study.of(tree)], settings=SETTINGS, sets=("spatial",))
    found = {n: checked(ENTRY.table(n), t) for n, t in computing.compute(made).items()}
    said = ENTRY.words(made, found)
    texts = [said.answer, *said.more, said.control]
    assert not any("nan" in text.lower().split() for text in texts)
    for picture in ENTRY.pictures:
        first = ("spatial",) if picture.of == "set" else ()
        drawn = ENTRY.draw(picture, *first, made, found)
        assert isinstance(drawn, Figure) or (picture.of == "set" and drawn is None)
    layers, pairs = found["layers"], found["pairs"]
    if case in ("few channels", "nothing defined", "two classes"):
        assert layers["note"].str.startswith("left out: ").all()
        assert any("left out: " in text for text in said.more)
    elif case == "constant maps":
        assert pairs.empty
    else:
        assert len(pairs)
    if case == "tokens":
        assert (layers["inference"] == "features").all()
        assert (layers["pixels"] == 6).all()


@pytest.mark.parametrize("parts", [["train", "valid"], ["valid"]])
def test_rank_biserial_correlations_are_a_kind_of_their_own(
    parts: list[str], tmp_path: Path
) -> None:
    rng = np.random.default_rng(8)
    shares = shares_of(independent(rng))
    data = layer(shares, np.stack([shares, shares]))
    sign = rng.choice([-1.0, 1.0], size=(1, *shares.shape[1:]))
    moved = np.stack([sign[0] * shares[0], rng.random(shares.shape[1:])])  # as a, and as nothing
    moved[:, 0, 0, 0] = NAN  # no image moved it
    dims = ("part", "variable", "channel", "y", "x")
    contrast = xr.Dataset(
        {"rank_biserial": (dims, np.stack([moved] * len(parts)))},
        {"part": np.array(parts, object), "variable": np.array(["a_set", "b"], object)},
    )
    write_dataset(tmp_path / "conv.zarr", contrast)
    result = Result(analysis=ENTRY, layer_datasets={"conv": tmp_path / "conv.zarr"})
    made = Source(studies=[study(data)], settings=SETTINGS, results={"contrast": result})
    pairs = computing.compute(made)["pairs"]
    same = row(pairs, kind="shapley", first="a", kind_second="rank_biserial")
    other = row(pairs, kind="shapley", first="b", kind_second="rank_biserial")
    assert same["corrected"] > 0.9 > 0.5 > other["corrected"]
    assert same["p_adjusted"] < 0.05 < other["p_adjusted"]
    assert np.isfinite(same["reliability_second"]) == (len(parts) == 2)
    assert "c" not in pairs.loc[pairs["kind_second"] == "rank_biserial", "first"].tolist()
    # What is known of shares alone stays as it is.
    alone = tables([study(data)])["pairs"]
    kept, others = (t[t["kind_second"] == "shapley"] for t in (pairs, alone))
    for column in ("raw", "corrected"):
        np.testing.assert_array_equal(kept[column], others[column])
