"""Three indices of every variable side by side, layer by layer."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from variscope.analyses.source import Source
from variscope.figures.panels import legend, panels
from variscope.figures.style import (
    BLUE,
    GUIDE,
    NORMAL,
    VERMILLION,
    VariableStyle,
    labels,
    plain_axes,
    set_title,
    study_name,
    titled,
)
from variscope.indices.reading import confidence_percent, estimate, layers, variables
from variscope.vocabulary import INDEX_NAMES

INDEX_STYLES = {
    "S1": VariableStyle(BLUE, "<", ""),
    "shapley": VariableStyle("0.0", "o", ""),
    "ST": VariableStyle(VERMILLION, ">", ""),
}


def draw_indices(
    ax: Axes,
    estimates: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    styles: Sequence[VariableStyle],
) -> list[ErrorbarContainer]:
    """Draw several indices of every variable as dots with intervals, one line a variable.

    Each of `estimates` is (value, low, high), arrays (variable,).
    """
    spread = np.linspace(-0.22, 0.22, len(estimates)) if len(estimates) > 1 else [0.0]
    drawn = []
    for (value, low, high), style, shift in zip(estimates, styles, spread, strict=True):
        drawn.append(
            ax.errorbar(
                value,
                np.arange(len(value)) + shift,
                xerr=np.maximum([value - low, high - value], 0),
                fmt=style.marker,
                color=style.color,
                markersize=3.2,
                elinewidth=0.9,
                capsize=0,
            )
        )
    return drawn


def comparison(
    tree: xr.DataTree,
    *,
    figsize: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Show S1, Shapley and ST of every variable with intervals, one small panel a layer.

    S1 is what the variable does alone, ST what it does alone and together with others; the Shapley
    effect lies between. Indices that the design does not give are left out.

    Args:
        tree: of the study.
        figsize: width and height, inches; without it the width of a page, and what is needed.
        title: of the picture, in the place of what it is named after.
    """
    found = layers(tree)
    first = next(iter(found.values()))
    names = variables(first)
    present = [name for name in INDEX_STYLES if f"{name}_layer" in first]
    height = 0.17 * len(names) + 0.35
    figure, axes = panels(
        len(found), height, foot=0.75, label="share of the variance", figsize=figsize
    )
    for ax, (layer, data) in zip(axes, found.items(), strict=True):
        parts = [
            tuple(np.asarray(part, dtype=float) for part in estimate(data, f"{name}_layer"))
            for name in present
        ]
        draw_indices(ax, parts, [INDEX_STYLES[name] for name in present])  # type: ignore[arg-type]
        plain_axes(ax)
        ax.axvline(0, color=GUIDE, linewidth=0.6)
        ax.grid(axis="y", color="0.9", linewidth=0.5)
        ax.set_axisbelow(True)
        ax.set_title(layer, fontsize=NORMAL, loc="left", pad=2)
    axes[0].set_yticks(range(len(names)), labels(names))
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    handles = [
        Line2D([], [], linestyle="", marker=s.marker, color=s.color, markersize=4)
        for s in (INDEX_STYLES[name] for name in present)
    ]
    legend(figure, handles, [INDEX_NAMES[name] for name in present], columns=3)
    what = f"Indices with {confidence_percent(first)} intervals"
    set_title(figure, titled(what, study_name(first, layer=False)) if title is None else title)
    return figure


def draw_comparison(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``comparison``."""
    return comparison(source.tree)
