"""The photographs, the folder kind, and what every kind of data set refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from variscope.errors import UserError
from variscope.inputs import datasets
from variscope.inputs.datasets.photographs import DEFAULT, cells, draw_boxes
from variscope.inputs.images import listing_digest, open_images


def noise(seed: int, height: int = 40, width: int = 50) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of five PNGs each, without parts."""
    for code, name in enumerate(("cat", "dog")):
        (tmp_path / "data" / name).mkdir(parents=True)
        for index in range(5):
            noise(10 * code + index).save(tmp_path / "data" / name / f"{index}.png")
    return tmp_path


def opened(folder: Path, **settings):
    dataset = {"kind": "image_folder", "path": "data", "image_size": 16, **settings}
    return open_images(dataset, seed=1, folder=folder)


# photographs


def test_photographs_have_ten_balanced_classes_of_both_parts():
    table = open_images({"kind": "photographs"}, seed=1, folder=".")
    assert table.classes == DEFAULT and len(table.classes) == 10
    assert table.size == (64, 64)
    counts = table.summary()["images_per_class"]
    assert set(counts["train"].values()) == set(counts["valid"].values()) == {48}
    pixels = table.load([5, 3, 5])
    assert pixels.shape == (3, 3, 64, 64) and pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels[0], pixels[2])


def test_no_pixel_of_a_photograph_is_in_both_parts():
    for height, width in ((300, 451), (512, 512), (427, 640)):
        seen = np.zeros((2, height, width), bool)
        for part in (0, 1):
            fields = cells(height, width, part)
            for x, y, side in draw_boxes(fields, 0.6, 60, np.random.default_rng(part)):
                assert x >= 0 and y >= 0 and x + side <= width and y + side <= height
                seen[part, y : y + side, x : x + side] = True
        assert not (seen[0] & seen[1]).any()
        area = sum(h * w for part in (0, 1) for _, _, h, w in cells(height, width, part))
        assert area == height * width


def test_large_crops_show_most_of_the_photographs_that_were_chosen():
    dataset = {"kind": "photographs", "crops": "large", "images_per_class": 12}
    table = open_images({**dataset, "photographs": ["coffee", "camera"]}, seed=1, folder=".")
    assert table.classes == ("coffee", "camera")
    assert table.ids("train").size == 0 and table.ids("valid").size == 24
    for source in table.source:
        name, left_top, size = source.split()
        left, top = map(int, left_top.split(","))
        side = int(size.split("x")[0])
        height, width = {"coffee": (400, 600), "camera": (512, 512)}[name]
        assert 0.8 * min(height, width) <= side and left + side <= width and top + side <= height
    assert len(set(table.source)) == 24
    assert "overlap" in table.notes[0]


def test_a_photograph_has_the_same_crops_whichever_others_are_chosen():
    few = {"kind": "photographs", "images_per_class": 3, "photographs": ["retina", "coffee"]}
    every = open_images({"kind": "photographs", "images_per_class": 3}, seed=4, folder=".")
    assert set(open_images(few, seed=4, folder=".").source) < set(every.source)


@pytest.mark.parametrize("names", [["coffee", "tea"], ["coffee"], ["coffee", "coffee"]])
def test_photographs_that_are_not_there_are_refused_by_name(names):
    with pytest.raises(UserError, match=r"dataset\.photographs: found"):
        open_images({"kind": "photographs", "photographs": names}, seed=1, folder=".")


def test_crops_depend_on_the_seed_only():
    def sources(seed):
        dataset = {"kind": "photographs", "images_per_class": 4}
        return open_images(dataset, seed=seed, folder=".").source

    assert sources(1) == sources(1) != sources(2)
    assert len(set(sources(1))) == 80


