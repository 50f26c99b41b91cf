"""The file of clusters of a folder: read, and refused by name where it does not fit."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image
from variscope.errors import UserError
from variscope.inputs.images import listing_digest, open_images

LINES = ("ant/0.png,film b", "ant/1.png,film a", "bee/0.png,film b", "bee/1.png,film c")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ant", "bee"):
        for number in range(2):
            path = tmp_path / name / f"{number}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(path)
    return tmp_path


def opened(folder: Path, *lines: str, header: str = "path,cluster", **settings):
    (folder / "clusters.csv").write_text("\n".join([header, *lines]) + "\n")
    return open_images(settings_of(folder) | settings, seed=1, folder=folder)


def settings_of(folder: Path) -> dict:
    return {"kind": "image_folder", "path": str(folder), "image_size": 8, "split": False}


def test_images_of_one_source_have_one_cluster_whatever_the_order_of_the_lines(folder: Path):
    assert_array_equal(opened(folder, *LINES).cluster, [1, 0, 1, 2])
    assert_array_equal(opened(folder, *LINES[::-1]).cluster, [1, 0, 1, 2])
    assert_array_equal(opened(folder, *LINES, header="\ufeffpath,cluster").cluster, [1, 0, 1, 2])


def test_without_the_file_each_image_is_a_cluster(folder: Path):
    table = open_images(settings_of(folder), seed=1, folder=folder)
    assert_array_equal(table.cluster, np.arange(4))


def test_clusters_follow_the_images_that_a_limit_keeps(folder: Path):
    table = opened(folder, *LINES, images_per_class=1)
    full = dict(line.split(",") for line in LINES)
    same = [full[a] == full[b] for a in table.source for b in table.source]
    assert_array_equal([a == b for a in table.cluster for b in table.cluster], same)


def test_the_digest_of_the_listing_follows_the_file(folder: Path):
    before = listing_digest(settings_of(folder), folder)
    opened(folder, *LINES)
    assert listing_digest(settings_of(folder), folder) != before


def test_an_image_that_is_left_out_may_have_a_line(folder: Path):
    (folder / "ant" / "2.png").write_bytes(b"no image")
    table = opened(folder, *LINES, "ant/2.png,film d", on_error="skip")
    assert len(table) == 4


@pytest.mark.parametrize(
    ("lines", "header", "said"),
    [
        (LINES, "file,group", r"the first line is 'file,group'; 'path,cluster' is needed"),
        (LINES[1:], "path,cluster", r"1 of 4 images have no line, the first is ant/0\.png"),
        ((*LINES, "cat/0.png,x"), "path,cluster", r"there is no file cat/0\.png; paths"),
        ((*LINES, LINES[0]), "path,cluster", r"ant/0\.png stands there twice"),
        ((*LINES, "ant/1.png"), "path,cluster", r"line 6 is 'ant/1\.png'; a path and a cluster"),
        ((*LINES, "ant/1.png,"), "path,cluster", r"line 6 is 'ant/1\.png,'; a path and a cluster"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name(folder: Path, lines, header: str, said: str):
    with pytest.raises(UserError, match=rf"clusters\.csv: {said}"):
        opened(folder, *lines, header=header)
