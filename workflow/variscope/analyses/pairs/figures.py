"""Pairs of variables: what they do together beyond what each does alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from variscope.analyses.source import Source
from variscope.figures.style import (
    LARGE,
    SMALL,
    UNDEFINED_FACE,
    UNDEFINED_HATCH,
    WIDTH,
    labels,
    new_figure,
    set_title,
    share_colormap,
    study_name,
    text_color,
    titled,
)
from variscope.figures.triangles import SMALLEST_SCALE, no_pairs
from variscope.indices.pairs import pair_places
from variscope.indices.reading import confidence_percent, estimate, layers, variables
from variscope.indices.wording import share_text
from variscope.vocabulary import INDEX_NAMES


def pair_matrix(dataset: xr.Dataset) -> np.ndarray:
    """Return the layer's S2 with bounds as (3, variable, variable): value, low, high.

    Filled above the diagonal; NaN elsewhere and for pairs that the design does not give.
    """
    count = len(variables(dataset))
    matrix = np.full((3, count, count), np.nan)
    rows, columns = np.array(pair_places(dataset), dtype=int).reshape(-1, 2).T
    for part, array in enumerate(estimate(dataset, "S2_layer")):
        matrix[part, rows, columns] = array
    return matrix


def draw_triangle(
    ax: Axes,
    matrix: np.ndarray,
    names: Sequence[str],
    *,
    norm: Normalize,
    intervals: bool,
) -> tuple[AxesImage, list[Text]]:
    """Draw an upper triangle (3, variable, variable) of pair indices with its numbers.

    With `intervals` each cell holds the bounds too; without, the estimate alone, and only where
    its interval leaves out 0. Pairs without an estimate are hatched.
    """
    value, low, high = matrix
    count = len(names)
    cmap = share_colormap()
    # A fixed aspect would take the layout two draws to settle.
    image = ax.imshow(
        np.ma.masked_invalid(value),
        norm=norm,
        cmap=cmap,
        interpolation="nearest",
        aspect="auto",
    )
    texts = []
    for i in range(count):
        for j in range(i + 1, count):
            number = value[i, j]
            if not np.isfinite(number):
                ax.add_patch(_hatched(i, j))
                continue
            color = text_color(cmap(norm(number)))
            style: dict[str, Any] = {
                "ha": "center",
                "va": "center",
                "color": color,
                "fontsize": SMALL,
            }
            if intervals:
                lines = (number, low[i, j], high[i, j])
                text = "{}\n[{},\n{}]".format(*(share_text(float(n), 2) for n in lines))
                texts.append(ax.text(j, i, text, linespacing=1.05, **style))
            elif low[i, j] > 0 or high[i, j] < 0:
                text = share_text(float(number), 2).replace("0.", ".")
                texts.append(ax.text(j, i, text, **style))
    ax.set_xlim(0.5, count - 0.5)
    ax.set_ylim(count - 1.5, -0.5)
    ax.set_xticks(range(1, count), names[1:], rotation=45, ha="left", rotation_mode="anchor")
    ax.xaxis.tick_top()
    ax.set_yticks(range(count - 1), names[:-1])
    ax.tick_params(labelsize=SMALL, length=0, pad=2)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return image, texts


def _hatched(row: int, column: int) -> Rectangle:
    """Return the mark of a pair without an estimate."""
    return Rectangle(
        (column - 0.5, row - 0.5),
        1,
        1,
        facecolor=UNDEFINED_FACE,
        edgecolor=UNDEFINED_HATCH,
        hatch="//////",
        linewidth=0,
    )


def pairs(
    results: xr.Dataset | xr.DataTree,
    *,
    figsize: tuple[float, float] | None = None,
    title: str | None = None,
) -> Figure:
    """Show the pair indices S2 of a layer, or of all layers of a study, as upper triangles.

    One layer: every cell with its interval. A study: one triangle a layer on a common scale, with
    the number only where the interval leaves out 0. The scale goes from 0 to the largest estimate,
    0.05 at least, by its square root: S2 is the smallest of the indices. A study of one variable
    has no pairs, and the picture says so. `draw_triangle` draws on axes of yours.

    Args:
        results: of a layer or of a study.
        figsize: width and height, inches; without it the width of a page, and what is needed.
        title: of the picture, in the place of what it is named after.

    Raises:
        ValueError: the results hold no S2.
    """
    found = layers(results) if isinstance(results, xr.DataTree) else {"": results}
    first = next(iter(found.values()))
    names = labels(variables(first))
    if len(names) < 2:
        return no_pairs(figsize, title)
    matrices = [pair_matrix(data) for data in found.values()]
    top = max((float(np.nanmax(m[0], initial=0.0)) for m in matrices), default=0.0)
    norm = PowerNorm(0.5, 0.0, max(top, SMALLEST_SCALE), clip=True)
    single = len(found) == 1
    columns = 1 if single else 2
    rows = -(-len(found) // columns)
    side = (WIDTH - 1.6) if single else 2.35
    side *= (len(names) - 1) / max(len(names) - 1, 4)
    figure = new_figure(rows * (side + 0.75) + 0.4, figsize=figsize)
    axes = figure.subplots(rows, columns, squeeze=False)
    drawn = []
    for k, ax in enumerate(axes.flat):
        if k >= len(found):
            ax.set_visible(False)
            continue
        layer = list(found)[k]
        drawn.append(draw_triangle(ax, matrices[k], names, norm=norm, intervals=single)[0])
        if layer:
            ax.text(0.2, 0.12, layer, transform=ax.transAxes, fontsize=LARGE)
    bar = figure.colorbar(drawn[0], ax=axes, fraction=0.03, pad=0.02, aspect=30, shrink=0.7)
    bar.ax.tick_params(labelsize=SMALL, length=2, width=0.5)
    bar.outline.set_visible(False)
    bar.set_label("share of the layer's variance", fontsize=SMALL)
    note = f"{confidence_percent(first)} intervals"
    if not single:
        note = f"numbers where the {confidence_percent(first)} interval leaves out 0"
    what = f"{INDEX_NAMES['S2'].capitalize().replace('s2', 'S2')}, {note}"
    if title is None:
        title = titled(what, study_name(first, layer=isinstance(results, xr.Dataset)))
    set_title(figure, title)
    return figure


def draw_pairs(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``pairs``."""
    return pairs(source.tree)
