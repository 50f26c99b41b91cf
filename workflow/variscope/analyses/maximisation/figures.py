"""Pictures of maximised units beside the natural images that excite them most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import SymmetricalLogLocator
from numpy.typing import NDArray

from variscope.analyses.kept_maps import TRAINED, UNTRAINED, read_maps
from variscope.analyses.maximisation.compute import CLASSES
from variscope.analyses.maximisation.stored import Maximised, about, maximised, unit_name
from variscope.analyses.source import Source
from variscope.figures.panels import legend
from variscope.figures.style import (
    BLUE,
    GUIDE,
    LARGE,
    NORMAL,
    ORANGE,
    SMALL,
    VERMILLION,
    WIDTH,
    bare_axes,
    hatch_ground,
    new_figure,
    nothing_to_show,
    plain_axes,
    quantity_colormap,
    set_title,
)

Picture = NDArray[np.generic]

# Inches of a unit's name at the left, between images and between groups of them.
NAME, GAP, BETWEEN = 0.95, 0.04, 0.14
WIDEST = 1.7  # inches that a name takes at most
LARGEST, SMALLER, MANY = 0.64, 0.5, 6  # inches of an image's side; of more lines than so many
ROOM = 12  # letters of a name

# Times beyond natural images up to which the scale is linear.
_LINEAR = 8


class Line(NamedTuple):
    """A unit's line: its name, what stands below it, and images in groups."""

    name: str
    below: str
    groups: Sequence[Sequence[Picture | None]]


