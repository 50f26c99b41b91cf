"""Layer aggregates as points and lines: the indices compared, their precision, their depth."""

import math
from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator

from variscope.figures.style import (
    BLUE,
    GUIDE,
    NORMAL,
    SMALL,
    VERMILLION,
    VariableStyle,
    labels,
    new_figure,
    plain_axes,
    set_title,
    study_name,
    titled,
    variable_styles,
)
from variscope.indices.reading import confidence_percent, estimate, layers, variables
from variscope.vocabulary import INDEX_NAMES

SMALLEST_WIDTH = 1e-3
INDEX_STYLES = {
    "S1": VariableStyle(BLUE, "<", ""),
    "shapley": VariableStyle("0.0", "o", ""),
    "ST": VariableStyle(VERMILLION, ">", ""),
}


def _panels(count: int, height: float, *, foot: float, label: str) -> tuple[Figure, list[Axes]]:
    """Return a figure with `count` panels, three in a row, the lowest of each column labelled."""
    columns = min(3, count)
    rows = -(-count // columns)
    figure = new_figure(rows * height + foot)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    axes = list(grid.flat)
    for k, ax in enumerate(axes[count:], start=count):
        ax.set_visible(False)
        axes[k - columns].tick_params(labelbottom=True)
    for ax in axes[max(0, count - columns) : count]:
        ax.set_xlabel(label, fontsize=SMALL)
    return figure, axes[:count]


def draw_comparison(
    ax: Axes,
    estimates: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    styles: Sequence[VariableStyle],
) -> list[ErrorbarContainer]:
    """Draw several indices of every variable as dots with intervals, one line a variable.

    Each of `estimates` is (value, low, high), arrays (variable,).
    """
    spread = np.linspace(-0.22, 0.22, len(estimates)) if len(estimates) > 1 else [0.0]
    drawn = []
    for (value, low, high), style, shift in zip(estimates, styles, spread, strict=True):
        drawn.append(
            ax.errorbar(
                value,
                np.arange(len(value)) + shift,
                xerr=np.maximum([value - low, high - value], 0),
                fmt=style.marker,
                color=style.color,
                markersize=3.2,
                elinewidth=0.9,
                capsize=0,
            )
        )
    return drawn


def comparison(tree: xr.DataTree) -> Figure:
    """Show S1, Shapley and ST of every variable with intervals, one small panel a layer.

    S1 is what the variable does alone, ST what it does alone and together with others; the Shapley
    effect lies between. Indices that the design does not give are left out.
    """
    found = layers(tree)
    first = next(iter(found.values()))
    names = variables(first)
    present = [name for name in INDEX_STYLES if f"{name}_layer" in first]
    height = 0.17 * len(names) + 0.35
    figure, axes = _panels(len(found), height, foot=0.75, label="share of the variance")
    for ax, (layer, data) in zip(axes, found.items(), strict=True):
        parts = [
            tuple(np.asarray(part, dtype=float) for part in estimate(data, f"{name}_layer"))
            for name in present
        ]
        draw_comparison(ax, parts, [INDEX_STYLES[name] for name in present])  # type: ignore[arg-type]
        plain_axes(ax)
        ax.axvline(0, color=GUIDE, linewidth=0.6)
        ax.grid(axis="y", color="0.9", linewidth=0.5)
        ax.set_axisbelow(True)
        ax.set_title(layer, fontsize=NORMAL, loc="left", pad=2)
    axes[0].set_yticks(range(len(names)), labels(names))
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    handles = [
        Line2D([], [], linestyle="", marker=s.marker, color=s.color, markersize=4)
        for s in (INDEX_STYLES[name] for name in present)
    ]
    _legend(figure, handles, [INDEX_NAMES[name] for name in present], columns=3)
    what = f"Indices with {confidence_percent(first)} intervals"
    set_title(figure, titled(what, study_name(first, layer=False)))
    return figure


def _legend(figure: Figure, handles: Sequence[Artist], names: Sequence[str], columns: int) -> None:
    """Put a legend below the panels."""
    figure.legend(
        handles,
        names,
        loc="outside lower center",
        ncols=columns,
        fontsize=SMALL,
        frameon=False,
        handlelength=2.2,
        columnspacing=1.2,
    )


def _variable_legend(figure: Figure, names: Sequence[str], extra: Sequence[Line2D] = ()) -> None:
    """Name the variables' colours, and what else is drawn."""
    styles = variable_styles(names)
    handles = [
        Line2D([], [], color=s.color, marker=s.marker, ls=s.linestyle, markersize=3.5, lw=1.2)
        for s in (styles[name] for name in names)
    ]
    texts = labels(names) + [str(line.get_label()) for line in extra]
    _legend(figure, [*handles, *extra], texts, columns=min(6, len(texts)))


def draw_half_widths(
    ax: Axes, replicates: np.ndarray, half_widths: np.ndarray, names: Sequence[str]
) -> list[Line2D]:
    """Draw half-widths (replicate count, variable) against the number of replicates, log-log.

    Widths of 0, of variables that change nothing, have no place on a logarithmic scale and are
    left out. The last line returned is the guide: the median width at the largest number, carried
    back by 1 / sqrt(R).
    """
    styles = variable_styles(names)
    drawn: list[Line2D] = []
    widths = np.where(half_widths > 0, half_widths, np.nan)
    for k, name in enumerate(names):
        style = styles[name]
        drawn += ax.plot(
            replicates,
            widths[:, k],
            color=style.color,
            linestyle=style.linestyle,
            marker=style.marker,
            markersize=2.5,
            linewidth=1,
        )
    last = widths[-1][np.isfinite(widths[-1])]
    level = float(np.median(last)) if last.size else np.nan
    guide = level * np.sqrt(replicates[-1] / replicates)
    drawn += ax.plot(replicates, guide, color="black", linestyle=(0, (1, 1)), linewidth=1.6)
    ax.set_xscale("log", base=2)
    if last.size:
        ax.set_yscale("log")
    return drawn


def convergence(tree: xr.DataTree, index: str = "shapley") -> Figure:
    """Show how the intervals of an index shrink with the number of replicates, layer by layer.

    The dotted guide falls as 1 / sqrt(R), the rate of averaging independent replicates. With few
    replicates intervals are wider than the guide, as Student's t with few degrees of freedom
    asks. Widths below 0.001 fall off the picture: they would press the others together. Raises
    ValueError where the study does not hold the index.
    """
    found = layers(tree)
    first = next(iter(found.values()))
    names = variables(first)
    figure, axes = _panels(len(found), 1.55, foot=1.0, label="number of replicates R")
    ticks: np.ndarray = np.asarray(first["replicates"])
    for ax, (layer, data) in zip(axes, found.items(), strict=True):
        _, low, high = estimate(data, f"{index}_layer_by_replicates")
        half = np.asarray((high - low).transpose("replicates", "variable"), dtype=float) / 2
        draw_half_widths(ax, np.asarray(data["replicates"], dtype=float), half, names)
        plain_axes(ax)
        ax.set_title(layer, fontsize=NORMAL, loc="left", pad=2)
    powers = [2**k for k in range(1, 20) if ticks[0] <= 2**k <= ticks[-1]]
    axes[0].set_xticks(powers, [str(power) for power in powers])
    bottom, top = axes[0].get_ylim()
    bottom, top = max(bottom, SMALLEST_WIDTH), max(top, 10 * SMALLEST_WIDTH)
    axes[0].set_ylim(bottom, top)
    axes[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if top < 100 * bottom else (1,)))
    axes[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes[0].minorticks_off()
    guide = Line2D(
        [], [], color="black", linestyle=(0, (1, 1)), linewidth=1.6, label="falls as 1/sqrt(R)"
    )
    _variable_legend(figure, names, [guide])
    figure.supylabel("half-width of the interval", fontsize=SMALL)
    what = f"{confidence_percent(first)} interval of the {INDEX_NAMES[index]}"
    set_title(figure, titled(what, study_name(first, layer=False)))
    return figure


def draw_depth(
    ax: Axes, value: np.ndarray, low: np.ndarray, high: np.ndarray, names: Sequence[str]
) -> list[Line2D]:
    """Draw shares (layer, variable) over depth as lines with interval bands."""
    place = np.arange(len(value), dtype=float)
    styles = variable_styles(names)
    drawn: list[Line2D] = []
    for k, name in enumerate(names):
        style = styles[name]
        if len(value) == 1:
            length = np.maximum([value[:, k] - low[:, k], high[:, k] - value[:, k]], 0)
            # One layer has no lines: its variables stand side by side.
            place_k = place + 0.6 * (k / max(len(names) - 1, 1) - 0.5)
            ax.errorbar(place_k, value[:, k], yerr=length, fmt="none", ecolor=style.color)
        else:
            ax.fill_between(place, low[:, k], high[:, k], color=style.color, alpha=0.18, lw=0)
            place_k = place
        drawn += ax.plot(
            place_k,
            value[:, k],
            color=style.color,
            linestyle=style.linestyle,
            marker=style.marker,
            markersize=4,
            linewidth=1.3,
        )
    return drawn


def depth(tree: xr.DataTree, index: str = "shapley") -> Figure:
    """Show each variable's share of the layers' variance from the input to the output.

    Bands are confidence intervals. Raises ValueError where the study does not hold the index.
    """
    found = layers(tree)
    first = next(iter(found.values()))
    names = variables(first)
    parts = [estimate(data, f"{index}_layer") for data in found.values()]
    value, low, high = (
        np.stack([np.asarray(part[k], dtype=float) for part in parts]) for k in range(3)
    )
    figure = new_figure(3.6)
    ax = figure.subplots()
    draw_depth(ax, value, low, high, names)
    plain_axes(ax)
    ax.axhline(0, color=GUIDE, linewidth=0.6)
    ax.set_xticks(range(len(found)), list(found))
    if len(found) > 8 or sum(map(len, found)) > 75:
        ax.tick_params(axis="x", rotation=35)
        for label in ax.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    ax.set_ylabel("share of the layer's variance", fontsize=NORMAL)
    ax.set_xlabel("layer, from the input to the output", fontsize=NORMAL)
    top = float(np.nanmax(high)) if np.isfinite(high).any() else 1.0
    ax.set_ylim(min(0.0, float(np.nanmin(low, initial=0.0))), max(0.1, math.ceil(20 * top) / 20))
    _variable_legend(figure, names)
    what = f"{INDEX_NAMES[index]} over depth with {confidence_percent(first)} bands"
    set_title(figure, titled(what, study_name(first, layer=False)))
    return figure
