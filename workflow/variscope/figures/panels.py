"""Small panels of a study's layers side by side, and legends below them."""

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from variscope.figures.style import (
    SMALL,
    WIDTH,
    labels,
    new_figure,
    variable_styles,
)


def panels(
    count: int,
    height: float,
    *,
    foot: float,
    label: str,
    figsize: tuple[float, float] | None = None,
) -> tuple[Figure, list[Axes]]:
    """Return a figure with `count` panels, three in a row, the lowest of each column labelled.

    Without `figsize` it is as wide as a page, with rows of `height` inches over a `foot`.
    """
    columns = min(3, count)
    rows = -(-count // columns)
    figure = new_figure(rows * height + foot, figsize=figsize)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    axes = list(grid.flat)
    for k, ax in enumerate(axes[count:], start=count):
        ax.set_visible(False)
        axes[k - columns].tick_params(labelbottom=True)
    for ax in axes[max(0, count - columns) : count]:
        ax.set_xlabel(label, fontsize=SMALL)
    return figure, axes[:count]


def legend(
    of: Figure | Axes, handles: Sequence[Artist], names: Sequence[str], columns: int
) -> None:
    """Put a legend below a figure's panels, or where axes have room."""
    of.legend(
        handles,
        names,
        loc="outside lower center" if isinstance(of, Figure) else "best",
        ncols=columns,
        fontsize=SMALL,
        frameon=False,
        handlelength=2.2,
        columnspacing=1.2,
    )


def variable_legend(of: Figure | Axes, names: Sequence[str], extra: Sequence[Line2D] = ()) -> None:
    """Name the variables' colours, and what else is drawn."""
    styles = variable_styles(names)
    handles = [
        Line2D([], [], color=s.color, marker=s.marker, ls=s.linestyle, markersize=3.5, lw=1.2)
        for s in (styles[name] for name in names)
    ]
    texts = labels(names) + [str(line.get_label()) for line in extra]
    columns = _columns(texts) if isinstance(of, Figure) else min(3, len(texts))
    legend(of, [*handles, *extra], texts, columns=columns)


def _columns(texts: Sequence[str], most: int = 6) -> int:
    """Return how many columns of a legend fit the width of a page; texts fill it by columns."""
    for count in range(min(most, len(texts)), 1, -1):
        rows = -(-len(texts) // count)
        longest = [max(map(len, texts[k : k + rows])) for k in range(0, len(texts), rows)]
        if sum(0.45 + 0.055 * letters for letters in longest) <= WIDTH:
            return count
    return 1
