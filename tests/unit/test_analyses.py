"""Specialised units, leading channels, and how numbers are written."""

import math

import numpy as np
import pytest
import synthetic
import xarray as xr
from variscope.analyses.specialised.compute import specialised_units
from variscope.indices import reading, wording
from variscope.indices.maps import channel_variance_share, leading_channels, map_over_channels
from variscope.indices.reading import layers as study_layers

NAMES = ("erasing", "rolling", "image")


def vector(values: list[list[float]], half: float = 0.02, **changes: object) -> xr.Dataset:
    """A layer of neurons with given Shapley effects (variable, neuron), all half-widths equal."""
    data = synthetic.dataset(
        "fc", dims="vector", variables=NAMES, size=(len(values[0]),), constant=False
    )
    data["shapley"][:] = values
    data["shapley_low"][:] = np.asarray(values) - half
    data["shapley_high"][:] = np.asarray(values) + half
    return data


def study(data: xr.Dataset) -> xr.DataTree:
    return synthetic.study({"fc": data})


# Specialised units


def test_the_unit_of_the_highest_lower_bound_is_chosen_not_of_the_highest_estimate():
    data = vector([[0.6, 0.7, 0.1], [0.2, 0.2, 0.3], [0.2, 0.1, 0.6]])
    data["shapley_low"][0, 1] = 0.3  # 0.7, but uncertain
    table = specialised_units(study(data), among=["erasing"])
    row = table.iloc[0]
    assert (row["unit"], row["share"], row["low"]) == ("0", 0.6, 0.58)


def test_each_augmentation_has_its_unit_ordered_by_margin():
    data = vector([[0.4, 0.1, 0.1], [0.1, 0.8, 0.1], [0.5, 0.1, 0.8]])
    table = specialised_units(study(data))
    assert list(table["variable"]) == ["rolling", "erasing"]
    assert list(table["unit"]) == ["1", "0"]
    np.testing.assert_allclose(table["margin"], [0.78 - 0.12, 0.38 - 0.52])
    assert list(table["runner_up"]) == ["erasing", "image"]
    np.testing.assert_allclose(table["runner_up_share"], [0.1, 0.5])
    for row in table.to_dict("records"):
        unit = int(row["unit"])
        assert row["S1"] == float(data["S1"].sel(variable=row["variable"])[unit])
        assert row["ST"] == float(data["ST"].sel(variable=row["variable"])[unit])


def test_units_of_a_layer_of_scores_have_the_names_of_their_classes():
    tree = synthetic.tree()
    layer = next(n for n, d in study_layers(tree).items() if d["variance"].dims == ("neuron",))
    names = [f"class {k}" for k in range(study_layers(tree)[layer].sizes["neuron"])]
    table = specialised_units(tree, unit_names={layer: names})
    named = table[table["layer"] == layer]
    assert len(named) and (named["name"] == "class " + named["unit"]).all()
    assert (table[table["layer"] != layer]["name"] == "").all()


def test_columns_are_those_of_the_documentation():
    table = specialised_units(synthetic.tree())
    before = ["layer", "unit", "name", "variable", "index", "share", "low", "high"]
    after = ["runner_up", "runner_up_share", "margin", "S1", "ST", "n", "inference", "reason"]
    assert list(table.columns) == before + after
    assert list(dict.fromkeys(table["layer"])) == ["conv1", "conv2", "conv3", "pool", "scores"]


def test_per_layer_keeps_the_clearest():
    everything = specialised_units(synthetic.tree())
    best = specialised_units(synthetic.tree(), per_layer=2)
    for layer, rows in best.groupby("layer"):
        of_layer = everything[everything["layer"] == layer]
        assert list(rows["margin"]) == list(of_layer["margin"])[:2]


@pytest.mark.parametrize("status", [1, 2])
def test_units_that_are_constant_or_not_finite_are_never_chosen(status):
    data = vector([[0.9, 0.4], [0.0, 0.3], [0.1, 0.3]])
    data["status"][0] = status
    assert list(specialised_units(study(data))["unit"]) == ["1", "1"]


def test_units_without_a_number_are_never_chosen():
    data = vector([[np.nan, 0.4], [np.nan, 0.3], [np.nan, 0.3]])
    assert set(specialised_units(study(data))["unit"]) == {"1"}


def test_a_lower_bound_that_is_nearly_zero_chooses_nothing():
    data = vector([[0.01, 0.029], [0.5, 0.5], [0.5, 0.5]], half=0.02)
    assert list(specialised_units(study(data))["variable"]) == ["rolling"]


