"""Factories and weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import nn
from variscope.errors import UserError
from variscope.inputs import models

CONVNET = "variscope.inputs.networks:convnet"

FILE = """
from torch import nn
from neighbour import WIDTH

def net(num_classes=7, width=WIDTH):
    return nn.Sequential(nn.Flatten(), nn.Linear(width, num_classes))

def fixed():
    return nn.Linear(2, 2)

def number():
    return 3

def broken():
    raise RuntimeError("no\\nluck")

class Holder:
    net = staticmethod(net)

constant = 1
"""


def layer(model: nn.Module, name: str) -> Any:
    """The module of this name."""
    return model.get_submodule(name)


def weight(model: nn.Module, name: str) -> torch.Tensor:
    """The weights of the module of this name."""
    return model.get_parameter(f"{name}.weight")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "nets.py").write_text(FILE)
    (tmp_path / "my" / "neighbour.py").write_text("WIDTH = 12\n")
    (tmp_path / "my" / "bad_import.py").write_text("import a_module_that_is_not_there\n")
    (tmp_path / "my" / "bad_syntax.py").write_text("def net(:\n")
    (tmp_path / "my" / "exits.py").write_text("raise SystemExit(2)\n")
    return tmp_path


# factories


def test_torchvision_models_are_built_by_name():
    model = models.build("torchvision:squeezenet1_1", classes=4)
    assert not model.training
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 4)


def test_callables_of_files_and_packages_are_built(folder):
    assert layer(models.build("my/nets.py:net", folder=folder), "1").out_features == 7
    five = models.build("my/nets.py:net", folder=folder, classes=5)
    assert layer(five, "1").out_features == 5
    model = models.build(
        "my/nets.py:Holder.net",
        folder=folder,
        classes=5,
        arguments={"num_classes": 3, "width": 4},
    )
    assert layer(model, "1").weight.shape == (3, 4)
    assert isinstance(models.build("my/nets.py:fixed", folder=folder, classes=5), nn.Linear)
    assert models.build(CONVNET, classes=6)(torch.zeros(2, 3, 64, 64)).shape == (2, 6)


def test_initial_weights_are_seeded_and_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second, other = (models.build(CONVNET, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    assert not torch.equal(weight(first, "stage1.0"), weight(other, "stage1.0"))


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("torchvision:resnet19", r"has no model 'resnet19'; near it: .*resnet18"),
        ("resnet18", r"factory: found 'resnet18'; allowed are 'torchvision:NAME'"),
        ("my/nets.py:", r"factory: found 'my/nets\.py:'"),
        ("my/none.py:net", r"none\.py does not exist"),
        ("my/nets.py:nett", r"has no 'nett'; it has net, fixed, number, broken, Holder"),
        ("my/nets.py:constant", r"'constant', which cannot be called"),
        ("my/nets.py:number", r"the model is of type int; a torch\.nn\.Module is needed"),
        ("my/nets.py:broken", r"'my/nets\.py:broken' failed: RuntimeError: no luck"),
        ("my/bad_import.py:net", r"bad_import.*ModuleNotFoundError: .*a_module_that_is_not_there"),
        ("my/bad_syntax.py:net", r"bad_syntax\.py cannot be imported: SyntaxError"),
        ("my/exits.py:net", r"exits\.py cannot be imported: SystemExit: 2"),
        ("no_such_package.nets:net", r"'no_such_package\.nets' cannot be imported: ModuleNotF"),
    ],
)
def test_bad_factories_are_refused(folder, factory, message):
    with pytest.raises(UserError, match=message) as caught:
        models.build(factory, folder=folder)
    assert "\n" not in str(caught.value)


def test_bad_arguments_are_refused(folder):
    with pytest.raises(UserError, match=r"failed: TypeError: .*colour"):
        models.build("my/nets.py:net", folder=folder, arguments={"colour": 1})
    with pytest.raises(UserError, match=r"found \[1\]; a mapping is needed"):
        models.build("my/nets.py:net", folder=folder, arguments=cast(Any, [1]))


# weights from files


def network(seed: int = 0) -> nn.Module:
    return models.build(CONVNET, seed=seed)


@pytest.mark.parametrize("wrap", ["plain", "state_dict", "module"])
def test_state_dicts_are_loaded(tmp_path, wrap):
    source = network(1)
    state = source.state_dict()
    if wrap == "module":
        state = {f"module.{key}": value for key, value in state.items()}
    torch.save({"state_dict": state, "epoch": 3} if wrap != "plain" else state, tmp_path / "w.pt")
    target = models.load_weights(network(2), "w.pt", CONVNET, tmp_path)
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(target(images), source(images)) and not target.training
    checked = models.check_weights("w.pt", CONVNET, tmp_path, model=network(3))
    assert checked.kind == "file" and not checked.needs_download


def test_train_and_none_leave_the_weights():
    for weights in ("train", "none"):
        model = models.open_model(CONVNET, weights, classes=4, seed=3)
        assert torch.equal(weight(model, "stage1.0"), weight(network(3), "stage1.0"))
        assert layer(model, "logits.1").out_features == (4 if weights == "train" else 10)


def bad_files(folder: Path) -> None:
    state = network().state_dict()
    torch.save(network(), folder / "whole_model.pt")
    torch.save([1, 2], folder / "list.pt")
    torch.save({}, folder / "empty.pt")
    torch.save({"a": 1}, folder / "numbers.pt")
    (folder / "text.pt").write_text("no weights")
    torch.save(state, folder / "cut.pt")
    (folder / "cut.pt").write_bytes((folder / "cut.pt").read_bytes()[:3000])
    torch.save({k: v for k, v in state.items() if "bias" not in k}, folder / "missing.pt")
    torch.save({**state, "extra.weight": torch.zeros(1)}, folder / "unexpected.pt")
    torch.save(models.build(CONVNET, classes=3).state_dict(), folder / "shape.pt")
    (folder / "sub").mkdir()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("whole_model.pt", r"whole_model\.pt cannot be read: it holds more than tensors"),
        ("text.pt", r"text\.pt cannot be read"),
        ("cut.pt", r"cut\.pt cannot be read: it is damaged"),
        ("list.pt", r"list\.pt holds list; a state dict"),
        ("empty.pt", r"empty\.pt holds nothing"),
        ("numbers.pt", r"numbers\.pt holds 'a' of type int"),
        ("missing.pt", r"missing\.pt does not fit.*missing: stage1\.1\.bias, .*, .* \.\.\."),
        ("unexpected.pt", r"unexpected\.pt does not fit.*1 unexpected: extra\.weight$"),
        ("shape.pt", r"logits\.1\.weight is \(3, 64\) and should be \(10, 64\)"),
        ("none.pt", r"found 'none\.pt', and .*none\.pt does not exist; allowed are train, none"),
        ("sub", r"found 'sub', and .*sub is a folder"),
        ("IMAGENET1K_V1", r"names of torchvision weights are for factories 'torchvision:NAME'"),
        ("", r"weights: found ''"),
    ],
)
def test_bad_weights_are_refused(tmp_path, weights, message):
    bad_files(tmp_path)
    for attempt in (
        lambda: models.load_weights(network(), weights, CONVNET, tmp_path),
        lambda: models.check_weights(weights, CONVNET, tmp_path, model=network()),
    ):
        with pytest.raises(UserError, match=message):
            attempt()


# weights of torchvision

SQUEEZENET = "torchvision:squeezenet1_1"
SQUEEZENET_FILE = "squeezenet1_1-b8a52dc0.pth"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty torch.hub folder, and no network."""

    def unreachable(*arguments, **keywords):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


