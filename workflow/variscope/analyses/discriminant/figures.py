"""How well variables are told from their maps, and what they are taken for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from variscope.analyses.discriminant.compute import study_of
from variscope.analyses.discriminant.samples import FEATURES
from variscope.analyses.source import Source
from variscope.figures.grids import SHARE_TICKS, share_scale, width_of
from variscope.figures.panels import legend, variable_legend
from variscope.figures.style import (
    BLUE,
    GREEN,
    GUIDE,
    SMALL,
    VERMILLION,
    WIDTH,
    hatch_ground,
    labels,
    new_figure,
    nothing_to_show,
    plain_axes,
    set_title,
    share_colormap,
    titled,
    variable_styles,
)

COLORS = {"raw": BLUE, "mean": GREEN, "shape": VERMILLION}
MARKERS = {"raw": "o", "mean": "s", "shape": "^"}
SEEN = {"raw": "the map", "mean": "its mean alone", "shape": "its shape"}
SHOWN = ("raw", "shape")
MOST_LAYERS = 4  # side by side
Tables = Mapping[str, pd.DataFrame]


def draw_accuracy(source: Source, tables: Tables) -> Figure:
    """Draw the picture ``accuracy``."""
    table = tables["accuracy"]
    table = table[table["features"] != ""]
    title = _title(source, "Variables told from their maps")
    if table.empty:
        return nothing_to_show(title, "No layer has maps of two variables to tell apart.")
    kinds = list(dict.fromkeys(table["kind"]))
    order = list(dict.fromkeys(table["layer"]))
    figure = new_figure(2.3 * len(kinds) + 0.5)
    axes = figure.subplots(len(kinds), squeeze=False, sharex=True)[:, 0]
    for ax, kind in zip(axes, kinds, strict=True):
        for number, features in enumerate(FEATURES):
            rows = table[(table["kind"] == kind) & (table["features"] == features)]
            place = np.array([order.index(layer) for layer in rows["layer"]]) + (number - 1) * 0.2
            _draw_told(ax, place, rows, features)
        for layer, rows in table[table["kind"] == kind].groupby("layer", sort=False):
            at, chance = order.index(str(layer)), float(rows["chance"].iloc[0])
            ax.plot([at - 0.45, at + 0.45], [chance] * 2, color=GUIDE, ls="--", lw=0.8)
        plain_axes(ax)
        ax.set_ylim(0, 1.03)
        ax.set_ylabel(f"told right, {kind}" if len(kinds) > 1 else "told right", fontsize=SMALL)
        ax.set_xticks(range(len(order)), order)
        if len(order) > 6:
            ax.tick_params(axis="x", rotation=35)
    handles = [
        Line2D([], [], color=COLORS[f], marker=MARKERS[f], ls="", markersize=5) for f in FEATURES
    ]
    handles.append(Line2D([], [], color=GUIDE, marker="o", ls="", markersize=5, mfc="none"))
    handles.append(Line2D([], [], color=GUIDE, ls="--", lw=0.8))
    handles.append(Line2D([], [], color=GUIDE, ls="-", lw=1.6))
    texts = [*(SEEN[f] for f in FEATURES), "untrained twin", "chance", "exchanged labels"]
    legend(figure, handles, texts, columns=6)
    set_title(figure, title)
    return figure


def _draw_told(ax: Axes, place: np.ndarray, rows: pd.DataFrame, features: str) -> None:
    """Draw accuracies with their intervals, the twin's hollow, and those of exchanged labels."""
    value, color, marker = rows["accuracy"].to_numpy(), COLORS[features], MARKERS[features]
    lengths = np.maximum([value - rows["low"], rows["high"] - value], 0)
    ax.errorbar(place, value, yerr=lengths, fmt=marker, color=color, markersize=5, elinewidth=1)
    ax.plot(place + 0.07, rows["twin"], marker=marker, ls="", mfc="none", mec=color, markersize=5)
    for at, permuted in zip(place, rows["permuted"], strict=True):
        ax.plot([at - 0.06, at + 0.06], [permuted] * 2, color=GUIDE, lw=1.6)