def test_a_layer_without_indices_has_no_rows():
    data = vector([[np.nan] * 2] * 3)
    table = specialised_units(study(data))
    assert table.empty and "reason" in table.columns


def test_units_of_maps_are_channels_by_their_aggregates():
    data = synthetic.dataset("conv", size=(6, 4, 4), constant=False)
    data["shapley_channel"][0] = 0.1
    data["shapley_channel_low"][0] = 0.05
    data["shapley_channel_low"][0, 4] = 0.3
    data["shapley_channel"][0, 4] = 0.4
    row = specialised_units(synthetic.study({"conv": data}), among=["erasing"]).iloc[0]
    assert (row["unit"], row["share"], row["low"]) == ("4", 0.4, 0.3)
    assert "Of 6 channels" in row["reason"]


def test_a_channel_is_held_against_its_runner_up_by_the_paired_difference():
    data = synthetic.dataset("conv", variables=NAMES, size=(2, 3, 3), constant=False)
    # Two variables whose intervals overlap, and whose errors go together.
    shares, half = [0.43, 0.40, 0.17], 0.02
    data["shapley_channel"][:] = np.array(shares)[:, None]
    data["shapley_channel_low"][:] = data["shapley_channel"] - half
    data["shapley_channel_high"][:] = data["shapley_channel"] + half
    replicates = data.sizes["replicate"]
    for name, shared in (("shapley", 0.95), ("S1", 0.0)):
        data[f"numerator_{name}_channel"][:] = synthetic.replicate_sums(
            np.tile(np.array(shares)[:, None], (1, 2)), np.full((3, 2), half), replicates, shared
        )
    row = specialised_units(synthetic.study({"conv": data}), among=["erasing"]).iloc[0]
    assert row["low"] < 0.42 == pytest.approx(0.40 + half)  # they overlap
    # Symmetric intervals: the paired t interval of two errors of correlation 0.95.
    assert row["margin"] == pytest.approx(0.03 - half * np.sqrt(2 - 2 * 0.95), rel=1e-6)
    assert "more than the next variable's, rolling with 0.40 [0.38, 0.42]" in row["reason"]


def test_a_variable_that_never_moved_is_left_out_of_the_choice():
    data = vector([[0.6, 0.7], [np.nan, np.nan], [0.4, 0.3]])
    table = specialised_units(study(data))
    assert list(table["variable"]) == ["erasing"] and list(table["runner_up"]) == ["image"]


def test_units_of_other_shapes_are_named_by_their_place():
    data = synthetic.dataset("tokens", dims="other", size=(3, 4), constant=False)
    data["shapley"][0, 2, 1] = 0.97
    data["shapley_low"][0, 2, 1] = 0.95
    row = specialised_units(synthetic.study({"tokens": data}), among=["erasing"]).iloc[0]
    assert row["unit"] == "2, 1"


def test_a_study_of_one_variable_has_no_runner_up():
    data = synthetic.dataset("fc", dims="vector", variables=("erasing",), size=(3,))
    row = specialised_units(study(data)).iloc[0]
    assert row["runner_up"] == "" and math.isnan(row["runner_up_share"])
    assert row["margin"] == row["low"]
    assert row["reason"].endswith(".")


def test_a_study_of_auxiliary_variables_alone_takes_all_of_them():
    data = synthetic.dataset("fc", dims="vector", variables=("class", "image"), size=(4,))
    assert set(specialised_units(study(data))["variable"]) == {"class", "image"}


def test_the_star_design_is_judged_by_first_order_indices():
    table = specialised_units(synthetic.tree(star=True))
    assert set(table["index"]) == {"S1"}
    assert (table["share"] == table["S1"]).all()
    assert table["reason"].str.contains("first-order index S1").all()


def test_an_unknown_variable_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"no variable 'hue' in layer 'fc'; it has erasing, roll"):
        specialised_units(study(vector([[0.1]] * 3)), among=["hue"])


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        (
            [0.8, 0.1, 0.1],
            "more than the next variable's, rolling with 0.10 [0.08, 0.12]; the difference is 0.70 "
            "[0.66, 0.74].",
        ),
        (
            [0.41, 0.40, 0.1],
            "not known to be more or less than the closest variable's, rolling with 0.40 [0.38, "
            "0.42]: the interval of the difference, 0.01",
        ),
        ([0.2, 0.1, 0.7], "more of its variance is another variable's, the image with 0.70"),
    ],
)
def test_the_reason_says_how_the_unit_stands_against_the_next_variable(shares, words):
    data = vector([[share] for share in shares])
    reason = specialised_units(study(data), among=["erasing"]).iloc[0]["reason"]
    assert words in reason
    own = wording.estimate_text(shares[0], shares[0] - 0.02, shares[0] + 0.02)
    assert f"its Shapley effect is {own}" in reason and reason.endswith(".")


