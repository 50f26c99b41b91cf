"""Impossible estimates against a tolerance, and intervals that leave out what is possible."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from variscope.analyses.source import Source
from variscope.figures.panels import legend
from variscope.figures.style import (
    GUIDE,
    SMALL,
    new_figure,
    nothing_to_show,
    plain_axes,
    set_title,
    study_name,
    titled,
)
from variscope.indices.reading import layers

MARKERS = "os^Dv<>ph*"
LEAST_TOP = 0.1  # per cent: what is nearly nothing shall look so
Tables = Mapping[str, pd.DataFrame]


def draw_checks(source: Source, tables: Tables) -> Figure:
    """Draw the picture ``checks``."""
    table = tables["estimates"]
    table = table[table["n"] > 0]
    first = next(iter(layers(source.tree).values()))
    title = titled("Estimates and intervals that are impossible", study_name(first, layer=False))
    if table.empty:
        return nothing_to_show(title, "No unit has an index.")
    order = list(dict.fromkeys(table["layer"]))
    colors = colormaps["viridis"](np.linspace(0, 0.92, len(order)))
    checks = list(dict.fromkeys(table["check"]))
    columns = 3
    rows = -(-(len(checks) + 1) // columns)
    figure = new_figure(1.85 * rows + 0.5 + 0.16 * -(-len(order) // 6))
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax, check in zip(axes, checks, strict=False):
        for number, layer in enumerate(order):
            line = table[(table["check"] == check) & (table["layer"] == layer)]
            ax.plot(
                line["tolerance"],
                100 * line["share"],
                color=colors[number],
                marker=MARKERS[number % len(MARKERS)],
                markersize=3,
                linewidth=1.1,
            )
        _panel(ax, f"{check} by more than")
        ax.set_xscale("symlog", linthresh=0.01, linscale=0.5)
        ticks = [tick for tick in (0, 0.01, 0.1, 1) if tick <= max(table["tolerance"].max(), 0.01)]
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.set_ylim(0, max(LEAST_TOP, ax.get_ylim()[1]))
    _draw_intervals(axes[len(checks)], tables["intervals"], order, colors)
    for ax in axes[len(checks) + 1 :]:
        ax.set_visible(False)
    handles = [
        Line2D([], [], color=colors[k], marker=MARKERS[k % len(MARKERS)], markersize=3.5, lw=1.2)
        for k in range(len(order))
    ]
    legend(figure, handles, order, columns=min(6, len(order)))
    figure.supylabel("% of the layer's estimates", fontsize=SMALL)
    set_title(figure, title)
    return figure


def _draw_intervals(ax: Axes, table: pd.DataFrame, order: list[str], colors: np.ndarray) -> None:
    """Draw the share of intervals that leave out what is possible, check by check."""
    checks = list(dict.fromkeys(table["check"]))
    for number, layer in enumerate(order):
        of = table[table["layer"] == layer].set_index("check").reindex(checks)
        place = np.arange(len(checks)) + 0.5 * ((number + 0.5) / len(order) - 0.5)
        marker = MARKERS[number % len(MARKERS)]
        ax.plot(
            place, 100 * of["share"], color=colors[number], marker=marker, ls="", markersize=3.5
        )
    ax.axhline(100 * float(table["allowed"].iloc[0]), color=GUIDE, linestyle="--", linewidth=0.8)
    _panel(ax, "whole intervals")
    short = [check.replace(" wholly", "\n").replace("Shapley", "Shap.") for check in checks]
    ax.set_xticks(range(len(checks)), short, fontsize=SMALL - 1)
    ax.set_ylim(bottom=0)


def _panel(ax: Axes, title: str) -> None:
    plain_axes(ax)
    ax.set_title(title, fontsize=SMALL, loc="left", pad=2)
