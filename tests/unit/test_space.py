"""The space: decoding is a pure function, and equal recipes are equal images."""

from itertools import product
from math import factorial
from typing import Any

import numpy as np
import pytest
import torch
from closed_forms import enumerate_exact
from numpy.testing import assert_allclose, assert_array_equal
from variscope.designs import Design
from variscope.errors import UserError
from variscope.estimators import Layout, Moments, unit_indices
from variscope.space.altering import alter
from variscope.space.augmentations import get
from variscope.space.images import ImageIndex
from variscope.space.order import decode_order
from variscope.space.space import Recipes, Space

LABEL = np.repeat([0, 1, 2], [8, 4, 6])
PART = np.tile([0, 1], 9).astype(np.int8)


def space(*names: str, **kwargs) -> Space:
    settings: dict[str, Any] = {
        "auxiliary": ("order", "class", "image", "part"),
        "index": ImageIndex.of(LABEL, PART),
        "size": (64, 64),
    } | kwargs
    return Space(tuple(map(get, names)), **settings)


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_lehmer_digits_reach_every_order_equally_often(length: int):
    levels = [(np.arange(length - k) + 0.5) / (length - k) for k in range(length - 1)]
    grid = np.array(list(product(*levels))).reshape(factorial(length), length - 1)
    orders = decode_order(grid, length)
    assert len(np.unique(orders, axis=0)) == len(grid) == np.prod(np.arange(1, length + 1))
    assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(length), (len(orders), 1)))


def test_orders_of_21_things_are_permutations_with_uniform_places():
    orders = decode_order(np.random.default_rng(0).random((21000, 20)), 21)
    assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(21), (21000, 1)))
    for position in (0, 10, 20):
        counts = np.bincount(orders[:, position], minlength=21)
        assert ((counts - 1000) ** 2 / 1000).sum() < 50  # chi square, 20 degrees of freedom


def test_coordinates_at_the_upper_end_decode_to_the_last_level():
    almost_one = np.full((1, 3), np.nextafter(1, 0))
    assert_array_equal(decode_order(almost_one, 4), [[3, 2, 1, 0]])


def test_class_and_image_name_one_image_of_that_class_and_part():
    s = space("hflip")
    points = np.random.default_rng(0).random((4000, s.groups[-1][-1] + 1))
    image = s.decode(points).image
    column = {
        v.name: points[:, list(g)][:, 0] for v, g in zip(s.variables, s.groups, strict=True) if g
    }
    assert_array_equal(LABEL[image], np.floor(column["class"] * 3))
    assert_array_equal(PART[image], np.floor(column["part"] * 2))
    assert_array_equal(s.decode(points).image, image)
    counts = np.bincount(image, minlength=len(LABEL))
    expected = 4000 / 6 / np.array([4, 2, 3])[LABEL]  # uniform over part, class, then image
    assert ((counts - expected) ** 2 / expected).sum() < 45


def test_a_row_depends_on_nothing_but_its_own_point():
    s = space("erasing", "rolling", "hue")
    points = np.random.default_rng(1).random((50, sum(map(len, s.groups))))
    together = s.decode(points)
    for row in (0, 17, 49):
        alone = s.decode(points[row : row + 1])
        for name in ("image", "operation", "parameters"):
            assert_array_equal(getattr(alone, name)[0], getattr(together, name)[row])


@pytest.mark.parametrize("apply", ["always", "switched"])
def test_each_distribution_applies_what_it_says(apply: str):
    s = space("rolling", "grayscale", "hue", apply=apply, apply_probability=0.3)
    points = np.random.default_rng(2).random((20000, sum(map(len, s.groups))))
    recipes = s.decode(points)
    share = [(recipes.operation == a).any(1).mean() for a in range(3)]
    expected = [0.3] * 3 if apply == "switched" else [1, 0.3, 1]
    assert_allclose(share, expected, atol=0.015)
    low, high = s.bounds(get("hue"))[0]
    drawn = recipes.parameters[recipes.operation == 2][:, 0]
    assert low <= drawn.min() < low + 0.01 and high - 0.01 < drawn.max() < high


