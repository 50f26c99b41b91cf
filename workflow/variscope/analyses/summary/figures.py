"""The summary of a study: a heat map of variables x layers, every cell with its interval."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.text import Text

from variscope.analyses.source import Source
from variscope.figures.grids import SHARE_TICKS, share_scale
from variscope.figures.style import (
    NORMAL,
    SMALL,
    hatch_ground,
    labels,
    new_figure,
    set_title,
    share_colormap,
    study_name,
    text_color,
    titled,
)
from variscope.indices.reading import confidence_percent, estimate, layers, variables
from variscope.indices.wording import interval_text, share_text
from variscope.vocabulary import INDEX_NAMES

LAYERS_IN_A_ROW = 7


def draw_estimates(
    ax: Axes,
    value: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
) -> tuple[AxesImage, list[Text]]:
    """Draw estimates (row, column) as a heat map, each with its interval written below.

    Undefined cells are hatched and say so. Values outside 0..1 take the colour of the nearer end;
    the numbers are written as they are. Returns the image and the texts, estimates and intervals
    in turn, row by row.
    """
    cmap, norm = share_colormap(), share_scale()
    hatch_ground(ax)
    image = ax.imshow(
        np.ma.masked_invalid(value),
        norm=norm,
        cmap=cmap,
        aspect="auto",
        interpolation="nearest",
    )
    texts = []
    for i, j in np.ndindex(value.shape):
        number, below, above = (float(part[i, j]) for part in (value, low, high))
        defined = np.isfinite(number)
        color = text_color(cmap(norm(number))) if defined else "black"
        interval = interval_text(below, above, 2) if defined else ""
        shift = -0.19 if defined else 0.0
        style: dict[str, Any] = {"ha": "center", "va": "center", "color": color}
        texts.append(ax.text(j, i + shift, share_text(number, 2), fontsize=NORMAL, **style))
        texts.append(ax.text(j, i + 0.24, interval, fontsize=SMALL, **style))
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.tick_params(labelsize=NORMAL, length=0)
    ax.xaxis.tick_top()
    if max(map(len, columns), default=0) > 12:
        for label in ax.get_xticklabels():
            label.set(rotation=20, ha="left", rotation_mode="anchor")
    for edge in np.arange(0.5, value.shape[1] - 1):
        ax.axvline(edge, color="white", linewidth=1)
    for edge in np.arange(0.5, value.shape[0] - 1):
        ax.axhline(edge, color="white", linewidth=1)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return image, texts


def summary(
    tree: xr.DataTree,
    index: str = "shapley",
    *,
    figsize: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Show every layer's variance-weighted share of every variable with its interval.

    Variables are rows and layers columns, from the input to the output; more than seven layers
    continue below. `draw_estimates` draws on axes of yours.

    Args:
        tree: of the study.
        index: ``"S1"``, ``"ST"`` or ``"shapley"``.
        figsize: width and height, inches; without it the width of a page, and what is needed.
        title: of the picture, in the place of what it is named after.

    Raises:
        ValueError: the study does not hold the index.
    """
    found = layers(tree)
    names = list(found)
    first = next(iter(found.values()))
    rows = variables(first)
    parts = [
        np.stack([np.asarray(estimate(data, f"{index}_layer")[k]) for data in found.values()], 1)
        for k in range(3)
    ]
    panels = -(-len(names) // LAYERS_IN_A_ROW)
    per_panel = -(-len(names) // panels)
    height = max(1.4, panels * (0.36 * len(rows) + 0.45) + 0.45)
    figure = new_figure(height, figsize=figsize)
    axes = figure.subplots(panels, 1, squeeze=False)[:, 0]
    images = []
    for panel, ax in enumerate(axes):
        part = slice(panel * per_panel, (panel + 1) * per_panel)
        image, _ = draw_estimates(
            ax, *(values[:, part] for values in parts), rows=labels(rows), columns=names[part]
        )
        images.append(image)
    bar = figure.colorbar(
        images[0], ax=list(axes), fraction=0.03, pad=0.01, aspect=30, ticks=SHARE_TICKS
    )
    bar.ax.set_yticklabels([f"{tick:g}" for tick in SHARE_TICKS])
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=SMALL, length=2, width=0.5)
    bar.outline.set_visible(False)
    bar.set_label("share of variance", fontsize=SMALL)
    what = f"{INDEX_NAMES[index]} with its {confidence_percent(first)} interval"
    set_title(figure, titled(what, study_name(first, layer=False)) if title is None else title)
    return figure


def draw_summary(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``summary``."""
    return summary(source.tree, source.index)
