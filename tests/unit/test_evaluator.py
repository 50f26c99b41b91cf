"""The evaluator: what it captures, and what it withstands."""

import os
import shutil
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from tiny import LAYERS, network, photographs
from torch import nn
from torch._dynamo.utils import counters
from variscope.designs import Blocks, Design
from variscope.errors import UserError
from variscope.inputs.images import table_from_arrays
from variscope.inputs.layers import Layer, capture, probe
from variscope.responses.network.compiled import Compiled, check_compiling
from variscope.responses.network.evaluator import Evaluator
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
    """A network on a device that holds this many images at once."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.inner, self.room = network(), room
        self.seen: list[int] = []

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
    one, other = (
        outputs(evaluator(network())),
        outputs(evaluator(network(), probe(network(), LAYERS, (3, 16, 16), True))),
    )
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


compiles = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None,
    reason="torch.compile needs a C++ compiler, and none is here",
)


@pytest.fixture
def compiler():
    """Forget what was compiled before."""
    torch._dynamo.reset()
    counters.clear()
    yield counters["stats"]
    torch._dynamo.reset()


class InPlace(nn.Module):
    """AlexNet in small: activations work in place on what the layers before them gave."""

    def __init__(self, breaks: bool = False) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.features = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)
        )
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(256, 5), nn.ReLU(inplace=True))
        self.logits = nn.Linear(5, 3)
        self.breaks = breaks

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.features(images).flatten(1)
        if self.breaks:
            torch._dynamo.graph_break()
        return self.logits(self.classifier(features))

    def expected(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """The layers' outputs, by functions that change nothing in place."""
        functional = nn.functional
        convolved = self.features[0](images)
        active = functional.relu(convolved)
        pooled = functional.max_pool2d(active, 2)
        linear = self.classifier[1](pooled.flatten(1))
        logits = self.logits(functional.relu(linear))
        return {
            "features.0": convolved,
            "features.1": active,
            "features.2": pooled,
            "classifier.0": pooled.flatten(1),
            "classifier.1": linear,
            "classifier.2": functional.relu(linear),
            "logits": functional.softmax(logits, dim=1),
        }


def assert_compiled_is_right(model: InPlace) -> None:
    """Batches of several sizes give what torch gives, and of the same images the same bits."""
    with torch.inference_mode():
        images = torch.randn(8, 3, 16, 16).to(memory_format=torch.channels_last)
        expected = model.expected(images)
        layers = [
            Layer(name, tuple(output.shape[1:]), softmax=name == "logits")
            for name, output in expected.items()
        ]
        network = Compiled(deepcopy(model).eval(), layers)
        first: dict[int, dict[str, torch.Tensor]] = {}
        for size in (8, 5, 1, 8, 3, 5, 1):
            given = images[:size].clone(memory_format=torch.channels_last)
            got = network(given, 8, "float32")
            assert list(got) == list(expected)
            for name, outputs in got.items():
                assert_allclose(outputs, expected[name][:size], rtol=1e-5, atol=1e-6)
                assert outputs.is_contiguous() and outputs.dtype == torch.float32
                assert torch.equal(outputs, first.setdefault(size, got)[name])
    assert (expected["features.0"] < 0).any() and (expected["classifier.1"] < 0).any()


@compiles
def test_a_compiled_network_gives_the_outputs_of_torch_and_compiles_twice_at_most(compiler):
    assert_compiled_is_right(InPlace())
    assert not counters["graph_break"]
    assert compiler["unique_graphs"] == 2  # of one image, and of any other number


@compiles
@pytest.mark.slow
def test_a_compiled_network_that_falls_into_pieces_gives_the_outputs_of_torch(compiler):
    assert_compiled_is_right(InPlace(breaks=True))
    assert counters["graph_break"]


@compiles
@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet", "resnet18"])
def test_a_compiled_network_of_torchvision_gives_the_outputs_of_torch(compiler, name: str):
    from torchvision import models

    torch.manual_seed(0)
    model = getattr(models, name)(weights=None).eval()
    layers = probe(model, "auto", (3, 64, 64))
    names = [layer.name for layer in layers]
    expected: dict[str, torch.Tensor] = {}
    plain = deepcopy(model)
    for key in names:
        plain.get_submodule(key).register_forward_hook(
            lambda module, inputs, output, key=key: expected.update({key: output.clone()})
        )
    with torch.inference_mode():
        images = torch.randn(3, 3, 64, 64).to(memory_format=torch.channels_last)
        plain(images)
        got = Compiled(model, layers)(images, 3, "float32")
    assert len(names) > 4 and compiler["unique_graphs"] == 1
    for key, outputs in got.items():
        scale = float(expected[key].abs().max())
        assert_allclose(outputs, expected[key], rtol=1e-5, atol=1e-5 * scale)


