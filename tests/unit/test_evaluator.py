"""The evaluator: what it captures, and what it withstands."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from tiny import LAYERS, network, photographs
from torch import nn
from variscope.designs import Blocks, Design
from variscope.errors import UserError
from variscope.evaluate.evaluator import Evaluator
from variscope.inputs.images import table_from_arrays
from variscope.inputs.layers import Layer, probe
from variscope.space.augmentations import get
from variscope.space.images import ImageIndex
from variscope.space.space import Space

IMAGES, LABELS = photographs()
NORMAL = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}


def evaluator(model: nn.Module, layers=LAYERS, **kwargs) -> Evaluator:
    table = table_from_arrays(IMAGES, LABELS)
    space = Space(
        (get("rolling"), get("hflip")),
        ("order", "class", "image"),
        ImageIndex.of(table.label, table.part),
        table.size,
        part="train",
    )
    found = probe(model, layers, (3, 16, 16)) if layers is LAYERS else layers
    return Evaluator(model, found, space, table, **{**NORMAL, "batch_size": 64, **kwargs})


def outputs(made: Evaluator, blocks: int = 12) -> dict[str, np.ndarray]:
    design = Design("cycle", made.space.groups, blocks, 2, seed=0)
    parts = [e for r in range(2) for e in made.replicate(design.replicate(r))]
    return {
        layer.name: np.concatenate([p.of_rows(layer.name).numpy() for p in parts])
        for layer in made.layers
    }


class Small(nn.Module):
    """A network on a device that holds so many images at once."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.inner, self.room, self.seen = network(), room, []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        self.seen.append(len(images))
        return self.inner(images)


def named(model: nn.Module) -> list[Layer]:
    return [Layer(f"inner.{a.name}", a.shape) for a in probe(network(), LAYERS, (3, 16, 16))]


def test_memory_that_is_short_halves_the_batch_and_the_run_goes_on():
    model = Small(room=10)
    got = outputs(evaluator(model, named(model)))
    assert max(model.seen) == 8
    expected = outputs(evaluator(network()))
    for name, values in expected.items():
        assert_allclose(got[f"inner.{name}"], values, atol=1e-5)


def test_memory_for_not_one_image_is_an_error_by_name():
    model = Small(room=0)
    with pytest.raises(UserError, match="one image does not fit into the memory of cpu"):
        outputs(evaluator(model, named(model)))


def test_a_later_layer_in_place_changes_nothing_that_was_captured():
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten())
    in_place = nn.Sequential(plain[0], nn.ReLU(inplace=True), nn.Flatten())
    layers = [Layer("0", (4, 14, 14)), Layer("1", (4, 14, 14))]
    one, other = (outputs(evaluator(m.eval(), layers)) for m in (plain, in_place))
    assert (one["0"] < 0).any()
    for name in one:
        assert_array_equal(one[name], other[name])


def test_a_layer_that_changes_its_shape_is_named():
    layers = [Layer("0", (4, 8, 9))]
    with pytest.raises(ValueError, match=r"layer 0 gave outputs of shape \(4, 8, 8\)"):
        outputs(evaluator(network(), layers))


def test_softmax_is_applied_to_the_last_layer_alone():
    one, other = outputs(evaluator(network())), outputs(evaluator(network(), softmax=True))
    assert_array_equal(one["0"], other["0"])
    assert_allclose(other["2"].sum(axis=-1), 1, atol=1e-6)
    exponential = np.exp(one["2"])
    assert_allclose(other["2"], exponential / exponential.sum(-1, keepdims=True), atol=1e-6)


def test_rows_that_repeat_hold_the_same_outputs_to_the_last_bit():
    made = evaluator(network())
    design = Design("cycle", made.space.groups, 40, 2, seed=0)
    blocks = design.replicate(0)
    recipes = made.space.decode(blocks.points.reshape(-1, design.factors))
    _, held_by = recipes.repeats(len(blocks.points))
    values = outputs(made, 40)["2"][: len(blocks.points)].reshape(len(recipes), -1)
    assert len(set(held_by)) < len(held_by)
    for number in set(held_by):
        rows = values[held_by == number]
        assert (rows == rows[0]).all()


def first_blocks(made: Evaluator) -> Blocks:
    return Design("cycle", made.space.groups, 24, 2, seed=0).replicate(0)


def test_float32_adds_no_noise_and_bfloat16_little():
    exact = evaluator(network())
    assert set(exact.noise_floor(first_blocks(exact)).values()) == {0.0}
    reduced = evaluator(network(), precision="bfloat16")
    shares = reduced.noise_floor(first_blocks(reduced))
    assert list(shares) == list(LAYERS)
    assert all(1e-8 < share < 0.01 for share in shares.values())
    # What it measures is what a study of that precision differs by.
    one, other = outputs(exact), outputs(reduced)
    for name, share in shares.items():
        assert other[name].dtype == np.float32
        noise = ((one[name] - other[name]) ** 2).mean((0, 1)).sum()
        assert noise / one[name].var((0, 1)).sum() == pytest.approx(share, rel=0.3)


def test_an_unknown_precision_is_answered_with_the_known():
    made = evaluator(network(), precision="float16")
    with pytest.raises(UserError, match="found 'float16'; allowed: float32, tf32, bfloat16"):
        outputs(made)


def test_the_layout_in_memory_changes_no_output_beyond_rounding():
    made = evaluator(network())
    points = first_blocks(made)
    batch = next(made._batches(points))
    images = made.inputs(batch.recipes, batch.ids, made.images.load(batch.ids))
    assert images.is_contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        plain = network()(images.contiguous())
    got = next(made.replicate(points)).outputs["2"]
    assert_allclose(got.numpy(), plain.numpy(), atol=1e-5)


def test_an_image_that_cannot_be_read_ends_the_run_by_its_error():
    def broken(ids: np.ndarray) -> np.ndarray:
        raise UserError("photo.jpg: damaged")

    made = evaluator(network())
    made.images = replace(made.images, reader=broken)
    with pytest.raises(UserError, match=r"photo\.jpg: damaged"):
        outputs(made)
