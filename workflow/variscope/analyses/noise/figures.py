"""Pictures of noise and drift."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from variscope.analyses.source import Source
from variscope.figures.style import (
    BLUE,
    GUIDE,
    NORMAL,
    SMALL,
    new_figure,
    nothing_to_show,
    plain_axes,
    set_title,
)
from variscope.indices.reading import layers

TITLE = "Noise and drift of measured responses"


def draw_noise(source: Source, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw the picture ``noise``: a row for each region."""
    found = {name: data for name, data in layers(source.tree).items() if "noise" in data.attrs}
    if not found:
        return nothing_to_show(TITLE, "nothing was measured")
    figure = new_figure(1.7 * len(found) + 0.5)
    grid = figure.subplots(len(found), 2, squeeze=False)
    for (shares, course), (name, data) in zip(grid, found.items(), strict=True):
        draw_shares(shares, data["noise_share"].values)
        draw_course(course, data["drift"].values)
        shares.set_title(name, fontsize=NORMAL, loc="left")
    grid[-1, 0].set_xlabel("noise, share of the measured variance", fontsize=SMALL)
    grid[-1, 1].set_xlabel("tenth of the session", fontsize=SMALL)
    set_title(figure, TITLE)
    return figure


def draw_shares(ax: Axes, shares: np.ndarray) -> None:
    """Draw how many units have which share of noise."""
    known = shares[np.isfinite(shares)]
    plain_axes(ax)
    ax.set_ylabel("units", fontsize=SMALL)
    ax.set_xlim(0, max(1.0, float(known.max(initial=1.0))))
    if not len(known):
        ax.text(0.5, 0.5, "not known", transform=ax.transAxes, ha="center", fontsize=SMALL)
        return
    ax.hist(known, bins=np.linspace(*ax.get_xlim(), 21).tolist(), color=BLUE)


def draw_course(ax: Axes, drift: np.ndarray) -> None:
    """Draw the course of the median unit, and of the middle 80 % of units ``(tenth, unit)``."""
    plain_axes(ax)
    ax.axhline(0, color=GUIDE, lw=0.6)
    ax.set_ylabel("standard deviations", fontsize=SMALL)
    known = drift[:, np.isfinite(drift).any(axis=0)]
    tenths = np.arange(1, len(drift) + 1)
    ax.set_xticks(tenths)
    if known.shape[1]:
        low, middle, high = np.nanquantile(known, [0.1, 0.5, 0.9], axis=1)
        ax.fill_between(tenths, low, high, color=BLUE, alpha=0.25, lw=0)
        ax.plot(tenths, middle, color=BLUE, lw=1.4, marker="o", ms=3)
