"""What a configuration names is looked at before the first job: images, models, augmentations."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_study import CONFIG, LABELS, PART, Study, changed, pixels, refusal

Arrange = Callable[[Path], object]


def arrays(**changes: Any) -> Arrange:
    """Write images.npz with arrays changed, or left out where None."""
    found = {"images": pixels(), "labels": LABELS, "part": PART, **changes}
    kept = {name: array for name, array in found.items() if array is not None}
    return lambda folder: np.savez(folder / "images.npz", **kept)


def floats(value: float) -> np.ndarray:
    images = pixels().astype(np.float32) / 255
    images[7, 1, 2, 3] = value
    return images


def truncated(folder: Path) -> None:
    path = folder / "images.npz"
    path.write_bytes(path.read_bytes()[:2000])


def a_folder(folder: Path) -> None:
    (folder / "images.npz").unlink()
    (folder / "images.npz").mkdir()


ARRAYS: dict[str, tuple[Arrange, str]] = {
    "no file": (
        lambda folder: (folder / "images.npz").unlink(),
        r"dataset\.path: \S*images\.npz does not exist; an \.npz file is needed",
    ),
    "a folder": (
        a_folder,
        r"dataset\.path: \S*images\.npz is a folder; kind arrays needs an \.npz file",
    ),
    "another format": (
        lambda folder: (folder / "images.npz").write_text("label,pixel"),
        r"dataset\.path: \S*images\.npz is not an \.npz file; write it with numpy\.savez",
    ),
    "half a file": (truncated, r"dataset\.path: \S*images\.npz is not an \.npz file"),
    "no labels": (
        arrays(labels=None),
        r"variable_sets\.small: auxiliary: class is named, but the images have no classes",
    ),
    "no images": (arrays(images=None), r"\S*images\.npz: no array 'images'; found labels, part"),
    "too few labels": (
        arrays(labels=LABELS[:20]),
        r"\S*images\.npz: labels have shape \(20,\); \(24,\) is needed, one for each image",
    ),
    "too few parts": (arrays(part=PART[:5]), r"\S*images\.npz: part have shape \(5,\); \(24,\)"),
    "not a number": (
        arrays(images=floats(np.nan)),
        r"\S*images\.npz: images hold 1 values that are NaN or infinite, the first in image 7",
    ),
    "too bright": (
        arrays(images=floats(255)),
        r"\S*images\.npz: float32 images reach from 0\S* to 255; \[0, 1\] is allowed",
    ),
    "labels that are not numbers": (
        arrays(labels=LABELS.astype(str)),
        r"\S*images\.npz: labels are <U\d+; whole numbers are needed",
    ),
    "one class": (
        arrays(labels=np.zeros(24, int)),
        r"variable_sets\.small: auxiliary: class is named, but the images are of one class, '0'",
    ),
    "an empty class": (
        arrays(labels=LABELS * 2),
        r"\S*images\.npz: class '1' \(and 1 more\) has no images; every class needs at least one",
    ),
    "a class without a part": (
        arrays(part=np.where(LABELS == 2, 0, PART)),
        r"\S*images\.npz: class '2' has no images in part valid; every class needs at least one",
    ),
    "a third part": (
        arrays(part=PART * 2),
        r"\S*images\.npz: part holds 2; allowed are 0 \(train\) and 1 \(valid\)",
    ),
    "channels last": (
        arrays(images=pixels().transpose(0, 2, 3, 1)),
        r"\S*images\.npz: images have shape \(24, 16, 16, 3\).*write images\.transpose\(0, 3, 1",
    ),
}


@pytest.mark.parametrize("arrange, message", ARRAYS.values(), ids=ARRAYS.keys())
def test_arrays_that_do_not_suit_are_refused(folder: Path, arrange: Arrange, message: str) -> None:
    arrange(folder)
    assert re.match(message, refusal(CONFIG, folder))


def test_no_path_at_all_is_refused(folder: Path) -> None:
    message = refusal(changed(CONFIG, {"dataset.path": None}), folder)
    assert re.match(r"dataset\.path: missing; kind 'arrays' needs it", message)


def small(text: str) -> Arrange:
    return lambda folder: (folder / "mine.py").write_text(text)


def state(shape: tuple[int, ...] | None = None, **more: Any) -> Arrange:
    """Write weights.pt of the network, with a tensor of another shape or something else in it."""

    def write(folder: Path) -> None:
        name: dict[str, Any] = {
            "first.0.weight": torch.zeros(shape or (4, 3, 3, 3)),
            "first.0.bias": torch.zeros(4),
            "second.0.weight": torch.zeros(5, 4, 3, 3),
            "second.0.bias": torch.zeros(5),
            "logits.1.weight": torch.zeros(3, 80),
            "logits.1.bias": torch.zeros(3),
        }
        torch.save({**name, **more}, folder / "weights.pt")

    return write


def nothing(folder: Path) -> None: ...


MODELS: dict[str, tuple[dict[str, Any], Arrange, str]] = {
    "an unknown layer": (
        {"layers": ["first", "third"]},
        nothing,
        r"models\.net: layers: the model has no module .third.; it has first, first\.0",
    ),
    "a layer that is called twice": (
        {"factory": "net.py:twice", "layers": ["relu"], "weights": "none"},
        nothing,
        r"models\.net: layers: 'relu' .*(2 times|several|twice)",
    ),
    "a file that is not there": (
        {"factory": "nets.py:tiny"},
        nothing,
        r"models\.net: factory 'nets\.py:tiny': \S*nets\.py does not exist",
    ),
    "a callable that is not there": (
        {"factory": "net.py:tinny"},
        nothing,
        r"models\.net: factory 'net\.py:tinny': net\.py has no 'tinny'; it has Tiny, tiny, broken",
    ),
    "a module that is not there": (
        {"factory": "no.such.module:tiny"},
        nothing,
        r"models\.net: factory 'no\.such\.module:tiny': module 'no\.such\.module' cannot be impor",
    ),
    "a file that cannot be imported": (
        {"factory": "mine.py:net"},
        small("import nothing_of_that_name\n"),
        r"models\.net: factory 'mine\.py:net': \S*mine\.py cannot be imported: ModuleNotFoundErr",
    ),
    "a file that is not Python": (
        {"factory": "mine.py:net"},
        small("def net(:\n"),
        r"models\.net: factory 'mine\.py:net': \S*mine\.py cannot be imported: SyntaxError",
    ),
    "a factory that raises": (
        {"factory": "net.py:broken"},
        nothing,
        r"models\.net: factory 'net\.py:broken' failed: RuntimeError: no such file as I want",
    ),
    "a factory that leaves Python": (
        {"factory": "mine.py:net"},
        small("import sys\ndef net(): sys.exit(3)\n"),
        r"models\.net: factory 'mine\.py:net' failed: SystemExit: 3",
    ),
    "a factory that gives no module": (
        {"factory": "net.py:number"},
        nothing,
        r"models\.net: factory 'net\.py:number': the model is of type int; a torch\.nn\.Module is",
    ),
    "an argument that the factory does not take": (
        {"arguments": {"depth": 3}},
        nothing,
        r"models\.net: factory 'net\.py:tiny' failed: TypeError: .*'depth'",
    ),
    "a network that fails on the images": (
        {"factory": "mine.py:net", "weights": "none", "layers": "auto"},
        small("from torch import nn\ndef net(): return nn.Sequential(nn.Linear(7, 3))\n"),
        r"models\.net: .*\(1, 3, 16, 16\)",
    ),
    "an unknown torchvision model": (
        {"factory": "torchvision:resnet17"},
        nothing,
        r"models\.net: factory 'torchvision:resnet17': torchvision has no model 'resnet17'; near",
    ),
    "too many classes to train": (
        {"arguments": {"num_classes": 5}},
        nothing,
        r"models\.net: training: the model gives \(2, 5\) for 2 images; \(2, 3\), one output",
    ),
    "weights that are not there": (
        {"weights": "weights.pt"},
        nothing,
        r"models\.net: weights: found 'weights\.pt', and \S*weights\.pt does not exist; allowed",
    ),
    "weights that cannot be read": (
        {"weights": "weights.pt"},
        lambda folder: (folder / "weights.pt").write_bytes(b"weights"),
        r"models\.net: weights: \S*weights\.pt cannot be read: it is damaged or no file of torch",
    ),
    "weights that would run code": (
        {"weights": "weights.pt"},
        state(hook=os.getcwd),
        r"models\.net: weights: \S*weights\.pt cannot be read: it holds more than tensors, such as",
    ),
    "weights of another shape": (
        {"weights": "weights.pt"},
        state((8, 3, 3, 3)),
        r"models\.net: weights: \S*weights\.pt does not fit .*first\.0\.weight is \(8, 3, 3, 3\) a",
    ),
    "an unknown weights name": (
        {"factory": "torchvision:resnet18", "weights": "IMAGENET", "layers": "auto"},
        nothing,
        r"models\.net: weights: found 'IMAGENET', .*IMAGENET1K_V1",
    ),
}


@pytest.mark.parametrize("changes, arrange, message", MODELS.values(), ids=MODELS.keys())
def test_a_model_that_does_not_suit_is_refused(
    folder: Path, changes: dict[str, Any], arrange: Arrange, message: str
) -> None:
    arrange(folder)
    model = {**CONFIG["models"]["net"], **changes}
    assert re.match(message, refusal(changed(CONFIG, {"models.net": model}), folder))


def variables(*entries: Any, **more: Any) -> dict[str, Any]:
    return {"variable_sets.small": {"variables": list(entries), **more}}


VARIABLES: dict[str, tuple[dict[str, Any], Arrange, str]] = {
    "an unknown augmentation": (
        variables("brightness", "hflop"),
        nothing,
        r"variable_sets\.small: unknown augmentation 'hflop'.*hflip",
    ),
    "bounds in the wrong order": (
        variables({"name": "brightness", "factor": [1.5, 0.5]}),
        nothing,
        r"variable_sets\.small: brightness: factor is \[1\.5, 0\.5\]; allowed: two finite numbers, "
        "the lower one first",
    ),
    "bounds outside what is possible": (
        variables({"name": "hue", "factor": [-0.7, 0.1]}),
        nothing,
        r"variable_sets\.small: hue: factor is \[-0\.7, 0\.1\]; allowed: .* within \[-0\.5, 0\.5\]",
    ),
    "one bound": (
        variables({"name": "brightness", "factor": 0.5}),
        nothing,
        r"variable_sets\.small: brightness: factor is 0\.5; allowed: two finite numbers",
    ),
    "bounds that are not numbers": (
        variables({"name": "brightness", "factor": ["low", "high"]}),
        nothing,
        r"variable_sets\.small: brightness: factor is \['low', 'high'\]; allowed: two finite",
    ),
    "an unknown bounds key": (
        variables({"name": "brightness", "factr": [0.5, 1.5]}),
        nothing,
        r"variable_sets\.small: brightness: unknown key 'factr'; known: factor",
    ),
    "the same augmentation twice": (
        variables("hflip", "hflip"),
        nothing,
        r"variable_sets\.small: variables: 'hflip' is named twice",
    ),
    "nothing to study": (
        variables(auxiliary=[]),
        nothing,
        r"variable_sets\.small: variables: found none; name at least one",
    ),
    "no image to draw by": (
        variables("hflip", auxiliary=["class"]),
        nothing,
        r"variable_sets\.small: auxiliary: found \['class'\] without image, but 3 images could be",
    ),
    "an augmentation file that is not there": (
        {"augmentations": ["mine.py"]},
        nothing,
        r"augmentations: augmentation file '\S*mine\.py': no such file; allowed: a Python file",
    ),
    "an augmentation file that fails": (
        {"augmentations": ["mine.py"]},
        small("raise OSError('one\\ntwo')\n"),
        r"augmentations: augmentation file '\S*mine\.py' cannot be run: OSError: one two",
    ),
    "an augmentation file that registers nothing": (
        {"augmentations": ["mine.py"]},
        small("x = 1\n"),
        r"augmentations: augmentation file '\S*mine\.py': it registers nothing; allowed",
    ),
    "an augmentation that takes a name": (
        {"augmentations": ["mine.py"]},
        small(
            "from variscope.space.augmentations import augmentation\n"
            "@augmentation('hflip')\n"
            "def mine(images, parameters): return images\n"
        ),
        r"augmentations: augmentation file '\S*mine\.py': augmentation 'hflip' is already regis",
    ),
    "an augmentation that fails on the images": (
        {"augmentations": ["mine.py"], **variables("wrong")},
        small(
            "from variscope.space.augmentations import augmentation\n"
            "@augmentation('wrong')\n"
            "def wrong(images, parameters): return images @ images[:, :2]\n"
        ),
        r"variable_sets\.small: augmentation wrong fails on images of \(3, 16, 16\): RuntimeError",
    ),
    "an augmentation that changes the size": (
        {"augmentations": ["mine.py"], **variables("crop")},
        small(
            "from variscope.space.augmentations import augmentation\n"
            "@augmentation('crop')\n"
            "def crop(images, parameters): return images[..., :8, :8]\n"
        ),
        r"variable_sets\.small: augmentation crop fails on images .*must keep both",
    ),
}


@pytest.mark.parametrize("changes, arrange, message", VARIABLES.values(), ids=VARIABLES.keys())
def test_variables_that_do_not_suit_are_refused(
    folder: Path, changes: dict[str, Any], arrange: Arrange, message: str
) -> None:
    arrange(folder)
    assert re.match(message, refusal(changed(CONFIG, changes), folder))


def photographs(folder: Path, empty: str = "", only: tuple[str, ...] = ("cat", "dog")) -> None:
    """Write a folder with 5 JPEG files per class."""
    random = np.random.default_rng(1)
    for name in only:
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(0 if name == empty else 5):
            noise = random.integers(0, 255, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(noise).save(folder / "photos" / name / f"{number}.jpg")


def truncated_jpeg(folder: Path) -> None:
    photographs(folder)
    path = folder / "photos" / "dog" / "2.jpg"
    path.write_bytes(path.read_bytes()[:300])


def flat(folder: Path) -> None:
    (folder / "photos").mkdir()
    Image.new("RGB", (20, 20)).save(folder / "photos" / "1.jpg")


FOLDERS: dict[str, tuple[dict[str, Any], Arrange, str]] = {
    "no folder": ({}, nothing, r"dataset\.path: \S*photos does not exist; a folder of images is"),
    "a file": (
        {},
        lambda folder: (folder / "photos").write_text(""),
        r"dataset\.path: \S*photos is a file; kind image_folder needs a folder",
    ),
    "no class": (
        {},
        flat,
        r"dataset\.path: \S*photos: class 'unlabelled' has 1 image; a split .* needs 2",
    ),
    "an empty class": (
        {},
        lambda folder: photographs(folder, empty="dog"),
        r"dataset\.path: \S*photos: class 'dog' has no images; every class needs at least one",
    ),
    "one class": (
        {},
        lambda folder: photographs(folder, only=("cat",)),
        r"variable_sets\.small: auxiliary: class is named, but the images are of one class, 'cat'",
    ),
    "a truncated JPEG": (
        {},
        truncated_jpeg,
        r"\S*photos/dog/2\.jpg: Truncated File Read\. Mend or .* dataset\.on_error: skip",
    ),
    "no image size": (
        {"dataset.image_size": None},
        photographs,
        r"dataset\.image_size: missing; kind 'image_folder' needs it",
    ),
    "a crop larger than the image": (
        {"dataset.resize": 8},
        photographs,
        r"dataset\.resize: found 8; the shortest side must be at least image_size, 16",
    ),
    "an unknown torchvision data set": (
        {"dataset": {"kind": "torchvision", "name": "CIFAR11", "image_size": 32}},
        nothing,
        r"dataset\.name: found 'CIFAR11', which torchvision does not have; near it: CIFAR10",
    ),
    "a torchvision data set that is not here": (
        {
            "dataset": {
                "kind": "torchvision",
                "name": "CIFAR10",
                "image_size": 32,
                "download": False,
                "path": "here",
            }
        },
        nothing,
        r"dataset\.name CIFAR10: its files are not there; they belong in \S*here",
    ),
}


@pytest.mark.parametrize("changes, arrange, message", FOLDERS.values(), ids=FOLDERS.keys())
def test_a_data_set_that_does_not_suit_is_refused(
    folder: Path, changes: dict[str, Any], arrange: Arrange, message: str
) -> None:
    arrange(folder)
    dataset = {"dataset": {"kind": "image_folder", "path": "photos", "image_size": 16}}
    config = changed(changed(CONFIG, dataset), changes)
    assert re.match(message, refusal(config, folder))


@pytest.mark.parametrize(
    "how, changes, arrange, message",
    [
        ("-n", {"designs.cycle.blocks": -8}, nothing, r"designs\.cycle\.blocks: found -8; allowed"),
        ("--cores=1", {"models.net.layers": ["third"]}, nothing, r"models\.net: layers: .*'third'"),
        (
            "-n",
            {},
            arrays(labels=None),
            r"variable_sets\.small: auxiliary: class is named, but the images have no classes",
        ),
        ("--cores=1", {"models.net.factory": "net.py:broken"}, nothing, r"models\.net: factory"),
    ],
)
def test_snakemake_ends_with_the_message_alone(
    fresh: Study, how: str, changes: dict[str, Any], arrange: Arrange, message: str
) -> None:
    arrange(fresh.folder)
    fresh.configure(changes)
    done = fresh.run(how, fails=True)
    said = [line for line in done.stderr.splitlines() if not line.startswith("Using ")]
    assert len(said) == 1
    assert re.match("configuration error: " + message, said[0])
    assert done.stdout.strip() == ""
    assert not (fresh.folder / "results").exists()


@pytest.mark.parametrize("text", ["- a\n- b\n", "experiment: [\n", ""])
def test_a_configuration_that_is_no_mapping_is_refused(fresh: Study, text: str) -> None:
    (fresh.folder / "study.yaml").write_text(text)
    done = fresh.run("-n", fails=True)
    assert re.search("Config file (must be given|is not valid)", done.stdout + done.stderr)
    assert "Traceback" not in done.stdout + done.stderr
    assert not (fresh.folder / "results").exists()
