"""What masks take from their own and others' input, and how it grows with the share of units."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from variscope.analyses.masking.outcomes import TOGETHER
from variscope.analyses.source import Source
from variscope.figures.panels import legend
from variscope.figures.style import (
    BLUE,
    GREEN,
    NORMAL,
    SMALL,
    VERMILLION,
    WIDTH,
    VariableStyle,
    change_colormap,
    labels,
    new_figure,
    nothing_to_show,
    plain_axes,
    set_title,
    text_color,
)

CONTROLS = {
    "own": ("units most sensitive to the input's variable", VariableStyle(VERMILLION, "o", "-")),
    "matched": ("matched random units", VariableStyle(BLUE, "s", "--")),
    "random": ("random units", VariableStyle(GREEN, "^", ":")),
}
STRENGTHS = {0.0: "set to 0", 0.5: "halved", 1.5: "raised by half"}
SMALLEST_SCALE = 0.01
MANY = 14  # variables, beyond which labels need wider columns
NOTHING = "Nothing was masked; the analysis' notes say why."


def shown_as(layer: str) -> str:
    """Name a masked layer for a reader."""
    return "all layers of maps at once" if layer == TOGETHER else layer


def draw_matrix(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``matrix``."""
    found = tables["matrix"]
    found = found[found["outcome"] == "margin"]
    model = source.studies[0].model
    title = f"Interaction of inputs and masks: {model}"
    if found.empty:
        return nothing_to_show(title, NOTHING)
    found = found[found["kind"] == found["kind"].iloc[0]]
    targets = list(dict.fromkeys(found["layer"]))
    names = list(dict.fromkeys(found["mask"]))
    # As many columns whatever there is to show, so that cells are about square; wide for many.
    columns = 3 if len(names) <= MANY else 2
    rows = -(-len(targets) // columns)
    room = 0.075 * max(map(len, labels(names)))
    side = (WIDTH - room - 0.9) / columns
    figure = new_figure(rows * (side + 0.25) + room + 0.5)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    top = max(SMALLEST_SCALE, float(found["interaction"].abs().max()))
    norm = Normalize(-top, top)
    image = None
    for k, ax in enumerate(axes.flat):
        if k >= len(targets):
            ax.set_axis_off()  # the columns above are those of its neighbours
            continue
        image = _draw_cells(ax, found[found["layer"] == targets[k]], names, norm)
        ax.set_title(shown_as(targets[k]), fontsize=NORMAL, loc="left", pad=3)
    for ax in axes[:, 0]:
        ax.set_ylabel("input altered by", fontsize=SMALL)
    assert image is not None  # there is a target
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02, aspect=30, shrink=0.8)
    bar.ax.tick_params(labelsize=SMALL, length=2, width=0.5)
    bar.outline.set_visible(False)
    bar.set_label("margin taken, beyond original input", fontsize=SMALL)
    figure.supxlabel("units most sensitive to", fontsize=SMALL)
    set_title(figure, title)
    return figure


def _draw_cells(ax: Axes, found: pd.DataFrame, names: list[str], norm: Normalize) -> AxesImage:
    """Draw a layer's matrix of inputs and masks, a dot where an interval leaves out 0."""
    value, low, high = (
        found.pivot(index="input", columns="mask", values=column)
        .reindex(index=names, columns=names)
        .to_numpy(dtype=float)
        for column in ("interaction", "low", "high")
    )
    cmap = change_colormap()
    image = ax.imshow(value, norm=norm, cmap=cmap, interpolation="nearest", aspect="auto")
    for row, column in np.argwhere((low > 0) | (high < 0)):
        color = text_color(cmap(norm(value[row, column])))
        ax.plot(column, row, ".", color=color, markersize=2.5)
    for k in range(len(names)):
        ax.add_patch(Rectangle((k - 0.5, k - 0.5), 1, 1, fill=False, edgecolor="0", linewidth=0.9))
    ax.set_xticks(range(len(names)), labels(names), rotation=90)
    ax.set_yticks(range(len(names)), labels(names))
    ax.tick_params(labelsize=SMALL, length=0, pad=2)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return image


def draw_doses(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``doses``."""
    found = tables["doses"]
    found = found[(found["outcome"] == "margin") & (found["operation"] == "scale")]
    model = source.studies[0].model
    title = f"Margin under masks of all layers at once: {model}"
    if found.empty:
        return nothing_to_show(title, NOTHING)
    found = found[found["kind"] == found["kind"].iloc[0]]
    strengths = [one for one in STRENGTHS if one in set(found["strength"])]
    figure = new_figure(2.5)
    axes = figure.subplots(1, len(strengths), squeeze=False, sharey=True)[0]
    drawn = [name for name in CONTROLS if name in set(found["control"])]
    for ax, strength in zip(axes, strengths, strict=True):
        for place, control in enumerate(drawn):
            held = found[(found["control"] == control) & (found["strength"] == strength)]
            if held.empty:
                continue
            style = CONTROLS[control][1]
            value, low, high = (held[name].to_numpy(float) for name in ("value", "low", "high"))
            ax.errorbar(
                100 * held["share"].to_numpy(float) + 0.6 * (place - 1),
                value,
                yerr=np.maximum([value - low, high - value], 0),
                color=style.color,
                linestyle=style.linestyle,
                marker=style.marker,
                markersize=3.2,
                linewidth=1.0,
                elinewidth=0.7,
            )
        plain_axes(ax)
        ax.set_title(STRENGTHS[strength], fontsize=NORMAL, loc="left", pad=3)
        ax.set_xlabel("units that are hit, %", fontsize=SMALL)
    axes[0].set_ylabel("margin of the right class", fontsize=SMALL)
    styles = [CONTROLS[name][1] for name in drawn]
    handles = [
        Line2D([], [], color=s.color, linestyle=s.linestyle, marker=s.marker, markersize=3.5)
        for s in styles
    ]
    legend(figure, handles, [CONTROLS[name][0] for name in drawn], columns=3)
    set_title(figure, title)
    return figure
