"""Pairs of variables unit by unit: a triangle of maps, or of sorted neurons."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from variscope.figures.grids import (
    TITLE_SLANT,
    cell_size,
    draw_map,
    row_label,
    scale_ticks,
    share_bar,
    slanted_title,
    title_room,
    triangle_grid,
    width_of,
)
from variscope.figures.pair_triangles import SMALLEST_SCALE, no_pairs
from variscope.figures.style import (
    BLUE,
    GUIDE,
    SMALL,
    VERMILLION,
    WIDTH,
    VariableStyle,
    hatch_ground,
    labels,
    new_figure,
    set_title,
    study_name,
    titled,
)
from variscope.figures.unit_maps import draw_sorted, undefined_note
from variscope.indices.maps import as_maps
from variscope.indices.pairs import pair_map_over_channels, pair_places, separated_pairs
from variscope.indices.reading import (
    confidence_percent,
    estimate,
    is_map,
    unit_counts,
    unit_name,
    variables,
)
from variscope.indices.wording import count_text

GAP, LARGEST = 0.05, 1.3  # inches
STRIP = VariableStyle(BLUE, "", "-")


def pair_maps(dataset: xr.Dataset) -> Figure:
    """Show a layer's pair index S2 over its units, one cell a pair, as an upper triangle.

    Feature maps: in each cell the picture plane, S2 as the variance-weighted mean over all
    channels, on one scale from 0 to the largest of all (0.05 at least) by its square root. Other
    layers: in each cell the units sorted by their S2, with their intervals, on one axis. Pairs
    whose interval for the whole layer leaves out 0 are framed. Undefined pixels, and pairs which
    the design does not give, are hatched. A study of one variable has no pairs, and the picture
    says so. Raises ValueError where the layer holds no S2.
    """
    if len(variables(dataset)) < 2:
        return no_pairs()
    return _map_triangle(dataset) if is_map(dataset) else _strip_triangle(dataset)


def _map_triangle(layer: xr.Dataset) -> Figure:
    dataset = as_maps(layer)
    maps = np.asarray(pair_map_over_channels(dataset), dtype=float)
    top = max(float(np.nanmax(maps, initial=0.0)), SMALLEST_SCALE)
    norm = PowerNorm(0.5, 0.0, top, clip=True)
    counts = unit_counts(layer)
    missing = counts["constant"] + counts["not_finite"]
    note = f"all {count_text(counts['fine'], 'unit')} defined"
    if missing:
        note = (
            f"left out of the mean: {counts['constant']:,} constant and "
            f"{counts['not_finite']:,} not finite of {count_text(missing + counts['fine'], 'unit')}"
        )
    what = f"Pair index S2, mean over all {dataset.sizes['channel']} {unit_name(layer)}s"
    figure, axes = _triangle(dataset, maps.shape[1] / maps.shape[2], what, note, bottom=0.42)
    for pair, values in zip(pair_places(dataset), maps, strict=True):
        image = draw_map(axes[pair], values, norm=norm)
    label = "share of the variance of a pixel's units"
    share_bar(figure, image, bottom=0.2, label=label, ticks=scale_ticks(top))
    _frame(dataset, axes)
    return figure


def _strip_triangle(dataset: xr.Dataset) -> Figure:
    pairs = pair_places(dataset)
    value, low, high = (
        np.asarray(part.transpose("pair", ...), dtype=float).reshape(len(pairs), -1)
        for part in estimate(dataset, "S2")
    )
    bottom, top = strip_limits(value, low, high)
    what = f"Pair index S2 and {confidence_percent(dataset)} interval"
    figure, axes = _triangle(dataset, 0.9, what, undefined_note(dataset), bottom=0.3)
    last = max(j for _, j in pairs)
    for k, pair in enumerate(pairs):
        ax = axes[pair]
        if np.isfinite(value[k]).any():
            draw_sorted(ax, value[k], low[k], high[k], style=STRIP)
            ax.axhline(0, color=GUIDE, linewidth=0.5)
        else:
            hatch_ground(ax)
        ax.set_ylim(bottom, top)
        ax.set_xticks([])
        ax.yaxis.tick_right()
        # Only the last column has room for numbers, and the scale is one for all.
        ticks = _two_ticks(top)
        ax.set_yticks(ticks, [f"{tick:g}" if pair[1] == last else "" for tick in ticks])
        ax.tick_params(labelsize=SMALL, length=2 if pair[1] == last else 0, width=0.5, pad=1.5)
        for spine in ax.spines.values():
            spine.set_linewidth(0.4)
            spine.set_color("0.5")
    figure.text(
        0.2 / WIDTH,
        0.12 / figure.get_size_inches()[1],
        "in each cell: units sorted by their S2; scale on the right: share of the unit's variance",
        fontsize=SMALL,
        va="center",
    )
    _frame(dataset, axes)
    return figure


def strip_limits(value: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    """Return the axis of all strips: the estimates, and their intervals a quarter further at most.

    With few replicates the intervals of single units are many times wider than what there is to
    see, and units of next to no variance can have estimates far above 1, where no S2 can be. What
    goes on beyond the cell is cut off.
    """
    lowest = max(-0.5, float(np.nanmin(value, initial=0.0)))
    highest = min(1.0, max(SMALLEST_SCALE, float(np.nanmax(value, initial=0.0))))
    room = 0.25 * (highest - lowest)
    return (
        max(lowest - room, float(np.nanmin(low, initial=lowest))),
        min(highest + room, float(np.nanmax(high, initial=highest))),
    )


def _two_ticks(top: float) -> list[float]:
    """Return 0 and the largest round number within nine tenths of an axis."""
    steps = [float(f"{step}e{power}") for power in range(0, -7, -1) for step in (5, 2, 1)]
    return [0.0, next(step for step in steps if step <= 0.9 * top)]


def _triangle(
    dataset: xr.Dataset, aspect: float, what: str, note: str, *, bottom: float
) -> tuple[Figure, dict[tuple[int, int], Axes]]:
    """Return a figure with a titled cell for each pair (i, j), row i and column j."""
    names = labels(variables(dataset))
    rows = len(names) - 1
    top = 0.52 + title_room(names[1:])
    # A row's name stands left of its first cell; below the first row the triangle leaves room.
    left = _left(names, 0.4)
    right = _right(names[1:], 0.4)
    width, height = cell_size(rows, aspect, room=WIDTH - left - right, largest=LARGEST, gap=GAP)
    total = top + bottom + rows * (height + GAP) - GAP + 0.08
    figure = new_figure(total, constrained=False)
    axes = triangle_grid(figure, len(names), (width, height), left=left, top=top, gap=GAP)
    for row in range(rows):
        row_label(axes[row, row + 1], names[row])
    for column in range(1, len(names)):
        slanted_title(axes[0, column], names[column])
    level = confidence_percent(dataset)
    frames = f"no pair's {level} interval for the whole layer leaves out 0"
    if separated_pairs(dataset).any():
        frames = f"framed: pairs whose {level} interval for the whole layer leaves out 0"
    title = titled(what, study_name(dataset))
    set_title(figure, f"{title}\n{note}\n{frames}", height=0.06)
    return figure, axes


def _left(names: Sequence[str], cell: float) -> float:
    """Return the inches that the names of rows need left of a triangle of such cells."""
    return max(0.3, *(width_of(name) + 0.12 - row * cell for row, name in enumerate(names[:-1])))


def _right(titles: Sequence[str], cell: float) -> float:
    """Return the inches that slanted titles, or the numbers of an axis, need right of it."""
    reach = np.cos(np.radians(TITLE_SLANT))
    beyond = (
        reach * width_of(title) - (column + 0.65) * cell
        for column, title in enumerate(reversed(titles))
    )
    return max(0.42, *beyond, 0.0)


def _frame(dataset: xr.Dataset, axes: dict[tuple[int, int], Axes]) -> None:
    """Frame the pairs whose interval leaves out 0."""
    for pair, separated in zip(pair_places(dataset), separated_pairs(dataset), strict=True):
        if separated:
            for spine in axes[pair].spines.values():
                spine.set_color(VERMILLION)
                spine.set_linewidth(1.5)
                spine.set_zorder(5)
