"""One augmentation alone: its draws are a pure function of seed, variable, image and draw."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from variscope.errors import UserError
from variscope.space.alone import alone, draws_of, joined, plain
from variscope.space.altering import alter
from variscope.space.augmentations import get
from variscope.space.images import ImageIndex
from variscope.space.space import Recipes, Space

NAMES = ("rolling", "hflip", "brightness")


def space() -> Space:
    index = ImageIndex.of(np.zeros(40, np.int64), np.zeros(40, np.int8))
    return Space(tuple(map(get, NAMES)), ("image",), index, (16, 16), part="train")


def altered(recipes: Recipes, space: Space) -> torch.Tensor:
    pixels = torch.rand((40, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    return alter(pixels[torch.from_numpy(recipes.image)], recipes, space.augmentations)


def test_plain_recipes_leave_images_as_they_are():
    recipes = plain(space(), np.array([3, 1, 3]))
    pixels = torch.rand((3, 3, 16, 16))
    assert torch.equal(alter(pixels, recipes, space().augmentations), pixels)
    assert_array_equal(recipes.image, [3, 1, 3])


@pytest.mark.parametrize("variable", NAMES)
def test_draws_depend_on_no_other_image_and_not_on_how_many_draws_there_are(variable: str):
    some = alone(space(), variable, np.array([5, 9]), 3, seed=1)
    more = alone(space(), variable, np.array([2, 9, 5]), 7, seed=1)
    few, many = draws_of(space(), variable, 3), draws_of(space(), variable, 7)
    assert_array_equal(some.image, np.repeat([5, 9], few))
    where = np.concatenate([2 * many + np.arange(few), many + np.arange(few)])
    assert_array_equal(some.parameters, more.parameters[where])
    assert_array_equal(some.operation, more.operation[where])


def test_draws_differ_by_seed_variable_image_and_draw_and_fill_the_bounds():
    s = space()
    drawn = alone(s, "brightness", np.arange(40), 50, seed=1).parameters[:, 0, 0]
    assert len(np.unique(drawn)) > 1990  # of float32, of which two may meet
    ((low, high),) = s.bounds(get("brightness"))
    # The mean of 2,000 uniform draws, within five standard errors.
    assert abs(drawn.mean() - (low + high) / 2) < 5 * (high - low) / np.sqrt(12 * 2000)
    assert drawn.min() >= low and drawn.max() <= high
    other = alone(s, "brightness", np.arange(40), 50, seed=2).parameters[:, 0, 0]
    assert np.isin(other, drawn).sum() < 10


def test_an_augmentation_without_parameters_is_applied_surely_and_once():
    s = space()
    recipes = alone(s, "hflip", np.arange(4), 5, seed=1)
    assert len(recipes) == 4
    flipped, original = altered(recipes, s), altered(plain(s, np.arange(4)), s)
    assert torch.equal(flipped, original.flip(3))


def test_recipes_of_several_variables_and_of_plain_images_can_be_put_together():
    s = space()
    parts = [plain(s, np.arange(3)), *(alone(s, name, np.arange(3), 2, seed=1) for name in NAMES)]
    both = joined(parts)
    assert_array_equal(both.image, np.concatenate([part.image for part in parts]))
    images = altered(both, s)
    for part, place in zip(parts, np.cumsum([0, *map(len, parts)]), strict=False):
        assert torch.equal(images[place : place + len(part)], altered(part, s))


def test_an_unknown_variable_is_refused_by_name():
    with pytest.raises(UserError, match=r"found 'hue'; allowed: .*rolling, hflip, brightness"):
        alone(space(), "hue", np.arange(3), 2, seed=1)
