"""Training is repeatable, uses the train part only, and reaches a useful accuracy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models.googlenet import GoogLeNetOutputs
from variscope.errors import UserError
from variscope.inputs import models
from variscope.inputs.images import ImageTable, open_images, table_from_arrays
from variscope.inputs.training import (
    _loss,
    accuracy,
    augmented,
    check_training,
    normalised,
    train,
)

NORMAL: dict[str, Any] = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def toy(classes: int = 3, n: int = 60) -> ImageTable:
    generator = np.random.default_rng(0)
    labels = np.arange(n) % classes
    images = generator.random((n, 3, 16, 16), dtype=np.float32) / 2
    images[:, 0] += (labels / classes / 2)[:, None, None].astype(np.float32)
    return table_from_arrays(images, labels, part=np.arange(n) // classes % 2)


def network(classes: int = 3, seed: int = 0) -> nn.Module:
    return models.build("variscope.inputs.networks:convnet", classes=classes, seed=seed)


def fitted(table: ImageTable, seed: int, **settings) -> dict[str, torch.Tensor]:
    model = network(len(table.classes))
    train(model, table, seed=seed, **NORMAL, **{"epochs": 2, **settings})
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_the_same_seed_gives_the_same_weights_bit_for_bit():
    torch.manual_seed(1)
    first = fitted(toy(), 4)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second = fitted(toy(), 4)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = fitted(toy(), 5)
    assert not torch.equal(first["stage1.0.weight"], other["stage1.0.weight"])


def test_images_of_the_valid_part_are_never_used():
    table = toy()
    seen: set[int] = set()

    def reader(ids):
        seen.update(ids.tolist())
        return table.reader(ids)

    watched = ImageTable(
        table.classes, table.label, table.part, table.source, table.size, reader, dtype="float32"
    )
    fitted(watched, 1)
    # One image is also run to see the number of outputs.
    assert seen == set(table.ids("train").tolist())


def test_images_that_do_not_fit_in_memory_train_to_the_same_weights(monkeypatch):
    whole = fitted(toy(), 4)
    monkeypatch.setattr("variscope.inputs.training.KEEP_IN_MEMORY", 0)
    streamed = fitted(toy(), 4)
    assert all(torch.equal(whole[name], streamed[name]) for name in whole)


def test_convnet_learns_the_photographs_well_above_chance():
    table = open_images({"kind": "photographs"}, seed=1, folder=".")
    model = network(10, seed=1)
    calls: list[tuple[int, int]] = []
    history = train(
        model, table, seed=1, epochs=12, on_progress=lambda *call: calls.append(call), **NORMAL
    )
    result = accuracy(model, table, table.ids("valid"), **NORMAL)
    assert result["n"] == 480 and result["top1"] is not None and result["top1"] > 0.85 * 480
    assert [row["epoch"] for row in history] == list(range(1, 13))
    assert history[-1]["loss"] < history[0]["loss"] / 2
    assert calls[-1] == (12, 12) and not model.training


class Ranked(nn.Module):
    """Outputs that depend on the first pixel only: the k-th highest class is known."""

    def __init__(self, outputs: torch.Tensor) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.outputs[images[:, 0, 0, 0].round().long()]


def test_accuracy_counts_what_is_right():
    n, classes = 40, 8
    labels = np.arange(n) % classes
    images = np.zeros((n, 3, 4, 4), np.uint8)
    images[:] = np.arange(n)[:, None, None, None]
    outputs = -torch.arange(classes).float().repeat(n, 1)  # class 0 first, then 1, 2, ...
    table = table_from_arrays(images, labels)
    identity: dict[str, Any] = {"mean": [0, 0, 0], "std": [1 / 255] * 3}
    result = accuracy(Ranked(outputs), table, range(n), batch_size=7, **identity)
    assert (result["top1"], result["top5"], result["n"]) == (5, 25, 40)


def test_accuracy_is_undefined_where_outputs_are_no_classes():
    result = accuracy(network(7), toy(), range(6), **NORMAL)
    assert result["top1"] is None and result["n"] == 0
    few = accuracy(network(3), toy(), range(6), **NORMAL)
    assert few["top1"] is not None and few["top5"] is None


def test_normalised_is_the_same_for_bytes_and_floats():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 4), dtype=np.uint8)
    mean, std = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]
    wanted = (pixels / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    for given in (pixels, (pixels / 255).astype(np.float32)):
        np.testing.assert_allclose(normalised(given, mean, std).numpy(), wanted, atol=1e-6)


def test_augmentation_flips_and_shifts_whole_pixels():
    images = torch.arange(2 * 3 * 16 * 16).reshape(2, 3, 16, 16).float()
    found = augmented(images, torch.Generator().manual_seed(3))
    padded = nn.functional.pad(images, (2, 2, 2, 2), mode="replicate")
    for image, result in zip(padded, found, strict=True):
        options = [
            torch.equal(result, crop) or torch.equal(result, crop.flip(2))
            for i in range(5)
            for j in range(5)
            for crop in [image[:, i : i + 16, j : j + 16]]
        ]
        assert sum(options) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, r"training\.epochs: found 0"),
        ({"batch_size": 0}, r"training\.batch_size: found 0"),
        ({"learning_rate": 0}, r"training\.learning_rate: found 0"),
        ({"learning_rate": 1e30, "epochs": 3}, r"the loss is not finite after epoch"),
    ],
)
def test_bad_training_settings_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        fitted(toy(), 1, **change)


def test_a_model_with_other_outputs_is_refused():
    with pytest.raises(UserError, match=r"gives \(2, 7\) for 2 images; \(2, 3\), one output"):
        train(network(7), toy(), seed=1, **NORMAL)


class Auxiliary(nn.Module):
    """An auxiliary head in training alone, as GoogLeNet's."""

    def __init__(self) -> None:
        super().__init__()
        self.main, self.other = (nn.Linear(3 * 16 * 16, 3) for _ in range(2))

    def forward(self, images):
        flat = images.flatten(1)
        if not self.training:
            return self.main(flat)
        return GoogLeNetOutputs(self.main(flat), None, self.other(flat))


def test_auxiliary_heads_add_their_share_of_the_loss():
    model, table = Auxiliary(), toy()
    notes = check_training(model, table, **NORMAL, batch_size=8)
    assert notes == ["trained on its logits and 0.3 of the loss of each auxiliary head"]
    target = torch.tensor([0, 1])
    logits, other = torch.randn(2, 2, 3)
    _, loss = _loss(GoogLeNetOutputs(logits, None, other), target)
    entropy = nn.CrossEntropyLoss(label_smoothing=0.05)
    torch.testing.assert_close(loss, entropy(logits, target) + 0.3 * entropy(other, target))
    before = model.other.weight.clone()
    train(model, table, seed=1, epochs=1, **NORMAL)
    assert not torch.equal(before, model.other.weight) and not model.training


def test_trying_a_training_leaves_no_trace():
    model = network()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    states = torch.get_rng_state()
    check_training(model, toy(), **NORMAL, batch_size=8)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert torch.equal(states, torch.get_rng_state()) and not model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_what_cannot_be_trained_is_refused_before_it_is():
    frozen = network().requires_grad_(False)
    with pytest.raises(UserError, match=r"fails in training mode .*does not require grad"):
        check_training(frozen, toy(), **NORMAL, batch_size=8)
    single = nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 3)
    )
    with pytest.raises(UserError, match="fails in training mode on 1 image of 16 x 16 px"):
        check_training(single, toy(), **NORMAL, batch_size=1)
