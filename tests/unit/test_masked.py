"""A masked network: the replayed way is the bare way, whatever the network is wired like."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional
from variscope.inputs.layers import Layer, capture, probe
from variscope.inputs.networks import convnet
from variscope.responses.network.masked import Change, Masked

SHAPE = (3, 32, 32)


class Wired(nn.Module):
    """Skips around the masked layer, functions between modules, a module called several times."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.act = nn.ReLU()
        self.early = nn.Conv2d(6, 6, 3, padding=1)
        self.middle = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.ReLU(inplace=True))
        self.shift = nn.Parameter(torch.linspace(-1, 1, 6)[:, None, None])
        self.late = nn.Conv2d(12, 8, 1)
        self.scores = nn.Linear(8, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        images = images * 2 - images.mean(dim=(1, 2, 3), keepdim=True)
        stem = functional.leaky_relu_(self.stem(images), 0.3)  # in place, between modules
        early = self.act(self.early(stem)) + self.shift
        masked = self.middle(early)
        skipped = torch.cat([masked + stem, self.act(early)], dim=1)
        late = self.act(self.late(skipped) - images.mean(dim=1, keepdim=True))
        return self.scores(late.mean(dim=(2, 3)))


class Recurrent(nn.Module):
    """A layer whose output is a tuple, and whose batch is the first dimension of one part alone."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(96, 8)
        self.lstm = nn.LSTM(8, 6, batch_first=True)
        self.scores = nn.Linear(6, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        rows = images.permute(0, 2, 1, 3).flatten(2)
        return self.scores(self.lstm(self.embed(rows))[0][:, -1])


class Counting(nn.Module):
    """No function of its images alone: it looks at the whole batch."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.second = nn.Conv2d(4, 4, 3)
        self.scores = nn.Linear(4, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = self.second(self.first(images)).mean(dim=(2, 3))
        return self.scores(found) * len(images)


def masks(layers: list[Layer], count: int = 4, seed: int = 3) -> dict[str, Change]:
    """Random masks with factors and shifts."""
    generator = torch.Generator().manual_seed(seed)
    return {
        layer.name: Change(
            (torch.rand((count, *layer.shape), generator=generator) > 0.4).float() * 1.5,
            torch.rand((count, *layer.shape), generator=generator) - 0.5,
        )
        for layer in layers
    }


def by_hand(
    model: nn.Module, layers: list[Layer], changes: dict[str, Change], images: torch.Tensor
) -> torch.Tensor:
    """The scores, mask by mask, by the simplest hooks; of layers whose output is a tensor."""
    modules, found = dict(model.named_modules()), []
    for mask in range(len(next(iter(changes.values())).factor)):
        handles = []
        for layer in layers:
            change = changes[layer.name]
            assert change.shift is not None

            def hook(
                module: nn.Module,
                inputs: object,
                output: torch.Tensor,
                layer: Layer = layer,
                factor: torch.Tensor = change.factor[mask],
                shift: torch.Tensor = change.shift[mask],
            ) -> torch.Tensor:
                back = [layer.order.index(axis) for axis in range(len(layer.order))]
                return output * factor.permute(back) + shift.permute(back)

            handles.append(modules[layer.name].register_forward_hook(hook))
        with torch.inference_mode():
            found.append(model(images))
        for handle in handles:
            handle.remove()
    return torch.stack(found)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[str, ...]]] = {
    "convnet": (convnet, ("stage1", "stage3", "head", "logits")),
    "wired": (Wired, ("early", "middle.0", "middle", "late", "scores")),
    "resnet18": (
        lambda: torchvision.models.resnet18(num_classes=7),
        ("bn1", "layer2.0.conv1", "layer3", "fc"),
    ),
    "densenet": (
        lambda: torchvision.models.DenseNet(8, (2, 2), 8, num_classes=5),
        ("features.denseblock1.denselayer1.norm1", "features.transition1", "classifier"),
    ),
    "swin": (
        lambda: torchvision.models.SwinTransformer(
            [4, 4], 8, [1, 1], [2, 2], [4, 4], num_classes=6
        ),
        ("features.0", "features.2", "features.3", "head"),
    ),
    "vit": (
        lambda: torchvision.models.VisionTransformer(32, 8, 2, 2, 12, 24, num_classes=6),
        ("conv_proj", "encoder.layers.encoder_layer_0", "encoder.layers.encoder_layer_1", "heads"),
    ),
}


def network(name: str) -> tuple[nn.Module, list[Layer], torch.Tensor]:
    """A network with seeded weights none of which is 0, its layers, and images."""
    build, names = NETWORKS[name]
    torch.manual_seed(0)
    model = build().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    model.to(memory_format=torch.channels_last)
    images = torch.randn((3, *SHAPE)).contiguous(memory_format=torch.channels_last)
    return model, list(probe(model, names, SHAPE)), images


