"""A layer's indices unit by unit: maps of channels, or strips of sorted neurons."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from variscope.figures.grids import (
    cell_size,
    column_titles,
    draw_map,
    map_grid,
    row_label,
    share_bar,
    share_scale,
    title_room,
)
from variscope.figures.style import (
    GUIDE,
    SMALL,
    WIDTH,
    VariableStyle,
    labels,
    new_figure,
    plain_axes,
    set_title,
    share_colormap,
    study_name,
    text_color,
    titled,
    variable_styles,
)
from variscope.indices.maps import (
    as_maps,
    channel_variance_share,
    leading_channels,
    map_over_channels,
)
from variscope.indices.reading import (
    Estimate,
    confidence_percent,
    estimate,
    is_map,
    unit_counts,
    unit_name,
    variables,
)
from variscope.indices.wording import count_text, share_text, variable_label
from variscope.vocabulary import INDEX_NAMES

MOST_BARS = 24
MOST_POINTS = 1500  # of a line: more make the file large, and nothing to see
MOST_OTHER_TOKENS = 8
TOKEN_CELL = 0.16  # inches


def shown_ranks(count: int) -> np.ndarray:
    """Return the ranks of so many sorted units that a line is drawn through, both ends among them.

    All of them up to `MOST_POINTS`, evenly spaced ones beyond.
    """
    return np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(int))


def maps(
    dataset: xr.Dataset, index: str = "shapley", *, channels: int | Sequence[int] = 6
) -> Figure:
    """Show a layer's index unit by unit, for every variable, on one scale from 0 to 1.

    Maps: the variance-weighted mean over all channels, then some channels, as rows; the variables
    as columns. Of tokens the patches are maps, features stand for channels, and the aggregates of
    class and register tokens follow as cells of their own. `channels` is how many (those that carry
    most of the layer's variance) or which. Undefined pixels are gray and hatched. Other layers: for
    each variable the units sorted by their share, with their intervals.

    Raises ValueError where the layer does not hold the index.
    """
    if is_map(dataset):
        return _unit_maps(dataset, index, channels)
    return _sorted_units(dataset, index)


def undefined_note(dataset: xr.Dataset) -> str:
    """Say how many units of a layer have no index, and how they are drawn."""
    counts = unit_counts(dataset)
    missing = counts["constant"] + counts["not_finite"]
    total = missing + counts["fine"]
    where = "hatched" if is_map(dataset) else "left out"
    if missing == 0:
        return f"all {count_text(total, 'unit')} defined"
    return (
        f"{where}: {counts['constant']:,} constant and {counts['not_finite']:,} not finite "
        f"of {count_text(total, 'unit')}"
    )


def _unit_maps(layer: xr.Dataset, index: str, channels: int | Sequence[int]) -> Figure:
    dataset, noun = as_maps(layer), unit_name(layer)
    others = other_tokens(layer)
    value = estimate(dataset, index).value.transpose("variable", "channel", "y", "x")
    names = variables(dataset)
    chosen = (
        leading_channels(dataset, channels) if isinstance(channels, int) else [*map(int, channels)]
    )
    share = channel_variance_share(dataset)
    aspect = value.sizes["y"] / value.sizes["x"]
    left, right, bottom, gap = 0.78, 0.3, 0.42, 0.05
    top = 0.36 + title_room(labels(names))
    width, height = cell_size(len(names), aspect, room=WIDTH - left - right, largest=0.9)
    right = WIDTH - left - len(names) * (width + gap) + gap
    rows = 1 + len(chosen)
    cells = [
        np.asarray(estimate(layer, f"{index}_token").value.transpose("token", ...)[token], float)
        for token in others
    ]
    bottom += len(cells) * (TOKEN_CELL + gap)
    figure = new_figure(
        top + bottom + rows * (height + gap) - gap + 0.08, width=WIDTH, constrained=False
    )
    axes = map_grid(
        figure, rows, len(names), left=left, right=right, top=top, bottom=bottom, gap=gap
    )
    mean = np.asarray(map_over_channels(dataset, index))
    image = None
    for column in range(len(names)):
        image = draw_map(axes[0, column], mean[column])
        for row, channel in enumerate(chosen, start=1):
            draw_map(axes[row, column], np.asarray(value[column, channel]))
    row_label(axes[0, 0], f"all {value.sizes['channel']}\n{noun}s")
    for row, channel in enumerate(chosen, start=1):
        row_label(axes[row, 0], f"{noun} {channel}\n({100 * float(share[channel]):.1f} %)")
    column_titles(list(axes[0]), labels(names))
    assert image is not None
    total = figure.get_size_inches()[1]
    for row, (token, shares) in enumerate(zip(others, cells, strict=True)):
        foot = bottom - gap - TOKEN_CELL - row * (TOKEN_CELL + gap)
        for column, number in enumerate(shares):
            place = (left + column * (width + gap), foot, width, TOKEN_CELL)
            inches = (WIDTH, total, WIDTH, total)
            ax = figure.add_axes(tuple(p / s for p, s in zip(place, inches, strict=True)))
            draw_token(ax, number)
            if column == 0:
                row_label(ax, others[token])
    share_bar(figure, image, bottom=0.2, label="share of the unit's variance")
    title = titled(INDEX_NAMES[index], study_name(layer))
    set_title(figure, f"{title}\n{undefined_note(layer)}", height=0.06)
    return figure


def other_tokens(layer: xr.Dataset) -> dict[int, str]:
    """Name the tokens that are no patches by their numbers: {0: "class token"}."""
    if "token_kind" not in layer.coords:
        return {}
    kinds = [str(kind) for kind in layer["token_kind"].values]
    found = [(k, kind) for k, kind in enumerate(kinds) if kind not in ("patch", "token")]
    return {
        k: f"{kind} token" if kinds.count(kind) == 1 else f"{kind} {k - kinds.index(kind)}"
        for k, kind in found[:MOST_OTHER_TOKENS]
    }


def draw_token(ax: Axes, share: float) -> Text:
    """Draw the aggregate of a token that is no patch: a cell in the colour of its share."""
    image = draw_map(ax, np.array([[share]]))
    image.set_extent((0, 1, 0, 1))
    ax.set_aspect("auto")
    defined = np.isfinite(share)
    color = text_color(share_colormap()(share_scale()(share))) if defined else "black"
    return ax.text(
        0.5, 0.45, share_text(share, 2), ha="center", va="center", fontsize=SMALL, color=color
    )


def draw_sorted(
    ax: Axes, value: np.ndarray, low: np.ndarray, high: np.ndarray, *, style: VariableStyle
) -> tuple[list[Artist], np.ndarray]:
    """Draw the shares (unit,) of one variable, the largest first, with their intervals.

    Few units are bars with error bars, named by their number; many are a line with a band, and of
    more than can be told apart only evenly spaced ranks are drawn. Undefined units are left out.
    Returns the artists and the unit numbers from left to right.
    """
    defined = np.flatnonzero(np.isfinite(value))
    units = defined[np.argsort(-value[defined], kind="stable")]
    place = shown_ranks(len(units))
    units = units[place]
    artists: list[Artist] = []
    if len(units) and len(value) <= MOST_BARS:
        # Lengths are measured from the estimate; a bound on its wrong side has length 0.
        lengths = [value[units] - low[units], high[units] - value[units]]
        artists.extend(ax.bar(place, value[units], width=0.75, color=style.color, alpha=0.85))
        bars = ax.errorbar(
            place,
            value[units],
            yerr=np.maximum(lengths, 0),
            fmt="none",
            ecolor="black",
            elinewidth=0.7,
        )
        artists.extend(bars.lines[2])
        ax.set_xticks(place, [str(unit) for unit in units])
    elif len(units):
        artists.append(
            ax.fill_between(place, low[units], high[units], color=style.color, alpha=0.25, lw=0)
        )
        artists.extend(ax.plot(place, value[units], color=style.color, linewidth=1.1))
        ax.set_xlim(0, max(int(place[-1]), 1))
    else:
        ax.text(0.5, 0.5, "undefined", ha="center", transform=ax.transAxes, fontsize=SMALL)
    return artists, units


def _sorted_units(dataset: xr.Dataset, index: str) -> Figure:
    found: Estimate = estimate(dataset, index)
    names = variables(dataset)
    styles = variable_styles(names)
    value, low, high = (
        np.asarray(part.transpose("variable", ...), dtype=float).reshape(len(names), -1)
        for part in found
    )
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = new_figure(1.2 * rows + 0.5)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    bars = value.shape[1] <= MOST_BARS
    for k, ax in enumerate(axes.flat):
        if k >= len(names):
            ax.set_visible(False)
            continue
        draw_sorted(ax, value[k], low[k], high[k], style=styles[names[k]])
        plain_axes(ax)
        ax.set_title(variable_label(names[k]), fontsize=SMALL, loc="left", pad=2)
        ax.axhline(0, color=GUIDE, linewidth=0.5)
        ax.set_ylim(min(0.0, float(np.nanmin(low, initial=0.0))), 1.0)
        if bars and value.shape[1] > 12:
            ax.tick_params(axis="x", rotation=90)
    order = "unit number, sorted by share" if bars else "rank of the unit"
    figure.supxlabel(order, fontsize=SMALL)
    figure.supylabel("share of the unit's variance", fontsize=SMALL)
    what = f"{INDEX_NAMES[index]} and {confidence_percent(dataset)} interval"
    title = titled(what, study_name(dataset))
    set_title(figure, f"{title}\n{undefined_note(dataset)}")
    return figure