# Channels


def test_channels_are_ordered_by_their_share_of_the_layers_variance():
    data = synthetic.dataset(size=(5, 2, 2), constant=False)
    data["variance"][:] = np.array([1.0, 4.0, 0.0, 4.0, 1.0])[:, None, None]
    np.testing.assert_allclose(channel_variance_share(data), [0.1, 0.4, 0, 0.4, 0.1])
    assert leading_channels(data, 4) == [1, 3, 0, 4]
    assert leading_channels(data, 99) == [1, 3, 0, 4, 2]


def test_a_layer_without_variance_still_has_channels_to_show():
    data = synthetic.dataset(size=(3, 2, 2))
    data["variance"][:] = 0.0
    assert leading_channels(data, 2) == [0, 1]
    assert np.isnan(channel_variance_share(data)).all()


def test_the_map_over_channels_is_the_ratio_of_sums_at_each_pixel():
    data = synthetic.dataset(size=(5, 3, 4))
    found = map_over_channels(data, "shapley")
    assert found.dims == ("variable", "y", "x")
    value, variance = data["shapley"].values, data["variance"].values
    for y in range(3):
        for x in range(4):
            fine = np.isfinite(value[0, :, y, x])
            expected = value[:, fine, y, x] @ variance[fine, y, x] / variance[fine, y, x].sum()
            np.testing.assert_allclose(found[:, y, x], expected)


def test_the_map_over_channels_is_undefined_where_no_channel_is_defined():
    data = synthetic.dataset(size=(5, 3, 4), constant=False)
    data["shapley"][:, :, 1, 2] = np.nan
    found = map_over_channels(data, "shapley")
    assert np.isnan(found[:, 1, 2]).all() and int(np.isnan(found).sum()) == len(found)


# Reading


def test_a_tree_without_layers_is_refused():
    with pytest.raises(ValueError, match="the study holds no layers"):
        reading.layers(xr.DataTree())


def test_layers_keep_their_order():
    names = ["features.10", "features.2", "classifier"]
    made = synthetic.study({name: synthetic.dataset(name, size=(2, 2, 2)) for name in names})
    assert list(reading.layers(made)) == names


def test_unit_counts_come_from_the_status_where_no_attribute_tells_them():
    data = synthetic.dataset(size=(4, 3, 3))
    told = reading.unit_counts(data)
    del data.attrs["unit_counts"]
    assert reading.unit_counts(data) == told == {"fine": 32, "constant": 4, "not_finite": 0}


# Wording


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.344, "0.34"),
        (1.0, "1.00"),
        (0.0, "0.00"),
        (0.004, "0.004"),
        (-0.0001, "0.000"),
        (-0.02, "\N{MINUS SIGN}0.02"),
        (math.nan, "undefined"),
    ],
)
def test_shares_are_written_with_two_decimals_or_three_when_small(value, text):
    assert wording.share_text(value) == text


def test_bounds_have_as_many_decimals_as_their_estimate():
    assert wording.estimate_text(0.006, -0.004, 0.016) == "0.006 [\N{MINUS SIGN}0.004, 0.016]"
    assert wording.estimate_text(0.34, 0.301, 0.379) == "0.34 [0.30, 0.38]"
    assert wording.estimate_text(math.nan, 0, 1) == "undefined"
    assert wording.estimate_text(0.5, math.nan, math.nan) == "0.50 [no interval]"


def test_words_are_joined_as_in_a_sentence():
    assert wording.join_words([]) == ""
    assert wording.join_words(["a"]) == "a"
    assert wording.join_words(["a", "b"]) == "a and b"
    assert wording.join_words(["a", "b", "c"]) == "a, b and c"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1300, "1.3 kB"), (27.6e9, "27.6 GB"), (77e15, "77000.0 TB")],
)
def test_sizes_are_written_in_decimal_units(count, text):
    assert wording.bytes_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.42, "0.4 s"),
        (12.4, "12 s"),
        (59.7, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7620, "2 h 07 min"),
    ],
)
def test_durations_are_written_in_the_unit_that_suits_them(seconds, text):
    assert wording.seconds_text(seconds) == text
