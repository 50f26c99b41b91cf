"""The settings of a data set, checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from variscope.errors import UserError

KEYS = (
    "kind",
    "path",
    "channels",
    "image_size",
    "resize",
    "images_per_class",
    "valid_fraction",
    "split",
    "on_error",
    "check",
    "name",
    "download",
    "arguments",
    "photographs",
    "crops",
    "window",
)


@dataclass(frozen=True, kw_only=True)
class DatasetSettings:
    """What a data set kind needs to open its images; `None` stands for "not given".

    `folder` is what a relative `path` is relative to; `seed` seeds every draw of the data set.
    `image_size` is (H, W), `window` (centre, width) of gray values. `split` says whether a data set
    without parts is split; where it is not, all of it is of the valid part, which is studied.
    """

    kind: str
    seed: int
    folder: Path
    path: str | None = None
    channels: int = 3
    image_size: tuple[int, int] | None = None
    resize: int | None = None
    images_per_class: int | None = None
    valid_fraction: float = 0.2
    split: bool = True
    on_error: str = "fail"
    check: str = "auto"
    name: str | None = None
    download: bool = True
    arguments: Mapping[str, Any] = field(default_factory=dict)
    photographs: tuple[str, ...] | None = None
    crops: str = "cells"
    window: tuple[float, float] | None = None

    @classmethod
    def parse(cls, dataset: Mapping[str, Any], *, seed: int, folder: Path | str) -> DatasetSettings:
        """Check a `dataset` mapping.

        Raises:
            UserError: a setting is wrong; the key is named.
        """
        if not isinstance(dataset, Mapping):
            raise UserError(f"dataset: found {dataset!r}; a mapping of settings is needed")
        unknown = sorted(str(key) for key in dataset if key not in KEYS)
        if unknown:
            raise UserError(
                f"dataset: unknown key {unknown[0]!r}; the known keys are {', '.join(KEYS)}"
            )
        given = {key: value for key, value in dataset.items() if value is not None}
        if "kind" not in given:
            raise UserError("dataset.kind: missing; it names where the images come from")
        for key in ("kind", "path", "name"):
            if key in given and (not isinstance(given[key], str | Path) or not str(given[key])):
                raise UserError(f"dataset.{key}: found {given[key]!r}; a text is needed")
        for key in ("resize", "images_per_class"):
            if key in given:
                _check_count(key, given[key])
        if "image_size" in given:
            given["image_size"] = _sides(given["image_size"])
        _check_choice("channels", given.get("channels", 3), (3, 1))
        if isinstance(given.get("check"), bool):  # YAML reads `check: no` as false
            given["check"] = "all" if given["check"] else "none"
        _check_choice("check", given.get("check", "auto"), ("auto", "all", "none"))
        _check_choice("on_error", given.get("on_error", "fail"), ("fail", "skip"))
        _check_choice("crops", given.get("crops", "cells"), ("cells", "large"))
        if "window" in given:
            given["window"] = _window(given["window"])
        if "photographs" in given:
            given["photographs"] = tuple(given["photographs"])
        fraction = given.get("valid_fraction", 0.2)
        if isinstance(fraction, bool) or not isinstance(fraction, int | float):
            raise UserError(f"dataset.valid_fraction: found {fraction!r}; a number is needed")
        if not 0 <= fraction < 1:
            raise UserError(
                f"dataset.valid_fraction: found {fraction}; it must be at least 0 and below 1"
            )
        if not isinstance(given.get("download", True), bool):
            raise UserError(f"dataset.download: found {given['download']!r}; true or false")
        if not isinstance(given.get("arguments", {}), Mapping):
            raise UserError(f"dataset.arguments: found {given['arguments']!r}; a mapping is needed")
        size, resize = given.get("image_size"), given.get("resize")
        if size is not None and resize is not None and resize < min(size):
            raise UserError(
                f"dataset.resize: found {resize}; the shortest side must be at least "
                f"image_size, {min(size)}, or the crop would reach beyond the image"
            )
        if "path" in given:
            given["path"] = str(given["path"])
        return cls(seed=int(seed), folder=Path(folder), **given)

    def located(self) -> Path:
        """Return the path of the data set; relative paths start at `folder`.

        Raises:
            UserError: none is given.
        """
        if self.path is None:
            raise UserError(f"dataset.path: missing; kind {self.kind!r} needs it")
        return self.folder / Path(self.path).expanduser()

    def needed_size(self) -> tuple[int, int]:
        """Height and width of the images (pixels). UserError if not given."""
        if self.image_size is None:
            raise UserError(
                f"dataset.image_size: missing; kind {self.kind!r} needs it, because the images "
                "may have any size and the model's weights do not say one"
            )
        return self.image_size


def _check_count(key: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"dataset.{key}: found {value!r}; a whole number of at least 1 is needed")


def _sides(value: Any) -> tuple[int, int]:
    """Height and width of an integer, which is a square's side, or of [H, W]."""
    pair = isinstance(value, list | tuple)
    if pair and len(value) != 2:
        raise UserError(f"dataset.image_size: found {value!r}; an integer or [H, W] is needed")
    for side in value if pair else (value,):
        _check_count("image_size", side)
    return (value[0], value[1]) if pair else (value, value)


def _window(value: Any) -> tuple[float, float]:
    """Centre and width of a window of gray values."""
    numbers = isinstance(value, list | tuple) and all(
        isinstance(entry, int | float) and not isinstance(entry, bool) for entry in value
    )
    if not numbers or len(value) != 2 or not value[1] >= 1:
        raise UserError(
            f"dataset.window: found {value!r}; [centre, width] is needed, the width at least 1"
        )
    return float(value[0]), float(value[1])


def _check_choice(key: str, value: object, allowed: tuple[Any, ...]) -> None:
    if isinstance(value, bool) or value not in allowed:
        raise UserError(
            f"dataset.{key}: found {value!r}; allowed are {', '.join(map(str, allowed))}"
        )
