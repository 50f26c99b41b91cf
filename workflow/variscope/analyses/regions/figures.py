"""Images with the regions that carry their answers, and how fills, offsets and networks agree."""

from __future__ import annotations

import textwrap
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from variscope.analyses.kept_maps import TRAINED, UNTRAINED
from variscope.analyses.regions.compute import Found, read
from variscope.analyses.source import Source
from variscope.figures.grids import (
    Cell,
    Grid,
    clip_to_cell,
    draw_map,
    frame_cell,
    grid_size,
    hatch_pixels,
    plane,
    row_label,
    scale_ticks,
    share_bar,
)
from variscope.figures.panels import legend
from variscope.figures.style import (
    BLUE,
    GUIDE,
    SMALL,
    VERMILLION,
    new_figure,
    nothing_to_show,
    plain_axes,
    set_title,
)
from variscope.indices.wording import estimate_text, variable_label

Array = NDArray[np.float64]

MOST_IMAGES = 6
_BELOW = 0.16  # inches below a map, for what its framed regions hold
_FOOT = 0.62  # inches of the color scale
_TALLEST = 7.4  # inches
_TINY = 6.0  # points
_FILLS = {"mean": "mean color", "blurred": "blurred", "black": "black"}
_OFFSETS = {"none": "grid as it is", "both": "shifted down and right", "right": "shifted right",
            "down": "shifted down"}  # fmt: skip


class Row(NamedTuple):
    """Maps of all images in one row of the picture.

    Attributes:
        label: of the row.
        maps: share of each region, ``(image, row, column)``.
        unseen: whether its interval holds 0, of the same shape; None where it is not known.
        leading: regions that hold half of the variance, of the same shape; None alike.
        held: what these hold, a text for each image.
    """

    label: str
    maps: Array
    unseen: NDArray[np.bool_] | None = None
    leading: NDArray[np.bool_] | None = None
    held: Sequence[str] = ()


