"""Gradients, differences, occlusion and class activation maps against known answers and captum."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from captum import attr
from torch import nn
from torchvision import models
from variscope.attributions import built_in, named
from variscope.attributions.cells import cell_means, cell_of_pixels, edges
from variscope.attributions.difference import central_differences, difference, in_double
from variscope.attributions.grad_cam import grad_cam
from variscope.attributions.gradient import gradient, pixel_gradient
from variscope.attributions.hires_cam import hires_cam
from variscope.attributions.layer_maps import found_layer, in_plane, last_of, seen
from variscope.attributions.occlusion import occlusion
from variscope.errors import UserError
from variscope.inputs.layers import auto_layers, probe
from variscope.responses.network.scored import Scored

MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
PIXEL_METHODS: list[Callable[..., torch.Tensor]] = [gradient, difference, occlusion]
ALL = ["gradient", "difference", "occlusion", "grad_cam", "hires_cam"]


def images(count: int = 3, size: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.rand((count, 3, size, size), generator=torch.Generator().manual_seed(seed))


def scored(network: nn.Module, size: int = 16, layer: str | None = None) -> Scored:
    network.eval()
    of = probe(network, [layer], (3, size, size))[0] if layer else None
    return Scored(network, MEAN, STD, of)


class Convolutional(nn.Module):
    """Two convolutions with ReLUs that work in place, and a linear head on all places."""

    def __init__(self, size: int = 16, classes: int = 4) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(6, 8, 3, stride=2, padding=1)
        self.act2 = nn.ReLU(inplace=True)
        self.head = nn.Linear(8 * (size // 2) ** 2, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.act2(self.second(self.act(self.first(x)))).flatten(1))


class Patch(nn.Module):
    """Reads rows 4 to 7 and columns 8 to 11 alone, and not linearly."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.maps = nn.Conv2d(3, 5, 1)
        self.head = nn.Linear(5 * 16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.maps(x).sigmoid()[:, :, 4:8, 8:12].flatten(1)).tanh()


