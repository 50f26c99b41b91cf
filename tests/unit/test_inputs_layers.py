"""Which layers there are, and what is caught of them."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn
from variscope.errors import UserError
from variscope.inputs import models
from variscope.inputs.layers import Layer, auto_layers, capture, probe
from variscope.inputs.networks import convnet


class Odd(nn.Module):
    """Every kind of output that cannot be a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.twice = nn.ReLU()
        self.unused = nn.Linear(2, 2)
        self.pair = Lambda(lambda x: (x, x))
        self.folded = Lambda(lambda x: x.reshape(-1, 2, *x.shape[2:]))
        self.summed = Lambda(lambda x: x.sum())
        self.growing = Lambda(lambda x: x.repeat(1, len(x), 1, 1))
        self.ranks = Lambda(lambda x: x.argmax(1))
        self.sums = Lambda(lambda x: x.sum((1, 2, 3)))
        self.logits = nn.Linear(4, 5)
        self.same = self.logits

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.twice(self.twice(self.first(x)))
        for module in (self.pair, self.folded, self.summed, self.growing, self.ranks, self.sums):
            module(x)
        return self.logits(x.mean((2, 3)))


class Lambda(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


SHAPE = (3, 8, 8)


def test_layers_have_names_shapes_units_and_dims():
    layers = probe(Odd(), ["first", "logits", "sums"], SHAPE)
    first = Layer("first", (4, 6, 6), ("channel", "y", "x"))
    assert layers == (first, Layer("logits", (5,)), Layer("sums", ()))
    assert [layer.units for layer in layers] == [144, 5, 1]
    assert [layer.dims for layer in layers] == [("channel", "y", "x"), ("neuron",), ("unit",)]
    assert [layer.shape for layer in layers] == [(4, 6, 6), (5,), (1,)]
    assert Layer("tokens", (197, 768)).dims == ("unit_0", "unit_1")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["frist"], r"no module 'frist'; near it: first; it has first, twice"),
        ([""], r"no module ''"),
        (["twice"], r"'twice' is called 2 times in one pass"),
        (["unused"], r"'unused' is never called"),
        (
            ["pair"],
            r"'pair' gives a tuple; name one of its tensors: there is 'pair\[0\]', 'pair\[1\]'",
        ),
        (["folded"], r"'folded' gives shape \(2, 2, 6, 6\) for 1 image; its first dimension"),
        (["summed"], r"'summed' gives shape \(\) for 1 image;"),
        (["growing"], r"'growing' changes its shape with the batch, from \(4, 6, 6\) to \(8,"),
        (["ranks"], r"'ranks' gives torch\.int64; real numbers are needed"),
        (["first", "first"], r"'first' is named twice"),
        (["logits", "same"], r"'logits' and 'same' are the same module"),
        ([], r"found \[\]; a list of module names, or auto"),
        ("first", r"found 'first'; a list of module names, or auto"),
    ],
)
def test_what_cannot_be_a_layer_is_refused_by_name(names, message):
    with pytest.raises(UserError, match=message):
        probe(Odd(), names, SHAPE)


def test_softmax_needs_a_dimension_of_units():
    with pytest.raises(UserError, match=r"softmax needs outputs .*'sums'"):
        probe(Odd(), ["first", "sums"], SHAPE, softmax_last=True)


def test_images_that_the_model_refuses_are_reported():
    with pytest.raises(UserError, match=r"fails on images of shape \(1, 1, 8, 8\): RuntimeError"):
        probe(Odd(), ["first"], (1, 8, 8))


def test_probe_leaves_no_hooks_and_draws_nothing_global():
    model = convnet()
    before = torch.get_rng_state()
    probe(model, "auto", (3, 32, 32))
    assert torch.equal(before, torch.get_rng_state())
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("size", [16, 33, 64, 96])
def test_convnet_takes_any_image_from_16_px(size):
    layers = probe(convnet(7), "auto", (3, size, size))
    assert [layer.name for layer in layers] == ["stage1", "stage2", "stage3", "head", "logits"]
    assert layers[-2:] == (Layer("head", (64,)), Layer("logits", (7,)))


def test_convnet_shapes_at_64_px():
    shapes = [layer.shape for layer in probe(convnet(), "auto", (3, 64, 64))]
    assert shapes == [(12, 32, 32), (24, 16, 16), (48, 8, 8), (64,), (10,)]


AUTO = {
    "resnet18": "layer1 layer2 layer3 layer4 avgpool fc",
    "alexnet": "features.2 features.5 features.7 avgpool classifier.2 classifier.5 classifier.6",
    "convnext_tiny": "features.1 features.3 features.5 features.7 classifier.0 classifier.2",
    "vit_b_16": "conv_proj encoder.layers.encoder_layer_2 encoder.layers.encoder_layer_5 "
    "encoder.layers.encoder_layer_8 encoder.layers.encoder_layer_11 heads.head",
    "swin_t": "features.1 features.3 features.5 features.7 permute avgpool head",
    "maxvit_t": "stem blocks.0 blocks.1 blocks.2 blocks.3 classifier",
}


@pytest.mark.parametrize("name", AUTO)
def test_auto_takes_the_main_stages(name):
    assert auto_layers(models.build(f"torchvision:{name}"), (3, 224, 224)) == tuple(
        AUTO[name].split(" ")
    )


def test_auto_of_vgg11_has_the_published_number_of_units():
    with torch.device("meta"):
        features = torchvision.models.vgg11().eval()
    model = features.to_empty(device="cpu")  # the values do not matter, and drawing them is slow
    assert sum(layer.units for layer in probe(model, "auto", (3, 224, 224))) == 1_539_560


def test_auto_leaves_out_what_cannot_be_a_layer():
    assert auto_layers(Odd(), SHAPE) == ("first", "sums", "logits")
    with pytest.raises(UserError, match="auto finds no module with a usable output"):
        auto_layers(Lambda(lambda x: x), SHAPE)


# capture


def test_what_is_received_comes_before_a_later_change_in_place():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True))
    images = torch.randn(2, *SHAPE)
    wanted = {"0": model[0](images).detach().clone(), "1": model(images).detach()}
    found: dict[str, torch.Tensor] = {}
    with capture(
        model,
        [Layer("0", (4, 6, 6)), Layer("1", (4, 6, 6))],
        lambda name, output: found.update({name: output.clone()}),
    ):
        model(images)
    for name, value in wanted.items():
        assert torch.equal(found[name], value) and not found[name].requires_grad
    assert (found["0"] < 0).any()


def test_softmax_is_applied_where_a_layer_says_so_which_is_the_last_alone():
    model = convnet().eval()
    images = torch.rand(3, 3, 32, 32)
    found: dict[str, torch.Tensor] = {}
    layers = probe(model, ["head", "logits"], (3, 32, 32), softmax_last=True)
    assert [layer.softmax for layer in layers] == [False, True]
    assert Layer.from_json(layers[1].to_json()) == layers[1]
    with torch.no_grad(), capture(model, layers, found.__setitem__):
        result = model(images)
    torch.testing.assert_close(found["logits"], result.softmax(1))
    assert not torch.allclose(found["head"].sum(1), torch.ones(3))


def test_hooks_are_removed_even_after_an_error():
    model, stage = convnet(), Layer("stage1", (12, 8, 8))

    def failing(name: str, output: torch.Tensor) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), capture(model, [stage], failing):
        model(torch.rand(2, 3, 16, 16))
    unknown = Layer("unknown", (1,))
    with pytest.raises(KeyError), capture(model, [stage, unknown], lambda *call: None):
        pass
    assert not any(module._forward_hooks for module in model.modules())
