"""Curves of the score, places of features and agreement of rankings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from variscope.analyses.reduction import NOT_WORSE, RANDOM, SHUFFLED
from variscope.analyses.reduction.words import MEASURES
from variscope.analyses.source import Source
from variscope.figures.panels import legend
from variscope.figures.style import (
    BLUE,
    GREEN,
    GUIDE,
    NORMAL,
    ORANGE,
    SMALL,
    VERMILLION,
    LineStyle,
    bare_axes,
    change_colormap,
    new_figure,
    nothing_to_show,
    plain_axes,
    set_title,
    text_color,
)

COLORS = {
    "sobol": VERMILLION,
    "shapley": ORANGE,
    "permutation": BLUE,
    "salib": GREEN,
    RANDOM: "0.35",
    SHUFFLED: "0.65",
}
MARKERS = {"sobol": "o", "shapley": "s", "permutation": "^", "salib": "D", RANDOM: "", SHUFFLED: ""}
LINES: dict[str, LineStyle] = {RANDOM: "-", SHUFFLED: "--"}
NAMES = {RANDOM: "random orders", SHUFFLED: "shuffled targets"}

SHOWN_FEATURES = 15


def _tables(found: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(map(str, found["table"])))


def _rankings(found: pd.DataFrame, column: str = "ranking") -> list[str]:
    named = set(map(str, found[column]))
    return [name for name in COLORS if name in named]


def draw_curve(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``curve``: a panel for each table."""
    title = "Score against the number of features"
    found = tables["curve"]
    found = found[found["k"] > 0]
    names = _tables(found)
    if not names:
        return nothing_to_show(title, "There is no table.")
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    figure = new_figure(2.5 * rows + 0.7)
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax in grid[len(names) :]:
        ax.set_visible(False)
    for ax, name in zip(grid, names, strict=False):
        choice = tables["choice"]
        _curve(ax, found[found["table"] == name], choice[choice["table"] == name])
        ax.set_title(name, fontsize=NORMAL, loc="left")
    shown = _rankings(found)
    handles = [
        Line2D([], [], color=COLORS[one], marker=MARKERS[one], ls=LINES.get(one, "-"), ms=3.5,
               lw=1.2)
        for one in shown
    ]  # fmt: skip
    handles.append(Line2D([], [], ls="", marker="o", ms=8, mfc="none", mec="0.1", mew=1.0))
    texts = [NAMES.get(one, one) for one in shown] + ["smallest not worse than all"]
    legend(figure, handles, texts, 4)
    set_title(figure, title)
    return figure


def _curve(ax: Axes, curve: pd.DataFrame, choice: pd.DataFrame) -> None:
    """Draw the scores of a table by each ranking."""
    numbers = sorted(map(int, curve["k"].unique()))
    place = {k: x for x, k in enumerate(numbers)}
    plain_axes(ax)
    shown = _rankings(curve)
    dodged = [one for one in shown if one not in (RANDOM, SHUFFLED)]
    for one in shown:
        own = curve[curve["ranking"] == one].sort_values("k")
        x = np.array([place[int(k)] for k in own["k"]], dtype=float)
        score, low, high = (own[key].to_numpy(float) for key in ("score", "low", "high"))
        if one == RANDOM:
            ax.fill_between(x, low, high, color="0.85", lw=0, zorder=0)
        if one in dodged:
            x = x + 0.13 * (dodged.index(one) - (len(dodged) - 1) / 2)
            error = np.maximum([score - low, high - score], 0)
            ax.errorbar(x, score, yerr=error, fmt="none", ecolor=COLORS[one], elinewidth=0.7,
                        alpha=0.7)  # fmt: skip
        ax.plot(x, score, color=COLORS[one], ls=LINES.get(one, "-"), marker=MARKERS[one], ms=3,
                lw=1.1)  # fmt: skip
        smallest = choice[(choice["ranking"] == one) & (choice["rule"] == NOT_WORSE)]
        if len(smallest) and (at := place[int(smallest["k"].iloc[0])]) < len(numbers) - 1:
            ax.plot(x[at], score[at], "o", ms=8, mfc="none", mec=COLORS[one], mew=1.0)
    every = curve[curve["k"] == numbers[-1]]["score"].iloc[0]
    ax.axhline(every - float(choice["margin"].iloc[0]), color=GUIDE, lw=0.7, ls="--", zorder=0)
    ax.set_xticks(range(len(numbers)), [str(k) for k in numbers])
    ax.set_xlabel("number of features", fontsize=SMALL)
    ax.set_ylabel(MEASURES[str(curve["measure"].iloc[0])], fontsize=SMALL)
    # A single wide interval, such as of one feature of a few rows, would flatten all others.
    score = curve["score"].to_numpy(float)
    reach = np.nanmin(score) - 0.5 * (np.nanmax(score) - np.nanmin(score)) - 0.02
    lowest = max(float(np.nanmin(curve["low"].to_numpy(float), initial=np.inf)), float(reach))
    if np.isfinite(lowest):
        ax.set_ylim(bottom=lowest)