class Deaf(nn.Module):
    """Ignores its input."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Conv2d(3, 5, 1)
        self.scores = nn.Parameter(torch.tensor([0.5, -1.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.maps(x)
        return self.scores.expand(len(x), -1)


def linear(size: int = 6) -> tuple[Scored, torch.Tensor]:
    """A linear network, and its weights by the normalised image, ``(class, C, H, W)``."""
    torch.manual_seed(5)
    head = nn.Linear(3 * size * size, 4)
    return scored(nn.Sequential(nn.Flatten(), head), size), head.weight.reshape(4, 3, size, size)


def test_maps_of_a_linear_network_are_its_weights_over_the_std() -> None:
    model, weights = linear()
    given, target = images(3, 6), torch.tensor([0, 3, 1])
    by_channel = (weights / torch.tensor(STD)[:, None, None])[target].detach()
    torch.testing.assert_close(pixel_gradient(model, given, target), by_channel)
    torch.testing.assert_close(gradient(model, given, target), by_channel.abs().sum(1))
    torch.testing.assert_close(
        gradient(model, given, target, channels="norm"), by_channel.square().sum(1).sqrt()
    )
    for channels, wanted in (
        ("together", by_channel.sum(1)),
        ("signed", by_channel.sum(1)),
        ("absolute", by_channel.abs().sum(1)),
    ):
        found = difference(model, given, target, cells=None, channels=channels, double=True)
        torch.testing.assert_close(found, wanted.double(), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"channels: found 'largest'; allowed: absolute, norm"):
        gradient(model, given, target, channels="largest")


def test_a_cells_difference_is_the_mean_of_its_pixels_derivatives() -> None:
    model, weights = linear(size=7)
    target = torch.tensor([2])
    by_pixel = (weights / torch.tensor(STD)[:, None, None])[target].detach().sum(1)
    assert edges(7, 3) == [0, 2, 5, 7]
    wanted = torch.stack([
        torch.stack([by_pixel[0, a:b, c:d].mean() for c, d in ((0, 2), (2, 5), (5, 7))])
        for a, b in ((0, 2), (2, 5), (5, 7))
    ])[None]  # fmt: skip
    torch.testing.assert_close(cell_means(by_pixel, 3), wanted)
    found = difference(model, images(1, 7), target, cells=3, double=True)
    torch.testing.assert_close(found, wanted.double(), rtol=1e-5, atol=1e-6)
    assert cell_of_pixels(2, 3, 9).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_difference_is_of_its_step_and_a_gradient_of_none() -> None:
    class Kink(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x.flatten(1) - 0.5).relu()

    given = torch.full((1, 1, 2, 2), 0.5) + 0.1 / 255
    target = torch.tensor([3])
    assert gradient(Kink(), given, target)[0].tolist() == [[0, 0], [0, 1]]
    places = torch.tensor([[[0, 1, 1], [0, 0, 1]]])
    model, double = in_double(Kink(), given)
    for step, slope in ((1.0, 0.55), (2.0, 0.525), (0.05, 1.0)):
        found = central_differences(model, double, target, places, step=step)
        torch.testing.assert_close(
            found, torch.tensor([[slope, 0.0]], dtype=torch.float64), rtol=1e-4, atol=0
        )


def test_small_steps_in_float64_give_the_gradient_and_in_float32_do_not() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softplus(), nn.Flatten(), nn.Linear(784, 2))
    torch.manual_seed(0)
    model, given, target = scored(network), images(2), torch.tensor([0, 1])
    places = torch.randint(3, (2, 20, 3))
    wanted = pixel_gradient(model, given, target)[
        torch.arange(2)[:, None], *places.permute(2, 0, 1)
    ]
    double, exact = in_double(model, given)
    assert next(model.parameters()).dtype == torch.float32
    found = central_differences(double, exact, target, places, step=1e-3)
    torch.testing.assert_close(found, wanted.double(), rtol=1e-4, atol=1e-6)
    naive = central_differences(model, given, target, places, step=1e-3)
    assert (naive - wanted).abs().max() > 100 * (found - wanted).abs().max()


def test_a_network_that_computes_in_float32_alone_is_refused_in_float64() -> None:
    class Single(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ones((3, 2)).T @ x.mean(dim=(2, 3)).T

    with pytest.raises(UserError, match="does not compute in float64"):
        difference(Single(), images(1), torch.tensor([0]), double=True)


@pytest.mark.parametrize("name", ALL)
def test_a_network_that_reads_one_patch_has_exactly_0_elsewhere(name: str) -> None:
    model, target = scored(Patch()), torch.tensor([0, 1, 2])
    every: dict[str, dict[str, Any]] = {
        "difference": {"cells": None}, "occlusion": {"window": 2, "stride": 1},
        "grad_cam": {"layer": "maps"}, "hires_cam": {"layer": "maps"},
    }  # fmt: skip
    maps = built_in()[name].maps(model, images(), target, **every.get(name, {}))
    inside = torch.zeros((16, 16), dtype=torch.bool)
    inside[4:8, 8:12] = True
    if name == "occlusion":  # a window that touches the patch covers pixels beside it
        inside[3:9, 7:13] = True
    assert (maps[:, inside] != 0).float().mean() > (0.9 if name != "grad_cam" else 0.2)
    # Grad-CAM takes the mean of the derivative over all places: it spreads over what is not read.
    assert bool((maps[:, ~inside] == 0).all()) == (name != "grad_cam")


@pytest.mark.parametrize("name", ALL)
def test_a_network_that_ignores_its_input_has_maps_of_0(name: str) -> None:
    settings = {"layer": "maps"} if name.endswith("cam") else {}
    maps = built_in()[name].maps(scored(Deaf()), images(), torch.tensor([0, 1, 0]), **settings)
    assert maps.shape[0] == 3
    assert not maps.any()


@pytest.mark.parametrize("network", [Convolutional(), models.resnet18()], ids=["small", "resnet18"])
def test_gradient_and_occlusion_are_captums(network: nn.Module) -> None:
    model, given, target = scored(network), images(2), torch.tensor([1, 3])
    saliency = attr.Saliency(model).attribute(given.clone(), target, abs=True).sum(1)
    torch.testing.assert_close(gradient(model, given, target), saliency, rtol=1e-5, atol=1e-5)
    for window, stride in ((4, 4), (5, 3), (6, 4)):
        wanted = attr.Occlusion(model).attribute(
            given, (3, window, window), strides=(3, stride, stride), baselines=0.3, target=target
        )[:, 0]  # fmt: skip
        found = occlusion(model, given, target, window=window, stride=stride, fill=0.3)
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("network", "layer", "size"),
    [
        (Convolutional(), "second", 16),  # a module that works in place comes next
        (Convolutional(), "act2", 16),
        (models.resnet18(), "layer4", 64),
        (models.resnet18(), "layer2.0.bn1", 64),
    ],
)
def test_class_activation_maps_are_captums(network: nn.Module, layer: str, size: int) -> None:
    network = network.eval().requires_grad_(False)
    model, given, target = scored(network, size), images(2, size), torch.tensor([1, 3])
    captured = _not_in_place(network)  # captum's hooks do not bear modules that work in place
    module = dict(captured.named_modules())[layer]
    again = Scored(captured, MEAN, STD)
    fresh = given.clone().requires_grad_()
    published = attr.LayerGradCam(again, module).attribute(fresh, target, relu_attributions=True)
    signed = attr.LayerGradCam(again, module).attribute(fresh, target)
    product = attr.LayerGradientXActivation(again, module).attribute(fresh, target).sum(1)
    for found, wanted in (
        (grad_cam(model, given, target, layer=layer), published[:, 0]),
        (grad_cam(model, given, target, layer=layer, positive=False), signed[:, 0]),
        (hires_cam(model, given, target, layer=layer), product),
    ):
        torch.testing.assert_close(found, wanted.detach(), rtol=1e-5, atol=1e-5)


def _not_in_place(network: nn.Module) -> nn.Module:
    import copy

    copied = copy.deepcopy(network)
    for module in copied.modules():
        if hasattr(module, "inplace"):
            module.inplace = False  # type: ignore[assignment]
    return copied


def transformers() -> dict[str, tuple[nn.Module, str]]:
    torch.manual_seed(1)
    vit = models.VisionTransformer(64, 16, 3, 2, 32, 64, num_classes=5)
    nn.init.normal_(vit.heads.head.weight)
    swin, convnext = models.swin_t(num_classes=5), models.convnext_tiny(num_classes=5)
    return {
        "vit": (vit, "encoder.layers.encoder_layer_1"),
        "swin": (swin, "features.5"),
        "convnext": (convnext, "features.7"),
    }


@pytest.mark.parametrize("name", ["vit", "swin", "convnext"])
def test_tokens_and_permuted_axes_are_maps_too(name: str) -> None:
    network, layer = transformers()[name]
    model, given, target = scored(network, 64), images(2, 64), torch.tensor([1, 3])
    one = probe(network, [layer], (3, 64, 64))[0]
    module = dict(network.named_modules())[layer]
    of = attr.LayerActivation(model, module).attribute(given)
    fresh = given.clone().requires_grad_()
    product = attr.LayerGradientXActivation(model, module).attribute(fresh, target)
    found = hires_cam(model, given, target, layer=layer)
    torch.testing.assert_close(found, in_plane(one, product.detach()).sum(1), rtol=1e-4, atol=1e-5)
    taken = seen(model, given, target, one)
    assert taken.maps.shape[2:] == {"vit": (4, 4), "swin": (4, 4), "convnext": (2, 2)}[name]
    torch.testing.assert_close(taken.maps, in_plane(one, of), rtol=1e-5, atol=1e-5)
    weights = taken.gradients.mean(dim=(2, 3))
    torch.testing.assert_close(
        grad_cam(model, given, target, layer=one),
        torch.einsum("nk,nkyx->nyx", weights, in_plane(one, of)).relu(),
        rtol=1e-4,
        atol=1e-5,
    )


def test_the_last_layer_is_the_last_that_the_scores_depend_on() -> None:
    given, target = images(1, 64), torch.tensor([2])
    vit, _ = transformers()["vit"]
    model = scored(vit, 64)
    layers = probe(
        vit, [*(f"encoder.layers.encoder_layer_{k}" for k in range(3)), "heads"], (3, 64, 64)
    )
    # Patches of the last block are handed to nobody: the head reads the class token.
    assert not seen(model, given, target, layers[2]).gradients.any()
    assert (
        getattr(last_of(model, given, target, layers), "name", "")
        == "encoder.layers.encoder_layer_1"
    )
    assert found_layer(model, given, target, None).name == "encoder.layers.encoder_layer_2.ln_1"
    assert last_of(model, given, target, layers[3:]) is None
    resnet = models.resnet18()
    assert found_layer(scored(resnet, 64), given, target, None).name == "layer4"
    shape = (3, 64, 64)
    found = probe(resnet, auto_layers(resnet.eval(), shape), shape)
    assert getattr(last_of(scored(resnet, 64), given, target, found), "name", "") == "layer4"
    deaf = Deaf()
    assert getattr(last_of(scored(deaf), images(1), target * 0, probe(deaf, ["maps"], (3, 16, 16))),
                   "name", "") == "maps"  # fmt: skip
    with pytest.raises(UserError, match="no layer of maps that its scores depend on"):
        grad_cam(linear(16)[0], images(1), torch.tensor([0]))


@pytest.mark.parametrize("size", [16, 24])
def test_hires_cam_sums_to_the_score_less_its_bias_where_the_head_is_linear(size: int) -> None:
    network = Convolutional(size)
    model, given, target = scored(network, size), images(3, size), torch.tensor([0, 2, 3])
    found = hires_cam(model, given, target, layer="act2")
    scores = model(given).gather(1, target[:, None])[:, 0] - network.head.bias[target]
    torch.testing.assert_close(found.sum(dim=(1, 2)), scores.detach(), rtol=1e-5, atol=1e-5)
    share = network.head.weight.reshape(4, 8, size // 2, size // 2)[target]
    maps = network.act2(network.second(network.act(network.first(
        (given - model.mean) / model.std))))  # type: ignore[operator]  # fmt: skip
    torch.testing.assert_close(found, (share * maps).sum(1).detach(), rtol=1e-5, atol=1e-5)


def test_with_a_mean_and_a_linear_head_grad_cam_is_hires_cam() -> None:
    torch.manual_seed(2)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                            nn.Linear(8, 4))  # fmt: skip
    model, given, target = scored(network), images(), torch.tensor([0, 1, 3])
    found = hires_cam(model, given, target, layer="1")
    torch.testing.assert_close(grad_cam(model, given, target, layer="1", positive=False), found)
    torch.testing.assert_close(grad_cam(model, given, target, layer="1"), found.relu())


def test_grad_cam_misses_what_hires_cam_finds_where_derivatives_differ_by_place() -> None:
    class Sides(nn.Module):
        """Brightness on the left less that on the right."""

        def __init__(self) -> None:
            super().__init__()
            self.maps = nn.Conv2d(3, 1, 1, bias=False)
            nn.init.ones_(self.maps.weight)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            left, right = self.maps(x).chunk(2, dim=3)
            return (left - right).sum(dim=(2, 3))

    network, target = Sides(), torch.zeros(3, dtype=torch.int64)
    assert not grad_cam(network, images(), target, layer="maps").any()
    found = hires_cam(network, images(), target, layer="maps")
    assert (found[:, :, :8] > 0).all()
    assert (found[:, :, 8:] < 0).all()


def test_a_layer_that_does_not_come_before_the_units_is_refused() -> None:
    network = Convolutional()
    model, target = scored(network, layer="second"), torch.zeros(3, dtype=torch.int64)
    assert grad_cam(model, images(), target, layer="first").shape == (3, 16, 16)
    for layer in ("act2", "second"):
        with pytest.raises(UserError, match=f"'{layer}' does not come before 'second'"):
            grad_cam(model, images(), target, layer=layer)
    with pytest.raises(UserError, match=r"'head' has no maps, its output for one image is \(4,\)"):
        hires_cam(scored(network), images(), target, layer="head")
    with pytest.raises(UserError, match="no module 'third'"):
        grad_cam(scored(network), images(), target, layer="third")
    with pytest.raises(UserError, match="is called 2 times in one pass"):
        twice = nn.Sequential(network.act, network.act, nn.Flatten())
        grad_cam(twice, images(), target, layer="0")


def test_what_a_module_gives_in_a_tuple_or_a_mapping_is_a_layer() -> None:
    class Several(nn.Module):
        def __init__(self, kind: Callable[[torch.Tensor], Any]) -> None:
            super().__init__()
            self.kind, self.conv = kind, nn.Conv2d(3, 4, 1)

        def forward(self, x: torch.Tensor) -> Any:
            return self.kind(self.conv(x))

    class Whole(nn.Module):
        def __init__(self, kind: Callable[[torch.Tensor], Any], key: Any) -> None:
            super().__init__()
            torch.manual_seed(1)
            self.several, self.key = Several(kind), key

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.several(x)[self.key].square().mean(dim=(2, 3))

    target = torch.tensor([0, 1, 2])
    plain = hires_cam(Whole(lambda a: [a], 0).eval(), images(), target, layer="several.conv")
    assert plain.any()
    for kind, key in ((lambda a: (None, a), 1), (lambda a: {"maps": a}, "maps")):
        found = hires_cam(Whole(kind, key).eval(), images(), target, layer=f"several[{key}]")
        torch.testing.assert_close(found, plain)


@pytest.mark.parametrize("name", ALL)
def test_methods_leave_model_and_images_as_they_are_and_take_images_one_by_one(name: str) -> None:
    network = Convolutional()
    network.to(memory_format=torch.channels_last)
    model, given, target = scored(network), images(), torch.tensor([1, 0, 3])
    method = built_in()[name]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    pixels = given.clone()
    with torch.inference_mode():  # whatever is switched off around it
        maps = method.maps(model, given.clone(memory_format=torch.channels_last), target)
    network.requires_grad_(False)
    torch.testing.assert_close(method.maps(model, given, target), maps)
    single = [method.maps(model, given[k : k + 1], target[k : k + 1]) for k in range(3)]
    torch.testing.assert_close(torch.cat(single), maps, rtol=1e-5, atol=1e-6)
    assert given.equal(pixels)
    assert all(value.equal(before[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.training
    assert not any(module._forward_hooks for module in model.modules())
    assert maps.dtype == torch.float32
    assert method.says
    assert bool((maps < 0).any()) == method.signed


def test_a_users_own_method_is_named_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "def brightness(model, images, target, *, power=1):\n"
        "    return images.mean(dim=1) ** power\n"
        "def flat(model, images, target):\n"
        "    return images.flatten(1)\n"
    )
    own = named("own.py:brightness", tmp_path)
    given, target = images(), torch.zeros(3, dtype=torch.int64)
    torch.testing.assert_close(
        own.maps(scored(Convolutional()), given, target, power=2), given.mean(1).square()
    )
    with pytest.raises(UserError, match=r"flat: its function gave a tensor of the shape \(3, 768"):
        named("own.py:flat", tmp_path).maps(scored(Convolutional()), given, target)
    with pytest.raises(UserError, match="there is no file gone"):
        named("gone.py:brightness", tmp_path)
    with pytest.raises(UserError, match=r"found 'gradients'; allowed: difference, grad_cam, "):
        named("gradients", tmp_path)


def test_windows_that_do_not_cover_the_image_are_refused() -> None:
    model, target = scored(Convolutional()), torch.tensor([0])
    for settings in ({"window": 4, "stride": 5}, {"window": 17}, {"window": 0}):
        with pytest.raises(ValueError, match="allowed: a window of 1 to the shorter side"):
            occlusion(model, images(1), target, **settings)
    with pytest.raises(ValueError, match="fill: found 'blur'"):
        occlusion(model, images(1), target, fill="blur")
    black, mean = (occlusion(model, images(1), target, fill=fill) for fill in (0.0, "mean"))
    assert not torch.allclose(black, mean)