class Rearranged(nn.Module):
    """Maps whose channels come last, and a recurrent layer that gives a tuple."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.convolution = nn.Conv2d(3, 6, 4, stride=4)
        self.normal = nn.LayerNorm(6)
        self.recurrent = nn.LSTM(6, 5, batch_first=True)
        self.head = nn.Linear(5, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.normal(self.convolution(images).permute(0, 2, 3, 1))
        tokens, _ = self.recurrent(maps.flatten(1, 2))
        return self.head(tokens[:, -1])


@compiles
@pytest.mark.slow
def test_a_compiled_network_arranges_outputs_as_the_hooked_one(compiler):
    model = Rearranged().eval()
    layers = probe(model, ["normal", "recurrent[0]", "head"], (3, 16, 16))
    assert [layer.dims for layer in layers] == [
        ("channel", "y", "x"),
        ("token", "feature"),
        ("neuron",),
    ]
    with torch.inference_mode():
        images = torch.randn(4, 3, 16, 16).to(memory_format=torch.channels_last)
        maps = model.normal(model.convolution(images).permute(0, 2, 3, 1))
        tokens, _ = model.recurrent(maps.flatten(1, 2))
        expected = {"normal": maps.permute(0, 3, 1, 2), "recurrent[0]": tokens}
        expected["head"] = model.head(tokens[:, -1])
        hooked: dict[str, torch.Tensor] = {}
        with capture(model, layers, lambda name, output: hooked.update({name: output.clone()})):
            model(images)
        got = Compiled(model, layers)(images, 4, "float32")
    for name, values in expected.items():
        assert_allclose(hooked[name], values, atol=1e-5)
        assert_allclose(got[name], values, atol=1e-5)
        assert got[name].is_contiguous()


@compiles
def test_two_networks_of_a_kind_share_no_compiled_code(compiler):
    images = torch.randn(4, 3, 16, 16).to(memory_format=torch.channels_last)
    for layers in (["0", "1"], ["1", "2"]):
        model = network()
        with torch.inference_mode():
            got = Compiled(model, probe(model, layers, (3, 16, 16)))(images, 4, "float32")
            expected, value = {}, images
            for name, module in model.named_children():
                expected[name] = value = module(value)
        for name in layers:
            assert_allclose(got[name], expected[name], rtol=1e-5, atol=1e-6)


@compiles
def test_a_compiled_study_has_the_same_bits_wherever_it_starts(compiler):
    whole = evaluator(network(), batch_size=40, compile=True)
    design = Design("cycle", whole.space.groups, 24, 3, seed=0)

    def values(made: Evaluator, replicate: int) -> list[torch.Tensor]:
        evaluated = made.replicate(design.replicate(replicate))
        return [outputs for e in evaluated for outputs in e.outputs.values()]

    in_turn = [values(whole, number) for number in range(3)]
    assert len({len(outputs) for parts in in_turn for outputs in parts}) > 2
    assert compiler["unique_graphs"] <= 2
    plain = evaluator(network(), batch_size=40)
    torch._dynamo.reset()
    apart = evaluator(network(), batch_size=40, compile=True)
    for number in (2, 0):
        for one, other, uncompiled in zip(
            in_turn[number], values(apart, number), values(plain, number), strict=True
        ):
            assert torch.equal(one, other)
            assert_allclose(one, uncompiled, rtol=1e-5, atol=1e-6)


@compiles
def test_the_noise_of_a_precision_is_measured_where_the_network_is_compiled(compiler):
    exact = evaluator(network(), compile=True)
    assert set(exact.noise_floor(first_blocks(exact)).values()) == {0.0}
    plain = evaluator(network(), precision="bfloat16")
    expected = plain.noise_floor(first_blocks(plain))
    reduced = evaluator(network(), precision="bfloat16", compile=True)
    shares = reduced.noise_floor(first_blocks(reduced))
    assert shares == {name: pytest.approx(share, rel=0.5) for name, share in expected.items()}


@compiles
def test_memory_that_is_short_halves_the_batches_of_a_compiled_network(compiler, monkeypatch):
    made = evaluator(network(), compile=True)
    assert made._compiled is not None
    run, seen = made._compiled._run, []

    def run_of_ten_at_most(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if len(images) > 10:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        seen.append(len(images))
        return run(images)

    monkeypatch.setattr(made._compiled, "_run", run_of_ten_at_most)
    got, expected = outputs(made), outputs(evaluator(network()))
    assert max(seen) == 8
    for name, values in expected.items():
        assert_allclose(got[name], values, atol=1e-5)


def test_a_machine_without_a_compiler_is_told_so_with_the_setting(compiler, monkeypatch, tmp_path):
    import torch._inductor.config as inductor

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    expected = r"evaluation\.compile: torch\.compile needs a C\+\+ compiler, and finds none"
    no_compiler = inductor.patch({"cpp.cxx": (None, "/nowhere/g++")})
    with no_compiler, pytest.raises(UserError, match=expected) as e:
        check_compiling("cpu")
    assert str(e.value).endswith("; evaluation.compile: false runs the network uncompiled")
    assert "\n" not in str(e.value)


def test_what_torch_compile_says_is_told_with_the_setting(compiler, monkeypatch):
    def fails(*args: object, **kwargs: object) -> None:
        raise RuntimeError("torch.compile is not supported\non Python 3.99")

    monkeypatch.setattr(torch, "compile", fails)
    expected = (
        r"evaluation\.compile: .*RuntimeError: torch\.compile is not supported on Python 3\.99;"
    )
    with pytest.raises(UserError, match=expected):
        outputs(evaluator(network(), compile=True))


class ByNumber(nn.Module):
    """A network whose code depends on the number of images."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.inner(images) * [0.0, *[1.0] * 100][len(images)]


class Uncompiled(ByNumber):
    """A network that its author keeps from torch.compile."""

    @torch.compiler.disable
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.inner(images)


@compiles
@pytest.mark.parametrize(
    ("model", "message"),
    [
        (ByNumber(), "the network's code depends on the number of images"),
        (Uncompiled(), "compiles nothing of this network"),
    ],
    ids=["depends on the number of images", "nothing compiled"],
)
def test_a_network_that_cannot_be_compiled_is_refused(compiler, model: nn.Module, message: str):
    with pytest.raises(UserError, match=rf"evaluation\.compile: .*{message}.*: false runs"):
        outputs(evaluator(model, named(model), compile=True))
