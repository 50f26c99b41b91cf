"""Values are looked at: what draws, mixes images or misreads memory is found, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from variscope.errors import UserError
from variscope.inputs.layers import probe
from variscope.inputs.models import plain
from variscope.inputs.values import check_values, looked_at
from variscope.space.augmentations import Augmentation, Parameter, get, names
from variscope.space.trying import try_augmentation

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
NORMAL = ([0.5, 0.5, 0.5], [0.25, 0.25, 0.25])


class Net(nn.Module):
    """A small network that does something between its two layers."""

    def __init__(self, between=lambda values: values, *, scale: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc = nn.Conv2d(3, 8, 5, stride=2), nn.Linear(8 * 14 * 14, 3, bias=False)
        self.between, self.scale = between, scale

    def forward(self, images):
        values = self.between(torch.relu(self.conv(images)) * self.scale)
        return self.fc(values.flatten(1))


class Stubborn(nn.Module):
    """Holds a module that stays in training mode."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def train(self, mode: bool = True):
        self.training = mode
        return self


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, values):
        return values + 1e-6 * torch.rand(values.shape, generator=self.generator)


def check(model: nn.Module, names="auto", size: int = 32) -> str:
    pixels = PIXELS if size == 32 else PIXELS.repeat(size // 32, 2).repeat(size // 32, 3)
    layers = probe(plain(model), names, (3, size, size))
    return check_values(model, layers, looked_at(pixels), *NORMAL)


@pytest.mark.parametrize(
    "name", ["resnet18", "alexnet", "mobilenet_v2", "efficientnet_b0", "convnext_tiny", "swin_t"]
)
def test_the_usual_networks_pass_in_channels_last(name):
    from torchvision import models

    torch.manual_seed(0)
    assert check(getattr(models, name)(), size=64) == "channels_last"


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_rounding_is_judged_by_the_scale_of_the_outputs(scale):
    assert check(Net(scale=scale), ["conv", "fc"]) == "channels_last"
    with pytest.raises(UserError, match="other images are in its batch"):
        check(Net(lambda v: v + 1e-3 * v.mean(0), scale=scale), ["fc"])


def test_a_steep_network_is_not_mistaken_for_one_that_mixes():
    assert check(Net(lambda v: 1e4 * (v + 1000) - 1e7), ["conv", "fc"]) == "channels_last"


def stubborn(module: nn.Module) -> nn.Module:
    net = Net()
    net.between = Stubborn(module.train())
    net.between.forward = module.forward
    return net


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: Net(lambda v: functional.dropout(v, 0.5)), r"'fc' .*draws at random.*'conv' and"),
        (lambda: Net(lambda v: functional.dropout(v, 1e-6)), r"'fc' .*draws at random"),
        (lambda: Net(lambda v: v + 0.1 * torch.randn_like(v)), r"'fc' .*draws at random"),
        (lambda: Net(lambda v: v * float(np.random.rand())), r"'fc' .*draws at random"),
        (lambda: stubborn(nn.Dropout(0.1)), r"'fc' .*draws at random"),
        (lambda: Net(Counting()), r"keeps a state .*module 'between' \(Counting\)"),
        (
            lambda: Net(nn.BatchNorm2d(8, track_running_stats=False)),
            r"other images are in its batch.*module 'between' \(BatchNorm2d\).*running statistics",
        ),
        (lambda: stubborn(nn.BatchNorm2d(8)), r"'fc' .*other images are in its batch"),
        (lambda: Net(lambda v: v - v.mean(0)), r"other images are in its batch"),
        (lambda: Net(lambda v: v / v.abs().max()), r"other images are in its batch"),
        (lambda: Net(lambda v: 0.9 * v + 0.1 * v.roll(1, 0)), r"other images are in its batch"),
    ],
)
def test_what_draws_or_mixes_is_refused_and_the_place_is_named(model, message):
    with pytest.raises(UserError, match=message):
        check(model(), ["conv", "fc"])


def test_only_what_feeds_the_chosen_layers_matters():
    assert check(Net(lambda v: functional.dropout(v, 0.5)), ["conv"]) == "channels_last"


def test_a_network_that_does_not_take_channels_last_runs_contiguous():
    assert check(Net(lambda v: v.view(len(v), -1)), ["conv", "fc"]) == "contiguous"


def test_other_numbers_in_channels_last_are_found():
    def by_strides(values):
        return values.as_strided(values.shape, (8 * 14 * 14, 14 * 14, 14, 1))

    assert check(Net(by_strides), ["conv", "fc"]) == "contiguous"


def test_buffers_and_generators_stay_as_they_were():
    model = stubborn(nn.BatchNorm2d(8))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = torch.get_rng_state()
    with pytest.raises(UserError):
        check(model, ["fc"])
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert model.get_parameter("conv.weight").is_contiguous()


# augmentations


def tried(operation) -> None:
    own = Augmentation(
        name="own", operation=operation, parameters=(Parameter(name="s", low=0.0, high=0.5),)
    )
    try_augmentation(own, [(0.0, 0.5)], looked_at(PIXELS))


def column(parameters: torch.Tensor) -> torch.Tensor:
    return parameters[:, :, None, None]


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (lambda x, p: x + column(p) * torch.randn_like(x), "own draws at random"),
        (lambda x, p: x + column(p) * float(np.random.rand()), "own draws at random"),
        (lambda x, p: (1 - column(p)) * x + column(p) * x.flip(0), "other images are beside it"),
        (lambda x, p: x + column(p) * (x.mean() - x), "other images are beside it"),
        (lambda x, p: x * p.max(), "other images are beside it"),
        (lambda x, p: x.add_(column(p)), "modifies the images"),
        (lambda x, p: x / 0, "not finite"),
    ],
)
def test_augmentations_that_draw_or_mix_are_refused(operation, message):
    with pytest.raises(UserError, match=message):
        tried(operation)


def test_augmentations_of_each_image_alone_pass():
    tried(lambda x, p: x + column(p) * (x.mean((1, 2, 3), keepdim=True) - x))


@pytest.mark.parametrize("name", names())
def test_the_augmentations_that_come_with_the_package_pass(name):
    augmentation = get(name)
    bounds = [parameter.bounds(32, 32) for parameter in augmentation.parameters]
    try_augmentation(augmentation, bounds, looked_at(PIXELS))
