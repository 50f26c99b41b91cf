"""Sentences say what the numbers of a study allow, and no more."""

import math
import re
from typing import Any

import numpy as np
import pytest
import synthetic
import xarray as xr
from variscope.analyses import comparisons, sentences
from variscope.analyses.sentences import guard_sentence
from variscope.designs import Design
from variscope.estimators import Layout, Moments
from variscope.indices.layer import layer_dataset
from variscope.reporting.measured import accuracy_sentence
from variscope.stores.results import study_tree

NAMES = ("erasing", "rolling", "class")
NAN = math.nan


def around(value: float, half: float = 0.02) -> tuple[float, float, float]:
    return value, value - half, value + half


def made(layers: dict[str, list[tuple[float, float, float]]], **more: Any) -> xr.DataTree:
    """A study of Shapley effects, given layer by layer."""
    return synthetic.layer_study({k: {"shapley": v} for k, v in layers.items()}, NAMES, **more)


def layer(*shares: tuple[float, float, float], **more: Any) -> xr.Dataset:
    return made({"conv1": list(shares)}, **more)["conv1"].to_dataset()


def test_a_clear_lead_is_called_the_most():
    data = layer(around(0.2), around(0.7), around(0.1))
    assert comparisons.layer_sentence("conv1", data, "shapley") == (
        "In layer conv1 rolling accounts for 0.70 [0.68, 0.72] of the variance, the most; next "
        "comes erasing with 0.20 [0.18, 0.22], less by 0.50 [0.47, 0.53]."
    )


def test_two_whose_difference_may_be_0_cannot_be_told_apart():
    data = layer(around(0.43), around(0.45), around(0.1))
    assert comparisons.layer_sentence("conv1", data, "shapley") == (
        "In layer conv1 rolling with 0.45 [0.43, 0.47] and erasing with 0.43 [0.41, 0.45] come "
        "first and cannot be told apart: their difference is 0.02 [\N{MINUS SIGN}0.01, 0.05]."
    )


def test_two_whose_intervals_overlap_are_told_apart_where_their_errors_go_together():
    data = layer(around(0.43), around(0.45), around(0.1), shared=0.9)
    assert comparisons.layer_sentence("conv1", data, "shapley") == (
        "In layer conv1 rolling accounts for 0.45 [0.43, 0.47] of the variance, the most; next "
        "comes erasing with 0.43 [0.41, 0.45], less by 0.02 [0.01, 0.03]."
    )


def test_where_no_difference_leaves_out_0_none_is_singled_out():
    data = layer(around(0.33, 0.1), around(0.34, 0.1), around(0.32, 0.1))
    said = comparisons.layer_sentence("conv1", data, "shapley")
    assert "no variable can be told apart from the largest, rolling with 0.34" in said


def test_an_undefined_bound_tells_nothing_apart():
    data = layer((0.9, NAN, NAN), around(0.1), around(0.1))
    said = comparisons.layer_sentence("conv1", data, "shapley")
    assert "no variable can be told apart from the largest, erasing with 0.90" in said


def test_a_layer_without_indices_is_said_to_be_undefined():
    data = layer(*[(NAN, NAN, NAN)] * 3)
    assert comparisons.layer_sentence("conv1", data, "shapley") == (
        "In layer conv1 no share is defined."
    )


def test_undefined_variables_are_left_out_of_comparisons():
    data = layer((NAN, NAN, NAN), around(0.7), around(0.3))
    said = comparisons.layer_sentence("conv1", data, "shapley")
    assert "erasing" not in said and "next comes the class with 0.30" in said


def robust(*shares: tuple[float, float, float], **more: Any) -> str:
    return comparisons.robustness_sentence("fc", layer(*shares, **more), "shapley")


def test_the_first_sentence_holds_all_augmentations_against_image_identity():
    assert robust(around(0.5), around(0.3), around(0.2)) == (
        "In layer fc all augmentations together account for 0.80 [0.77, 0.83] of the variance, "
        "more than the class with 0.20 [0.18, 0.22], by 0.60 [0.57, 0.63]; the strongest "
        "augmentation is erasing with 0.50 [0.48, 0.52], more than the next, rolling with 0.30 "
        "[0.28, 0.32], by 0.20 [0.17, 0.23]."
    )
    less = robust(around(0.1), around(0.12), around(0.7))
    assert "0.22 [0.19, 0.25] of the variance, less than the class with 0.70" in less
    assert "by 0.48 [0.45, 0.51]; the strongest augmentation is rolling with 0.12" in less
    assert less.endswith(
        "though it cannot be told apart from erasing with 0.10 [0.08, 0.12]: their difference is "
        "0.02 [\N{MINUS SIGN}0.01, 0.05]."
    )
    even = robust(around(0.3), around(0.2), around(0.49))
    assert "which cannot be told apart from the class with 0.49 [0.47, 0.51]: their diff" in even


