"""The kinds arrays and torchvision."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from variscope.errors import UserError
from variscope.inputs.images import listing_digest, open_images, table_from_arrays


def arrays(n: int = 12, channels: int = 3, dtype: str = "uint8", side: int = 10) -> dict:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (n, channels, side, side + 2)).astype("uint8")
    if dtype != "uint8":
        images = (images / 255).astype(dtype)
    return {"images": images, "labels": np.arange(n) % 3}


def opened(tmp_path: Path, found: dict, **settings):
    np.savez(tmp_path / "a.npz", **{k: v for k, v in found.items() if v is not None})
    return open_images({"kind": "arrays", "path": "a.npz", **settings}, seed=1, folder=tmp_path)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_arrays_come_back_as_they_are(tmp_path, dtype):
    found = arrays(dtype=dtype)
    names = np.array(["x", "y", "z"])
    table = opened(tmp_path, {**found, "class_names": names, "part": np.arange(12) // 6})
    np.testing.assert_array_equal(table.load([7, 2]), found["images"][[7, 2]])
    assert table.load([0]).dtype == table.dtype == dtype
    assert table.size == (10, 12) and table.classes == ("x", "y", "z")
    np.testing.assert_array_equal(table.label, found["labels"])
    np.testing.assert_array_equal(table.part, np.arange(12) // 6)


def test_one_channel_becomes_three_with_a_note(tmp_path):
    found = arrays(channels=1)
    table = opened(tmp_path, found)
    np.testing.assert_array_equal(table.load([4])[0], np.repeat(found["images"][4], 3, axis=0))
    assert "repeated three times" in table.notes[0]


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_arrays_are_resized_to_image_size(tmp_path, dtype):
    found = arrays(dtype=dtype)
    found["images"][:] = found["images"][:, :, :1, :1]  # constant images stay constant
    table = opened(tmp_path, found, image_size=24)
    pixels = table.load([0, 1])
    assert pixels.shape == (2, 3, 24, 24) and pixels.dtype == dtype
    expected = np.broadcast_to(found["images"][:2, :, :1, :1], pixels.shape)
    np.testing.assert_allclose(pixels, expected, atol=1e-6)


def test_arrays_in_memory_need_no_file():
    found = arrays()
    table = table_from_arrays(found["images"], found["labels"])
    np.testing.assert_array_equal(table.load([3])[0], found["images"][3])
    assert not table.part.any()


def changed(**change):
    return {**arrays(), **change}


def with_nan():
    images = arrays(dtype="float32")["images"]
    images[3, 0, 1, 1] = np.nan
    return images


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (changed(labels=None, class_names=np.array(["a"])), r"class_names without labels"),
        (changed(images=None), r"a\.npz: no array 'images'; found labels"),
        (changed(labels=np.arange(11) % 3), r"labels have shape \(11,\); \(12,\) is needed"),
        (changed(part=np.zeros(5, int)), r"part have shape \(5,\)"),
        (changed(images=with_nan()), r"1 values that are NaN or infinite, the first in image 3"),
        (changed(images=arrays(dtype="float32")["images"] * 3), r"reach from 0 to 3; \[0, 1\]"),
        (changed(images=arrays(dtype="float16")["images"]), r"images are float16; uint8, or fl"),
        (changed(images=arrays()["images"][0]), r"images have shape \(3, 10, 12\)"),
        (changed(images=arrays()["images"].transpose(0, 2, 3, 1)), r"transpose\(0, 3, 1, 2\)"),
        (changed(images=arrays(channels=4)["images"]), r"4 channels; .* C of 1 or 3"),
        (changed(labels=np.arange(12) % 2 * 2), r"class '1' has no images"),
        (changed(labels=np.arange(12) % 3 - 1), r"labels reach down to -1"),
        (changed(labels=np.arange(12) % 3 + 0.5), r"labels are float64; whole numbers"),
        (changed(labels=np.full(12, np.nan)), r"labels hold NaN"),
        (changed(labels=np.arange(12) * 10**9), r"labels reach up to 11000000000"),
        (changed(part=np.arange(12) % 3), r"part holds 2; allowed are 0 \(train\) and 1"),
        (changed(part=(np.arange(12) == 0) * 1), r"class '1' \(and 1 more\) has no images in part"),
        (changed(class_names=np.array(["a", "b"])), r"2 class_names for labels up to 2"),
        (changed(class_names=np.array(["a", "b", "c", "d"])), r"class 'd' has no images"),
        (changed(class_names=np.array(["a", "a", "c"])), r"k different texts"),
        (changed(class_names=np.array(["a", "b", None], object)), r"holds Python objects"),
    ],
)
def test_bad_arrays_are_refused_by_file(tmp_path, found, message):
    with pytest.raises(UserError, match=message):
        opened(tmp_path, found)


def test_missing_or_unreadable_files_are_refused(tmp_path):
    def attempt():
        open_images({"kind": "arrays", "path": "a.npz"}, seed=1, folder=tmp_path)

    with pytest.raises(UserError, match=r"a\.npz does not exist"):
        attempt()
    (tmp_path / "a.npz").write_bytes(b"text")
    with pytest.raises(UserError, match=r"a\.npz is not an \.npz file"):
        attempt()
    np.savez(tmp_path / "a.npz", **arrays())
    whole = bytearray((tmp_path / "a.npz").read_bytes())
    whole[200] ^= 255
    (tmp_path / "a.npz").write_bytes(bytes(whole))
    with pytest.raises(UserError, match=r"a\.npz: cannot be read"):
        attempt()


def test_listing_digest_of_an_npz_follows_the_file(tmp_path):
    opened(tmp_path, arrays())
    before = listing_digest({"kind": "arrays", "path": "a.npz"}, tmp_path)
    opened(tmp_path, arrays(15))
    assert before != listing_digest({"kind": "arrays", "path": "a.npz"}, tmp_path)


# torchvision


def cifar(root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray]:
    """Write CIFAR10's files with 20 train and 10 test images."""
    from torchvision.datasets import CIFAR10

    base = root / CIFAR10.base_folder
    base.mkdir(parents=True)
    generator = np.random.default_rng(1)
    data = generator.integers(0, 256, (30, 3072), dtype=np.uint8)
    labels = np.arange(30) % 10

    def write(name: str, content: dict) -> list[str]:
        (base / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((base / name).read_bytes()).hexdigest()]

    train = write("data_batch_1", {"data": data[:20], "labels": labels[:20].tolist()})
    test = write("test_batch", {"data": data[20:], "labels": labels[20:].tolist()})
    meta = write("batches.meta", {"label_names": [f"class {code}" for code in range(10)]})
    monkeypatch.setattr(CIFAR10, "train_list", [train])
    monkeypatch.setattr(CIFAR10, "test_list", [test])
    monkeypatch.setattr(
        CIFAR10, "meta", {"filename": meta[0], "key": "label_names", "md5": meta[1]}
    )
    return data.reshape(30, 3, 32, 32), labels