def test_opening_images_imports_no_torch():
    code = (
        "import sys; from variscope.inputs.images import open_images as o;"
        "o({'kind': 'photographs', 'images_per_class': 1}, seed=1, folder='.').load([0]);"
        "print('torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert result.stdout.strip() == "False"


# image_folder


def test_folder_is_resized_and_cropped_as_torchvision_does(folder):
    from torchvision.transforms import CenterCrop, Resize
    from torchvision.transforms.functional import pil_to_tensor

    table = opened(folder, image_size=21, resize=27)
    for index in range(len(table)):
        with Image.open(folder / "data" / table.source[index]) as image:
            wanted = pil_to_tensor(CenterCrop(21)(Resize(27)(image))).numpy()
        np.testing.assert_array_equal(table.load([index])[0], wanted)


def test_split_is_stratified_seeded_and_complete(folder):
    table = opened(folder, valid_fraction=0.4)
    assert table.classes == ("cat", "dog")
    assert table.summary()["images_per_class"] == {
        "train": {"cat": 3, "dog": 3},
        "valid": {"cat": 2, "dog": 2},
    }
    np.testing.assert_array_equal(table.part, opened(folder, valid_fraction=0.4).part)
    assert not opened(folder, valid_fraction=0).part.any()


def test_images_per_class_limits_every_class_and_part(folder):
    table = opened(folder, valid_fraction=0.4, images_per_class=2)
    assert len(table) == 8 and set(table.source) < set(opened(folder).source)


@pytest.mark.parametrize("valid", ["valid", "val"])
def test_parts_are_read_from_subfolders(folder, valid):
    for name in ("cat", "dog"):
        (folder / "data" / valid).mkdir(exist_ok=True)
        (folder / "data" / "train").mkdir(exist_ok=True)
        (folder / "data" / valid / name).mkdir()
        noise(50).save(folder / "data" / valid / name / "x.JPG")
        (folder / "data" / name).rename(folder / "data" / "train" / name)
    table = opened(folder)
    assert table.summary()["images_per_part"] == {"train": 10, "valid": 2}
    assert f"{valid}/cat/x.JPG" in table.source


def test_many_modes_become_rgb_and_are_counted(folder):
    cat = folder / "data" / "cat"
    gray = np.linspace(0, 65535, 1600).astype(np.uint16).reshape(40, 40)
    Image.fromarray(gray).save(cat / "a16.png")
    rgb = noise(3)
    for name, mode in (("l.png", "L"), ("p.png", "P"), ("la.png", "LA"), ("rgba.png", "RGBA")):
        rgb.convert(mode).save(cat / name)
    rgb.convert("CMYK").save(cat / "cmyk.jpg")
    rgb.save(cat / "w.webp", lossless=True)
    rgb.save(cat / "t.tif")
    rgb.save(cat / "b.bmp")
    (cat / "notes.txt").write_text("no image")
    table = opened(folder, image_size=40, resize=40)
    assert table.notes == (
        "Converted to RGB: 1 16-bit gray, 1 CMYK, 1 RGBA, 1 gray, 1 gray with alpha, 1 palette.",
    )
    where = {Path(s).name: i for i, s in enumerate(table.source) if s.startswith("cat")}
    assert "notes.txt" not in where
    deep = table.load([where["a16.png"]])[0]
    np.testing.assert_array_equal(deep[1], np.round(gray / 257))
    centre = np.asarray(rgb)[:, 5:45].transpose(2, 0, 1)
    for name in ("rgba.png", "w.webp", "t.tif", "b.bmp"):
        np.testing.assert_array_equal(table.load([where[name]])[0], centre)


def test_exif_orientation_is_respected(folder):
    image = noise(1, 40, 40)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned 90 degrees clockwise
    image.save(folder / "data" / "cat" / "turned.png", exif=exif)
    table = opened(folder, image_size=40, resize=40)
    upright = table.load([table.source.index("cat/turned.png")])[0]
    np.testing.assert_array_equal(
        upright, np.asarray(image.transpose(Image.Transpose.ROTATE_270)).transpose(2, 0, 1)
    )


def truncate(folder: Path) -> Path:
    path = folder / "data" / "dog" / "broken.jpg"
    noise(9, 200, 200).save(path)
    path.write_bytes(path.read_bytes()[:5000])
    return path


def test_truncated_jpeg_is_named(folder):
    truncate(folder)
    with pytest.raises(UserError, match=r"dog/broken\.jpg.*on_error: skip"):
        opened(folder)


def test_truncated_jpeg_is_left_out_and_counted_when_asked(folder):
    whole = opened(folder)
    truncate(folder)
    (folder / "data" / "dog" / "empty.png").touch()
    table = opened(folder, on_error="skip")
    assert [name for name, _ in table.skipped] == ["dog/broken.jpg", "dog/empty.png"]
    assert "truncated" in table.skipped[0][1] and "not an image" in table.skipped[1][1]
    assert table.source == whole.source
    np.testing.assert_array_equal(table.part, whole.part)
    summary = table.summary()
    assert summary["skipped_count"] == 2 and "2 left out" in summary["notes"][0]


def test_a_known_skip_list_gives_the_same_table_without_a_check(folder):
    truncate(folder)
    table = opened(folder, on_error="skip")
    dataset = {"kind": "image_folder", "path": "data", "image_size": 16, "check": "none"}

    def scanned(done: int, total: int) -> None:
        pytest.fail("scanned again")

    again = open_images(
        dataset, seed=1, folder=folder, skipped=table.summary()["skipped"], on_progress=scanned
    )
    assert again.source == table.source and again.skipped == table.skipped


def test_an_unchecked_truncated_jpeg_is_named_when_it_is_loaded(folder):
    truncate(folder)
    table = opened(folder, check=False)
    with pytest.raises(UserError, match=r"broken\.jpg.*check: all"):
        table.load(range(len(table)))


def test_a_class_of_unreadable_files_only_is_empty(folder):
    for path in (folder / "data" / "dog").iterdir():
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"without 5 unreadable files: class 'dog' has no images"):
        opened(folder, on_error="skip")