def draw_places(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``places``: a panel for each table."""
    title = "Places of the features in the rankings"
    found = tables["rankings"]
    names = _tables(found)
    if not names:
        return nothing_to_show(title, "There is no table.")
    first = {name: _first_features(found[found["table"] == name]) for name in names}
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    most = max(map(len, first.values()))
    figure = new_figure(rows * (0.21 * most + 0.6) + 0.5)
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax in grid[len(names) :]:
        ax.set_visible(False)
    for ax, name in zip(grid, names, strict=False):
        _places(ax, found[found["table"] == name], first[name])
        ax.set_title(name, fontsize=NORMAL, loc="left")
    shown = [one for one in _rankings(found) if one != RANDOM]
    handles = [
        Line2D([], [], color=COLORS[one], marker=MARKERS[one] or "x", ls="", ms=3.5)
        for one in shown
    ]
    legend(figure, handles, [NAMES.get(one, one) for one in shown], 5)
    set_title(figure, title)
    return figure


def _first_features(found: pd.DataFrame) -> list[str]:
    """Return the features with the first places by the first ranking."""
    own = found[found["ranking"] == _rankings(found)[0]].sort_values("place", kind="stable")
    return [str(feature) for feature in own["feature"].head(SHOWN_FEATURES)]


def _places(ax: Axes, found: pd.DataFrame, features: Sequence[str]) -> None:
    """Draw the mean places of some features by each ranking."""
    plain_axes(ax)
    shown = [one for one in _rankings(found) if one != RANDOM]
    for number, one in enumerate(shown):
        own = found[found["ranking"] == one].set_index("feature").loc[list(features)]
        y = np.arange(len(features)) + 0.14 * (number - (len(shown) - 1) / 2)
        spread = np.nan_to_num(own["spread"].to_numpy(float))
        ax.errorbar(own["place"].to_numpy(float), y, xerr=spread, fmt=MARKERS[one] or "x",
                    color=COLORS[one], ms=3, elinewidth=0.6)  # fmt: skip
    ax.set_yticks(range(len(features)), list(features))
    ax.set_ylim(len(features) - 0.5, -0.5)
    ax.set_xlim(left=0)
    ax.set_xlabel("place, 1 the most important", fontsize=SMALL)


def draw_agreement(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``agreement``: a matrix for each table."""
    title = "Agreement of the rankings"
    found = tables["agreement"]
    names = _tables(found)
    if not names:
        return nothing_to_show(title, "There is no table.")
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    figure = new_figure(rows * 2.9 + 0.3)
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax in grid[len(names) :]:
        ax.set_visible(False)
    for ax, name in zip(grid, names, strict=False):
        _matrix(ax, found[found["table"] == name])
        ax.set_title(name, fontsize=NORMAL, loc="left")
    set_title(figure, title)
    return figure


def _matrix(ax: Axes, found: pd.DataFrame) -> None:
    """Draw the rank correlations of each two rankings, and on the diagonal the stability."""
    shown = _rankings(found, "first")
    matrix = np.full((len(shown), len(shown)), np.nan)
    for first, second, value in zip(
        found["first"], found["second"], found["spearman"], strict=True
    ):
        i, j = shown.index(str(first)), shown.index(str(second))
        matrix[i, j] = matrix[j, i] = value
    colors = change_colormap()
    ax.imshow(matrix, cmap=colors, vmin=-1, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(matrix):
        if np.isfinite(value):
            ax.text(j, i, f"{value:.2f}".replace("-", "\N{MINUS SIGN}"), ha="center", va="center",
                    fontsize=SMALL, color=text_color(colors((value + 1) / 2)))  # fmt: skip
    bare_axes(ax)
    texts = [NAMES.get(one, one) for one in shown]
    ax.set_xticks(range(len(shown)), texts, fontsize=SMALL, rotation=30, ha="right")
    ax.set_yticks(range(len(shown)), texts, fontsize=SMALL)
