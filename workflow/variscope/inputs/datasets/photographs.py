"""Crops of the photographs that scikit-image and scikit-learn carry.

The class is the photograph, and so is the cluster. Two kinds of crops:

- cells: a photograph is a checkerboard of cells: train crops lie inside its "black" cells and valid
  crops inside its "white" ones, so no pixel is in both parts. For networks that are trained here.
- large: nearly the whole photograph, which a network that was trained elsewhere may recognise.
  They overlap, so there are no two parts of them: all are in the valid part.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from variscope.errors import UserError
from variscope.inputs.datasets import Skipped, dataset_kind
from variscope.inputs.decoding import Undecodable, gray_note, read_rgb, to_array
from variscope.inputs.settings import DatasetSettings
from variscope.inputs.table import ImageTable, Progress
from variscope.vocabulary import PARTS

# name: (package, distribution, file inside the package). Crops are drawn by the place in this
# table: new photographs go to its end.
PHOTOGRAPHS = {
    "astronaut": ("skimage", "scikit-image", "data/astronaut.png"),
    "chelsea": ("skimage", "scikit-image", "data/chelsea.png"),
    "china": ("sklearn", "scikit-learn", "datasets/images/china.jpg"),
    "coffee": ("skimage", "scikit-image", "data/coffee.png"),
    "flower": ("sklearn", "scikit-learn", "datasets/images/flower.jpg"),
    "hubble_deep_field": ("skimage", "scikit-image", "data/hubble_deep_field.jpg"),
    "immunohistochemistry": ("skimage", "scikit-image", "data/ihc.png"),
    "motorcycle": ("skimage", "scikit-image", "data/motorcycle_left.png"),
    "retina": ("skimage", "scikit-image", "data/retina.jpg"),
    "rocket": ("skimage", "scikit-image", "data/rocket.jpg"),
    "camera": ("skimage", "scikit-image", "data/camera.png"),
}
DEFAULT = tuple(name for name in PHOTOGRAPHS if name != "camera")  # the photographs in colour
IMAGE_SIZE = 64
IMAGES_PER_CLASS = 48
CELLS = 3  # along the shorter side of a photograph
SMALLEST = 0.6  # the side of a crop, as a fraction of the cell's
SMALLEST_LARGE = 0.8  # the side of a large crop, as a fraction of the photograph's shorter side
NOTE_LARGE = (
    "The images of a class are crops of one photograph, with 80 to 100 % of its shorter side each. "
    "They overlap: a class is one photograph seen again and again, not many independent images."
)

Box = tuple[int, int, int]  # left, top, side, in pixels of the photograph


def cells(height: int, width: int, part: int) -> list[tuple[int, int, int, int]]:
    """Return the cells (top, left, height, width) of a part: checkerboard fields of one colour."""
    rows = max(2, round(CELLS * height / min(height, width)))
    columns = max(2, round(CELLS * width / min(height, width)))
    tops = [row * height // rows for row in range(rows + 1)]
    lefts = [column * width // columns for column in range(columns + 1)]
    return [
        (tops[i], lefts[j], tops[i + 1] - tops[i], lefts[j + 1] - lefts[j])
        for i in range(rows)
        for j in range(columns)
        if (i + j) % 2 == part
    ]


Field = tuple[int, int, int, int]  # top, left, height, width, in pixels of the photograph


def draw_boxes(
    fields: list[Field], smallest: float, count: int, generator: np.random.Generator
) -> list[Box]:
    """`count` distinct square crops inside some fields of a photograph, in order of drawing.

    A side is at least `smallest` of its field's shorter side.
    """
    boxes: dict[Box, None] = {}
    for _ in range(20 * count + 100):
        if len(boxes) == count:
            return list(boxes)
        top, left, cell_height, cell_width = fields[generator.integers(len(fields))]
        largest = min(cell_height, cell_width)
        side = int(generator.integers(int(np.ceil(smallest * largest)), largest + 1))
        x = left + int(generator.integers(cell_width - side + 1))
        y = top + int(generator.integers(cell_height - side + 1))
        boxes[(x, y, side)] = None
    raise UserError(
        f"dataset.images_per_class: found {count}; the photographs have about {len(boxes)} "
        "different crops"
    )


@lru_cache(maxsize=len(PHOTOGRAPHS))  # 15 MB in all, read again for every batch otherwise
def _photograph(name: str) -> Image.Image:
    path = _file(name)
    try:
        return read_rgb(path)[0]
    except Undecodable as error:
        raise UserError(f"dataset.kind photographs: {path}: {error}") from error


def _file(name: str) -> Path:
    package, distribution, inside = PHOTOGRAPHS[name]
    spec = find_spec(package)  # finds the folder without importing the package
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"dataset.kind photographs: the package {distribution}, which carries {name}, is not "
            "installed"
        )
    path = Path(spec.submodule_search_locations[0]) / inside
    if not path.is_file():
        raise UserError(
            f"dataset.kind photographs: {path} is missing; reinstall {distribution}, or choose "
            "another kind"
        )
    return path


@dataclass(frozen=True)
class _Crops:
    """Read crops: for each image the photograph's name and a box."""

    names: tuple[str, ...]
    boxes: tuple[Box, ...]
    size: tuple[int, int]
    channels: int

    def __call__(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        height, width = self.size
        # Where sides differ, the largest centred rectangle of the square.
        part = (min(1.0, height / width), min(1.0, width / height))
        pixels = np.empty((len(ids), self.channels, height, width), np.uint8)
        for row, index in enumerate(ids):
            left, top, side = self.boxes[index]
            crop = _photograph(self.names[index]).crop((left, top, left + side, top + side))
            down, across = (side * (1 - share) / 2 for share in part)
            box = (across, down, side - across, side - down)
            resized = crop.resize((width, height), Image.Resampling.BICUBIC, box)
            pixels[row] = to_array(resized, self.channels)
        return pixels


def _listing(settings: DatasetSettings) -> Iterator[str]:
    for distribution in sorted({entry[1] for entry in PHOTOGRAPHS.values()}):
        try:
            yield f"{distribution} {version(distribution)}"
        except PackageNotFoundError:
            yield f"{distribution} missing"


@dataset_kind("photographs", listing=_listing)
def open_photographs(
    settings: DatasetSettings, on_progress: Progress | None, skipped: Skipped
) -> ImageTable:
    """Seeded crops of every photograph: `images_per_class` of each part, 48 unless given."""
    size = settings.image_size or (IMAGE_SIZE, IMAGE_SIZE)
    count = settings.images_per_class or IMAGES_PER_CLASS
    classes = _chosen(settings.photographs)
    large = settings.crops == "large"
    parts = (PARTS.index("valid"),) if large else tuple(range(len(PARTS)))
    boxes: list[Box] = []
    for name in classes:
        width, height = _photograph(name).size
        code = list(PHOTOGRAPHS).index(name)
        for part in parts:
            generator = np.random.default_rng([settings.seed, 3, code, part])
            fields = [(0, 0, height, width)] if large else cells(height, width, part)
            smallest = SMALLEST_LARGE if large else SMALLEST
            boxes += draw_boxes(fields, smallest, count, generator)
    label = np.repeat(np.arange(len(classes), dtype=np.int64), count * len(parts))
    part_of = np.tile(np.repeat(np.array(parts, np.int8), count), len(classes))
    names = tuple(classes[code] for code in label)
    return ImageTable(
        classes=classes,
        label=label,
        part=part_of,
        source=tuple(
            f"{name} {x},{y} {side}x{side}" for name, (x, y, side) in zip(names, boxes, strict=True)
        ),
        size=size,
        reader=_Crops(names, tuple(boxes), size, settings.channels),
        notes=((NOTE_LARGE,) if large else ()) + gray_note(settings.channels),
        channels=settings.channels,
        clusters=label,
    )


def _chosen(names: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the photographs of a study, in the order given.

    Raises:
        UserError: a name is unknown, or too few are left.
    """
    if names is None:
        return DEFAULT
    for name in names:
        if name not in PHOTOGRAPHS:
            raise UserError(
                f"dataset.photographs: found {name!r}; allowed are {', '.join(PHOTOGRAPHS)}"
            )
    if len(names) < 2 or len(set(names)) < len(names):
        raise UserError(
            f"dataset.photographs: found {list(names)}; at least two are needed, without repeats"
        )
    return names
