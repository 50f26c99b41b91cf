"""Units sorted by a share: what pictures of layers without maps have in common."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes

from variscope.figures.style import (
    SMALL,
    VariableStyle,
)
from variscope.indices.reading import (
    is_map,
    unit_counts,
)
from variscope.indices.wording import count_text

MOST_BARS = 24
MOST_POINTS = 500  # of a line: more make the file large, and nothing to see


def shown_ranks(count: int, most: int = MOST_POINTS) -> np.ndarray:
    """Return the ranks of so many sorted units that a line is drawn through, both ends among them.

    All of them up to `most`, evenly spaced ones beyond.
    """
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


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


def draw_sorted(
    ax: Axes,
    value: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *,
    style: VariableStyle,
    names: Sequence[str] | None = None,
) -> tuple[list[Artist], np.ndarray]:
    """Draw the shares (unit,) of one variable, the largest first, with their intervals.

    Few units are bars with error bars, named by their number or by `names`; many are a line with a
    band, and of more than can be told apart only evenly spaced ranks are drawn. Undefined units
    are left out.
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
        ax.set_xticks(place, [names[unit] if names else str(unit) for unit in units])
    elif len(units):
        artists.append(
            ax.fill_between(place, low[units], high[units], color=style.color, alpha=0.25, lw=0)
        )
        artists.extend(ax.plot(place, value[units], color=style.color, linewidth=1.1))
        ax.set_xlim(0, max(int(place[-1]), 1))
    else:
        ax.text(0.5, 0.5, "undefined", ha="center", transform=ax.transAxes, fontsize=SMALL)
    return artists, units
