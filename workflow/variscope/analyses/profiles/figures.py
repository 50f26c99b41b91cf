"""Profiles as a heat map beside their tree, and matching correlations layer by layer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from variscope.analyses.conditions import (
    SETTING,
    input_label,
    leading_layer,
    setting_label,
    setting_order,
)
from variscope.analyses.masking.outcomes import TOGETHER, Setting
from variscope.analyses.profiles.compute import FEWEST_ITEMS
from variscope.analyses.source import Source
from variscope.estimators.profiles import Array, Tree, distances, rank_correlations, tree
from variscope.figures.panels import legend, panels
from variscope.figures.style import (
    BLUE,
    GUIDE,
    NORMAL,
    SMALL,
    VERMILLION,
    change_colormap,
    labels,
    new_figure,
    nothing_to_show,
    plain_axes,
    set_title,
)
from variscope.indices.wording import variable_label

MOST_ROWS = 60
MOST_LAYERS = 9


def draw_profiles(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``profiles``: those of the leading layer and the first outcome."""
    table = tables["profiles"]
    if table.empty:
        return nothing_to_show("Profiles", "No mask was tried at enough settings.")
    layer = leading_layer(table["layer"])
    shown = table[table["layer"] == layer]
    first = shown.iloc[0]
    shown = shown[(shown["kind"] == first["kind"]) & (shown["outcome"] == first["outcome"])]
    values, items, settings = profile_matrix(shown)
    defined = np.flatnonzero(np.ptp(np.nan_to_num(values), axis=1) > 0)[:MOST_ROWS]
    if len(defined) < FEWEST_ITEMS:
        return nothing_to_show("Profiles", "Fewer than three profiles vary.")
    stable = tables["clusters"]
    stable = stable[(stable["stable"] == "yes") & (stable["layer"] == layer)]
    stable = stable[(stable["kind"] == first["kind"]) & (stable["outcome"] == first["outcome"])]
    unsigned = source.settings.get("distance") == "unsigned"
    made = tree(distances(rank_correlations(values[defined]), unsigned=unsigned))
    names = [f"{mask} @ {name}" for name, mask in (items[k] for k in defined)]
    figure = new_figure(0.145 * len(defined) + 1.7)
    left, right = figure.subplots(1, 2, width_ratios=(1, 2.6))
    order = draw_tree(left, made, names, {str(text) for text in stable["members"]})
    image = draw_heat(right, values[defined][order], settings)
    shown_names = [f"{variable_label(items[k][1])} @ {input_label(items[k][0])}"
                   for k in defined[order]]  # fmt: skip
    right.set_yticks(range(len(order)), shown_names)
    right.yaxis.tick_right()
    right.set_ylim(left.get_ylim())
    bar = figure.colorbar(image, ax=right, location="bottom", fraction=0.04, pad=0.03, aspect=40)
    bar.set_label(f"{first['outcome']} less that of matched random masks", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL, length=2, width=0.5)
    bar.outline.set_linewidth(0.4)
    where = "all convolutional layers at once" if layer == TOGETHER else f"layer {layer}"
    title = f"Profiles of masks by {first['kind']}, {where}: {source.studies[0].model}"
    more = f" (the first {MOST_ROWS} of {len(items)})" if len(items) > MOST_ROWS else ""
    set_title(figure, title + more)
    return figure


def profile_matrix(
    table: pd.DataFrame,
) -> tuple[Array, list[tuple[str, str]], list[Setting]]:
    """Return the profiles ``(item, setting * feature)`` of one kind, layer and outcome.

    Returns:
        The numbers; input and mask of each row; the setting of each column.
    """
    wide = table.pivot_table(
        values="difference", index=["input", "mask"], columns=[*SETTING, "feature"]
    )
    columns = sorted(wide.columns, key=lambda key: (setting_order(Setting(*key[:3])), key[3]))
    settings = [Setting(*key[:3]) for key in columns]
    return wide[columns].to_numpy(), list(wide.index), settings


