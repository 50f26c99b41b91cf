"""Decay of sensitivity over classes, overlap with predictions, and what masks change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from variscope.analyses.conditions import (
    SETTING,
    input_label,
    leading_layer,
    read_outcomes_of,
    setting_label,
    setting_order,
)
from variscope.analyses.masking.outcomes import ORIGINAL, Setting
from variscope.analyses.single_class.compute import ALPHA, scores_of
from variscope.analyses.single_class.sensitive import kept_count
from variscope.analyses.source import Source
from variscope.estimators.overlap import Array
from variscope.figures.panels import variable_legend
from variscope.figures.style import (
    BLUE,
    GUIDE,
    SMALL,
    change_colormap,
    new_figure,
    nothing_to_show,
    plain_axes,
    set_title,
    text_color,
    variable_styles,
)
from variscope.figures.units import shown_ranks
from variscope.indices.wording import share_text, variable_label
from variscope.vocabulary import INDEX_NAMES

MOST_CLASSES = 30
MOST_NUMBERS = 20  # columns whose cells have room for numbers


def draw_decay(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``decay``: a panel for each statistic, a line for each variable."""
    scores = scores_of(source, read_outcomes_of(source)) if len(tables["ranking"]) else []
    if not scores:
        return nothing_to_show("Single classes", "No layer is known to hold class scores.")
    names = [one.of.name for one in scores]
    styles = variable_styles(names)
    kinds = scores[0].kinds
    figure = new_figure(3.9)
    axes = figure.subplots(1, len(kinds) + 2)
    count = kept_count(len(scores[0].names))
    for ax, kind in zip(axes, kinds, strict=False):
        for one in scores:
            style = styles[one.of.name]
            draw_decline(ax, one.estimate(kind)[0], color=style.color, line=style.linestyle)
        ax.set_title(INDEX_NAMES[kind], fontsize=SMALL, loc="left", pad=2)
        ax.axhline(0, color=GUIDE, linewidth=0.5)
    for ax, (name, values) in zip(axes[len(kinds) :], scores[0].moments().items(), strict=True):
        draw_decline(ax, values, color=BLUE, line="-")
        ax.set_title(name.replace("_", " "), fontsize=SMALL, loc="left", pad=2)
    for ax in axes:
        plain_axes(ax)
        ax.axvline(count + 0.5, color=GUIDE, linewidth=0.7, linestyle="--")
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        ax.set_xlabel("rank of the class", fontsize=SMALL)
    axes[0].set_ylabel("share of the output's variance", fontsize=SMALL)
    variable_legend(figure, names)
    set_title(figure, f"Classes sorted by sensitivity: {scores[0].of.study.model}, "
                      f"layer {scores[0].layer}")  # fmt: skip
    return figure


def draw_decline(ax: Axes, values: Array, *, color: str, line: str) -> None:
    """Draw numbers (class,), the largest first; undefined ones are left out."""
    found = np.sort(values[np.isfinite(values)])[::-1]
    if len(found):
        ranks = shown_ranks(len(found))
        marker = "." if len(found) <= MOST_CLASSES else ""
        ax.plot(ranks + 1, found[ranks], color=color, linestyle=line or "-", linewidth=1,
                marker=marker, markersize=3)  # fmt: skip


