"""Gains of distorted images by scaling units down, distortion by distortion."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from variscope.analyses.masking.figures import shown_as
from variscope.analyses.mitigation.compute import EVERY
from variscope.analyses.source import Source
from variscope.figures.panels import legend, panels
from variscope.figures.style import (
    BLUE,
    GUIDE,
    NORMAL,
    VERMILLION,
    labels,
    nothing_to_show,
    plain_axes,
    set_title,
)


def draw_gains(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``gains``."""
    found = tables["gains"]
    found = found[found["outcome"] == "margin"]
    title = f"Gains on distorted images: {source.studies[0].model}"
    if found.empty:
        return nothing_to_show(title, "Nothing was scaled down; the analysis' notes say why.")
    targets = list(dict.fromkeys(found["layer"]))
    names = list(dict.fromkeys(found["variable"]))
    figure, axes = panels(len(targets), 0.15 * len(names) + 0.45, foot=0.75, label="gain in margin")
    place = np.arange(len(names))
    for ax, layer in zip(axes, targets, strict=True):
        held = found[found["layer"] == layer]
        gain, low, high = (held[name].to_numpy(float) for name in ("gain", "low", "high"))
        ax.axvline(0, color=GUIDE, linewidth=0.6)
        ax.errorbar(
            gain,
            place,
            xerr=np.maximum([gain - low, high - gain], 0),
            fmt="o",
            color=VERMILLION,
            markersize=3.2,
            elinewidth=0.9,
        )
        ax.plot(held["matched"].to_numpy(float), place, "s", color=BLUE, markersize=3.2,
                markerfacecolor="none")  # fmt: skip
        plain_axes(ax)
        ax.grid(axis="y", color="0.9", linewidth=0.5)
        ax.set_axisbelow(True)
        factor = float(held["strength"].iloc[0])
        ax.set_title(f"{shown_as(layer)}, times {factor:g}", fontsize=NORMAL, loc="left", pad=2)
    shown = ["mean of all" if name == EVERY else label
             for name, label in zip(names, labels(names), strict=True)]  # fmt: skip
    axes[0].set_yticks(place, shown)
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    handles = [
        Line2D([], [], linestyle="", marker="o", color=VERMILLION, markersize=4),
        Line2D([], [], linestyle="", marker="s", color=BLUE, markerfacecolor="none", markersize=4),
    ]
    legend(figure, handles, ["units most sensitive to the distortion", "matched random units"], 2)
    set_title(figure, title)
    return figure
