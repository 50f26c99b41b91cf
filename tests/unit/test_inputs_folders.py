"""Folders as people have them: names of parts, links, hidden folders, images without classes."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from variscope.errors import UserError
from variscope.inputs.images import listing_digest, open_images
from variscope.inputs.scanning import part_of_name


def picture(path: Path, seed: int = 0, height: int = 20, width: int = 24) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def opened(folder: Path, **settings):
    dataset = {"kind": "image_folder", "path": str(folder), "image_size": 16, **settings}
    listing_digest(dataset, folder)
    return open_images(dataset, seed=1, folder=folder)


@pytest.mark.parametrize(
    ("train", "valid"),
    [("Training", "Testing"), ("Train", "Val"), ("training_set", "test_set"), ("TRAIN", "VALID")],
)
def test_parts_have_their_usual_spellings(tmp_path, train, valid):
    for part, count in ((train, 3), (valid, 2)):
        for name in ("ant", "bee"):
            for i in range(count):
                picture(tmp_path / part / name / f"{i}.PNG", i)
    table = opened(tmp_path)
    assert table.classes == ("ant", "bee")
    assert table.summary()["images_per_part"] == {"train": 6, "valid": 4}


def test_of_three_parts_train_and_valid_are_taken(tmp_path):
    for part in ("train", "val", "test"):
        for name in ("ant", "bee"):
            picture(tmp_path / part / name / "0.png")
    table = opened(tmp_path)
    assert len(table) == 4 and any("Ignored" in n and "test" in n for n in table.notes)


def test_classes_may_be_named_as_parts(tmp_path):
    for name in ("train", "bus"):
        picture(tmp_path / name / "0.png")
    assert opened(tmp_path, split=False).classes == ("bus", "train")
    assert part_of_name("trains") is None


def test_the_flat_validation_set_of_imagenet_is_named(tmp_path):
    for name in ("n01", "n02"):
        picture(tmp_path / "train" / name / "0.png")
    picture(tmp_path / "val" / "ILSVRC2012_val_00000001.png")
    with pytest.raises(UserError, match=r"ImageNet's validation set.*without class folders"):
        opened(tmp_path)


def test_dangling_links_are_named_or_counted(tmp_path):
    for name in ("ant", "bee"):
        for i in range(3):
            picture(tmp_path / name / f"{i}.png", i)
    (tmp_path / "bee" / "9.png").symlink_to("nowhere.png")
    with pytest.raises(UserError, match=r"bee/9\.png: a link whose target is not there"):
        opened(tmp_path, check="none")
    table = opened(tmp_path, on_error="skip")
    assert len(table) == 6 and table.skipped[0][0] == "bee/9.png"


def test_a_link_loop_is_not_followed(tmp_path):
    for name in ("ant", "bee"):
        picture(tmp_path / name / "0.png")
    (tmp_path / "bee" / "again").symlink_to(tmp_path, target_is_directory=True)
    table = opened(tmp_path, split=False)
    assert len(table) == 2 and any("lead back" in note for note in table.notes)


def test_what_is_passed_over_is_counted(tmp_path):
    for name in ("ant", "bee", ".thumbnails", "@eaDir", "__MACOSX"):
        picture(tmp_path / name / "0.png")
    (tmp_path / "ant" / "a.heic").touch()
    (tmp_path / "ant" / "b.SVG").touch()
    table = opened(tmp_path, split=False)
    assert table.classes == ("ant", "bee") and len(table) == 2
    assert "3 hidden or thumbnail folders" in table.notes[0] and "1 .heic, 1 .svg" in table.notes[1]


def test_names_that_are_no_utf8_can_be_written_anywhere(tmp_path):
    for name in (b"ant", b"be\xffe"):
        folder = os.path.join(os.fsencode(tmp_path), name)
        os.makedirs(folder)
        for file in (b"a\xfe.png", b"-dash.png", b"new\nline.png"):
            picture(Path(os.fsdecode(os.path.join(folder, file))))
    table = opened(tmp_path, split=False)
    assert table.classes == ("ant", "be\\xffe") and table.load(range(6)).shape == (6, 3, 16, 16)
    with (tmp_path / "x.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([[source] for source in table.source])
    assert json.loads(json.dumps(table.summary()))["images"] == 6
    assert all("\n" not in source for source in table.source)


@pytest.mark.parametrize("inside", ["", "only"])
def test_images_without_classes_or_of_one_are_all_studied(tmp_path, inside):
    for i in range(5):
        picture(tmp_path / inside / f"{i}.png", i)
    table = opened(tmp_path, split=False)
    assert len(table) == 5 and table.labelled == bool(inside)
    assert table.parts == "none" and table.ids("valid").size == 5
    assert "accuracy is not measured" in table.notes[-1]


def test_a_folder_around_the_class_folders_is_refused(tmp_path):
    picture(tmp_path / "inner" / "ant" / "0.png")
    with pytest.raises(UserError, match=r"holds one folder, inner/"):
        opened(tmp_path)


@pytest.mark.parametrize(("size", "resize"), [((12, 20), 16), ((20, 12), 25), ((16, 16), 18)])
def test_sides_that_differ_are_cropped_as_torchvision_does(tmp_path, size, resize):
    from torchvision.transforms import CenterCrop, Resize
    from torchvision.transforms.functional import pil_to_tensor

    picture(tmp_path / "0.png", 3, 40, 50)
    found = opened(tmp_path, image_size=list(size), resize=resize, split=False).load([0])[0]
    with Image.open(tmp_path / "0.png") as image:
        wanted = pil_to_tensor(CenterCrop(size)(Resize(resize)(image))).numpy()
    np.testing.assert_array_equal(found, wanted)


def test_the_image_covers_both_sides_where_the_shortest_is_not_enough(tmp_path):
    picture(tmp_path / "0.png", 3, 40, 40)
    table = opened(tmp_path, image_size=[10, 30], resize=12, split=False)
    with Image.open(tmp_path / "0.png") as image:
        wanted = np.asarray(image.resize((30, 30), Image.Resampling.BILINEAR))[10:20]
    np.testing.assert_array_equal(table.load([0])[0], wanted.transpose(2, 0, 1))


def test_one_channel_is_pillows_gray(tmp_path):
    picture(tmp_path / "0.png", 3, 16, 16)
    table = opened(tmp_path, channels=1, resize=16, split=False)
    with Image.open(tmp_path / "0.png") as image:
        np.testing.assert_array_equal(table.load([0])[0, 0], np.asarray(image.convert("L")))