def test_the_sum_over_augmentations_is_compared_by_its_own_paired_interval():
    # Two overlapping intervals whose errors go together: 0.42 +- 0.04 and 0.40 +- 0.02.
    shares = (around(0.22), around(0.20), around(0.40))
    assert "cannot be told apart from the class" in robust(*shares)
    assert "cannot be told apart from the class" in robust(*shares, shared=0.999)
    shares = (around(0.23), around(0.20), around(0.40))
    assert "more than the class" in robust(*shares, shared=0.999)
    assert "cannot be told apart from the class" in robust(*shares)


def test_image_identity_is_named_by_what_varies_of_it():
    data = synthetic.tree()["scores"].to_dataset()
    said = comparisons.robustness_sentence("scores", data, "shapley")
    assert "image identity (the class, the image and the part) with" in said


def test_a_single_augmentation_is_held_against_image_identity_alone():
    tree = synthetic.layer_study(
        {"fc": {"shapley": [around(0.7), around(0.3)]}}, ("rolling", "image")
    )
    assert comparisons.robustness_sentence("fc", tree["fc"].to_dataset(), "shapley") == (
        "In layer fc rolling accounts for 0.70 [0.68, 0.72] of the variance, more than the image "
        "with 0.30 [0.28, 0.32], by 0.40 [0.37, 0.43]."
    )


def test_without_shapley_effects_only_the_strongest_augmentation_is_named():
    said = synthetic.said(synthetic.tree(star=True))
    assert said[0].startswith("In layer scores the strongest augmentation is rolling with 0.3")
    assert "together" not in said[0] and "sum of their Shapley" not in said[-1]


def test_the_answer_begins_with_robustness_and_ends_with_what_a_comparison_is():
    said = synthetic.said(synthetic.tree())
    assert said[0].startswith("In layer scores all augmentations together account for")
    assert "not the effect of the group as one player" in said[-1]
    assert "95 % level for one comparison" in said[-1]


def test_a_single_variable_is_said_as_it_is():
    tree = synthetic.layer_study({"fc": {"shapley": [(1.0, 1.0, 1.0)]}}, ("erasing",))
    assert synthetic.said(tree)[0] == (
        "In layer fc erasing accounts for 1.00 [1.00, 1.00] of the variance."
    )


def test_a_change_over_depth_is_one_whose_difference_leaves_out_0():
    tree = made(
        {
            "conv1": [around(0.5), around(0.30), around(0.2)],
            "fc": [around(0.1), around(0.32), around(0.58)],
        }
    )
    assert comparisons.trend_sentences(tree, "shapley") == [
        "From conv1 to fc the share of erasing falls by 0.40 [0.37, 0.43], from 0.50 [0.48, 0.52] "
        "to 0.10 [0.08, 0.12].",
        "From conv1 to fc the share of the class rises by 0.38 [0.35, 0.41], from 0.20 [0.18, "
        "0.22] to 0.58 [0.56, 0.60].",
    ]


def test_a_change_within_two_overlapping_intervals_is_seen_where_errors_go_together():
    ends = {
        "conv1": [around(0.5), around(0.30), around(0.2)],
        "fc": [around(0.48), around(0.32), around(0.2)],
    }
    (none,) = comparisons.trend_sentences(made(ends), "shapley")
    assert "no variable's share can be said to change" in none
    said = comparisons.trend_sentences(made(ends, shared=0.9), "shapley")
    assert [("rises" in s, "falls" in s) for s in said] == [(False, True), (True, False)]


def test_no_change_over_depth_is_said_once():
    tree = made(
        {
            "conv1": [around(0.5), around(0.3), around(0.2)],
            "fc": [around(0.51), around(0.3), around(0.19)],
        }
    )
    (said,) = comparisons.trend_sentences(tree, "shapley")
    assert "no variable's share can be said to change" in said


