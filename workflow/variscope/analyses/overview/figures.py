"""One panel for each variable set, all models in it, of their last layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from variscope.analyses.source import Source, Study
from variscope.figures.style import (
    BLUE,
    GREEN,
    GUIDE,
    INDIGO,
    NORMAL,
    ORANGE,
    SMALL,
    VERMILLION,
    labels,
    new_figure,
    plain_axes,
    set_title,
)
from variscope.indices.reading import estimate, layers, variables
from variscope.vocabulary import INDEX_NAMES

COLUMNS = 3
MODEL_STYLES = ((BLUE, "o"), (VERMILLION, "s"), (GREEN, "^"), (ORANGE, "D"), (INDIGO, "v"))


def draw_overview(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``overview``."""
    return overview(source.studies)


def overview(
    studies: Sequence[Study],
    *,
    figsize: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Show the last layer's shares of all studies of an experiment.

    Args:
        studies: all of them; those of one variable set and design share a panel.
        figsize: width and height, inches; without it the width of a page, and what is needed.
        title: of the picture, which has none otherwise.

    Returns:
        One panel for each variable set and design, three in a row; in it a row for each variable
        and a mark with its interval for each model, told apart by colour and form.
    """
    panels: dict[tuple[str, str], list[Study]] = {}
    for study in studies:
        panels.setdefault((study.variable_set, study.design), []).append(study)
    designs = {design for _, design in panels}
    models = list(dict.fromkeys(study.model for study in studies))
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    most = max(len(_names(group[0])) for group in panels.values())
    foot = 0.25 if len(models) > 1 else 0.0
    line = 0.145 + 0.05 * (len(models) - 1)  # inches for each variable
    figure = new_figure(rows * (line * most + 0.62) + foot, figsize=figsize)
    if title is not None:
        set_title(figure, title)
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in list(axes.flat)[len(panels) :]:
        ax.set_visible(False)
    for ax, ((name, design), group) in zip(axes.flat, panels.items(), strict=False):
        draw_models(ax, group, models)
        layer = list(layers(group[0].tree))[-1]
        heading = f"{name} set, {design}" if len(designs) > 1 else f"{name} set"
        same = len({list(layers(study.tree))[-1] for study in group}) == 1
        heading = f"{heading}, layer {layer}" if same else heading
        ax.set_title(heading, fontsize=NORMAL, loc="left")
        ax.set_xlabel(f"{INDEX_NAMES[group[0].index]}", fontsize=SMALL)
    if len(models) > 1:
        handles = [
            Line2D([], [], linestyle="", marker=marker, color=color, markersize=4)
            for color, marker in map(_style, range(len(models)))
        ]
        figure.legend(
            handles, models, loc="outside lower center", ncols=6, fontsize=SMALL, frameon=False
        )
    return figure


def draw_models(ax: Axes, group: Sequence[Study], models: Sequence[str]) -> None:
    """Draw the shares of the last layer of some models with one variable set."""
    names = _names(group[0])
    place = np.arange(len(names))
    spread = np.linspace(-0.25, 0.25, len(group)) if len(group) > 1 else [0.0]
    for study, shift in zip(group, spread, strict=True):
        data = list(layers(study.tree).values())[-1]
        value, low, high = (
            np.asarray(part, dtype=float) for part in estimate(data, f"{study.index}_layer")
        )
        color, marker = _style(models.index(study.model))
        ax.errorbar(
            value,
            place + shift,
            xerr=np.maximum([value - low, high - value], 0),
            fmt=marker,
            color=color,
            markersize=3.2,
            elinewidth=0.9,
        )
    plain_axes(ax)
    ax.axvline(0, color=GUIDE, linewidth=0.6)
    ax.grid(axis="y", color="0.92", linewidth=0.5)
    ax.set_axisbelow(True)
    ax.set_yticks(place, labels(names))
    ax.set_ylim(len(names) - 0.5, -0.5)


def _names(study: Study) -> list[str]:
    return variables(next(iter(layers(study.tree).values())))


def _style(number: int) -> tuple[str, str]:
    return MODEL_STYLES[number % len(MODEL_STYLES)]
