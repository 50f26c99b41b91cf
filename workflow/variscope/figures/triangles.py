"""What pictures of pairs share."""

from matplotlib.figure import Figure

from variscope.figures.style import (
    SMALL,
    new_figure,
    set_title,
)

SMALLEST_SCALE = 0.05


def no_pairs(figsize: tuple[float, float] | None = None, title: str | None = None) -> Figure:
    """Return the picture of pairs of a study that has none, which says so."""
    figure = new_figure(0.9, figsize=figsize, constrained=False)
    set_title(figure, "Pair index S2" if title is None else title, height=0.06)
    figure.text(0.01, 0.35, "A study of one variable has no pairs.", fontsize=SMALL)
    return figure
