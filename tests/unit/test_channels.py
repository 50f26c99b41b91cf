"""Images of one channel: augmentations, what is refused, and what the page says without labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import variscope
from augmentation_cases import blur_with_scipy, no_parameters
from torch import nn
from torchvision.transforms.v2 import functional as reference
from variscope import UserError
from variscope.reporting.measured import agreement_sentence
from variscope.space.augmentations import get
from variscope.study.config import complete

GRAY = torch.rand(3, 1, 14, 23, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "function"),
    [("brightness", reference.adjust_brightness), ("contrast", reference.adjust_contrast)],
)
def test_blends_of_one_channel_equal_torchvision(name, function):
    factors = [0.2, 1.0, 2.4]
    wanted = torch.stack([function(i, f) for i, f in zip(GRAY, factors, strict=True)])
    found = get(name)(GRAY, torch.tensor(factors)[:, None])
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def test_sharpness_and_flip_of_one_channel_equal_torchvision():
    sharp = get("sharpness")(GRAY, no_parameters(3))
    torch.testing.assert_close(sharp, reference.adjust_sharpness(GRAY, 1.5), atol=1e-5, rtol=0)
    assert torch.equal(get("hflip")(GRAY, no_parameters(3)), reference.horizontal_flip(GRAY))


def test_blur_of_one_channel_equals_scipy():
    sigmas = [0.3, 1.1, 2.5]
    found = get("gaussian_blur")(GRAY, torch.tensor(sigmas)[:, None])
    for image, sigma, blurred in zip(GRAY, sigmas, found, strict=True):
        wanted = np.stack([blur_with_scipy(image.double().numpy(), sigma)])[0]
        np.testing.assert_allclose(blurred.numpy(), wanted, atol=1e-6)


def test_rolling_and_erasing_of_one_channel():
    shifts = torch.tensor([[2.0, -3.0], [0.0, 5.0], [-4.0, 1.0]])
    wanted = [
        torch.roll(i, (int(r), int(c)), (1, 2))
        for i, (r, c) in zip(GRAY, shifts.tolist(), strict=True)
    ]
    assert torch.equal(get("rolling")(GRAY, shifts), torch.stack(wanted))
    # 16 pixels of 14 x 23, as wide as high: rows and columns 5 to 8 around (7, 7).
    box = torch.tensor([[7.0, 7.0, 16 / (14 * 23), 0.0]]).expand(3, 4)
    erased = GRAY.clone()
    erased[:, :, 5:9, 5:9] = 0.5
    torch.testing.assert_close(get("erasing")(GRAY, box), erased)


def test_rotation_of_one_channel_is_that_of_each_of_three():
    angles = torch.tensor([[-10.0], [4.0], [30.0]])
    three = get("rotation")(GRAY.expand(-1, 3, -1, -1), angles)
    torch.testing.assert_close(get("rotation")(GRAY, angles).expand(-1, 3, -1, -1), three)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 12 * 21, 3))


def decompose(images=None, labels=None, **settings):
    images = GRAY.numpy() if images is None else images
    settings = {"variables": ["hflip"], "layers": ["2"], "channels": 1, **settings}
    settings = {"mean": [0.5], "std": [0.25], **settings}
    return variscope.decompose(
        network(), images, labels, blocks=8, replicates=2, progress=False, **settings
    )


@pytest.mark.parametrize("name", ["hue", "saturation", "grayscale"])
def test_colors_of_one_channel_are_refused_by_name(name):
    with pytest.raises(UserError, match=rf"variables: {name} changes colors"):
        decompose(variables=[name])


def test_without_labels_class_is_no_variable():
    data = decompose()["2"].to_dataset()
    assert data["variable"].values.tolist() == ["hflip", "order", "image"]
    with pytest.raises(UserError, match="class is named, but the images have no classes"):
        decompose(auxiliary=["class", "image"])
    with pytest.raises(UserError, match="class is named, but the images are of one class, '0'"):
        decompose(labels=[0, 0, 0], auxiliary=["class", "image"])


def test_float64_images_are_float32_images():
    one, other = decompose(), decompose(GRAY.double().numpy())
    np.testing.assert_array_equal(one["2"].shapley.values, other["2"].shapley.values)


@pytest.mark.parametrize("key", ["mean", "std"])
def test_two_numbers_fit_no_images(key):
    config: dict[str, Any] = {
        "experiment": "e",
        "dataset": {"kind": "photographs"},
        "models": {"net": {"factory": "a:b", key: [0.5, 0.5]}},
        "variable_sets": {"s": {"variables": ["hflip"]}},
    }
    found = rf"models\.net\.{key}: found \[0\.5, 0\.5\]"
    with pytest.raises(UserError, match=rf"{found}; allowed: 1 or 3 numbers"):
        complete(config)
    config["models"]["net"][key] = [0.5]
    assert complete(config)["models"]["net"][key] == [0.5]


def test_why_there_is_no_accuracy_is_said():
    def said(classes, labelled):
        return agreement_sentence(0.5, 0.4, 0.6, 9, 3, classes, labelled=labelled)

    assert said(1, False).startswith("The images have no labels, so accuracy cannot be measured;")
    assert said(1, True).startswith("The images are of one class, so accuracy is not measured;")
    assert said(2, True).startswith("The 2 classes of the data are not the 3 of the network,")
    assert "50.0 %" in said(1, False)


def test_one_mean_of_three_channels_names_the_argument():
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten())
    images = np.zeros((2, 1, 8, 8), np.uint8)
    with pytest.raises(UserError, match="channels=1 where the network takes one channel"):
        variscope.decompose(network, images, None, variables=["hflip"], mean=[0.5], std=[0.5])
