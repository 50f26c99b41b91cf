"""Differences of aggregates: their paired intervals hold, and what is not paired is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import closed_forms
import numpy as np
import pytest
import variscope
import xarray as xr
from closed_forms import Array
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from scipy import stats
from variscope.analyses.aggregates.compute import summary_table
from variscope.designs import Design
from variscope.errors import UserError
from variscope.estimators import (
    Estimate,
    Layout,
    Moments,
    deviations,
    group_indices,
    paired_difference,
    ratio,
    unit_indices,
)
from variscope.indices.layer import layer_dataset
from variscope.stores.results import study_tree, write_dataset

LEVEL, REPLICATES, BLOCKS = 0.95, 16, 512
LEVELS = np.array([-1, -1 / 3, 1 / 3, 1])
NAMES = ("a", "b", "c", "d")


def additive(x: Array) -> Array:
    return x @ np.array([1, 0.8, 0.5, 0.2])


def nearly_additive(x: Array) -> Array:
    return additive(x) + 0.4 * x[:, 0] * x[:, 1]


def exponential(x: Array) -> Array:
    return np.exp(2 * x.sum(1))


def rarely_active(x: Array) -> Array:
    return np.maximum(x @ np.array([1, 1, 0.9, 0.9]) - 2.5, 0)


UNITS = (additive, nearly_additive, exponential, rarely_active)


def exact() -> dict[str, Array]:
    """Exact indices of all units, ``(variable, unit)``, by enumeration."""
    grid = np.stack(np.meshgrid(*[LEVELS] * 4, indexing="ij"), -1).reshape(-1, 4)
    outputs = np.stack([unit(grid) for unit in UNITS], 1).reshape(4, 4, 4, 4, len(UNITS))
    return closed_forms.enumerate_exact(outputs, [[0.25] * 4] * 4)


def sums(
    seed: int,
    units: tuple[Callable[[Array], Array], ...] = UNITS,
    blocks: int = BLOCKS,
    design: str = "cycle",
    replicates: int = REPLICATES,
) -> Moments:
    """Sum functions of four variables of four levels on the rows of one design."""
    table = Design(design, closed_forms.scalars(4), blocks, replicates, seed)
    moments = Moments.zeros(Layout(design, 4), range(replicates), (len(units),))
    for number in range(replicates):
        rows = table.replicate(number)
        x = LEVELS[(rows.points.reshape(-1, 4) * 4).astype(int)]
        outputs = np.stack([unit(x) for unit in units], 1)
        moments.update(number, outputs.reshape(-1, table.rows, len(units)), rows.order)
    return moments


def layer(moments: Moments, **attributes: object) -> xr.Dataset:
    """A layer of neurons as the stores hold it."""
    about = {"layer": "fc", "layer_number": 0, "seed": 1, "images": "x"} | attributes
    groups = {"both": ["a", "b"], "others": ["c", "d"]}
    return layer_dataset([moments], NAMES, ("neuron",), LEVEL, about, groups)


def covered(found: Estimate, truth: Array) -> NDArray[np.bool]:
    return (found.low <= truth) & (truth <= found.high)


@pytest.mark.parametrize("index", ["S1", "ST", "shapley"])
def test_paired_intervals_hold_their_level_where_two_overlapping_intervals_say_nothing(index: str):
    truth, seeds = exact()[index], 100
    (i, j), (k, m) = np.array(list(combinations(range(4), 2))).T, np.array([(0, 1), (0, 3)]).T
    inside: list[list[NDArray[np.bool]]] = [[], []]
    told, overlapping = 0, 0
    for seed in range(seeds):
        moments = sums(seed)
        one = unit_indices(moments, LEVEL).estimates[index]
        each = deviations(moments.numerator(index), moments.variance, moments.blocks)
        of_variables = paired_difference(
            Estimate(*(bound[i] for bound in one)),
            Estimate(*(bound[j] for bound in one)),
            each[:, i],
            each[:, j],
            LEVEL,
        )
        of_units = paired_difference(
            Estimate(*(bound[:, k] for bound in one)),
            Estimate(*(bound[:, m] for bound in one)),
            each[:, :, k],
            each[:, :, m],
            LEVEL,
        )
        inside[0].append(covered(of_variables, truth[i] - truth[j]))
        inside[1].append(covered(of_units, truth[:, k] - truth[:, m]))
        # Never wider than the two intervals side by side.
        widest = one.high[i] - one.low[j] - (one.low[i] - one.high[j])
        assert (of_variables.high - of_variables.low <= widest + 1e-12).all()
        # The additive unit and the nearly additive one: c's shares differ, though not by much.
        assert truth[2, 0] > truth[2, 1]
        told += of_units.low[2, 0] > 0
        overlapping += one.low[2, 0] <= one.high[2, 1]
    for of in inside:
        coverage = np.mean(of, axis=0)
        assert coverage.mean() >= 0.93 and coverage.min() >= 0.88
    assert overlapping >= 0.95 * seeds and told >= 0.8 * seeds


def test_with_symmetric_intervals_the_paired_interval_is_that_of_the_paired_t_test():
    rng = np.random.default_rng(0)
    first = rng.normal(size=16)
    second = 0.6 * first + 0.3 * rng.normal(size=16) + 0.1
    bounds = []
    for sample in (first, second):
        half = stats.t.ppf(0.975, 15) * sample.std(ddof=1) / 4
        bounds.append(
            Estimate(*map(np.array, (sample.mean(), *(sample.mean() + half * s for s in (-1, 1)))))
        )
    # Deviations of a mean: each replicate's share of its error.
    found = paired_difference(
        bounds[0], bounds[1], (first - first.mean()) / 16, (second - second.mean()) / 16, LEVEL
    )
    theirs = stats.ttest_rel(first, second).confidence_interval(LEVEL)
    assert_allclose([found.low, found.high], theirs, rtol=1e-12)


def test_deviations_give_the_standard_error_of_the_linearised_ratio():
    moments = sums(0)
    for name, counts in (("ST", None), ("S2", moments.pair_counts)):
        numerator = moments.numerator(name)
        each = deviations(numerator, moments.variance, moments.blocks, counts)
        assert_allclose(each.sum(axis=0), 0, atol=1e-12)
        # The same by the slope of the ratio in each replicate's weight, by finite differences.
        for r in (0, 5):
            weight = np.ones(REPLICATES)
            weight[r] += 1e-6

            def pooled(w: Array, of: NDArray[Any]) -> Array:
                return np.tensordot(w, of.astype(float), 1)

            def value(
                w: Array, numerator: Array = numerator, counts: NDArray[Any] | None = counts
            ) -> Array:
                c = pooled(w, moments.blocks if counts is None else counts)
                share = pooled(w, numerator) / np.reshape(c, (-1, 1))
                return share / (pooled(w, moments.variance) / pooled(w, moments.blocks))

            slope = (value(weight) - value(np.ones(REPLICATES))) / 1e-6
            assert_allclose(each[r], slope, rtol=1e-4, atol=1e-7)


def test_guards_of_the_two_carry_over_and_an_estimate_outside_of_its_bounds_has_no_arm():
    still = np.zeros(16)
    guarded = Estimate(*map(np.array, (0.0, 0.0, 0.3)))
    known = Estimate(*map(np.array, (0.1, 0.1, 0.1)))
    found = paired_difference(guarded, known, still, still, LEVEL)
    assert_allclose(found, (-0.1, -0.1, 0.2), atol=1e-15)
    uneven = Estimate(*map(np.array, (0.2, 0.1, 0.7)))
    assert paired_difference(uneven, uneven, still, still, LEVEL) == (0, 0, 0)
    beyond = Estimate(*map(np.array, (1.2, 0.0, 1.0)))
    found = paired_difference(beyond, known, still, still, LEVEL)
    assert_allclose(found, (1.1, -0.1, 0.9), atol=1e-15)


def test_a_difference_with_itself_is_exactly_0_and_with_what_is_undefined_nan():
    data = layer(sums(0))
    assert variscope.difference(data, "a", data, "a") == (0, 0, 0, LEVEL)
    gone = data.copy(deep=True)
    for name in ("shapley_layer", "numerator_shapley_layer"):
        gone[name].loc[{"variable": "a"}] = np.nan
    found = variscope.difference(gone, "a", data, "b")
    assert all(np.isnan(bound).all() for bound in found[:3])


def test_layers_hold_each_replicates_sums_and_differences_are_of_them():
    moments = sums(0)
    data = layer(moments)
    assert_allclose(data.variance_layer, moments.variance.sum(axis=1))
    assert data.blocks_by_replicate.values.tolist() == [32] * 16
    for index in ("S1", "ST", "shapley", "S2"):
        stored = data[f"numerator_{index}_layer"]
        assert stored.dims == ("replicate", "pair" if index == "S2" else "variable")
        assert stored.attrs["units"] == "output^2" and stored.attrs["long_name"]
        assert_allclose(stored, moments.numerator(index).sum(axis=2))
    counts = data.pair_counts_by_replicate.sum("replicate") / data.blocks_by_replicate.sum()
    pooled = data.numerator_S2_layer.sum("replicate") / counts / data.variance_layer.sum()
    assert_allclose(pooled, data.S2_layer)
    found = variscope.difference(data, "a", data, "c", index="ST")
    values = data.ST_layer.sel(variable="a") - data.ST_layer.sel(variable="c")
    assert found.value == pytest.approx(float(values)) and found.low < found.value < found.high
    pair = variscope.difference(data, "a:b", data, "c:d")
    assert pair.value == pytest.approx(float(data.S2_layer[0] - data.S2_layer[-1]))


def test_units_that_are_not_fine_are_left_out_of_the_sums():
    moments = sums(0, (additive, lambda x: np.zeros(len(x)), lambda x: x[:, 0] * np.nan))
    assert_allclose(layer(moments).variance_layer, moments.variance[:, 0])


def test_channels_are_compared_entry_by_entry_or_one_selected(tmp_path):
    moments = sums(0)
    maps = Moments(
        moments.layout,
        moments.replicates,
        moments.first,
        moments.blocks,
        np.repeat(moments.sums[..., None, None], 2, axis=3),
        moments.pair_counts,
        moments.moved,
    )
    about = {"layer": "conv", "layer_number": 0, "seed": 1, "images": "x"}
    made = layer_dataset([maps], NAMES, ("channel", "y", "x"), LEVEL, about, {"g": ["a", "b"]})
    write_dataset(tmp_path / "conv.zarr", made)
    data = xr.open_zarr(tmp_path / "conv.zarr")
    assert data.numerator_ST_channel.dims == ("replicate", "variable", "channel")
    every = variscope.difference(data, "a", data, "d", index="ST", of="channel")
    assert np.shape(every.low) == (len(UNITS),)
    one, other = data.isel(channel=0), data.isel(channel=2)
    for name in ("a", "g"):
        found = variscope.difference(one, name, other, name, of="channel")
        whole = variscope.difference(one, name, data, name, of="channel")
        assert found.low == pytest.approx(np.asarray(whole.low)[2])
        # A channel of two equal pixels is a layer of one unit.
        of_layers = variscope.difference(
            layer(sums(0, UNITS[:1])), "a", layer(sums(0, UNITS[2:3])), "a"
        )
        if name == "a":
            assert found[:3] == pytest.approx(of_layers[:3], rel=1e-6)
    with pytest.raises(UserError, match="found 4 and 3 entries of channel"):
        short = data.isel(channel=slice(3))
        variscope.difference(data, "a", short, "a", of="channel")


def test_what_is_not_paired_is_refused_by_name():
    data = layer(sums(0))
    others = {
        "seed is 1": layer(sums(0), seed=2),
        "images is x": layer(sums(0), images="y"),
        "design is cycle": layer(sums(0, design="star")),
        "replicates is 16": layer(sums(0, replicates=8)),
        "blocks is 512": layer(sums(0, blocks=256)),
        "confidence_level is 0.95": data.assign_attrs(confidence_level=0.9),
        "not known to be paired: cycle/fc does not say its images": data.assign_attrs(images=None),
        "replicate is ": data.assign_coords(replicate=np.arange(16) + 1),
        "blocks_by_replicate is ": data.assign(
            blocks_by_replicate=data.blocks_by_replicate[::-1] + np.arange(16)
        ),
        "holds no sums of its replicates": data.drop_vars("blocks_by_replicate"),
    }
    for said, other in others.items():
        with pytest.raises(UserError, match=said):
            variscope.difference(data, "a", other, "a")
    for args, said in (
        (("hue", "a", None), "has no 'hue'; allowed: a, b, c, d, both, others, a:b"),
        (("both", "a", "S1"), "found S1 of the group 'both'; allowed: shapley"),
        (("a:b", "c:d", "ST"), "found ST of the pair 'a:b'; allowed: S2"),
        (("a", "b", "S2"), "found S2 of the variable 'a'; allowed: S1, ST, shapley"),
        (("a", "a", "S3"), "holds no S3 of layer; allowed: S1, ST, shapley"),
    ):
        with pytest.raises(UserError, match=said):
            variscope.difference(data, args[0], data, args[1], index=args[2])
    with pytest.raises(UserError, match="found a study; allowed: one of its layers: fc"):
        variscope.difference(study_tree({"fc": data}), "a", data, "a")
    with pytest.raises(UserError, match="found DataArray; allowed: a layer's results"):
        variscope.difference(data.S1, "a", data, "a")
    with pytest.raises(UserError, match="holds no shapley of channel"):
        variscope.difference(data, "a", data, "a", of="channel")


def test_a_group_is_the_sum_of_its_members_with_the_interval_of_the_sum():
    moments = sums(3)
    data = layer(moments)
    assert data.group.values.tolist() == ["both", "others"]
    for members, group in (("ab", "both"), ("cd", "others")):
        summed = data.shapley.sel(variable=list(members)).sum("variable")
        assert_allclose(data.shapley_group.sel(group=group), summed, rtol=1e-6)
    # All variables together are everything, without error.
    assert_allclose(data.shapley_group_layer.sum(), 1, rtol=1e-12)
    numerator = data.numerator_shapley_layer.sel(variable=["a", "b"]).sum("variable").values
    whole = ratio(numerator[:, None], data.variance_layer.values, moments.blocks, LEVEL)
    assert data.shapley_group_layer_low[0] == pytest.approx(float(whole.low[0]))
    # Members' errors go against each other, so that adding up their bounds is too wide.
    naive = (data.shapley_layer_high - data.shapley_layer_low).sel(variable=["a", "b"]).sum()
    width = float((data.shapley_group_layer_high - data.shapley_group_layer_low)[0])
    assert width < 0.9 * float(naive)
    against = variscope.difference(data, "both", data, "others")
    assert against.value == pytest.approx(float(2 * data.shapley_group_layer[0] - 1))


def test_the_star_has_no_groups():
    data = layer(sums(0, design="star"))
    assert "group" not in data.coords and "shapley_group" not in data
    assert variscope.difference(data, "a", data, "d").value == pytest.approx(
        float(data.S1_layer[0] - data.S1_layer[3])
    )


def test_the_summary_has_rows_of_groups_for_layers_and_channels():
    moments = sums(0)
    maps = Moments(
        moments.layout,
        moments.replicates,
        moments.first,
        moments.blocks,
        moments.sums[..., None, None],
        moments.pair_counts,
        moments.moved,
    )
    about = {"layer": "conv", "layer_number": 0, "seed": 1, "images": "x"}
    data = layer_dataset([maps], NAMES, ("channel", "y", "x"), LEVEL, about, {"g": ["a", "d"]})
    table = summary_table(study_tree({"conv": data}))
    rows = table[table["index"] == "shapley_group"]
    assert rows["channel"].isna().tolist() == [True] + [False] * len(UNITS)
    assert rows["channel"].tolist()[1:] == list(range(len(UNITS)))
    assert (rows["variable"] == "g").all()
    assert_allclose(rows["weighted_mean"][1:], data.shapley_group_channel[0])
    assert_allclose(rows["median"][1:], data.shapley_group[0].values.ravel(), rtol=1e-6)
    of_layer = table[(table["index"] == "shapley") & table["channel"].isna()]
    both = of_layer.set_index("variable")["weighted_mean"][["a", "d"]].sum()
    assert rows["weighted_mean"].iloc[0] == pytest.approx(both)


def test_members_that_never_acted_in_a_rare_unit_leave_room_in_the_sum():
    def rare(x: Array) -> Array:
        return (x[:, :3] > 0.5).all(axis=1).astype(float)  # d does nothing here

    few = sums(0, (rare,), blocks=32)
    variance = few.variance[:, 0]
    each = variance / variance.sum() - 1 / REPLICATES
    squared = REPLICATES / (REPLICATES - 1) * (each**2).sum()  # 1 / effective blocks
    assert squared > 1 / 30
    status = np.zeros(1, np.int8)
    alone, with_d, of_c = (
        group_indices(few, [members], status, LEVEL) for members in ([3], [2, 3], [2])
    )
    reach = min(1.0, -np.log((1 - LEVEL) / 2) * squared)
    assert_allclose(np.ravel(alone), (0, 0, reach))
    high = of_c.high[0, 0]
    assert with_d.high[0, 0] == pytest.approx(max(high, min(1, high + reach)))
    # Of a unit that is often on, exactly 0 is what it seems.
    often = group_indices(sums(0, (lambda x: x[:, 0],)), [[3]], status, LEVEL)
    assert_allclose(np.ravel(often), (0, 0, 0))
    # Members that never moved in the sample add nothing, and alone are undefined.
    still = replace(few, moved=few.moved * np.array([1, 1, 1, 0]))
    alone, with_d = (group_indices(still, [members], status, LEVEL) for members in ([3], [2, 3]))
    assert np.isnan(alone).all()
    assert_allclose(np.ravel(with_d), np.ravel(of_c))
