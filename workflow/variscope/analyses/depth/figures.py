"""Shares over depth."""

import math
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from variscope.analyses.source import Source
from variscope.figures.panels import variable_legend
from variscope.figures.style import (
    GUIDE,
    NORMAL,
    axes_or_new,
    plain_axes,
    set_title,
    study_name,
    titled,
    variable_styles,
)
from variscope.indices.reading import confidence_percent, estimate, layers, variables
from variscope.vocabulary import INDEX_NAMES


def draw_shares(
    ax: Axes, value: np.ndarray, low: np.ndarray, high: np.ndarray, names: Sequence[str]
) -> list[Line2D]:
    """Draw shares (layer, variable) over depth as lines with interval bands."""
    place = np.arange(len(value), dtype=float)
    styles = variable_styles(names)
    drawn: list[Line2D] = []
    for k, name in enumerate(names):
        style = styles[name]
        if len(value) == 1:
            length = np.maximum([value[:, k] - low[:, k], high[:, k] - value[:, k]], 0)
            # One layer has no lines: its variables stand side by side.
            place_k = place + 0.6 * (k / max(len(names) - 1, 1) - 0.5)
            ax.errorbar(place_k, value[:, k], yerr=length, fmt="none", ecolor=style.color)
        else:
            ax.fill_between(place, low[:, k], high[:, k], color=style.color, alpha=0.18, lw=0)
            place_k = place
        drawn += ax.plot(
            place_k,
            value[:, k],
            color=style.color,
            linestyle=style.linestyle,
            marker=style.marker,
            markersize=4,
            linewidth=1.3,
        )
    return drawn


def depth(
    tree: xr.DataTree,
    index: str = "shapley",
    *,
    ax: Axes | None = None,
    figsize: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Show each variable's share of the layers' variance from the input to the output.

    Bands are confidence intervals.

    Args:
        tree: of the study.
        index: ``"S1"``, ``"ST"`` or ``"shapley"``.
        ax: to draw on, rather than on a figure of its own.
        figsize: width and height, inches; without it the width of a page, and what is needed.
        title: of the picture, in the place of what it is named after.

    Returns:
        The figure, or that of the given axes.

    Raises:
        ValueError: the study does not hold the index.
    """
    found = layers(tree)
    first = next(iter(found.values()))
    names = variables(first)
    parts = [estimate(data, f"{index}_layer") for data in found.values()]
    value, low, high = (
        np.stack([np.asarray(part[k], dtype=float) for part in parts]) for k in range(3)
    )
    ax, holder = axes_or_new(ax, 3.6, figsize)
    draw_shares(ax, value, low, high, names)
    plain_axes(ax)
    ax.axhline(0, color=GUIDE, linewidth=0.6)
    ax.set_xticks(range(len(found)), list(found))
    if len(found) > 8 or sum(map(len, found)) > 75:
        ax.tick_params(axis="x", rotation=35)
        for label in ax.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    ax.set_ylabel("share of the layer's variance", fontsize=NORMAL)
    ax.set_xlabel("layer, from the input to the output", fontsize=NORMAL)
    top = float(np.nanmax(high)) if np.isfinite(high).any() else 1.0
    ax.set_ylim(min(0.0, float(np.nanmin(low, initial=0.0))), max(0.1, math.ceil(20 * top) / 20))
    variable_legend(holder, names)
    what = f"{INDEX_NAMES[index]} over depth with {confidence_percent(first)} bands"
    set_title(holder, titled(what, study_name(first, layer=False)) if title is None else title)
    return cast(Figure, ax.figure)


def draw_depth(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``depth``."""
    return depth(source.tree, source.index)