@pytest.mark.parametrize("name", ["IMAGENET1K_V1", "DEFAULT", "SqueezeNet1_1_Weights.DEFAULT"])
def test_an_existing_torchvision_file_needs_no_network(hub, name):
    assert models.check_weights(name, SQUEEZENET).needs_download
    source = models.build(SQUEEZENET, seed=1)
    torch.save(source.state_dict(), hub / SQUEEZENET_FILE)
    assert not models.check_weights(name, SQUEEZENET).needs_download
    model = models.open_model(SQUEEZENET, name, seed=2)
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(model(images), source(images))


def test_without_network_the_message_says_where_the_file_belongs(hub):
    with pytest.raises(UserError, match=rf"{SQUEEZENET_FILE} is not here.*no network.*{hub}"):
        models.open_model(SQUEEZENET, "IMAGENET1K_V1")


def test_unknown_torchvision_weights_are_answered_with_the_known_ones(hub):
    with pytest.raises(UserError, match=r"weights of 'torchvision:resnet50' are IMAGENET1K_V1, I"):
        models.check_weights("IMAGENET1K_V3", "torchvision:resnet50")


def test_preprocessing_is_what_the_weights_say():
    assert models.preprocessing("torchvision:resnet50", "IMAGENET1K_V2") == {
        "image_size": 224,
        "resize": 232,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    }
    assert models.preprocessing(CONVNET, "train") is None


def test_old_densenet_keys_are_understood(hub):
    import re

    source = models.build("torchvision:densenet121", seed=1)
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12]\.)", r"\1.\2", key): value
        for key, value in source.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    assert old.keys() != source.state_dict().keys()
    torch.save(old, hub / "densenet121-a639ec97.pth")
    model = models.open_model("torchvision:densenet121", "DEFAULT", seed=2)
    name = "features.denseblock1.denselayer1.conv1"
    assert torch.equal(weight(model, name), weight(source, name))


