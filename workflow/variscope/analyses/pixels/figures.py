"""Maps of pixels image by image, and their mean over images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from variscope.analyses.kept_maps import TRAINED, UNTRAINED
from variscope.analyses.pixels.compute import CLASS_SCORE, Kept, kept
from variscope.analyses.source import Source
from variscope.estimators.agreement import pooled
from variscope.figures.grids import MOST_PIXELS
from variscope.figures.image_maps import MapRow, image_maps, reach
from variscope.figures.style import nothing_to_show

MOST_IMAGES, MOST_UNITS = 10, 6
NO_IMAGES = np.empty((0, 1, 1, 1))


def draw_maps(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``maps``."""
    title = f"Sensitivity to pixels: {source.studies[0].model}"
    one = next(kept(source), None)
    if one is None:
        return nothing_to_show(title, "No image was looked at.")
    ids = one.some["ids"].values[:MOST_IMAGES]
    rows = [
        MapRow("gradient", _maps(one, TRAINED, "gradient")),
        MapRow("finite\ndifference", _maps(one, TRAINED, "difference"), "signed"),
        MapRow("untrained", _maps(one, UNTRAINED, "gradient")),
        MapRow("edges", _drawn(one.edges[: len(ids)])),
    ]
    names = _targets(tables["images"], ids)
    return image_maps(title, names, source.images.load(ids), [row for row in rows if len(row.maps)])


def _maps(one: Kept, network: str, method: str) -> np.ndarray:
    found = one.maps.get((network, method))
    return np.empty((0, 1, 1)) if found is None else _drawn(found["map"].values[:MOST_IMAGES])


def _drawn(maps: np.ndarray) -> np.ndarray:
    """Return maps of as many cells as are drawn: means, where single pixels would be left out."""
    height, width = maps.shape[1:]
    return pooled(maps, (min(height, MOST_PIXELS), min(width, MOST_PIXELS)))


def _targets(images: pd.DataFrame, ids: np.ndarray) -> list[str]:
    own = images[(images["of"] == CLASS_SCORE) & (images["network"] == TRAINED)]
    by_image = own[own["method"] == "gradient"].set_index("image")["target"]
    return [str(by_image[number]) for number in ids]


def draw_mean(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``mean``: a row the class scores, and one each unit that was asked for."""
    title = f"Mean sensitivity over images: {source.studies[0].model}"
    found = tables["mean"]
    found = found[found["method"] == "gradient"]
    if found.empty:
        return nothing_to_show(title, "No image was looked at.")
    rows: list[MapRow] = []
    for of in list(dict.fromkeys(found["of"]))[: 1 + MOST_UNITS]:
        own = found[(found["of"] == of) & (found["network"] == TRAINED)]
        maps = np.stack([_map(own, name) for name in ("value", "low", "high")])
        twin = found[(found["of"] == of) & (found["network"] == UNTRAINED)]
        rows.append(MapRow(of, maps, "linear", top=reach(maps)))
        if not twin.empty:
            maps = np.stack([_map(twin, name) for name in ("value", "low", "high")])
            rows.append(MapRow(f"{of},\nuntrained", maps, "linear", top=reach(maps)))
    return image_maps(title, [], NO_IMAGES, rows, ["mean", "lower bound", "upper bound"])


def _map(rows: pd.DataFrame, name: str) -> np.ndarray:
    return rows.pivot_table(index="row", columns="column", values=name, dropna=False).to_numpy(
        float
    )
