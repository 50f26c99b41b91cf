"""The augmentations of geometry, erasing and the elliptic blur against references of their own."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from augmentation_cases import (
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
from scipy import ndimage
from torchvision.transforms.v2 import functional as reference
from variscope.space.augmentations import get

# Flip, rolling and rotation.


def test_two_flips_are_the_identity():
    images, none = make_images(0, (13, 21)), no_parameters(3)
    assert torch.equal(get("hflip")(get("hflip")(images, none), none), images)


@many
@given(seeds, sizes, st.lists(st.integers(-30, 30), min_size=6, max_size=6))
def test_rolling_equals_torch_roll_of_each_image(seed, size, shifts):
    images = make_images(seed, size)
    parameters = torch.tensor(shifts, dtype=torch.float32).reshape(3, 2)
    expected = [
        torch.roll(image, (int(rows), int(columns)), dims=(1, 2))
        for image, (rows, columns) in zip(images, parameters.tolist(), strict=True)
    ]
    assert torch.equal(get("rolling")(images, parameters), torch.stack(expected))


def test_rolls_compose_and_no_shift_is_the_identity():
    images, roll = make_images(0, (13, 21)), get("rolling")
    twice = roll(roll(images, repeat([2.0, -3.0], 3)), repeat([4.0, 1.0], 3))
    assert torch.equal(twice, roll(images, repeat([6.0, -2.0], 3)))
    assert torch.equal(roll(images, torch.zeros(3, 2)), images)


def test_every_whole_shift_within_the_bounds_is_equally_likely():
    rows = get("rolling").parameters[0]
    assert rows.bounds(16, 40) == (-3, 3)  # 16 / 5 = 3.2 allows -3, ..., 3
    n = 7000
    drawn = torch.from_numpy(rows.decode((np.arange(n) + 0.5) / n, 16, 40)).float()
    images = torch.arange(16.0).div(16).view(1, 1, 16, 1).expand(n, 3, 16, 1)
    shifts = torch.stack([drawn, torch.zeros(n)], dim=1)
    first = get("rolling")(images, shifts)[:, 0, 0, 0].mul(16).round().long()
    assert torch.bincount(first, minlength=16).tolist() == [1000] * 4 + [0] * 9 + [1000] * 3


def rotate_with_scipy(image: np.ndarray, degrees: float) -> np.ndarray:
    """Rotate (3, H, W) counter-clockwise and zoom, written on complex numbers (x, minus y)."""
    height, width = image.shape[1:]
    angle = math.radians(degrees)
    corner = complex(
        width * abs(math.cos(angle)) + height * abs(math.sin(angle)),
        width * abs(math.sin(angle)) + height * abs(math.cos(angle)),
    )
    zoom = max(corner.real / width, corner.imag / height)
    y, x = np.mgrid[:height, :width].astype(float)
    target = (x - (width - 1) / 2) - 1j * (y - (height - 1) / 2)
    source = target * np.exp(-1j * angle) / zoom
    at = [(height - 1) / 2 - source.imag, (width - 1) / 2 + source.real]
    return np.stack(
        [ndimage.map_coordinates(channel, at, order=1, mode="nearest") for channel in image]
    )


@many
@given(seeds, sizes, factors(-180.0, 180.0))
def test_rotation_equals_scipy_on_the_same_geometry(seed, size, angles):
    images = make_images(seed, size)
    actual = get("rotation")(images, torch.tensor(angles)[:, None])
    for image, angle, rotated in zip(images, angles, actual, strict=True):
        expected = rotate_with_scipy(image.double().numpy(), angle)
        np.testing.assert_allclose(rotated.numpy(), expected, atol=3e-5)


def test_rotation_by_zero_is_the_identity_to_the_last_bit():
    images = make_images(0, (13, 21))
    parameters = torch.tensor([[0.0], [5.0], [-0.0]])
    rotated = get("rotation")(images, parameters)
    assert torch.equal(rotated[0], images[0])
    assert torch.equal(rotated[2], images[2])
    assert not torch.equal(rotated[1], images[1])


def test_rotation_turns_the_way_of_torchvision_and_zooms_by_1_16_at_10_degrees():
    size, radius, zoom = 101, 20.0, math.cos(math.radians(10)) + math.sin(math.radians(10))
    assert round(zoom, 2) == 1.16
    y, x = torch.meshgrid(torch.arange(size) - 50.0, torch.arange(size) - 50.0, indexing="ij")
    spot = torch.exp(-((x - radius) ** 2 + y**2) / 8).expand(1, 3, size, size)

    def centre(images: torch.Tensor) -> tuple[float, float]:
        weight = images[0, 0] / images[0, 0].sum()
        return float((weight * x).sum()), float((weight * y).sum())

    ours = centre(get("rotation")(spot, repeat([10.0], 1)))
    theirs = centre(reference.rotate(spot, 10.0, reference.InterpolationMode.BILINEAR))
    assert math.hypot(*ours) == pytest.approx(zoom * radius, abs=0.02)
    assert math.hypot(*theirs) == pytest.approx(radius, abs=0.02)
    assert math.atan2(ours[1], ours[0]) == pytest.approx(math.atan2(theirs[1], theirs[0]), abs=1e-3)
    assert math.degrees(math.atan2(-ours[1], ours[0])) == pytest.approx(10.0, abs=0.1)


def test_a_rotated_white_image_has_no_dark_corners():
    images = torch.ones(9, 3, 20, 33)
    angles = torch.linspace(-90, 90, 9)[:, None]
    torch.testing.assert_close(get("rotation")(images, angles), images, atol=1e-6, rtol=0)


# Erasing.


def erased(parameters: list[float], size: tuple[int, int]) -> torch.Tensor:
    """Which pixels (H, W) of a white image are erased."""
    return get("erasing")(torch.ones(1, 3, *size), torch.tensor([parameters]))[0, 0] == 0.5


@many
@given(
    st.floats(0.4, 0.6),
    st.floats(0.4, 0.6),
    st.floats(0.02, 0.12),
    st.floats(math.log(0.3), math.log(3.3)),
)
def test_a_box_inside_the_image_has_the_stated_area_aspect_and_centre(row, column, area, aspect):
    height, width = 60, 60
    mask = erased([row * height, column * width, area, aspect], (height, width))
    rows, columns = mask.any(dim=1).nonzero(), mask.any(dim=0).nonzero()
    assert mask.sum() == len(rows) * len(columns)  # a full box
    assert abs(len(rows) - math.sqrt(area * height * width / math.exp(aspect))) <= 1
    assert abs(len(columns) - math.sqrt(area * height * width * math.exp(aspect))) <= 1
    assert abs(float(rows.double().mean()) + 0.5 - row * height) <= 0.5
    assert abs(float(columns.double().mean()) + 0.5 - column * width) <= 0.5


def test_the_mean_erased_area_is_the_stated_one():
    n, size = 2000, (40, 50)
    generator = torch.Generator().manual_seed(0)
    places = 0.4 + 0.2 * torch.rand(n, 2, generator=generator)
    parameters = torch.cat([places * torch.tensor(size), repeat([0.1, 0.4], n)], dim=1)
    erased_share = (get("erasing")(torch.ones(n, 3, *size), parameters)[:, 0] == 0.5).float().mean()
    assert float(erased_share) == pytest.approx(0.1, abs=5e-4)


def test_a_box_beyond_the_border_is_clipped_and_not_skipped():
    # 0.25 of 40 x 40 is a box of 20 x 20: centred in the corner, a quarter of it is left.
    mask = erased([40.0, 40.0, 0.25, 0.0], (40, 40))
    assert int(mask.sum()) == 100
    assert bool(mask[30:, 30:].all())
    assert int(erased([0.0, 20.0, 0.25, 0.0], (40, 40)).sum()) == 200
    assert bool(erased([20.0, 20.0, 1.0, 0.0], (40, 40)).all())


def test_a_positive_log_aspect_is_a_wide_box():
    mask = erased([20.0, 20.0, 0.04, math.log(4.0)], (40, 40))
    assert (int(mask.any(dim=1).sum()), int(mask.any(dim=0).sum())) == (4, 16)


def test_erasing_fills_with_the_colour_and_leaves_the_rest():
    images = make_images(0, (40, 40))
    erase = get("erasing").with_overrides({"colour": [1.0, 0.25, 0]})
    output = erase(images, repeat([20.0, 10.0, 0.04, 0.0], 3))
    colour = torch.tensor([1.0, 0.25, 0.0])[:, None, None]
    assert torch.equal(output[:, :, 16:24, 6:14], colour.expand(3, 3, 8, 8))
    output[:, :, 16:24, 6:14] = images[:, :, 16:24, 6:14]
    assert torch.equal(output, images)


# Elliptic local blur.


def inside_ellipse(parameters: list[float], size: tuple[int, int]) -> np.ndarray:
    """Which pixel centres (H, W) lie within: their distances to the foci add up to at most 2 a."""
    semi_rows, semi_columns, shift_rows, shift_columns, angle = parameters
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    place = (x - (size[1] - 1) / 2 - shift_columns) - 1j * (y - (size[0] - 1) / 2 - shift_rows)
    major, minor = max(semi_rows, semi_columns), min(semi_rows, semi_columns)
    focus = math.sqrt(major**2 - minor**2) * np.exp(1j * math.radians(angle))
    if semi_rows > semi_columns:
        focus = focus * 1j
    return np.abs(place - focus) + np.abs(place + focus) <= 2 * major


@many
@given(seeds, st.sampled_from([(32, 32), (27, 45), (50, 23)]))
def test_elliptic_blur_is_the_gaussian_blur_inside_and_the_original_outside(seed, size):
    images = make_images(seed, size)
    parameters = draw("elliptic_local_blur", 3, size, seed)
    sigma = 3 / 224 * min(size)
    output = get("elliptic_local_blur")(images, parameters)
    for image, values, altered in zip(images, parameters.tolist(), output, strict=True):
        inside = inside_ellipse(values, size)
        assert inside.any()
        expected = blur_with_scipy(image.double().numpy(), sigma)
        assert np.array_equal(altered.numpy()[:, ~inside], image.numpy()[:, ~inside])
        np.testing.assert_allclose(altered.numpy()[:, inside], expected[:, inside], atol=1e-5)


def test_elliptic_blur_takes_a_sigma_in_pixels():
    images = make_images(0, (20, 30))
    parameters = repeat([4.0, 6.0, 0.0, 5.0, 0.0], 3)
    wide = get("elliptic_local_blur").with_overrides({"sigma": 9.0})
    inside = inside_ellipse(parameters[0].tolist(), (20, 30))
    output = wide(images, parameters)
    for image, altered in zip(images, output, strict=True):
        expected = blur_with_scipy(image.double().numpy(), 9.0)
        np.testing.assert_allclose(altered.numpy()[:, inside], expected[:, inside], atol=1e-5)
        assert np.array_equal(altered.numpy()[:, ~inside], image.numpy()[:, ~inside])


@pytest.mark.parametrize("angle", [0.0, 40.0, -90.0])
@pytest.mark.parametrize("shift", [(-20.0, 0.0), (22.0, -20.0), (3.0, 27.0), (-24.0, 30.0)])
def test_an_ellipse_over_the_border_is_blurred_where_the_image_is(shift, angle):
    """Alone, and beside one that lies elsewhere: their pixels are looked for together."""
    size, sigma = (40, 50), 1.5
    parameters = torch.tensor([[9.0, 4.0, *shift, angle], [3.0, 5.0, 8.0, -8.0, 10.0]])
    images = make_images(1, size)[:2]
    blur = get("elliptic_local_blur").with_overrides({"sigma": sigma})
    output = blur(images, parameters)
    assert torch.equal(output[:1], blur(images[:1], parameters[:1]))
    for image, values, altered in zip(images, parameters.tolist(), output, strict=True):
        inside = inside_ellipse(values, size)
        expected = blur_with_scipy(image.double().numpy(), sigma)
        assert np.array_equal(altered.numpy()[:, ~inside], image.numpy()[:, ~inside])
        np.testing.assert_allclose(altered.numpy()[:, inside], expected[:, inside], atol=1e-5)


def test_an_ellipse_outside_the_image_or_without_extent_changes_nothing():
    images = make_images(0, (20, 30))
    parameters = torch.tensor(
        [[3.0, 3.0, 90.0, 0.0, 0.0], [0.0, 4.0, 0.0, 0.0, 3.0], [3.0, 3.0, 0.0, -90.0, 0.0]]
    )
    assert torch.equal(get("elliptic_local_blur")(images, parameters), images)