def test_torchvision_data_sets_have_their_own_parts(tmp_path, monkeypatch):
    data, labels = cifar(tmp_path / "sets", monkeypatch)
    dataset = {"kind": "torchvision", "name": "CIFAR10", "path": "sets", "image_size": 32}
    table = open_images(dataset, seed=1, folder=tmp_path)
    assert table.summary()["images_per_part"] == {"train": 20, "valid": 10}
    assert table.classes[3] == "class 3"
    np.testing.assert_array_equal(table.label, labels)
    # Images that have the size already are not resampled.
    np.testing.assert_array_equal(table.load([25, 3]), data[[25, 3]])
    small = open_images({**dataset, "image_size": 16}, seed=1, folder=tmp_path)
    assert small.load([1]).shape == (1, 3, 16, 16)


def test_torchvision_data_sets_without_parts_are_split():
    dataset = {
        "kind": "torchvision",
        "name": "FakeData",
        "image_size": 8,
        "arguments": {"size": 60, "image_size": [3, 8, 8], "num_classes": 2},
    }
    table = open_images(dataset, seed=1, folder=".")
    assert len(table) == 60 and table.part.sum() == 12
    np.testing.assert_array_equal(table.load([7, 7])[0], table.load([7])[0])


def test_unknown_torchvision_data_set_is_answered_with_known_ones():
    dataset = {"kind": "torchvision", "name": "CIFAR11", "image_size": 32}
    with pytest.raises(UserError, match=r"'CIFAR11'.*near it: .*CIFAR10.*known are Caltech101, "):
        open_images(dataset, seed=1, folder=".")
    with pytest.raises(UserError, match=r"dataset\.name: missing"):
        open_images({"kind": "torchvision", "image_size": 32}, seed=1, folder=".")


@pytest.mark.parametrize("name", ["CIFAR10", "MNIST"])
def test_failed_download_names_the_folder_of_the_files(tmp_path, monkeypatch, name):
    from urllib.error import URLError

    def unreachable(*arguments, **keywords):
        raise URLError("no network")

    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", unreachable)
    dataset = {"kind": "torchvision", "name": name, "path": "sets", "image_size": 32}
    inside = {"CIFAR10": "cifar-10-batches-py", "MNIST": "MNIST/raw"}[name]
    with pytest.raises(UserError, match=rf"could not be downloaded; .*sets/{inside}"):
        open_images(dataset, seed=1, folder=tmp_path)
    with pytest.raises(UserError, match=rf"are not there; .*sets/{inside}"):
        open_images({**dataset, "download": False}, seed=1, folder=tmp_path)


def test_bad_arguments_of_a_torchvision_data_set_are_refused():
    dataset = {
        "kind": "torchvision",
        "name": "FakeData",
        "image_size": 8,
        "arguments": {"colour": 1},
    }
    with pytest.raises(UserError, match=r"dataset\.arguments: FakeData refuses them.*colour"):
        open_images(dataset, seed=1, folder=".")


def test_images_are_clusters_of_their_own_unless_the_arrays_say_otherwise(tmp_path):
    found = arrays()
    np.testing.assert_array_equal(opened(tmp_path, found).cluster, np.arange(12))
    cluster = np.arange(12) // 3 + 40
    table = opened(tmp_path, {**found, "cluster": cluster}, images_per_class=2, split=False)
    kept = [int(source.split()[-1]) for source in table.source]
    np.testing.assert_array_equal(table.cluster, cluster[kept])
    assert table.summary()["clusters"] == len(np.unique(cluster[kept]))
    in_memory = table_from_arrays(found["images"], found["labels"], cluster=cluster)
    np.testing.assert_array_equal(in_memory.cluster, cluster)


@pytest.mark.parametrize("cluster", [np.arange(11), np.full(12, 0.5), np.full((12, 1), 1)])
def test_clusters_that_are_no_numbers_of_images_are_refused(tmp_path, cluster):
    with pytest.raises(UserError, match=r"a\.npz: cluster (have shape|are float64)"):
        opened(tmp_path, {**arrays(), "cluster": cluster})