def draw_tree(ax: Axes, made: Tree, names: list[str], stable: set[str]) -> Array:
    """Draw a tree that grows to the left; clusters whose members are `stable` in strong colour.

    Returns:
        The items from top to bottom.
    """
    from scipy.cluster.hierarchy import dendrogram

    drawn = dendrogram(made.linkage, no_plot=True)
    order = np.array(drawn["leaves"])
    place = np.empty(len(order))
    place[order] = np.arange(len(order))
    height = np.zeros(2 * len(order) - 1)
    lines, colors = [], []
    place = np.concatenate([place, np.zeros(len(order) - 1)])
    for k, (first, second, at, _) in enumerate(made.linkage):
        low, high = sorted((int(first), int(second)), key=lambda node: place[node])
        node = len(order) + k
        height[node], place[node] = at, (place[low] + place[high]) / 2
        lines.append([(height[low], place[low]), (at, place[low]), (at, place[high]),
                      (height[high], place[high])])  # fmt: skip
        inside = k < len(made.members) and "; ".join(np.array(names)[made.members[k]]) in stable
        colors.append(VERMILLION if inside else "0.55")
    ax.add_collection(LineCollection(lines, colors=colors, linewidths=1.1))
    ax.set_xlim(max(float(height.max()) * 1.03, 1e-6), 0)
    ax.set_ylim(len(order) - 0.5, -0.5)
    plain_axes(ax)
    ax.set_xlabel("distance", fontsize=SMALL)
    ax.spines["left"].set_visible(False)
    ax.set_yticks([])
    return order


def draw_heat(ax: Axes, values: Array, settings: list[Setting]) -> AxesImage:
    """Draw profiles as rows, on a scale that is 0 in its middle, and return the image."""
    most = max(float(np.nanquantile(np.abs(values), 0.99)), 1e-6)
    image = ax.imshow(
        np.ma.masked_invalid(values),
        cmap=change_colormap(),
        vmin=-most,
        vmax=most,
        interpolation="nearest",
        aspect="auto",
    )
    places = [k for k, setting in enumerate(settings) if k == 0 or setting != settings[k - 1]]
    names = [setting_label(settings[k]) for k in places]
    ax.set_xticks(places, names, rotation=60, ha="left", rotation_mode="anchor")
    ax.xaxis.tick_top()
    ax.tick_params(labelsize=SMALL, length=0, pad=2)
    for spine in ax.spines.values():
        spine.set_linewidth(0.4)
    return image


def draw_matching(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``matching``: one panel for each layer, of the first kind and outcome."""
    table = tables["matching"]
    if table.empty:
        return nothing_to_show(
            "Matching masks", "No mask was tried with the original input and its own alteration."
        )
    first = table.iloc[0]
    shown = table[(table["kind"] == first["kind"]) & (table["outcome"] == first["outcome"])]
    layers = list(dict.fromkeys(shown["layer"]))
    names = list(dict.fromkeys(shown["variable"]))
    figure, axes = panels(
        min(len(layers), MOST_LAYERS), 0.17 * len(names) + 0.35, foot=0.75, label="correlation"
    )
    for ax, layer in zip(axes, layers, strict=False):
        rows = shown[shown["layer"] == layer].set_index("variable").reindex(names)
        draw_correlations(ax, rows)
        where = "all at once" if layer == TOGETHER else layer
        ax.set_title(where, fontsize=NORMAL, loc="left", pad=2)
    axes[0].set_yticks(range(len(names)), labels(names))
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    marks = [
        Line2D([], [], linestyle="", marker="o", color=BLUE, markersize=4),
        Line2D([], [], linestyle="", marker="x", color=VERMILLION, markersize=4),
        Line2D([], [], linestyle="", marker="o", color=GUIDE, markerfacecolor="none", markersize=4),
    ]
    legend(figure, marks, ["matching mask, less random masks", "other masks, less random masks",
                           "matching mask, raw"], columns=3)  # fmt: skip
    more = f", the first {MOST_LAYERS} of {len(layers)} layers" if len(layers) > len(axes) else ""
    title = f"Profiles of {first['outcome']} by {first['kind']}, altered against original images"
    set_title(figure, f"{title}: {source.studies[0].model}{more}")
    return figure


def draw_correlations(ax: Axes, rows: pd.DataFrame) -> None:
    """Draw the correlations of one layer, one line a variable."""
    place = np.arange(len(rows))
    value = rows["spearman"].to_numpy(float)
    ends = [value - rows["low"].to_numpy(float), rows["high"].to_numpy(float) - value]
    plain_axes(ax)
    ax.axvline(0, color=GUIDE, linewidth=0.6)
    ax.grid(axis="y", color="0.92", linewidth=0.5)
    ax.set_axisbelow(True)
    ax.plot(rows["raw"], place, "o", color=GUIDE, markerfacecolor="none", markersize=3.4)
    ax.plot(rows["others"], place, "x", color=VERMILLION, markersize=3.4)
    ax.errorbar(value, place, xerr=np.maximum(ends, 0), fmt="o", color=BLUE, markersize=3.2,
                elinewidth=0.9)  # fmt: skip
    ax.set_xlim(-1.05, 1.05)
    ax.set_xticks([-1, -0.5, 0, 0.5, 1])
