"""The augmentations of color and the blur, and what holds for each of the twelve."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from augmentation_cases import (
    SIZES,
    blur_with_scipy,
    draw,
    factors,
    make_images,
    many,
    no_parameters,
    repeat,
    seeds,
    sizes,
)
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional as reference
from variscope.space import augmentations
from variscope.space.augmentations import get

BUILT_IN = (
    "brightness",
    "contrast",
    "elliptic_local_blur",
    "erasing",
    "gaussian_blur",
    "grayscale",
    "hflip",
    "hue",
    "rolling",
    "rotation",
    "saturation",
    "sharpness",
)
# Against torchvision, image by image.


@pytest.mark.parametrize(
    ("name", "function", "high"),
    [
        ("brightness", reference.adjust_brightness, 4.0),
        ("contrast", reference.adjust_contrast, 4.0),
        ("saturation", reference.adjust_saturation, 4.0),
    ],
)
def test_blends_equal_torchvision(name, function, high):
    @many
    @given(seeds, sizes, factors(0.0, high))
    def check(seed, size, values):
        images = make_images(seed, size)
        expected = torch.stack(
            [function(image, value) for image, value in zip(images, values, strict=True)]
        )
        actual = get(name)(images, torch.tensor(values)[:, None])
        torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)

    check()


@many
@given(seeds, sizes, factors(-0.5, 0.5))
def test_hue_equals_torchvision(seed, size, values):
    images = make_images(seed, size)
    expected = torch.stack(
        [reference.adjust_hue(image, value) for image, value in zip(images, values, strict=True)]
    )
    actual = get("hue")(images, torch.tensor(values)[:, None])
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


@many
@given(seeds, st.sampled_from([*SIZES, (2, 8), (8, 1)]), st.floats(0.0, 4.0))
def test_sharpness_equals_torchvision(seed, size, factor):
    images = make_images(seed, size)
    actual = get("sharpness").with_overrides({"factor": factor})(images, no_parameters(3))
    torch.testing.assert_close(
        actual, reference.adjust_sharpness(images, factor), atol=1e-5, rtol=0
    )


def test_sharpness_has_the_published_factor():
    images = make_images(0, (16, 16))
    expected = reference.adjust_sharpness(images, 1.5)
    actual = get("sharpness")(images, no_parameters(3))
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


@many
@given(seeds, sizes)
def test_grayscale_and_hflip_equal_torchvision(seed, size):
    images = make_images(seed, size)
    gray = get("grayscale")(images, no_parameters(3))
    flipped = get("hflip")(images, no_parameters(3))
    torch.testing.assert_close(gray, reference.rgb_to_grayscale(images, 3), atol=1e-5, rtol=0)
    assert torch.equal(flipped, reference.horizontal_flip(images))


@many
@given(seeds, st.sampled_from([(16, 16), (13, 21), (24, 14)]), factors(0.03125, 3.0))
def test_gaussian_blur_equals_torchvision_with_a_kernel_of_6_sigma(seed, size, values):
    images = make_images(seed, size)
    expected = []
    for image, sigma in zip(images, values, strict=True):
        kernel = 2 * math.ceil(3 * sigma) + 1
        expected.append(reference.gaussian_blur(image, [kernel, kernel], [sigma, sigma]))
    actual = get("gaussian_blur")(images, torch.tensor(values)[:, None])
    torch.testing.assert_close(actual, torch.stack(expected), atol=1e-5, rtol=0)


# Gaussian blur.


@pytest.mark.parametrize("size", [(4, 20), (20, 3), (1, 7), (2, 2), (1, 1)])
def test_a_kernel_larger_than_the_image_is_cut(size):
    images = make_images(0, size)
    sigmas = [0.3, 2.0, 5.0]
    actual = get("gaussian_blur")(images, torch.tensor(sigmas)[:, None])
    for image, sigma, blurred in zip(images, sigmas, actual, strict=True):
        expected = blur_with_scipy(image.double().numpy(), sigma)
        np.testing.assert_allclose(blurred.numpy(), expected, atol=1e-6)


def test_blur_of_a_constant_is_the_constant():
    images = torch.full((3, 3, 12, 17), 0.3)
    actual = get("gaussian_blur")(images, torch.tensor([[0.1], [1.0], [30.0]]))
    torch.testing.assert_close(actual, images, atol=1e-6, rtol=0)


def test_blur_with_sigma_zero_is_the_identity():
    images = make_images(0, (12, 17))
    assert torch.equal(get("gaussian_blur")(images, torch.zeros(3, 1)), images)


# Identities of the color augmentations.


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
@pytest.mark.parametrize("seed", range(6))
def test_a_factor_of_one_is_the_identity(name, seed):
    images = make_images(seed, (13, 21))
    assert torch.equal(get(name)(images, torch.ones(3, 1)), images)


def test_sharpness_of_factor_one_is_the_identity():
    images = make_images(0, (13, 21))
    keep = get("sharpness").with_overrides({"factor": 1})
    assert torch.equal(keep(images, no_parameters(3)), images)


@pytest.mark.parametrize("seed", range(6))
def test_factors_of_zero_leave_black_the_mean_gray_and_the_grayscale(seed):
    images, zero = make_images(seed, (13, 21)), torch.zeros(3, 1)
    gray = get("grayscale")(images, no_parameters(3))
    mean = gray.double().mean(dim=(1, 2, 3), keepdim=True).float().expand_as(images)
    assert not get("brightness")(images, zero).any()
    torch.testing.assert_close(get("contrast")(images, zero), mean, atol=1e-6, rtol=0)
    assert torch.equal(get("saturation")(images, zero), gray)


@pytest.mark.parametrize("seed", range(6))
def test_hue_turns_on_a_circle(seed):
    images, hue = make_images(seed, (13, 21)), get("hue")
    there = hue(images, repeat([0.2], 3))
    half = hue(images, repeat([0.5], 3))
    torch.testing.assert_close(hue(images, repeat([0.0], 3)), images, atol=1e-5, rtol=0)
    torch.testing.assert_close(hue(there, repeat([-0.2], 3)), images, atol=1e-5, rtol=0)
    torch.testing.assert_close(half, hue(images, repeat([-0.5], 3)), atol=1e-5, rtol=0)


def test_a_third_of_a_turn_moves_red_to_green():
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    green = torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1)
    turned = get("hue")(red, repeat([1 / 3], 1))
    torch.testing.assert_close(turned, green, atol=1e-5, rtol=0)


# What holds for every augmentation.


def test_the_twelve_augmentations_are_registered():
    assert set(BUILT_IN) <= set(augmentations.names())


@pytest.mark.parametrize("name", BUILT_IN)
class TestEveryAugmentation:
    def test_is_bit_for_bit_the_same_for_a_batch_and_for_single_images(self, name):
        # 48 images of 64 x 64 are more than one block, and enough to be split among threads.
        for size, n, step in (((19, 23), 24, 1), ((64, 64), 48, 5)):
            images = torch.cat([make_images(seed, size, n // 6) for seed in range(6)])
            parameters = draw(name, n, size)
            batch = get(name)(images, parameters)
            for i in range(0, n, step):
                single = get(name)(images[i : i + 1], parameters[i : i + 1])
                assert torch.equal(batch[i : i + 1], single)

    def test_leaves_its_input_alone_and_returns_new_memory(self, name):
        images, parameters = make_images(0, (16, 20)), draw(name, 3, (16, 20))
        images_before, parameters_before = images.clone(), parameters.clone()
        output = get(name)(images, parameters)
        output.zero_()
        assert torch.equal(images, images_before)
        assert torch.equal(parameters, parameters_before)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_keeps_shape_dtype_and_range(self, name, dtype):
        for seed in range(6):
            images = make_images(seed, (16, 20)).to(dtype)
            output = get(name)(images, draw(name, 3, (16, 20), seed))
            assert output.dtype == dtype
            assert output.shape == images.shape
            assert output.is_contiguous()
            assert 0 <= float(output.min()) <= float(output.max()) <= 1

    def test_does_not_depend_on_the_memory_layout(self, name):
        images, parameters = make_images(0, (16, 20)), draw(name, 3, (16, 20))
        expected = get(name)(images, parameters)
        channels_last = images.contiguous(memory_format=torch.channels_last)
        strided = torch.zeros(6, 3, 16, 40)[::2, :, :, ::2].copy_(images)
        columns_first = parameters.t().contiguous().t()
        assert torch.equal(get(name)(channels_last, parameters), expected)
        assert torch.equal(get(name)(strided, columns_first), expected)

    def test_takes_an_empty_batch(self, name):
        output = get(name)(torch.empty(0, 3, 16, 20), draw(name, 0, (16, 20)))
        assert output.shape == (0, 3, 16, 20)

    def test_takes_an_image_of_one_pixel(self, name):
        images = make_images(0, (1, 1))
        output = get(name)(images, draw(name, 3, (1, 1)))
        assert output.shape == images.shape
        assert bool(output.isfinite().all())

    def test_changes_an_image(self, name):
        images, size = make_images(0, (64, 64)), (64, 64)
        bounds = [parameter.bounds(*size) for parameter in get(name).parameters]
        output = get(name)(images, repeat([low + 0.9 * (high - low) for low, high in bounds], 3))
        assert bool(((output - images).abs().amax(dim=(1, 2, 3)) > 0.01).all())

    def test_describes_itself(self, name):
        description = get(name).description
        assert description.endswith(".")
        assert description[0].isupper()
