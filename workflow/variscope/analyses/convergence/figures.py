"""How intervals shrink with the number of replicates."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator

from variscope.analyses.source import Source
from variscope.figures.panels import panels, variable_legend
from variscope.figures.style import (
    NORMAL,
    SMALL,
    plain_axes,
    set_title,
    study_name,
    titled,
    variable_styles,
)
from variscope.indices.reading import confidence_percent, estimate, layers, variables
from variscope.vocabulary import INDEX_NAMES

SMALLEST_WIDTH = 1e-3


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


def convergence(
    tree: xr.DataTree,
    index: str = "shapley",
    *,
    figsize: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Show how the intervals of an index shrink with the number of replicates, layer by layer.

    The dotted guide falls as 1 / sqrt(R), the rate of averaging independent replicates. With few
    replicates intervals are wider than the guide, as Student's t with few degrees of freedom
    asks. Widths below 0.001 fall off the picture: they would press the others together.

    Args:
        tree: of the study.
        index: ``"S1"``, ``"ST"`` or ``"shapley"``.
        figsize: width and height, inches; without it the width of a page, and what is needed.
        title: of the picture, in the place of what it is named after.

    Raises:
        ValueError: the study does not hold the index.
    """
    found = layers(tree)
    first = next(iter(found.values()))
    names = variables(first)
    label = "number of replicates R"
    figure, axes = panels(len(found), 1.55, foot=1.0, label=label, figsize=figsize)
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
    variable_legend(figure, names, [guide])
    figure.supylabel("half-width of the interval", fontsize=SMALL)
    what = f"{confidence_percent(first)} interval of the {INDEX_NAMES[index]}"
    set_title(figure, titled(what, study_name(first, layer=False)) if title is None else title)
    return figure


def draw_convergence(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``convergence``."""
    return convergence(source.tree, source.index)
