"""Pictures of the agreement: maps side by side, a matrix of pairs, curves and their areas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from variscope.analyses.agreement.gathered import CENTRE, EDGES, titles_of
from variscope.analyses.agreement.orders import RANDOM
from variscope.analyses.agreement.pairs import NONE, SHUFFLED, UNTRAINED
from variscope.analyses.agreement.side_by_side import side_by_side
from variscope.analyses.source import Source
from variscope.figures.style import (
    BLUE,
    GREEN,
    GUIDE,
    INDIGO,
    MAGENTA,
    MAROON,
    NORMAL,
    ORANGE,
    SKY,
    SMALL,
    TEAL,
    VERMILLION,
    LineStyle,
    change_colormap,
    hatch_ground,
    new_figure,
    nothing_to_show,
    plain_axes,
    set_title,
    text_color,
    variable_styles,
)
from variscope.indices.wording import MINUS

COLORS = {
    "grad_cam": VERMILLION,
    "hires_cam": ORANGE,
    "gradient": BLUE,
    "difference": SKY,
    "occlusion": MAROON,
    "regions": GREEN,
    "maximisation": MAGENTA,
}
_OF_SETS = (INDIGO, TEAL)

# Orders that know nothing of the network, and how they are drawn.
_LINES: dict[str, tuple[str, LineStyle]] = {
    RANDOM: ("0.3", "--"),
    CENTRE: ("0.0", ":"),
    EDGES: ("0.55", "-."),
}


def draw_maps(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``maps``."""
    return side_by_side(source)


