"""Open the images of a study, whatever kind of data set they come from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from variscope.inputs import datasets
from variscope.inputs.datasets.arrays import table_of
from variscope.inputs.settings import DatasetSettings
from variscope.inputs.table import ImageTable, Progress

__all__ = ["ImageTable", "listing_digest", "open_images", "reopen_images", "table_from_arrays"]


def open_images(
    dataset: Mapping[str, Any],
    *,
    seed: int,
    folder: Path | str,
    skipped: Iterable[tuple[str, str]] | None = None,
    on_progress: Progress | None = None,
) -> ImageTable:
    """Open the images that `dataset` describes.

    Args:
        dataset: `kind` and the kind's settings; a value of None means "not given". Settings:
            `path`, `channels` (3 or 1), `image_size` (an integer or [H, W]) and `resize`
            (pixels), `images_per_class` (a seeded limit per class and part), `valid_fraction` (of
            the seeded split, where the data set has no parts), `split` (whether one without parts
            is split), `on_error` (fail or skip), `check` (auto, all or none: which files are
            decoded now), `name`, `download` and `arguments` (of torchvision data sets),
            `photographs` and `crops` (of photographs), `window` (of DICOM files).
        seed: of the split, the limit and the crops.
        folder: what a relative `path` is relative to.
        on_progress: called with (done, total) while files are checked.
        skipped: the `skipped` of an earlier table of the same data set: the files are not checked
            again, and just these are left out, so that ids agree between the jobs of a study.

    Raises:
        UserError: names the key or file, what was found and what is allowed.
    """
    settings = DatasetSettings.parse(dataset, seed=seed, folder=folder)
    known = None if skipped is None else tuple((str(name), str(why)) for name, why in skipped)
    return datasets.get(settings.kind).open(settings, on_progress, known)


def table_from_arrays(
    images: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    *,
    part: npt.ArrayLike | None = None,
    cluster: npt.ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    image_size: int | Sequence[int] | None = None,
    channels: int = 3,
) -> ImageTable:
    """Make a table of arrays in memory, checked as an .npz is.

    Args:
        images: (n, C, H, W), C of 1 or 3, uint8, or float32 or float64 in [0, 1].
        labels: (n,) whole numbers 0..k-1, each in use; None where images have no classes.
        part: (n,) 0 train, 1 valid; all train unless given.
        cluster: (n,) whole numbers, the source that each image comes from; each its own unless
            given.
        class_names: k texts; the numbers unless given.
        image_size: resize and crop to this side, or to [H, W] (pixels).
        channels: what one image gives, 1 or 3: one is repeated three times, three become gray.

    Raises:
        UserError: as for kind "arrays".
    """
    found = {"images": np.asarray(images)}
    if labels is not None:
        found["labels"] = np.asarray(labels)
    if part is not None:
        found["part"] = np.asarray(part)
    if cluster is not None:
        found["cluster"] = np.asarray(cluster)
    if class_names is not None:
        found["class_names"] = np.asarray(class_names, dtype=str)
    settings = DatasetSettings.parse(
        {
            "kind": "arrays",
            "image_size": image_size,
            "channels": channels,
            "valid_fraction": 0.0,
        },
        seed=0,
        folder=".",
    )
    return table_of(found, Path("arrays"), settings)


def listing_digest(dataset: Mapping[str, Any], folder: Path | str) -> str:
    """Digest what the data set's files are, cheaply enough to do it before every run.

    Paths, sizes and modification times of a folder's files, the same of an .npz, or the versions
    of the packages that carry the images. No file is read.

    Raises:
        UserError: there is no file.
    """
    settings = DatasetSettings.parse(dataset, seed=0, folder=folder)
    digest = hashlib.sha256(settings.kind.encode())
    for line in datasets.get(settings.kind).listing(settings):
        digest.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return digest.hexdigest()[:16]


def reopen_images(dataset: Mapping[str, Any], summary: Path | str, folder: Path) -> ImageTable:
    """Open the images of a study in one of its jobs, as the rule `images` found them.

    Args:
        dataset: ``settings`` and ``seed``, from `variscope.study.experiment.Experiment.dataset`.
        summary: the file ``inputs/images.json``, which names what was skipped.
        folder: what relative paths start at.
    """
    skipped = json.loads(Path(summary).read_text())["skipped"]
    return open_images(dataset["settings"], seed=dataset["seed"], folder=folder, skipped=skipped)
