"""Pictures of the segments: planes by variables, for each segment and set."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from variscope.analyses.source import Source
from variscope.figures.style import (
    NORMAL,
    SMALL,
    hatch_ground,
    labels,
    new_figure,
    nothing_to_show,
    set_title,
    text_color,
)
from variscope.indices.wording import share_text

_COLORS = "RdBu_r"

# Up to this many variables numbers fit into the cells.
_MOST_WITH_NUMBERS = 14


def draw_planes(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``planes``."""
    return by_planes(
        tables["variables"],
        "correlation",
        "correlation across pixels with the original",
        "What is left of the maps",
        full=True,
    )


def draw_shares(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``shares``."""
    return by_planes(
        tables["shares"], "difference", "share less the original's", "Changed shares", full=False
    )


def by_planes(table: pd.DataFrame, value: str, unit: str, title: str, *, full: bool) -> Figure:
    """Draw a heat map of planes by variables for each set and segment of the trained network.

    Args:
        table: with the columns ``value``, low, high and those that say of what.
        value: the column that is drawn.
        unit: what it is, for the scale.
        title: of the picture.
        full: the scale ends at 1; else at the largest value.
    """
    table = table[(table["network"] == "trained") & (table["via"] != "original")]
    if table.empty:
        return nothing_to_show(title, "no segment is looked at")
    panels = list(table.groupby(["variable_set", "segment"], sort=False))
    sizes = [_size(part) for _, part in panels]
    figure = new_figure(sum(0.19 * planes + 1.15 for planes, _ in sizes) + 0.3)
    axes = figure.subplots(
        len(panels), 1, squeeze=False, height_ratios=[planes + 2 for planes, _ in sizes]
    )[:, 0]
    largest = float(table[value].abs().max())
    end = 1.0 if full else max(0.05, largest) if np.isfinite(largest) else 1.0
    norm = Normalize(-end, end)
    for ax, ((variable_set, segment), part) in zip(axes, panels, strict=True):
        image = draw_panel(ax, part, value, norm)
        ax.set_title(f"{segment}, {variable_set} set", fontsize=NORMAL, loc="left")
    bar = figure.colorbar(image, ax=list(axes), fraction=0.03, pad=0.02, shrink=0.8)
    bar.ax.tick_params(labelsize=SMALL, length=2, width=0.5)
    bar.set_label(unit, fontsize=SMALL)
    set_title(figure, title)
    return figure


def draw_panel(ax: Axes, part: pd.DataFrame, value: str, norm: Normalize) -> AxesImage:
    """Draw the planes of one segment, with numbers where the interval leaves out 0."""
    part = part.assign(
        plane=part["via"].map({"segment": "", "network": "picture of "})
        + part["plane"].str.replace("_", " ")
    )
    rows, columns = (list(dict.fromkeys(part[key])) for key in ("plane", "variable"))
    cells, low, high = (
        part.pivot(index="plane", columns="variable", values=key)
        .reindex(index=rows, columns=columns)
        .to_numpy(dtype=float)
        for key in (value, "low", "high")
    )
    hatch_ground(ax)
    colors = matplotlib.colormaps[_COLORS].with_extremes(bad=(0, 0, 0, 0))
    image = ax.imshow(np.ma.masked_invalid(cells), norm=norm, cmap=colors, aspect="auto")
    if len(columns) <= _MOST_WITH_NUMBERS:
        for row, column in np.argwhere(np.isfinite(cells) & ((low > 0) | (high < 0))):
            ax.text(
                column,
                row,
                share_text(float(cells[row, column])),
                ha="center",
                va="center",
                fontsize=SMALL,
                color=text_color(colors(norm(cells[row, column]))),
            )
    ax.set_xticks(range(len(columns)), labels(columns), rotation=30, ha="right",
                  rotation_mode="anchor")  # fmt: skip
    ax.set_yticks(range(len(rows)), rows)
    ax.tick_params(labelsize=SMALL, length=0, pad=2)
    return image


def _size(part: pd.DataFrame) -> tuple[int, int]:
    """Return planes and variables of a panel."""
    return len(part[["via", "plane"]].drop_duplicates()), part["variable"].nunique()