def draw_pairs(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``pairs``: on own images with controls, and less other images."""
    table = tables["pairs"]
    names = list(dict.fromkeys([*table["first"], *table["second"]]))
    if len(names) < 1:
        return nothing_to_show("Agreement of the methods", "No method has maps of these images.")
    titles = called(source, names)
    table = table[table["share"] == table["share"].iloc[0]]
    own = matrix(table, names, NONE, "spearman")
    np.fill_diagonal(own, np.diag(matrix(table, names, SHUFFLED, "spearman")))
    controls = np.stack(
        [
            np.diag(matrix(table, names, baseline, "spearman"))
            for baseline in (CENTRE, EDGES, UNTRAINED)
        ],
        axis=1,
    )
    beyond, low, high = (
        matrix(table, names, SHUFFLED, key)
        for key in ("difference", "difference_low", "difference_high")
    )
    for values in (beyond, low, high):
        np.fill_diagonal(values, np.nan)
    figure = new_figure(0.27 * len(names) + 1.75)
    axes = figure.subplots(1, 2, width_ratios=(len(names) + 4, len(names)))
    gap = np.full((len(names), 1), np.nan)
    cells = np.concatenate([own, gap, controls], axis=1)
    columns = [*titles, "", "centre", "edges", "untrained twin"]
    image = draw_matrix(axes[0], cells, columns, np.isfinite(cells))
    axes[0].axvspan(len(names) - 0.5, len(names) + 0.5, color="white", lw=0)
    axes[0].set_yticks(range(len(names)), titles, fontsize=SMALL)
    axes[0].set_title("own images", fontsize=NORMAL, loc="left")
    draw_matrix(axes[1], beyond, titles, (low > 0) | (high < 0))
    axes[1].set_yticks([])
    axes[1].set_title("less other images", fontsize=NORMAL, loc="left")
    bar = figure.colorbar(
        image, ax=list(axes), location="bottom", fraction=0.04, pad=0.03, aspect=50
    )
    bar.set_label("rank correlation over cells", fontsize=SMALL)
    bar.ax.tick_params(labelsize=SMALL, length=2, width=0.5)
    bar.outline.set_linewidth(0.4)
    set_title(figure, f"Agreement of the methods: {source.studies[0].model}")
    return figure


def matrix(table: pd.DataFrame, names: Sequence[str], baseline: str, key: str) -> np.ndarray:
    """Return a column of the pairs as a symmetric matrix (method, method)."""
    found = np.full((len(names), len(names)), np.nan)
    for _, row in table[table["baseline"] == baseline].iterrows():
        i, j = names.index(row["first"]), names.index(row["second"])
        found[i, j] = found[j, i] = row[key]
    return found


def draw_matrix(
    ax: Axes, cells: np.ndarray, columns: Sequence[str], numbered: np.ndarray
) -> AxesImage:
    """Draw correlations (row, column), with numbers in some cells."""
    hatch_ground(ax)
    cmap = change_colormap()
    image = ax.imshow(
        np.ma.masked_invalid(cells), cmap=cmap, vmin=-1, vmax=1, interpolation="nearest",
        aspect="auto",
    )  # fmt: skip
    for i, j in np.argwhere(np.isfinite(cells) & numbered):
        color = text_color(cmap((cells[i, j] + 1) / 2))
        ax.text(j, i, _short(cells[i, j]), ha="center", va="center", fontsize=5.5, color=color)
    ax.set_xticks(range(len(columns)), list(columns))
    ax.tick_params(axis="x", labeltop=False, labelbottom=True)
    for label in ax.get_xticklabels():
        label.set(rotation=40, ha="right", rotation_mode="anchor")
    ax.tick_params(labelsize=SMALL, length=0, pad=2)
    for spine in ax.spines.values():
        spine.set_linewidth(0.4)
    return image


def _short(value: float) -> str:
    text = f"{abs(value):.2f}"
    text = text if text.startswith("1") else text[1:]
    return MINUS + text if value < 0 and float(text) else text


def draw_curves(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``curves``: a row for each kind, a column for each fill."""
    table = tables["curves"]
    if table.empty:
        return nothing_to_show("Deletion and insertion", "No method has maps of these images.")
    kinds, fills, names = (list(dict.fromkeys(table[k])) for k in ("kind", "fill", "method"))
    titles = dict(zip(names, called(source, names), strict=True))
    colors = colors_of(names)
    figure = new_figure(5.2)
    axes = figure.subplots(len(kinds), len(fills), squeeze=False, sharex=True, sharey="col")
    handles: dict[str, Artist] = {}
    for (k, kind), (f, fill) in ((a, b) for a in enumerate(kinds) for b in enumerate(fills)):
        ax, part = axes[k, f], table[(table["kind"] == kind) & (table["fill"] == fill)]
        for name in names:
            of = part[part["method"] == name]
            color, line = _LINES.get(name, (colors.get(name, "0.2"), "-"))
            (handles[titles[name]],) = ax.plot(
                of["fraction"], of["score"], color=color, linestyle=line, linewidth=1.2
            )
        plain_axes(ax)
        ax.set_title(f"{kind}, {fill} fill", fontsize=NORMAL, loc="left")
        if k == len(kinds) - 1:
            ax.set_xlabel("share of the cells", fontsize=SMALL)
    for row in axes:
        row[0].set_ylabel("score of the target", fontsize=SMALL)
    legend(figure, handles)
    set_title(figure, f"Deletion and insertion: {source.studies[0].model}")
    return figure


def draw_areas(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``areas``: a panel for each kind and fill, a row for each method."""
    table = tables["areas"]
    table = table[table["method"] != RANDOM]
    if table.empty:
        return nothing_to_show("Better than a random order?", "No method has maps of these images.")
    kinds, fills, names = (list(dict.fromkeys(table[k])) for k in ("kind", "fill", "method"))
    colors = colors_of(names)
    panels = [(kind, fill) for kind in kinds for fill in fills]
    figure = new_figure(0.19 * len(names) + 1.3)
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for ax, (kind, fill) in zip(axes, panels, strict=True):
        part = table[(table["kind"] == kind) & (table["fill"] == fill)].set_index("method")
        for row, name in enumerate(names):
            if name not in part.index:
                continue
            of = part.loc[name]
            color = colors.get(name, _LINES.get(name, ("0.2", "-"))[0])
            ax.plot([of["random_low"], of["random_high"]], [row, row], color=color, linewidth=1.2)
            ax.plot(of["random_difference"], row, "o", color=color, markersize=3.5)
        ax.axvline(0, color=GUIDE, linewidth=0.6)
        plain_axes(ax)
        ax.xaxis.set_major_locator(MaxNLocator(3, min_n_ticks=2))
        better = "left" if kind == "deletion" else "right"
        ax.set_title(f"{kind}, {fill} fill\n{better} is better", fontsize=SMALL, loc="left")
    axes[0].set_yticks(range(len(names)), called(source, names))
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    figure.supxlabel("area less that of random orders, paired", fontsize=SMALL)
    set_title(figure, f"Better than a random order? {source.studies[0].model}")
    return figure


def called(source: Source, names: Sequence[str]) -> list[str]:
    """Return what methods and controls are called."""
    titles = titles_of(source, names)
    return [titles[name] for name in names]


def colors_of(names: Sequence[str]) -> dict[str, str]:
    """Return a color for each method; controls have none."""
    methods = [name for name in names if name not in _LINES]
    sets = [name for name in methods if ":" in name]
    own = [name for name in methods if name not in COLORS and name not in sets]
    found = {name: COLORS[name] for name in methods if name in COLORS}
    found |= dict(zip(sets, _OF_SETS, strict=False))
    spare = variable_styles([*own, *sets[len(_OF_SETS) :]])
    return found | {name: style.color for name, style in spare.items()}


def legend(figure: Figure, handles: Mapping[str, Artist]) -> None:
    """Put the legend to the right."""
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside right center",
        fontsize=SMALL,
        frameon=False,
        handlelength=2.4,
    )