def draw_cells(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``cells``: a column for each image, and under it its maps."""
    found, title = read(source), f"Regions that carry the answer: {source.studies[0].model}"
    if found is None:
        return nothing_to_show(title, "There is no image to look at.")
    shown = min(MOST_IMAGES, found.looked.sizes["image"])
    rows = _rows(found, shown, tables["images"])
    targets = found.looked["target_name"].values[:shown]
    names = [textwrap.fill(variable_label(str(name)), 15) for name in targets]
    above = 0.42 + 0.12 * max(name.count("\n") + 1 for name in names)
    pixels = source.images.load(found.looked["ids"].values[:shown])
    aspect = pixels.shape[2] / pixels.shape[3]
    # Few images would make maps large, and the picture taller than it is wide.
    highest = (_TALLEST - above - _FOOT) / (len(rows) + 1) - _BELOW
    cell, size = grid_size(
        len(rows) + 1,
        shown,
        aspect,
        margins=(0.95, 0.1, above, _FOOT),
        largest=min(1.35, highest * max(1.0, 1 / aspect)),
        gap=_BELOW,
    )
    figure = new_figure(size[1], figsize=size, constrained=False)
    grid = Grid(plane(figure), cell, 0.95, above, _BELOW)
    set_title(figure, title)
    largest = max(float(np.nanmax(row.maps, initial=0.0)) for row in rows)
    norm = PowerNorm(0.5, 0.0, largest or 1.0, clip=True)
    for image in range(shown):
        _photograph(grid.ax, grid[0, image], pixels[image], names[image])
        if rows[0].leading is not None:
            _outline(grid.ax, grid[0, image], rows[0].leading[image])
    row_label(grid.ax, grid[0, 0], "image")
    drawn = None
    for number, row in enumerate(rows, start=1):
        row_label(grid.ax, grid[number, 0], row.label)
        for image in range(shown):
            drawn = draw_map(grid.ax, grid[number, image], row.maps[image], norm=norm)
            _marked(grid.ax, grid[number, image], row, image)
    assert drawn is not None
    share_bar(
        figure,
        drawn,
        bottom=0.3,
        label="Shapley effect of a region, share of the score's variance",
        ticks=scale_ticks(largest or 1.0),
    )
    return figure


def _rows(found: Found, shown: int, images: pd.DataFrame) -> list[Row]:
    """Return the maps under each fill, their mean over offsets, and those of the twin."""
    plain = found.offsets[0]
    first = found.fills[plain][0]
    rows = [
        _row(found, TRAINED, fill, plain, shown, images, _label(found, fill))
        for fill in found.fills[plain]
    ]
    if len(found.offsets) > 1:
        quarters = [
            found.cells(offset).spread(_shares(found, TRAINED, first, offset)[0])
            for offset in found.offsets
        ]
        # Four quarters are a cell: on the scale of the rows above.
        maps = 4 * np.moveaxis(np.mean(quarters, axis=0), 2, 0)[:shown]
        rows.append(Row(f"mean of\n{len(quarters)} offsets", maps))
    if UNTRAINED in found.networks:
        rows.append(_row(found, UNTRAINED, first, plain, shown, images, "untrained\ntwin"))
    return rows


def _label(found: Found, fill: str) -> str:
    return "regions" if len(found.fills["none"]) == 1 else f"fill:\n{_FILLS[fill]}"


def _shares(found: Found, network: str, fill: str, offset: str) -> tuple[Array, Array]:
    """Return values and lower bounds of Shapley effects, ``(cell, image)``."""
    value, low, _ = found.shared[network, offset].shapley
    number = found.fills[offset].index(fill)
    return value[..., number], low[..., number]


def _row(
    found: Found,
    network: str,
    fill: str,
    offset: str,
    shown: int,
    images: pd.DataFrame,
    label: str,
) -> Row:
    shape, shared = found.cells(offset).shape, found.shared[network, offset]
    value, low = (
        part.T.reshape(-1, *shape)[:shown] for part in _shares(found, network, fill, offset)
    )
    leading = np.zeros((shown, shape[0] * shape[1]), dtype=bool)
    for image in range(shown):
        leading[image, shared.chosen(image, found.fills[offset].index(fill))] = True
    of = images[
        (images["network"] == network) & (images["fill"] == fill) & (images["offset"] == offset)
    ]
    held = [
        estimate_text(*of.loc[of["image"] == number, ["held", "held_low", "held_high"]].iloc[0])
        for number in found.looked["ids"].values[:shown]
    ]
    return Row(label, value, low <= 0, leading.reshape(shown, *shape), held)


def _marked(ax: Axes, cell: Cell, row: Row, image: int) -> None:
    """Hatch what cannot be told from 0, frame what leads, and say what that holds."""
    if row.unseen is None or row.leading is None or not np.isfinite(row.maps[image]).all():
        return
    hatch_pixels(ax, cell, row.unseen[image])
    _outline(ax, cell, row.leading[image])
    ax.text(
        cell.left + cell.width / 2,
        cell.bottom - 0.03,
        row.held[image],
        ha="center",
        va="top",
        fontsize=_TINY,
    )


def _photograph(ax: Axes, cell: Cell, pixels: NDArray[Any], name: str) -> None:
    """Draw an image ``(C, H, W)`` into a cell, its answer above it."""
    values = pixels / 255.0 if pixels.dtype == np.uint8 else np.asarray(pixels, dtype=float)
    if len(values) != 3:
        values = np.repeat(values.mean(axis=0, keepdims=True), 3, axis=0)
    picture = AxesImage(
        ax,
        interpolation="nearest",
        origin="upper",
        extent=(cell.left, cell.left + cell.width, cell.bottom, cell.bottom + cell.height),
    )
    picture.set_data(np.clip(np.moveaxis(values, 0, 2), 0, 1))
    ax.add_image(picture)
    clip_to_cell(picture, ax, cell)
    frame_cell(ax, cell)
    ax.text(
        cell.left + cell.width / 2,
        cell.bottom + cell.height + 0.03,
        name,
        ha="center",
        va="bottom",
        fontsize=SMALL,
        linespacing=1.05,
    )


def _outline(ax: Axes, cell: Cell, chosen: NDArray[np.bool_]) -> None:
    """Draw a line around regions, where they meet others or end."""
    rows, columns = chosen.shape
    inside = np.pad(chosen, 1)
    lines = []
    for row, column in zip(*np.nonzero(inside[1:, :] != inside[:-1, :]), strict=True):
        lines.append([(column - 1, row), (column, row)])
    for row, column in zip(*np.nonzero(inside[:, 1:] != inside[:, :-1]), strict=True):
        lines.append([(column, row - 1), (column, row)])
    scale = np.array([cell.width / columns, -cell.height / rows])
    corner = np.array([cell.left, cell.bottom + cell.height])
    segments = [np.array(line) * scale + corner for line in lines]
    ax.add_collection(
        LineCollection(segments, colors=VERMILLION, linewidths=1.2, capstyle="round", zorder=4),
        autolim=False,
    )


def draw_fills(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``fills``: a line for each pair of fills, offsets or networks."""
    title = f"How alike regions rank: {source.studies[0].model}"
    found = tables["fills"]
    if found.empty:
        return nothing_to_show(
            title, "One fill, one grid and no untrained twin: there is nothing to compare."
        )
    place = np.arange(len(found))
    figure = new_figure(0.24 * len(found) + 0.95)
    ax = figure.subplots()
    ax.axvline(0, color=GUIDE, linewidth=0.6)
    value, low, high = (found[name].to_numpy(float) for name in ("correlation", "low", "high"))
    reach = np.maximum(np.nan_to_num([value - low, high - value]), 0)
    ax.hlines(place, 0, found["reliability"].to_numpy(float), color="0.85", linewidth=4, zorder=0)
    ax.errorbar(value, place, xerr=reach, fmt="o", color=VERMILLION, markersize=4, elinewidth=1)
    ax.plot(found["others"].to_numpy(float), place, "s", color=BLUE, markerfacecolor="none",
            markersize=4)  # fmt: skip
    ax.set_yticks(place, [_pair(row) for row in found.to_dict("records")], fontsize=SMALL)
    ax.set_ylim(len(found) - 0.5, -0.5)
    bounds = np.concatenate([[0.0], low[np.isfinite(low)], value[np.isfinite(value)]])
    ax.set_xlim(min(-0.1, float(bounds.min()) - 0.05), 1.02)
    ax.set_xlabel("rank correlation of the regions' Shapley effects", fontsize=SMALL)
    plain_axes(ax)
    handles = [
        Line2D([], [], linestyle="", marker="o", color=VERMILLION, markersize=4),
        Line2D([], [], linestyle="", marker="s", color=BLUE, markerfacecolor="none", markersize=4),
        Line2D([], [], color="0.85", linewidth=4),
    ]
    legend(figure, handles, ["same image", "other images", "reliability of the estimates"], 3)
    set_title(figure, title)
    return figure


def _pair(row: Mapping[Hashable, Any]) -> str:
    """Name a pair that is compared."""
    if row["compared"] == "fills":
        return f"fills: {_FILLS[row['first']]}, {_FILLS[row['second']]}"
    if row["compared"] == "offsets":
        return f"{_OFFSETS[row['first']]}, {_OFFSETS[row['second']]}"
    return f"trained, untrained (fill: {_FILLS[row['fill']]})"