def draw_confusion(source: Source, tables: Tables) -> Figure:
    """Draw the picture ``confusion``."""
    kind = study_of(source).index
    table = tables["confusion"]
    held = table[table["kind"] == kind]
    table = held if len(held) else table
    title = _title(source, "What a map is taken for")
    if table.empty:
        return nothing_to_show(title, "No layer has maps of two variables to tell apart.")
    order = list(dict.fromkeys(table["layer"]))
    columns = min(MOST_LAYERS, len(order))
    bands = -(-len(order) // columns)
    names = list(dict.fromkeys(table["variable"]))
    texts = labels(names)
    room = max(map(width_of, texts))
    side = min(2.6, max(1.2, (WIDTH - room - 0.8) / columns))
    figure = new_figure(bands * (2 * (side + 0.2) + room) + 0.4)
    axes = figure.subplots(2 * bands, columns, squeeze=False, sharey=True)
    size = min(SMALL, 72 * side / len(names) * 0.85)
    for k in range(bands * columns):
        for number, features in enumerate(SHOWN):
            ax = axes[2 * (k // columns) + number, k % columns]
            if k >= len(order):
                ax.set_visible(False)
                continue
            of = table[(table["layer"] == order[k]) & (table["features"] == features)]
            image = _matrix(ax, of, names)
            if number == 0:
                ax.set_title(order[k], fontsize=SMALL, loc="left", pad=2)
            ax.set_yticks(range(len(names)), texts, fontsize=size)
            below = texts if number == 1 else [""] * len(names)
            ax.set_xticks(range(len(names)), below, rotation=90, fontsize=size)
            if k % columns == 0:
                ax.set_ylabel(f"from {SEEN[features]}", fontsize=SMALL)
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02, aspect=30, shrink=0.7)
    bar.set_ticks(list(SHARE_TICKS), labels=[f"{tick:g}" for tick in SHARE_TICKS])
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=SMALL, length=2, width=0.5)
    bar.set_label("share of the variable's maps", fontsize=SMALL)
    set_title(figure, title)
    return figure


def _matrix(ax: Axes, of: pd.DataFrame, names: list[str]) -> AxesImage:
    """Draw what maps are taken for; variables without maps in this layer are hatched."""
    matrix = of.pivot(index="variable", columns="predicted", values="share")
    values = matrix.reindex(index=pd.Index(names), columns=pd.Index(names)).to_numpy(float)
    hatch_ground(ax)
    ax.tick_params(length=0, pad=2)
    return ax.imshow(
        np.ma.masked_invalid(values),
        norm=share_scale(),
        cmap=share_colormap(),
        interpolation="nearest",
        aspect="auto",
    )


def draw_projection(source: Source, tables: Tables) -> Figure:
    """Draw the picture ``projection``."""
    kind = study_of(source).index
    table = tables["projection"]
    held = table[table["kind"] == kind]
    table = held if len(held) else table
    title = _title(source, "Maps on the first two discriminant axes")
    if table.empty:
        return nothing_to_show(title, "No layer has maps of two variables to tell apart.")
    order = list(dict.fromkeys(table["layer"]))
    columns = min(MOST_LAYERS, len(order))
    bands = -(-len(order) // columns)
    names = list(dict.fromkeys(table["variable"]))
    styles = variable_styles(names)
    figure = new_figure(bands * 2 * 1.75 + 0.5 + 0.16 * -(-len(names) // 6))
    axes = figure.subplots(2 * bands, columns, squeeze=False)
    for k in range(bands * columns):
        for number, features in enumerate(SHOWN):
            ax = axes[2 * (k // columns) + number, k % columns]
            if k >= len(order):
                ax.set_visible(False)
                continue
            of = table[(table["layer"] == order[k]) & (table["features"] == features)]
            for name, points in of.groupby("variable", sort=False):
                style = styles[str(name)]
                ax.plot(
                    points["first"],
                    points["second"],
                    color=style.color,
                    marker=style.marker,
                    ls="",
                    markersize=2.5,
                    alpha=0.7,
                )
            plain_axes(ax)
            ax.set_xticks([])
            ax.set_yticks([])
            what = f"{order[k]}, from {SEEN[features]}"
            ax.set_title(what, fontsize=SMALL, loc="left", pad=2)
    variable_legend(figure, names)
    set_title(figure, title)
    return figure


def _title(source: Source, what: str) -> str:
    study = study_of(source)
    of = [study.model, f"{study.variable_set} set" if study.variable_set else ""]
    return titled(what, ", ".join(filter(None, of)))