def test_a_peak_in_between_is_named_only_when_clear_of_both_ends():
    tree = made(
        {
            "conv1": [around(0.1), around(0.3), around(0.6)],
            "conv2": [around(0.8), around(0.1), around(0.1)],
            "fc": [around(0.3), around(0.3), around(0.4)],
        }
    )
    said = comparisons.trend_sentences(tree, "shapley")
    assert said[0].endswith(
        "rises by 0.20 [0.17, 0.23], from 0.10 [0.08, 0.12] to 0.30 [0.28, 0.32], with its "
        "largest value in between, 0.80 [0.78, 0.82] at conv2."
    )
    assert "between" not in said[1]


def test_trends_leave_layers_without_indices_out_and_need_two():
    gone = [(NAN, NAN, NAN)] * 3
    there = [around(0.5), around(0.3), around(0.2)]
    assert comparisons.trend_sentences(made({"a": gone, "b": there}), "shapley") == []
    said = comparisons.trend_sentences(made({"a": gone, "b": there, "c": there}), "shapley")
    assert said[0].startswith("From b to c")


def test_inert_small_and_unseen_variables_are_told_apart():
    tree = made(
        {
            "conv1": [(0.0, 0.0, 0.0), (0.001, -0.002, 0.004), (0.02, -0.03, 0.07)],
            "fc": [(0.0, 0.0, 0.0), (0.003, 0.001, 0.0054), (0.01, -0.04, 0.06)],
        }
    )
    assert sentences.negligible_sentence(tree, "shapley") == (
        "Erasing changes nothing: exactly 0 in every layer. "
        "Rolling (upper bounds up to 0.005) stays below 0.01 in every layer. "
        "The class (upper bounds up to 0.07) cannot be told from 0 in any layer."
    )


def test_a_variable_that_never_moved_is_not_varied_and_never_said_to_change_nothing():
    gone = (NAN, NAN, NAN)
    tree = made({"fc": [gone, (0.0, 0.0, 0.0), around(1.0)]}, moved=[0, 12, 40])
    assert sentences.negligible_sentence(tree, "shapley") == (
        "Erasing is not varied in this sample: no step of the design changed an image. "
        "Rolling changes nothing: exactly 0 in every layer."
    )
    said = synthetic.said(tree)
    assert sum("rasing" in sentence for sentence in said) == 1


def test_a_tiny_upper_bound_is_not_written_as_zero():
    tree = made({"fc": [(0.0, -1e-7, 2e-7), around(0.5), around(0.5)]})
    said = sentences.negligible_sentence(tree, "shapley")
    assert said == "Erasing (upper bounds below 0.001) stays below 0.01 in every layer."


def test_a_variable_that_matters_in_one_layer_is_not_negligible():
    tree = made(
        {
            "conv1": [around(0.5), around(0.4), (0.0, 0.0, 0.0)],
            "fc": [around(0.5), around(0.4), around(0.1)],
        }
    )
    assert sentences.negligible_sentence(tree, "shapley") == ""


def both(
    first: tuple[float, float, float], total: tuple[float, float, float], **more: Any
) -> xr.DataTree:
    quiet = (0.1, 0.05, 0.15)
    return synthetic.layer_study(
        {"fc": {"S1": [first, quiet, quiet], "ST": [total, quiet, quiet]}}, NAMES, **more
    )


def test_interaction_is_a_total_index_clear_of_the_first_order_index():
    said = comparisons.interaction_sentence(both(around(0.1), around(0.6)))
    assert said == (
        "Variables act together the most in layer fc, where erasing by itself accounts for 0.10 "
        "[0.08, 0.12] (S1) and, with what it does jointly with others, for 0.60 [0.58, 0.62] (ST)."
    )


def test_no_interaction_is_claimed_where_the_difference_may_be_0():
    said = comparisons.interaction_sentence(both(around(0.1, 0.3), around(0.4, 0.3)))
    assert said.startswith("Nowhere can the total index ST be told from")
    said = comparisons.interaction_sentence(both(around(0.1, 0.3), around(0.4, 0.3), shared=0.9))
    assert said.startswith("Variables act together the most in layer fc, where erasing")


def test_the_most_interaction_is_claimed_only_against_every_other():
    quiet = (0.1, 0.09, 0.11)
    layers = {
        name: {"S1": [around(0.1), quiet, quiet], "ST": [around(total), quiet, quiet]}
        for name, total in (("conv", 0.5), ("fc", 0.52))
    }
    said = comparisons.interaction_sentence(synthetic.layer_study(layers, NAMES))
    assert said == (
        "Variables act together: in layer fc erasing by itself accounts for 0.10 [0.08, 0.12] (S1) "
        "and, with what it does jointly with others, for 0.52 [0.50, 0.54] (ST), 0.42 [0.39, 0.45] "
        "more. It is the largest estimate of its kind, though it cannot be told apart from that of "
        "erasing in layer conv."
    )
    said = comparisons.interaction_sentence(synthetic.layer_study(layers, NAMES, shared=0.95))
    assert said.startswith("Variables act together the most in layer fc, where erasing")


