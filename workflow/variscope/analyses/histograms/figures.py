"""Histograms of a layer's shares over its units, and the sorted shares of all layers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from variscope.analyses.source import Source
from variscope.figures.grids import SHARE_TICKS
from variscope.figures.panels import panels, variable_legend
from variscope.figures.style import (
    GUIDE,
    NORMAL,
    SMALL,
    VariableStyle,
    labels,
    new_figure,
    plain_axes,
    set_title,
    study_name,
    titled,
    variable_styles,
)
from variscope.indices.reading import estimate, layers, variables
from variscope.indices.wording import count_text
from variscope.vocabulary import INDEX_NAMES

BINS = 40
MOST_POINTS = 150  # of a line
COLUMNS = 4
LOWEST = -0.05  # where estimates below 0 end

Array = NDArray[np.float64]


def of_units(dataset: xr.Dataset, index: str) -> Array:
    """Return an index as ``(variable, unit)``, NaN where it is undefined."""
    value = estimate(dataset, index).value.transpose("variable", ...)
    return np.asarray(value, dtype=float).reshape(value.sizes["variable"], -1)


def histograms(
    dataset: xr.Dataset,
    index: str = "shapley",
    *,
    figsize: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Show how an index is distributed over a layer's units, one panel a variable.

    Args:
        dataset: of the layer.
        index: ``"S1"``, ``"ST"`` or ``"shapley"``.
        figsize: width and height, inches; without it the width of a page, and what is needed.
        title: of the picture, in the place of what it is named after.

    Raises:
        ValueError: the layer does not hold the index.
    """
    names = variables(dataset)
    values = of_units(dataset, index)
    whole = np.asarray(estimate(dataset, f"{index}_layer").value, dtype=float)
    styles = variable_styles(names)
    columns = min(COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = new_figure(1.15 * rows + 0.6, figsize=figsize)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for ax in axes.flat[len(names) :]:
        ax.set_visible(False)
    for ax in axes.flat[max(0, len(names) - columns) : len(names)]:
        ax.tick_params(labelbottom=True)
    for k, ax in zip(range(len(names)), axes.flat, strict=False):
        draw_histogram(ax, values[k], float(whole[k]), style=styles[names[k]])
        ax.set_title(labels(names)[k], fontsize=SMALL, loc="left", pad=2)
        plain_axes(ax)
    most = max(float(np.isfinite(values).sum(axis=1).max(initial=0)), 1.0)
    axes.flat[0].set_ylim(0.7, 1.5 * most)
    figure.supxlabel("share of the unit's variance", fontsize=SMALL)
    figure.supylabel("units", fontsize=SMALL)
    heading = titled(f"{INDEX_NAMES[index]} over units", study_name(dataset))
    missing = int((~np.isfinite(values)).any(axis=0).sum())
    note = f"{missing:,} of {count_text(values.shape[1], 'unit')} without a share left out"
    set_title(figure, f"{heading if title is None else title}\n{note if missing else ''}".rstrip())
    return figure


def draw_histogram(ax: Axes, values: Array, whole: float, *, style: VariableStyle) -> Array:
    """Draw how many units (unit,) have which share, and return the counts.

    Bins are even on a square root scale; what lies beyond an end counts in the last bin there.
    """
    ax.set_xscale("function", functions=(_root, _square))
    ax.set_yscale("log")
    ax.set_xlim(LOWEST, 1)
    ax.set_xticks(SHARE_TICKS, [f"{tick:g}" for tick in SHARE_TICKS])
    edges = _square(np.linspace(_root(LOWEST), 1, BINS + 1))
    found = values[np.isfinite(values)]
    counts, _ = np.histogram(np.clip(found, edges[0], edges[-1]), edges)
    if not len(found):
        ax.text(0.5, 0.5, "undefined", ha="center", transform=ax.transAxes, fontsize=SMALL)
        return counts.astype(float)
    ax.stairs(counts, edges, fill=True, color=style.color, alpha=0.8, baseline=0.1)
    ax.axvline(float(np.clip(np.median(found), LOWEST, 1)), color="black", linewidth=0.8)
    if np.isfinite(whole):
        ax.axvline(min(max(whole, LOWEST), 1), color="black", linewidth=0.8, linestyle="--")
    return counts.astype(float)


def _root(values: Array | float) -> Array:
    """Return the square root that keeps the sign."""
    return np.asarray(np.sign(values) * np.sqrt(np.abs(values)))


def _square(values: Array | float) -> Array:
    """Return the square that keeps the sign."""
    return np.asarray(np.sign(values) * np.square(values))


def decay(
    tree: xr.DataTree,
    index: str = "shapley",
    *,
    figsize: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Show the sorted shares of all units of all layers, one panel a layer, one line a variable.

    Args:
        tree: of the study.
        index: ``"S1"``, ``"ST"`` or ``"shapley"``.
        figsize: width and height, inches; without it the width of a page, and what is needed.
        title: of the picture, in the place of what it is named after.
    """
    found = layers(tree)
    first = next(iter(found.values()))
    names = variables(first)
    styles = variable_styles(names)
    figure, axes = panels(len(found), 1.7, foot=0.75, label="part of the units", figsize=figsize)
    for ax, (layer, data) in zip(axes, found.items(), strict=True):
        for name, values in zip(names, of_units(data, index), strict=True):
            draw_decline(ax, values, style=styles[name])
        plain_axes(ax)
        ax.set_title(layer, fontsize=NORMAL, loc="left", pad=2)
        ax.axhline(0, color=GUIDE, linewidth=0.5)
    most = max(int(data["variance"].size) for data in found.values())
    axes[0].set_xscale("log")
    axes[0].set_xlim(1 / max(most, 2), 1)
    axes[0].set_ylim(LOWEST, 1.02)
    variable_legend(figure, names)
    what = titled(f"Sorted {INDEX_NAMES[index]}s of all units", study_name(first, layer=False))
    set_title(figure, what if title is None else title)
    return figure


def draw_decline(ax: Axes, values: Array, *, style: VariableStyle) -> None:
    """Draw shares (unit,), the largest first, over the part of the units that they are of."""
    found = np.sort(values[np.isfinite(values)])[::-1]
    count = len(found)
    if not count:
        return
    ranks = np.unique(np.geomspace(1, count, min(count, MOST_POINTS)).round().astype(int))
    marker = style.marker if count == 1 else ""
    ax.plot(ranks / count, found[ranks - 1], color=style.color, linestyle=style.linestyle,
            marker=marker, markersize=3, linewidth=1)  # fmt: skip


def draw_histograms(
    layer: xr.Dataset, source: Source, tables: Mapping[str, pd.DataFrame]
) -> Figure:
    """Draw the picture ``histograms`` of a layer."""
    return histograms(layer, source.index)


def draw_decay(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``decay``."""
    return decay(source.tree, source.index)