def test_what_is_not_applied_leaves_no_trace():
    """Neither its parameters nor its place in the order make a difference."""
    s = space("rolling", "hue", apply="switched")
    points = np.full((6, sum(map(len, s.groups))), 0.2)
    columns = dict(zip([v.name for v in s.variables], s.groups, strict=True))
    points[:, columns["rolling"][0]] = 0.9  # off
    points[1, columns["rolling"][1]] = 0.7
    points[2, columns["order"][0]] = 0.7
    points[3, columns["hue"][1]] = 0.7
    evaluate, held_by = s.decode(points).repeats(1)
    assert_array_equal(held_by, [0, 0, 0, 1, 0, 0])
    assert_array_equal(evaluate, [0, 3])
    evaluate, held_by = s.decode(points).repeats(3)  # blocks of two rows: repeats within a block
    assert_array_equal(evaluate, [0, 2, 3, 4])
    assert_array_equal(held_by, [0, 0, 1, 2, 3, 3])


def test_equal_whole_levels_are_equal_rows_and_evaluated_once():
    """A variable of two whole levels moves in half of its steps only: the other rows repeat."""
    rolling = get("rolling").with_overrides({"rows": [0, 1], "columns": [0, 0]})
    one_image = ImageIndex.of(np.array([0]), np.array([1]))
    s = Space((rolling,), auxiliary=(), index=one_image, size=(64, 64))
    rng = np.random.default_rng(4)
    points = rng.random((4000, sum(map(len, s.groups))))
    evaluate, held_by = s.decode(points).repeats(2000)
    same = (points[0::2, 0] < 0.5) == (points[1::2, 0] < 0.5)
    assert len(evaluate) == 4000 - same.sum()
    assert_array_equal(held_by[0::2] == held_by[1::2], same)


def test_altering_applies_the_operations_of_each_image_in_its_own_order():
    s = space("rolling", "grayscale", "hue", "erasing")
    rng = np.random.default_rng(3)
    recipes = s.decode(rng.random((40, sum(map(len, s.groups)))))
    images = torch.from_numpy(rng.random((40, 3, 64, 64), dtype=np.float32))
    before = images.clone()
    altered = alter(images, recipes, s.augmentations)
    assert torch.equal(images, before)
    for row in range(40):
        expected = images[row : row + 1]
        for number, parameters in zip(recipes.operation[row], recipes.parameters[row], strict=True):
            if number >= 0:
                augmentation = s.augmentations[number]
                chosen = torch.from_numpy(parameters[: len(augmentation.parameters)])[None]
                expected = augmentation(expected, chosen)
        assert torch.equal(altered[row : row + 1], expected)
    assert len({tuple(o) for o in recipes.operation.tolist()}) > 10


def test_class_and_image_shares_are_those_of_the_closed_form():
    """estimators.md 5.6, Y = mu_c + tau_c u: an image redrawn in every row would show here."""
    from scipy.special import ndtri

    mu, tau = np.array([-1, 0, 1, 2.0]), np.array([0.5, 1, 1, 2.0])
    each = 2000
    u = ndtri((np.arange(each) + 0.5) / each)
    value = (mu[:, None] + tau[:, None] * u).ravel()
    index = ImageIndex.of(np.repeat(np.arange(4), each), np.ones(4 * each, dtype=np.int8))
    s = space(index=index, auxiliary=("class", "image"))
    design = Design("cycle", s.groups, 8192, 16, seed=0)
    moments = Moments.zeros(Layout("cycle", 2), range(16), (1,))
    for number in range(16):
        blocks = design.replicate(number)
        outputs = value[s.decode(blocks.points.reshape(-1, 2)).image]
        moments.update(number, outputs.reshape(-1, 4, 1), blocks.order)
    got = unit_indices(moments, 0.9999)
    assert got.variance[0] == pytest.approx(2.8125, rel=0.02)
    for name, truth in (
        ("S1", [0.4444, 0.45]),
        ("ST", [0.55, 0.5556]),
        ("shapley", [0.497222, 0.502778]),
    ):
        assert_allclose(got.estimates[name].value[:, 0], truth, atol=0.015)
    assert got.estimates["S2"].value[0, 0] == pytest.approx(0.1056, abs=0.015)