def draw_classes(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``classes``."""
    title = f"Classes: {_model(source)}"
    found = [one for one in maximised(source.shards, TRAINED) if one.data.attrs["scores"]]
    if not found:
        return nothing_to_show(title, "The network gives no class scores, or none was chosen.")
    lines = _lines(source, found[0], tables["reached"], crops=False)
    return draw_lines([("", lines)], ["made, from different noise", "natural images"], title)


def draw_channels(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``channels``."""
    title = f"Units of layers: {_model(source)}"
    found = [one for one in maximised(source.shards, TRAINED) if not one.data.attrs["scores"]]
    if not found:
        return nothing_to_show(title, "No layer's units were chosen.")
    crops = any("crop" in one.data for one in found)
    parts = [
        (f"{one.layer}, {one.data.attrs['kind']}",
         _lines(source, one, tables["reached"], crops=crops))
        for one in found
    ]  # fmt: skip
    heads = ["made, from different noise", "natural images", "what strongest places read"]
    return draw_lines(parts, heads[: 2 + crops], title)


def draw_reached(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``reached``."""
    title = f"How far beyond natural images: {_model(source)}"
    table, summary = tables["reached"], tables["summary"]
    if not table["times"].notna().any():
        return nothing_to_show(title, "No unit varies over natural images.")
    table = table.assign(of=np.where(table["kind"] == "class", CLASSES, table["layer"]))
    reach = table["natural_greatest"] - table["natural_median"]
    table = table.assign(shuffled=(table["shuffled"] - table["natural_median"]) / reach)
    groups = list(dict.fromkeys(table["of"]))
    figure = new_figure(0.42 * len(groups) + 0.95)
    ax = figure.subplots()
    ax.axvline(1, color=GUIDE, linewidth=0.8)
    ax.axvline(0, color=GUIDE, linewidth=0.5, linestyle=":")
    drawn = (
        (TRAINED, "times", VERMILLION, "o", -0.25),
        (UNTRAINED, "times", BLUE, "s", 0.0),
        (TRAINED, "shuffled", ORANGE, "^", 0.25),
    )
    for network, measure, color, marker, shift in drawn:
        for place, of in enumerate(groups):
            inside = (table["network"] == network) & (table["of"] == of)
            values = table[inside][measure].dropna().to_numpy(float)
            ax.plot(values, np.full(len(values), place + shift), marker, color=color,
                    markersize=3, alpha=0.55, markeredgewidth=0)  # fmt: skip
            row = summary[(summary["network"] == network) & (summary["of"] == of)
                          & (summary["measure"] == measure)]  # fmt: skip
            if len(row):
                value, low, high = (float(row[key].iloc[0]) for key in ("value", "low", "high"))
                ax.plot([low, high], [place + shift + 0.1] * 2, color=color, linewidth=1.4)
                ax.plot([value], [place + shift + 0.1], "|", color=color, markersize=6,
                        markeredgewidth=1.4)  # fmt: skip
    if ax.get_xlim()[1] > _LINEAR:
        ax.set_xscale("symlog", linthresh=1, linscale=0.6)
        ax.xaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=1, subs=[1, 2, 5]))
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.set_yticks(range(len(groups)), groups)
    ax.set_ylim(len(groups) - 0.5, -0.5)
    plain_axes(ax)
    ax.grid(axis="y", color="0.92", linewidth=0.5)
    ax.set_axisbelow(True)
    ax.set_xlabel("times as far from the median natural image as the strongest one", fontsize=SMALL)
    names = ("network", "untrained twin", "network, pixels in random order")
    shown = [at for at, (network, *_) in enumerate(drawn) if (table["network"] == network).any()]
    handles = [
        Line2D([], [], linestyle="", marker=drawn[at][3], color=drawn[at][2], markersize=4)
        for at in shown
    ]
    legend(figure, handles, [names[at] for at in shown], 3)
    set_title(figure, title)
    return figure


def draw_images(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``images``."""
    title = f"Images changed to excite a class more: {_model(source)}"
    found = {
        network: maps
        for network in (TRAINED, UNTRAINED)
        if (maps := read_maps(source.shards, "maximisation", network)) is not None
    }
    if TRAINED not in found:
        return nothing_to_show(title, "No image was looked at.")
    ids = found[TRAINED]["ids"].values[:10]
    count = len(ids)
    rows = 1 + 2 * len(found)
    side = min(LARGEST, (WIDTH - NAME - 0.1) / count - GAP)
    height = rows * (side + GAP) + 0.5
    figure = new_figure(height, constrained=False)
    set_title(figure, title, height=0.06)
    originals = source.images.load(ids)
    names = about(source.shards)["names"]
    labels = ["image"]
    series: list[list[tuple[Picture, float | None]]] = [[(_shown(one), None) for one in originals]]
    for network, maps in found.items():
        of = "" if network == TRAINED else " (untrained)"
        labels += [f"changed{of}", f"change{of}"]
        series.append([(_shown(one), None) for one in maps["became"].values[:count]])
        values = maps["map"].values[:count]
        known = values[np.isfinite(values)]
        top = float(np.quantile(known, 0.995)) if known.size else 1.0
        series.append([(one, max(top, 1e-12)) for one in values])
    for row, (label, line) in enumerate(zip(labels, series, strict=True)):
        bottom = 1 - (0.46 + (row + 1) * (side + GAP)) / height
        figure.text(0.01, bottom + side / height / 2, _wrapped(label), fontsize=SMALL, va="center")
        for column, (image, top_value) in enumerate(line):
            left = (NAME + column * (side + GAP)) / WIDTH
            ax = figure.add_axes((left, bottom, side / WIDTH, side / height))
            if top_value is None:
                ax.imshow(image, interpolation="nearest")
            else:
                hatch_ground(ax)
                ax.imshow(np.ma.masked_invalid(image), cmap=quantity_colormap(), vmin=0,
                          vmax=top_value, interpolation="nearest")  # fmt: skip
            bare_axes(ax)
            if row == 0:
                target = int(found[TRAINED]["target"].values[column])
                name = unit_name({"names": names}, True, target)
                ax.set_title(_short(name, 10), fontsize=SMALL, pad=2)
    return figure


def _lines(source: Source, one: Maximised, reached: pd.DataFrame, *, crops: bool) -> list[Line]:
    """Return a line for each unit of a layer."""
    data, known = one.data, about(source.shards)
    scores = bool(data.attrs["scores"])
    table = reached[(reached["network"] == TRAINED) & (reached["layer"] == one.layer)]
    times = dict(zip(table["unit"], table["times"], strict=True))
    lines = []
    for at, unit in enumerate(data["unit"].values):
        made = [_shown(image) for image in data["image"].values[at]]
        groups: list[list[Picture | None]] = [list(made), _natural(source, data, at)]
        if crops:
            groups.append(_crops(source, data, at))
        ratio = times.get(int(unit), np.nan)
        below = f"{_few(ratio)} times" if np.isfinite(ratio) else "never varies"
        lines.append(Line(unit_name(known, scores, int(unit)), below, groups))
    return lines


def _natural(source: Source, data: Any, at: int) -> list[Picture | None]:
    places = data["best"].values[at]
    return [
        _shown(source.images.load(data["natural_id"].values[[place]])[0]) if place >= 0 else None
        for place in places
    ]


def _crops(source: Source, data: Any, at: int) -> list[Picture | None]:
    if "crop" not in data:
        return [None] * len(data["best"].values[at])
    found: list[Picture | None] = []
    for place, box in zip(data["crop"].values[at], data["box"].values[at], strict=True):
        if place < 0:
            found.append(None)
            continue
        top, left, bottom, right = map(int, box)
        image = _shown(source.images.load(data["natural_id"].values[[place]])[0])
        found.append(image[top:bottom, left:right])
    return found


def draw_lines(
    parts: Sequence[tuple[str, Sequence[Line]]], heads: Sequence[str], title: str
) -> Figure:
    """Draw lines of images in groups, with heads above the groups and a heading above each part.

    Args:
        parts: heading, empty for none, and lines.
        heads: one for each group.
        title: of the picture.
    """
    counts = [
        max(len(line.groups[group]) for _, lines in parts for line in lines)
        for group in range(len(heads))
    ]
    width = WIDTH - NAME - 0.06 - BETWEEN * (len(heads) - 1) - GAP * sum(counts)
    rows = sum(len(lines) for _, lines in parts)
    side = min(LARGEST if rows <= MANY else SMALLER, width / sum(counts))
    name = min(WIDEST, NAME + width - side * sum(counts))  # what images leave is the names'
    headings = [0.19 if heading else 0.0 for heading, _ in parts]
    height = 0.52 + sum(headings) + rows * (side + GAP) + 0.04
    figure = new_figure(height, constrained=False)
    figure.text(0.01, 1 - 0.06 / height, title, fontsize=LARGE, va="top")
    starts = [
        name + sum(counts[:group]) * (side + GAP) + group * BETWEEN for group in range(len(heads))
    ]
    for head, left in zip(heads, starts, strict=True):
        figure.text(left / WIDTH, 1 - 0.46 / height, head, fontsize=SMALL, va="bottom")
    top = 0.5
    for (heading, lines), extra in zip(parts, headings, strict=True):
        if heading:
            figure.text(0.01, 1 - (top + extra - 0.05) / height, heading, fontsize=SMALL,
                        weight="bold", va="bottom")  # fmt: skip
        top += extra
        for line in lines:
            middle = 1 - (top + side / 2) / height
            figure.text(
                0.01,
                middle,
                _short(line.name, int(ROOM * name / NAME)),
                fontsize=NORMAL,
                va="bottom",
            )
            figure.text(0.01, middle, line.below, fontsize=SMALL, va="top", color="0.35")
            for group, left in zip(line.groups, starts, strict=True):
                for column, image in enumerate(group):
                    x = (left + column * (side + GAP)) / WIDTH
                    y = 1 - (top + side) / height
                    if image is not None:
                        _draw(figure.add_axes((x, y, side / WIDTH, side / height)), image)
            top += side + GAP
    return figure


def _draw(ax: Axes, image: Picture) -> None:
    ax.imshow(image, interpolation="nearest")
    bare_axes(ax)


def _shown(image: Picture) -> Picture:
    """Return an image ``(C, H, W)`` as it is drawn, ``(H, W, 3)`` from 0 to 1."""
    values = np.asarray(image)
    scaled = values.astype(np.float32) / (255 if values.dtype == np.uint8 else 1)
    return np.clip(np.broadcast_to(scaled, (3, *scaled.shape[1:])), 0, 1).transpose(1, 2, 0)


def _short(name: str, letters: int) -> str:
    """Cut a name that would run into the images."""
    text = name.replace("_", " ")
    return (
        text if len(text) <= letters else f"{text[: letters - 1].rstrip()}\N{HORIZONTAL ELLIPSIS}"
    )


def _few(value: float) -> str:
    """Write a number with two or three digits."""
    text = f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"
    return text.replace("-", "\N{MINUS SIGN}")


def _wrapped(label: str) -> str:
    return label.replace(" (", "\n(")


def _model(source: Source) -> str:
    return source.studies[0].model