def draw_overlap(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``overlap``: without a mask by input, and under own masks by setting."""
    table = tables["overlap"]
    if table.empty:
        return nothing_to_show("Sensitive and predicted classes", "No mask was tried.")
    table = table[table["kind"] == table["kind"].iloc[0]].copy()
    table["setting"] = [Setting(*row) for row in table[SETTING].itertuples(index=False)]
    table["beyond"] = table["jaccard"] - table["chance"]
    plain = table[table["mask"] == ""]
    own = table[(table["mask"] != "") & (table["input"] == ORIGINAL)]
    variables = list(dict.fromkeys(table["variable"]))
    inputs = list(dict.fromkeys(plain["input"]))
    figure = new_figure(0.19 * len(variables) + 1.9)
    most = max(float(np.nanmax(np.abs(table["beyond"]))), 0.01)
    if own.empty:
        axes = [figure.subplots()]
    else:
        own = own[own["layer"] == leading_layer(own["layer"])]
        ratio = (len(inputs), max(own["setting"].nunique(), 3))
        axes = list(figure.subplots(1, 2, width_ratios=ratio))
    image = draw_cells(axes[0], plain, variables, "input", inputs, most)
    axes[0].set_xticklabels([input_label(name) for name in inputs])
    axes[0].set_yticks(range(len(variables)), [variable_label(name) for name in variables])
    axes[0].set_xlabel("input, without a mask", fontsize=SMALL)
    if not own.empty:
        settings = sorted(own["setting"].unique(), key=setting_order)
        draw_cells(axes[1], own, variables, "setting", settings, most)
        axes[1].set_xticklabels([setting_label(setting) for setting in settings])
        axes[1].set_yticks([])
        axes[1].set_xlabel("original input, the variable's own mask", fontsize=SMALL)
    bar = figure.colorbar(image, ax=axes, location="bottom", fraction=0.04, pad=0.03, aspect=40)
    bar.set_label("overlap, less that of classes of like mean activation", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL, length=2, width=0.5)
    bar.outline.set_linewidth(0.4)
    set_title(figure, f"Sensitive and predicted classes: {source.studies[0].model}")
    return figure


def draw_cells(
    ax: Axes,
    table: pd.DataFrame,
    variables: Sequence[str],
    column: str,
    columns: Sequence[object],
    most: float,
) -> AxesImage:
    """Draw overlaps beyond chance as cells, framed where both controls are exceeded."""
    values = np.full((2, len(variables), len(columns)), np.nan)
    framed = np.zeros((len(variables), len(columns)), dtype=bool)
    for _, row in table.iterrows():
        place = variables.index(row["variable"]), columns.index(row[column])
        values[:, place[0], place[1]] = row["beyond"], row["jaccard"]
        framed[place] = row["p_classes"] < ALPHA and row["p_masks"] < ALPHA
    cmap = change_colormap()
    image = ax.imshow(
        np.ma.masked_invalid(values[0]), cmap=cmap, vmin=-most, vmax=most,
        interpolation="nearest", aspect="auto",
    )  # fmt: skip
    for i, j in np.argwhere(np.isfinite(values[0])):
        if framed[i, j]:
            ax.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, linewidth=1.2))
        if len(columns) <= MOST_NUMBERS:
            color = text_color(cmap(0.5 + values[0, i, j] / (2 * most)))
            text = share_text(values[1, i, j], 2).removeprefix("0")
            ax.text(j, i, text, ha="center", va="center", fontsize=5, color=color)
    ax.set_xticks(range(len(columns)))
    ax.tick_params(axis="x", rotation=60, labeltop=True, labelbottom=False)
    for label in ax.get_xticklabels():
        label.set(ha="left", rotation_mode="anchor")
    ax.tick_params(labelsize=SMALL, length=0, pad=2)
    for spine in ax.spines.values():
        spine.set_linewidth(0.4)
    return image


def draw_predictions(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``predictions``: changes of frequency and of error, class by mask."""
    table = tables["predictions"]
    table = table[table["input"] == ORIGINAL]
    if table.empty:
        return nothing_to_show("What masks change of each class", "No mask was tried.")
    masks = list(dict.fromkeys(table["mask"]))
    largest = table.groupby("class")["change"].apply(lambda changes: changes.abs().max())
    shown = sorted(largest.sort_values(ascending=False, kind="stable").index[:MOST_CLASSES])
    table = table[table["class"].isin(shown)]
    names = table.drop_duplicates("class").set_index("class")["name"]
    figure = new_figure(0.15 * len(shown) + 1.9)
    axes = figure.subplots(1, 2)
    for ax, (key, low, high, title) in zip(
        axes,
        (
            ("change", "low", "high", "predicted more often"),
            ("error_change", "error_low", "error_high", "more errors of its own images"),
        ),
        strict=True,
    ):
        value, below, above = (
            table.pivot_table(values=part, index="class", columns="mask", dropna=False)
            .reindex(index=shown, columns=masks)
            .to_numpy(float)
            for part in (key, low, high)
        )
        most = max(float(np.nanmax(np.abs(value), initial=0.0)), 0.01)
        image = ax.imshow(
            np.ma.masked_invalid(value), cmap=change_colormap(), vmin=-most, vmax=most,
            interpolation="nearest", aspect="auto",
        )  # fmt: skip
        rows, columns = np.nonzero((below > 0) | (above < 0))
        ax.plot(columns, rows, ".", color="black", markersize=2.5)
        ax.set_xticks(range(len(masks)), [variable_label(mask) for mask in masks])
        ax.tick_params(axis="x", rotation=60, labeltop=True, labelbottom=False)
        for label in ax.get_xticklabels():
            label.set(ha="left", rotation_mode="anchor")
        ax.set_yticks([])
        ax.tick_params(labelsize=SMALL, length=0, pad=2)
        bar = figure.colorbar(image, ax=ax, location="bottom", fraction=0.05, pad=0.03)
        bar.set_label(title, fontsize=SMALL)
        bar.ax.tick_params(labelsize=SMALL, length=2, width=0.5)
        bar.outline.set_linewidth(0.4)
    axes[0].set_yticks(range(len(shown)), [str(names[k]) or f"class {k}" for k in shown])
    axes[0].set_ylim(len(shown) - 0.5, -0.5)
    axes[1].set_ylim(len(shown) - 0.5, -0.5)
    axes[0].tick_params(labelsize=SMALL)
    more = f", {len(shown)} of {len(largest)} classes" if len(largest) > len(shown) else ""
    title = f"What masks change of each class: {source.studies[0].model}{more}"
    set_title(figure, title)
    return figure
