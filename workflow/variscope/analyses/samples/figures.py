"""Sample images under each augmentation, alone and together."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from variscope.analyses.source import Source
from variscope.figures.style import LARGE, SMALL, WIDTH, bare_axes, new_figure

MOST_COLUMNS, MOST_NARROW = 7, 4
LINE_HEIGHT = 0.125  # inches, of type of 7 points
CHARACTER_WIDTH = 0.062  # inches, of type of 7 points on average


def draw_sample(ax: Axes, image: np.ndarray) -> AxesImage:
    """Draw an image (H, W, 3) of floats in [0, 1]."""
    drawn = ax.imshow(np.clip(np.asarray(image, dtype=float), 0, 1), interpolation="nearest")
    bare_axes(ax)
    return drawn


def samples(
    rows: Sequence[Mapping[str, Any]],
    *,
    columns: int | None = None,
    figsize: tuple[float, float] | None = None,
    title: str = "Sample images",
) -> Figure:
    """Show images with the parameters that were drawn for them.

    Args:
        rows: one mapping per group: `title`, and `panels`, a sequence of mappings with `image`
            (H, W, 3) of floats in [0, 1], `title` and `caption`, text that is wrapped below the
            image.
        columns: images in a line; a longer group continues in the next. Without it, at most seven,
            so that the lines of the longest group are about equally long.
        figsize: width and height, inches; without it the width of a page, and what is needed.
        title: the picture's title.

    Raises:
        ValueError: there is no image at all, or no room for images beside their text.
    """
    longest = max((len(row["panels"]) for row in rows), default=0)
    if columns is None:
        columns = max(MOST_NARROW, -(-longest // max(1, -(-longest // MOST_COLUMNS))))
    lines: list[tuple[str, list[Mapping[str, Any]]]] = []
    for row in rows:
        panels = list(row["panels"])
        for start in range(0, len(panels), columns):
            heading = str(row.get("title", "")) if start == 0 else ""
            lines.append((heading, panels[start : start + columns]))
    if not lines:
        raise ValueError("no images to show: every row of samples is empty")
    gap, left = 0.12, 0.08
    page = figsize[0] if figsize else WIDTH
    width = (page - 2 * left - gap * (columns - 1)) / columns
    letters = max(8, int(width / CHARACTER_WIDTH))

    plan = []
    height, of_images = 0.36, 0.0
    for heading, panels in lines:
        titles = [_wrap(panel.get("title", ""), letters) for panel in panels]
        captions = [_wrap(panel.get("caption", ""), letters) for panel in panels]
        ratio = max(np.shape(p["image"])[0] / np.shape(p["image"])[1] for p in panels)
        above = LINE_HEIGHT * max(text.count("\n") + 1 for text in titles) + 0.05
        below = LINE_HEIGHT * max(text.count("\n") + 1 for text in captions) + 0.1
        head = 0.24 if heading else 0.0
        plan.append((head, above, width * ratio, below, titles, captions))
        height += head + above + width * ratio + below
        of_images += width * ratio
    shrunk = 1.0
    if figsize:
        shrunk = min(1.0, (figsize[1] - height + of_images) / of_images)
        if shrunk <= 0:
            raise ValueError(f"a figure {figsize[1]:g} inches high has no room beside the text")
        height = figsize[1]
    figure = new_figure(height, figsize=figsize, constrained=False)
    figure.text(0.01, 1 - 0.06 / height, title, fontsize=LARGE, va="top")
    top = 0.36
    for (heading, panels), (head, above, tall, below, titles, captions) in zip(
        lines, plan, strict=True
    ):
        tall *= shrunk
        if heading:
            figure.text(
                left / page,
                1 - (top + 0.04) / height,
                heading,
                fontsize=SMALL + 1,
                weight="bold",
                va="top",
            )
        for k, panel in enumerate(panels):
            x = (left + k * (width + gap)) / page
            y = 1 - (top + head + above + tall) / height
            ax = figure.add_axes((x, y, width / page, tall / height))
            draw_sample(ax, panel["image"])
            ax.set_anchor("NW" if shrunk < 1 else "N")
            ax.set_title(titles[k], fontsize=SMALL, loc="left", pad=2, linespacing=1.05)
            ax.annotate(
                captions[k],
                (0, 0),
                xytext=(0, -3),
                xycoords="axes fraction",
                textcoords="offset points",
                fontsize=SMALL,
                va="top",
                linespacing=1.1,
                color="0.25",
            )
        top += head + above + tall + below
    return figure


def _wrap(text: object, letters: int) -> str:
    """Break text into lines that fit below an image; line breaks of its own are kept.

    Underscores of names become blanks, where a line can break.
    """
    parts = str(text).replace("_", " ").split("\n")
    return "\n".join("\n".join(textwrap.wrap(part, letters)) or "" for part in parts)


def draw_samples(name: str, source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``samples`` of a variable set."""
    from variscope.space.samples import sample_rows

    space = source.space(name)
    rows = sample_rows(space, source.images, source.seed)
    columns = min(6, -(-(len(space.augmentations) + 2) // 2))
    return samples(rows, columns=columns, title=f"Sample images, {name} set")