@pytest.mark.parametrize("name", list(NETWORKS))
def test_replayed_scores_are_those_of_the_whole_network_mask_by_mask(name: str) -> None:
    model, (*layers, scores), images = network(name)
    for some in [*([layer] for layer in layers), layers]:
        masked = Masked(model, some, scores, at_once=6)  # two masks a pass, and one left over
        changes = masks(some, 5)
        recording = masked.record(images)
        first, again = (masked.scores(images, recording, changes) for _ in range(2))
        assert masked.replays
        expected = by_hand(model, some, changes, images)
        for found in (first, again):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        assert float((expected[0] - expected[1]).abs().max()) > 1e-3  # the masks do something


def test_what_stands_before_the_masked_layer_runs_once_and_only_what_is_read_is_kept() -> None:
    model, layers, images = network("convnet")
    calls = {name: 0 for name in ("stage1", "stage2.0", "stage3.0")}
    modules = dict(model.named_modules())
    masked = Masked(model, [layers[1]], layers[-1], at_once=3)
    changes = masks([layers[1]], 5)
    recording = masked.record(images)
    masked.scores(images, recording, changes)

    def counter(name: str) -> Callable[..., None]:
        def count(*given: object) -> None:
            calls[name] += 1

        return count

    handles = [modules[name].register_forward_pre_hook(counter(name)) for name in calls]
    # Of modules that give what they gave the hooks are called, and what is inside them is not.
    masked.scores(images, masked.record(images), changes)
    for handle in handles:
        handle.remove()
    assert calls == {"stage1": 6, "stage2.0": 1, "stage3.0": 1}
    stored = [leaf.untyped_storage().nbytes() for call in recording.calls for leaf in call.leaves]
    assert stored[:-1] == [4] * (len(stored) - 1)
    assert recording.pixels.leaves[0].untyped_storage().nbytes() == 4


def test_a_place_in_a_tuple_is_masked() -> None:
    torch.manual_seed(0)
    model = Recurrent().eval()
    layer, scores = probe(model, ("lstm[0]", "scores"), SHAPE)
    images = torch.randn((3, *SHAPE))
    masked = Masked(model, [layer], scores, at_once=6, memory=torch.contiguous_format)
    change = masks([layer])["lstm[0]"]
    recording = masked.record(images)
    for _ in range(2):
        found = masked.scores(images, recording, {"lstm[0]": change})
    assert masked.replays
    assert change.shift is not None
    kept: list[torch.Tensor] = []
    with torch.inference_mode(), capture(model, [layer], lambda name, out: kept.append(out)):
        model(images)
    expected = model.scores(
        (kept[0] * change.factor[:, None] + change.shift[:, None])[:, :, -1].clone()
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_network_that_looks_at_its_whole_batch_is_run_whole() -> None:
    """Naively replayed it gives others scores than the whole network; the check sees it."""
    torch.manual_seed(0)
    model = Counting().eval()
    model.first.register_forward_hook(lambda module, inputs, output: output * len(output))
    layer, scores = probe(model, ("second", "scores"), SHAPE)
    images = torch.randn((3, *SHAPE))
    masked = Masked(model, [layer], scores, at_once=12, memory=torch.contiguous_format)
    changes = masks([layer])
    recording = masked.record(images)
    found = masked.scores(images, recording, changes)
    laid_out = {"second": masked._laid_out(changes["second"], layer)}
    with torch.inference_mode():
        naive = masked._replayed(recording, laid_out)
    assert float((naive - found).abs().max() / found.abs().max()) > 0.1
    assert not masked.replays
    torch.testing.assert_close(masked.scores(images, masked.record(images), changes), found)


def test_the_batch_is_halved_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    model, layers, images = network("convnet")
    masked = Masked(model, [layers[1]], layers[-1], at_once=12)
    changes = masks([layers[1]], 5)
    recording = masked.record(images)
    expected = masked.scores(images, recording, changes)
    caught = masked._caught

    def short(pixels: torch.Tensor, count: int) -> torch.Tensor:
        if len(pixels) > 3:
            raise torch.OutOfMemoryError("short")
        return caught(pixels, count)

    monkeypatch.setattr(masked, "_caught", short)
    torch.testing.assert_close(masked.scores(images, recording, changes), expected)
    monkeypatch.setattr(masked, "_replayed_at_once", 3)
    monkeypatch.setattr(masked, "_caught", lambda *given: short(torch.empty(9), 1))
    with pytest.raises(torch.OutOfMemoryError):
        masked.scores(images, recording, changes)


def test_modules_are_left_as_they_were() -> None:
    model, layers, images = network("wired")
    masked = Masked(model, layers[:2], layers[-1], at_once=12)
    with torch.inference_mode():
        before = model(images)
    masked.scores(images, masked.record(images), masks(layers[:2]))
    with torch.inference_mode():
        torch.testing.assert_close(model(images), before, rtol=0, atol=0)
    for module in model.modules():
        assert "forward" not in vars(module)
        assert not module._forward_hooks and not module._forward_pre_hooks


def test_layers_that_no_pass_calls_are_refused() -> None:
    model, layers, images = network("wired")
    masked = Masked(model, [Layer("act", (6, 32, 32))], layers[-1], at_once=12)
    masked._modules["act"] = nn.Identity()
    with pytest.raises(ValueError, match="none of the modules to be masked is called"):
        masked.record(images)
