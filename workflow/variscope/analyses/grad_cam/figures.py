"""Class activation maps over their images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from variscope.analyses.grad_cam.compute import kept
from variscope.analyses.kept_maps import TRAINED, UNTRAINED
from variscope.analyses.source import Source
from variscope.figures.image_maps import MapRow, image_maps
from variscope.figures.style import nothing_to_show

MOST_IMAGES = 10


def draw_maps(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``maps``."""
    title = f"Grad-CAM and HiResCAM: {source.studies[0].model}"
    one = kept(source)
    if one is None:
        return nothing_to_show(title, "There is no map; the analysis' notes say why.")
    ids = one.maps[TRAINED, "grad_cam"]["ids"].values[:MOST_IMAGES]
    rows = [
        MapRow("Grad-CAM", np.maximum(one.signed(TRAINED), 0)[: len(ids)], "linear", over=True),
        MapRow("HiResCAM", one.hires(TRAINED)[: len(ids)], "signed", over=True),
    ]
    if UNTRAINED in one.networks:
        untrained = np.maximum(one.signed(UNTRAINED), 0)[: len(ids)]
        rows.append(MapRow("Grad-CAM,\nuntrained", untrained, "linear", over=True))
    own = tables["images"][tables["images"]["network"] == TRAINED].set_index("image")["target"]
    names = [str(own[number]) for number in ids]
    return image_maps(f"{title}, layer {one.layer}", names, source.images.load(ids), rows)