# what wraps networks and state dicts


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: {f"module.{k}": v for k, v in s.items()}, "DataParallel"),
        (lambda s: {f"_orig_mod.{k}": v for k, v in s.items()}, "torch.compile"),
        (lambda s: {f"module._orig_mod.{k}": v for k, v in s.items()}, "torch.compile"),
        (lambda s: {"state_dict": {f"net.{k}": v for k, v in s.items()}}, "Lightning"),
        (
            lambda s: {f"module.{k}": v for k, v in s.items()} | {"n_averaged": torch.tensor(7)},
            "a mean of 7 states",
        ),
        (lambda s: {"model": s, "model_ema": {k: v * 2 for k, v in s.items()}}, "not their moving"),
        (lambda s: {"state_dict_ema": s, "epoch": 3}, "are the moving average"),
        (lambda s: {"model_state_dict": s, "optimizer": {"a": 1}}, ""),
    ],
)
def test_what_wraps_a_state_dict_is_taken_off_and_said(tmp_path, change, said):
    source = network(1).state_dict()
    torch.save(change(source), tmp_path / "w.pt")
    target = network(2)
    found = models.check_weights("w.pt", CONVNET, tmp_path, model=target, load=True)
    assert all(torch.equal(value, source[key]) for key, value in target.state_dict().items())
    assert said in "; ".join(found.notes) and bool(found.notes) == bool(said)


def test_safetensors_are_read_and_a_damaged_file_is_named(tmp_path):
    from safetensors.torch import save_file

    source = network(1).state_dict()
    for name in ("w.safetensors", "w.bin"):
        save_file(source, tmp_path / name)
        target = models.load_weights(network(2), name, CONVNET, tmp_path)
        assert all(torch.equal(value, source[key]) for key, value in target.state_dict().items())
    (tmp_path / "w.safetensors").write_bytes((tmp_path / "w.bin").read_bytes()[:500])
    with pytest.raises(UserError, match=r"w\.safetensors cannot be read: it is damaged"):
        models.check_weights("w.safetensors", CONVNET, tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_programs_are_refused_as_networks_and_as_weights(tmp_path):
    small = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    image = torch.zeros(2, 4)
    exported = torch.export.export(small, (image,))
    scripted = torch.jit.trace(small, image)
    for program in (scripted, nn.Sequential(scripted)):
        with pytest.raises(UserError, match=r"TorchScript program .*takes no hooks"):
            models.plain(program)
    for program in (exported, exported.module()):
        with pytest.raises(UserError, match=r"torch\.export .*takes no hooks"):
            models.plain(program)
    scripted.save(tmp_path / "s.pt")
    torch.export.save(exported, tmp_path / "e.pt2")
    for file, kind in (("s.pt", "TorchScript"), ("e.pt2", "torch.export")):
        with pytest.raises(UserError, match=f"is a program of {kind}; a state dict is needed"):
            models.check_weights(file, CONVNET, tmp_path)


def test_wrappers_are_taken_off_networks():
    inner = network()
    assert models.plain(nn.DataParallel(inner)) is inner
    assert models.plain(torch.compile(inner)) is inner


def test_parameters_without_values_or_of_another_type_are_refused():
    with torch.device("meta"):
        empty = nn.Linear(2, 2)
    with pytest.raises(UserError, match="'weight' is on the meta device"):
        models.plain(empty)
    for kind in (torch.float16, torch.bfloat16, torch.float64):
        with pytest.raises(UserError, match=r"'weight' is .*float.*; float32 is needed"):
            models.plain(nn.Linear(2, 2).to(kind))


LAZY = """
from torch import nn

def net(num_classes=3):
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(num_classes))

class Silent(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3), nn.Dropout())

    def train(self, mode=True):
        super().train(mode)
"""


def test_lazy_layers_take_their_sizes_the_same_ones_each_time_and_can_be_trained(tmp_path):
    (tmp_path / "lazy.py").write_text(LAZY)
    made = [
        models.build("lazy.py:net", folder=tmp_path, seed=1, image_shape=(3, 8, 8))
        for _ in range(2)
    ]
    assert weight(made[0], "2").shape == (3, 4 * 6 * 6)
    assert torch.equal(weight(made[0], "2"), weight(made[1], "2"))
    made[0](torch.rand(2, 3, 8, 8)).sum().backward()
    torch.save(made[0].state_dict(), tmp_path / "w.pt")
    loaded = models.open_model("lazy.py:net", "w.pt", folder=tmp_path, image_shape=(3, 8, 8))
    assert torch.equal(weight(loaded, "0"), weight(made[0], "0"))


def test_train_may_return_nothing(tmp_path):
    (tmp_path / "lazy.py").write_text(LAZY)
    model = models.open_model("lazy.py:Silent", "none", folder=tmp_path)
    assert not model.get_submodule("1").training


def test_quantized_layers_are_refused_and_dynamically_quantized_ones_work():
    from torch.ao import quantization

    float_network = nn.Sequential(
        quantization.QuantStub(), nn.Conv2d(3, 4, 3), quantization.DeQuantStub()
    ).eval()
    float_network.qconfig = quantization.get_default_qconfig("x86")
    prepared = quantization.prepare(float_network)
    prepared(torch.rand(2, 3, 8, 8))
    with pytest.raises(UserError, match="is quantized and gives quantized tensors"):
        models.plain(quantization.convert(prepared))
    linear = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    dynamic = models.plain(quantization.quantize_dynamic(linear, {nn.Linear}))
    assert dynamic(torch.rand(1, 3, 2, 2)).dtype == torch.float32