def test_interaction_is_silent_without_both_indices():
    assert comparisons.interaction_sentence(made({"fc": [around(0.3)] * 3})) == ""


def test_units_without_indices_are_counted():
    tree = made(
        {"a": [around(0.3)] * 3, "b": [around(0.3)] * 3},
        counts={
            "a": {"fine": 1000, "constant": 200, "not_finite": 0},
            "b": {"fine": 9, "constant": 0, "not_finite": 1},
        },
    )
    assert sentences.status_sentence(tree) == (
        "Of 1,210 units in 2 layers, 200 never change (constant) and 1 gives values that are not "
        "finite; they have no indices and are left out of every aggregate."
    )
    assert sentences.status_sentence(made({"a": [around(0.3)] * 3})) == (
        "All 4 units in 1 layer have defined indices."
    )


def test_accuracy_is_held_against_chance():
    good = accuracy_sentence(0.712, 0.66, 0.758, 400, 10, "valid")
    assert good == (
        "On 400 images of the valid part, not altered, the model is right in 71.2 % [66.0, 75.8] "
        "(95 % interval); guessing among 10 classes gives 10.0 %."
    )
    poor = accuracy_sentence(0.12, 0.08, 0.18, 100, 10, "valid")
    assert "from which this cannot be told apart" in poor


def test_the_widest_interval_is_named():
    tree = made({"a": [around(0.3), around(0.3, 0.07), around(0.3)]})
    said = sentences.precision_sentence(tree, "shapley")
    assert said.endswith(
        "the widest of a layer's shares is \N{PLUS-MINUS SIGN}0.07, of rolling in a."
    )
    gone = made({"a": [(NAN, NAN, NAN)] * 3})
    assert sentences.precision_sentence(gone, "shapley") == "No layer's share has an interval."


def test_the_answer_has_an_interval_at_every_share():
    for tree in (synthetic.tree(), synthetic.tree(star=True)):
        said = re.sub(r"\(upper bounds up to [\d.]+\)", "", " ".join(synthetic.said(tree)))
        shares = re.findall(r"(?:for|with|from|to|between,) (\S?\d\.\d+)(.{2})", said)
        assert shares and all(after == " [" for _, after in shares), shares


def test_the_answer_of_undefined_layers_is_still_an_answer():
    tree = made({"a": [(NAN, NAN, NAN)] * 3, "b": [(NAN, NAN, NAN)] * 3})
    said = synthetic.said(tree)
    for sentence in (
        "In layer a no share is defined.",
        "In layer b no share is defined.",
        "No layer's share has an interval.",
    ):
        assert sum(sentence in found for found in said) == 1


@pytest.mark.parametrize("active", [1.0, 0.15])
def test_guards_are_said_of_the_units_and_layers_where_they_speak(active: float):
    """A unit that is on for a share of x0 x1: in 256 blocks few of its products are not zero."""
    table = Design("cycle", ((0,), (1,), (2,)), 256, 4, seed=1)
    moments = Moments.zeros(Layout("cycle", 3), range(4), (2,))
    for number in range(4):
        rows = table.replicate(number)
        x = rows.points.reshape(-1, 3)
        sparse = np.maximum(x[:, 0] * x[:, 1] - (1 - active), 0) * (1 + x[:, 2])
        outputs = np.stack([sparse, x.sum(axis=1)], axis=1)
        moments.update(number, outputs.reshape(-1, table.rows, 2), rows.order)
    about = {"layer": "fc", "layer_number": 0}
    data = layer_dataset([moments], ["a", "b", "c"], ("neuron",), 0.95, about)
    said = guard_sentence(study_tree({"fc": data}))
    if active == 1.0:
        assert said == "" and not data.S1_sparse.any()
    else:
        assert "in 50 % of the S1 of units and 50 % of the S2 of units: a guard" in said
        assert data.S1_sparse.sel(neuron=0).all() and not data.S1_sparse.sel(neuron=1).any()
        assert "whole layers" not in said  # the dense unit decides the layer