def test_the_share_of_the_order_is_that_of_the_closed_form():
    """estimators.md 5.7: add s, multiply by c, in either order, through decoding."""
    adds, factors = np.array([0, 1, 2.0]), np.array([0.5, 1, 3.0])

    def outputs(points):
        s = adds[np.floor(points[:, 0] * 3).astype(int)]
        c = factors[np.floor(points[:, 1] * 3).astype(int)]
        first = decode_order(points[:, 2:], 2)[:, 0]
        return np.where(first == 0, (1 + s) * c, 1 + 0 * s + (c - 1) + s)

    grid = np.stack(
        np.meshgrid([1 / 6, 0.5, 5 / 6], [1 / 6, 0.5, 5 / 6], [0.25, 0.75], indexing="ij"), -1
    )
    exact = enumerate_exact(
        outputs(grid.reshape(-1, 3)).reshape(3, 3, 2), [[1 / 3] * 3, [1 / 3] * 3, [0.5] * 2]
    )
    assert exact["variance"] == pytest.approx(4.4513888889)
    assert_allclose(exact["S1"], [0.2340093604, 0.5897035881, 0.0140405616], atol=1e-9)
    design = Design("cycle", ((0,), (1,), (2,)), 8192, 16, seed=0)
    moments = Moments.zeros(Layout("cycle", 3), range(16), (1,))
    for number in range(16):
        blocks = design.replicate(number)
        rows = outputs(blocks.points.reshape(-1, 3)).reshape(-1, 6, 1)
        moments.update(number, rows, blocks.order)
    got = unit_indices(moments, 0.95).estimates
    assert_allclose(got["ST"].value[:, 0], [0.3307332293, 0.7425897036, 0.1326053042], atol=0.015)
    shapley = [0.2750910036, 0.6588663547, 0.0660426417]
    assert_allclose(got["shapley"].value[:, 0], shapley, atol=0.015)


def test_images_that_do_not_suit_the_variables_are_refused():
    with pytest.raises(UserError, match="without image, but 9 images"):
        space("hflip", auxiliary=("order",))
    with pytest.raises(UserError, match="one image per class"):
        space("hflip", auxiliary=("class",))
    only_train = ImageIndex.of(LABEL, np.zeros_like(PART))
    with pytest.raises(UserError, match="no image is of part valid"):
        space("hflip", index=only_train)
    with pytest.raises(UserError, match="part is valid, but no image"):
        space("hflip", index=only_train, auxiliary=("image",))
    gap = ImageIndex.of(np.array([0, 0, 1, 2]), np.array([1, 1, 0, 1], dtype=np.int8))
    with pytest.raises(UserError, match="class number 1 has no image"):
        space("hflip", index=gap, auxiliary=("class", "image"))


def test_names_and_settings_that_do_not_suit_are_refused():
    with pytest.raises(UserError, match="'hflip' is named twice"):
        space("hflip", "hflip")
    with pytest.raises(UserError, match="allowed: order, class, image, part"):
        space("hflip", auxiliary=("odrer",))
    with pytest.raises(UserError, match="found none"):
        space(auxiliary=())
    with pytest.raises(UserError, match="allowed: always, switched"):
        space("hflip", apply="sometimes")
    with pytest.raises(UserError, match="between 0 and 1"):
        space("hflip", apply_probability=1.0)


def test_without_class_the_image_is_one_of_all_of_the_part():
    s = space("hflip", auxiliary=("image",))
    assert [v.name for v in s.variables] == ["hflip", "image"]
    points = np.random.default_rng(0).random((3000, 2))
    counts = np.bincount(s.decode(points).image, minlength=18)
    assert_array_equal(np.flatnonzero(counts), np.flatnonzero(PART == 1))
    assert ((counts[PART == 1] - 3000 / 9) ** 2 / (3000 / 9)).sum() < 26


def test_recipes_can_be_taken_apart():
    recipes = Recipes(np.arange(3), np.zeros((3, 1), np.int8), np.zeros((3, 1, 0), np.float32))
    assert len(recipes) == 3
    assert_array_equal(recipes.take(np.array([2, 0])).image, [2, 0])