def test_progress_counts_the_checked_files(folder):
    calls: list[tuple[int, int]] = []
    dataset = {"kind": "image_folder", "path": "data", "image_size": 16}
    open_images(dataset, seed=1, folder=folder, on_progress=lambda *call: calls.append(call))
    assert calls == [(done, 10) for done in range(1, 11)]


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"data does not exist"):
        opened(tmp_path)
    (tmp_path / "data").touch()
    with pytest.raises(UserError, match=r"data is a file"):
        opened(tmp_path)


def test_folder_without_classes_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(UserError, match=r"no classes found"):
        opened(tmp_path)


def test_empty_class_is_named(folder):
    (folder / "data" / "emu").mkdir()
    with pytest.raises(UserError, match=r"class 'emu' has no images"):
        opened(folder)


def test_class_missing_from_a_part_is_named(folder):
    for part, name in (("train", "cat"), ("train", "dog"), ("valid", "cat")):
        (folder / "set" / part / name).mkdir(parents=True)
        noise(1).save(folder / "set" / part / name / "a.png")
    with pytest.raises(UserError, match=r"class 'dog' has no images in part valid"):
        opened(folder, path="set")


def test_half_a_data_set_is_refused(folder):
    (folder / "half").mkdir()
    (folder / "data").rename(folder / "half" / "train")
    with pytest.raises(UserError, match=r"train/ with class folders but no valid/"):
        opened(folder, path="half")


def test_single_image_of_a_class_cannot_be_split(folder):
    (folder / "data" / "emu").mkdir()
    noise(1).save(folder / "data" / "emu" / "a.png")
    with pytest.raises(UserError, match=r"class 'emu' has 1 image; a split"):
        opened(folder)


def test_listing_digest_follows_the_files(folder):
    dataset = {"kind": "image_folder", "path": "data", "image_size": 16}
    before = listing_digest(dataset, folder)
    assert before == listing_digest({**dataset, "image_size": 32}, folder)
    noise(77).save(folder / "data" / "cat" / "new.png")
    after = listing_digest(dataset, folder)
    os.utime(folder / "data" / "cat" / "0.png", (1, 1))
    assert len({before, after, listing_digest(dataset, folder)}) == 3
    assert listing_digest({"kind": "photographs"}, folder) == listing_digest(
        {"kind": "photographs"}, "."
    )


# settings, for every kind


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "film"}, r"dataset\.kind: found 'film'; allowed are arrays, echo"),
        ({"kind": None}, r"dataset\.kind: missing"),
        ({"colour": 1}, r"unknown key 'colour'; the known keys are kind, path"),
        ({"image_size": 0}, r"dataset\.image_size: found 0"),
        ({"image_size": 2.5}, r"dataset\.image_size: found 2\.5"),
        ({"image_size": None}, r"dataset\.image_size: missing; kind 'image_folder'"),
        ({"resize": 8}, r"dataset\.resize: found 8.*at least image_size, 16"),
        ({"images_per_class": -1}, r"dataset\.images_per_class: found -1"),
        ({"valid_fraction": 1}, r"dataset\.valid_fraction: found 1; .*below 1"),
        ({"valid_fraction": "x"}, r"dataset\.valid_fraction: found 'x'"),
        ({"on_error": "ignore"}, r"dataset\.on_error: found 'ignore'; allowed are fail, skip"),
        ({"check": "some"}, r"dataset\.check: found 'some'; allowed are auto, all, none"),
        ({"window": [40]}, r"dataset\.window: found \[40\]; \[centre, width\] is needed"),
        ({"window": [40, 0.5]}, r"dataset\.window: found \[40, 0\.5\].*at least 1"),
        ({"path": None}, r"dataset\.path: missing"),
        ({"path": 3}, r"dataset\.path: found 3"),
        ({"download": "yes"}, r"dataset\.download"),
        ({"arguments": [1]}, r"dataset\.arguments: found \[1\]"),
    ],
)
def test_bad_settings_are_refused_by_key(folder, change, message):
    with pytest.raises(UserError, match=message):
        opened(folder, **change)


def test_ids_outside_the_table_are_refused(folder):
    table = opened(folder)
    assert table.load([]).shape == (0, 3, 16, 16)
    with pytest.raises(IndexError, match=r"0\.\.9"):
        table.load([10])


def test_a_kind_cannot_be_registered_twice():
    known = ("arrays", "echocardiogram", "image_folder", "photographs", "torchvision")
    assert datasets.names() == known
    with pytest.raises(ValueError, match="registered twice"):
        datasets.dataset_kind("arrays", listing=lambda settings: [])(datasets.get("arrays").open)
