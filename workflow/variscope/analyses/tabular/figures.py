"""What predictions depend on, table by table, and how the networks were trained."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from variscope.analyses.source import Source
from variscope.analyses.tabular.stored import ALONE, JOINED
from variscope.figures.panels import legend
from variscope.figures.style import (
    BLUE,
    GUIDE,
    NORMAL,
    ORANGE,
    SMALL,
    VERMILLION,
    new_figure,
    nothing_to_show,
    plain_axes,
    set_title,
)

TITLE = "What predictions depend on"
# Index, label, colour, marker and place within a player's row.
DRAWN = (
    ("shapley", "Shapley effect", VERMILLION, "o", 0.0),
    ("S1", "S1", BLUE, "<", -0.25),
    ("ST", "ST", ORANGE, ">", 0.25),
)
MOST_ROWS = 16  # of players on a picture of all tables
ROW_HEIGHT = 0.25
NAME_WIDTH, TITLE_WIDTH = 24, 27  # letters in a line


def draw_indices(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``indices``."""
    names = list(tables["tables"]["table"])
    if not names:
        return nothing_to_show(TITLE, "The configuration has no tables.")
    most = max(4, MOST_ROWS // len(names))
    shown = {name: _Shown(name, tables, most) for name in names}
    heights = [ROW_HEIGHT * one.rows + 0.62 for one in shown.values()]
    figure = new_figure(sum(heights) + 0.55)
    grid = figure.subplots(len(names), 3, squeeze=False, height_ratios=heights,
                           width_ratios=(1.25, 0.9, 0.9))  # fmt: skip
    for axes, one in zip(grid, shown.values(), strict=True):
        _players(axes[0], one)
        _trainings(axes[1], one)
        _alone(axes[2], one)
    markers = [
        Line2D([], [], linestyle="", marker=marker, color=color, markersize=4)
        for _, _, color, marker, _ in DRAWN
    ]
    texts = [*(label for _, label, *_ in DRAWN), "shuffled copy of a feature"]
    legend(figure, [*markers, Patch(color="0.85")], texts, 4)
    set_title(figure, TITLE)
    return figure


class _Shown:
    """Of a table the output whose prediction varies most, its players in order, and their rows."""

    def __init__(self, name: str, tables: Mapping[str, pd.DataFrame], most: int) -> None:
        def of(table: str) -> pd.DataFrame:
            found = tables[table]
            return found[found["table"] == name]

        variances = of("variances")
        joined = variances[variances["points"] == JOINED]
        place = joined["variance"].fillna(-1).to_numpy(float).argmax()
        self.name, self.output = name, str(joined["output"].iloc[place])
        self.target = str(of("tables")["target"].iloc[0])
        self.task = str(of("tables")["task"].iloc[0])
        indices = of("indices")
        self.indices = indices[indices["output"] == self.output]
        trainings = of("trainings")
        self.trainings = trainings[
            (trainings["output"] == self.output) & (trainings["index"] == "shapley")
        ]
        outside = of("outside")
        outside = outside[outside["distance"] == "mahalanobis"]
        self.outside = dict(zip(outside["players"], outside["share"].astype(float), strict=True))
        effects = self.of(JOINED, "shapley")
        order = np.argsort(-effects["value"].fillna(-1).to_numpy(float), kind="stable")
        self.every = len(order)
        self.names = [str(player) for player in effects["player"].iloc[order[:most]]]
        self.rows = max(len(self.names), min(most, 5))

    def of(self, players: str, index: str) -> pd.DataFrame:
        """Return the rows of one index of a design."""
        found = self.indices
        return found[(found["players"] == players) & (found["index"] == index)]

    @property
    def what(self) -> str:
        """What is predicted."""
        return f"probability of {self.output}" if self.task == "classification" else self.output


def _players(ax: Axes, shown: _Shown) -> None:
    """Draw S1, ST and Shapley effects of the players."""
    for index, _, color, marker, shift in DRAWN:
        found = shown.of(JOINED, index).set_index("player").loc[shown.names]
        _estimates(ax, found, np.arange(len(found)) + shift, color, marker)
    _rows(ax, shown, shown.names, "share of variance", shown.every - len(shown.names))
    title = f"{shown.name}\n{_wrapped(shown.what, TITLE_WIDTH)}"
    ax.set_title(title, fontsize=NORMAL, loc="left", pad=4)


def _trainings(ax: Axes, shown: _Shown) -> None:
    """Draw Shapley effects over trainings, and the band of the shuffled copy."""
    found = shown.trainings
    copy = found[found["control"] == "yes"].iloc[0]
    if np.isfinite([copy["low"], copy["high"]]).all():
        ax.axvspan(copy["low"], copy["high"], color="0.85", linewidth=0, zorder=0)
    players = found[found["control"] == "no"].set_index("player").loc[shown.names]
    _estimates(ax, players, np.arange(len(players)), VERMILLION, "o")
    _rows(ax, shown, [], "Shapley effect")
    ax.set_title(f"{int(copy['n'])} other trainings", fontsize=SMALL, loc="left", pad=4)


def _alone(ax: Axes, shown: _Shown) -> None:
    """Draw Shapley effects of the features that matter most, each drawn alone."""
    design = ALONE if ALONE in shown.outside else JOINED
    found = shown.of(design, "shapley").sort_values("value", ascending=False, kind="stable")
    held = found.iloc[: shown.rows]
    _estimates(ax, held, np.arange(len(held)), VERMILLION, "o")
    _rows(ax, shown, list(held["player"]), "Shapley effect", len(found) - len(held))
    far = {name: f"{100 * share:.0f} % far off" for name, share in shown.outside.items()}
    text = f"each alone: {far[design]}"
    if design == ALONE:
        text += f"\n(joined: {far[JOINED]})"
    ax.set_title(text, fontsize=SMALL, loc="left", pad=4)


def _estimates(ax: Axes, found: pd.DataFrame, place: np.ndarray, color: str, marker: str) -> None:
    """Draw values with their intervals, one a row."""
    value, low, high = (found[name].to_numpy(float) for name in ("value", "low", "high"))
    ax.errorbar(
        value,
        place,
        xerr=np.maximum([value - low, high - value], 0),
        fmt=marker,
        color=color,
        markersize=3.2,
        elinewidth=0.9,
    )


def _rows(ax: Axes, shown: _Shown, names: Sequence[str], label: str, more: int = 0) -> None:
    """Lay out a panel: a row for each name, from above, and how many are not shown."""
    plain_axes(ax)
    ax.axvline(0, color=GUIDE, linewidth=0.6)
    ax.grid(axis="y", color="0.9", linewidth=0.5)
    ax.set_axisbelow(True)
    ax.set_ylim(shown.rows - 0.5, -0.6)
    ax.set_yticks(range(len(names)), [_wrapped(name) for name in names], linespacing=1.15)
    if not names:
        ax.set_yticks(range(len(shown.names)), [""] * len(shown.names))
    ax.set_xlim(right=max(ax.get_xlim()[1], 0.1))
    text = f"{label} ({more} more below)" if more else label
    ax.set_xlabel(text, fontsize=SMALL, loc="right" if more else "center")


def _wrapped(text: str, width: int = NAME_WIDTH) -> str:
    """Break a text into at most two lines."""
    lines = textwrap.wrap(text, width)
    rest = textwrap.shorten(" ".join(lines[1:]), width, placeholder=" ...")
    return "\n".join([*lines[:1], *([rest] if rest else [])])


def draw_training(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``training``."""
    found = tables["training"]
    names = list(dict.fromkeys(found["table"]))
    if not names:
        return nothing_to_show("Training curves", "The configuration has no tables.")
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    figure = new_figure(1.5 * lines + 0.75)
    grid = figure.subplots(lines, columns, squeeze=False)
    for ax in grid.flat[len(names) :]:
        ax.set_visible(False)
    for ax, name in zip(grid.flat, names, strict=False):
        one = found[found["table"] == name]
        epoch = one["epoch"].to_numpy(float)
        for column, color in (("train", BLUE), ("validation", VERMILLION)):
            ax.plot(epoch, one[column].to_numpy(float), color=color, linewidth=1.1)
        ax.axvline(epoch[one["validation"].to_numpy(float).argmin()], color=GUIDE, linewidth=0.6)
        plain_axes(ax)
        ax.set_ylim(bottom=0)
        ax.set_title(name, fontsize=NORMAL, loc="left", pad=2)
        ax.set_xlabel("epoch", fontsize=SMALL)
        ax.set_ylabel("loss", fontsize=SMALL)
    handles = [Line2D([], [], color=color) for color in (BLUE, VERMILLION)]
    legend(figure, handles, ["rows that are learned from", "rows that say when to stop"], 2)
    set_title(figure, "Training curves")
    return figure
