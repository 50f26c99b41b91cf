"""What all pictures share: size, type sizes, colours, and how they are written to disk.

Each built-in variable has a colour of its own: some of the palette of Okabe and Ito (2008), and
others that stay apart from them in full vision and in simulated deuteranopia and protanopia
(Machado, Oliveira and Fernandes 2009), as far as sixteen colours can. Markers and lines repeat
what colours say. Shares are drawn in cividis (Nunez, Anderton and Renslow 2018). No rcParams
are written but for those of files, inside a context.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from variscope.figures.fonts import light_fonts
from variscope.indices.wording import variable_label
from variscope.stores.atomic import new_file

LineStyle = Literal["-", "--", "-.", ":", ""]
WIDTH = 7.0  # inches: the text width of a paper's page
SMALL, NORMAL, LARGE = 7.0, 8.0, 9.0  # points
DPI = 150
GUIDE = "0.45"
UNDEFINED_FACE, UNDEFINED_HATCH = "0.92", "0.65"


class VariableStyle(NamedTuple):
    """How a variable is drawn: colour, marker, line style."""

    color: str
    marker: str
    linestyle: LineStyle


VERMILLION, SKY, BLUE, GREEN, ORANGE = "#D55E00", "#56B4E9", "#0072B2", "#009E73", "#E69F00"
MAROON, INDIGO, TEAL, MAGENTA = "#661100", "#332288", "#004D40", "#C71585"
BROWN, PINK, ORCHID = "#7A4B2A", "#FB9A99", "#E377C2"

_FIXED = {
    "erasing": VariableStyle(VERMILLION, "o", "-"),
    "sharpness": VariableStyle(SKY, "s", "-"),
    "rolling": VariableStyle(BLUE, "D", "-"),
    "grayscale": VariableStyle(GREEN, "^", "-"),
    "gaussian_blur": VariableStyle(ORANGE, "v", "-"),
    "brightness": VariableStyle(MAROON, "P", "--"),
    "contrast": VariableStyle(PINK, "X", "--"),
    "saturation": VariableStyle(TEAL, "<", "--"),
    "hue": VariableStyle(MAGENTA, ">", "--"),
    "hflip": VariableStyle(ORCHID, "h", "--"),
    "rotation": VariableStyle(INDIGO, "p", "--"),
    "elliptic_local_blur": VariableStyle(BROWN, "d", "--"),
    "order": VariableStyle("0.55", "x", "-."),
    "class": VariableStyle("0.00", "*", "-."),
    "image": VariableStyle("0.35", "+", "-."),
    "part": VariableStyle("0.72", "1", ":"),
}
# Of a user's own variables, before colours that the set leaves free.
_SPARE_COLORS = ("#5E3C99", "#33A02C", "#8DB600", "#2F4F4F", "#BC80BD", "#B8860B")
_SPARE_MARKERS = ("8", "H", ".", "2", "3", "4", "|")


def variable_styles(variables: Sequence[str]) -> dict[str, VariableStyle]:
    """Return how each variable is drawn: fixed for the known, in turn for a user's own.

    Colours are distinct in sets of up to eighteen variables; beyond, markers tell them apart.
    """
    used = {_FIXED[name].color for name in variables if name in _FIXED}
    free = [s.color for s in _FIXED.values() if s.color not in used and s.color.startswith("#")]
    colors = [*_SPARE_COLORS, *free]
    styles = {}
    spare = 0
    for name in variables:
        if name in _FIXED:
            styles[name] = _FIXED[name]
        elif name not in styles:
            marker = _SPARE_MARKERS[spare % len(_SPARE_MARKERS)]
            styles[name] = VariableStyle(colors[spare % len(colors)], marker, ":")
            spare += 1
    return styles


def share_colormap() -> Colormap:
    """Return the colour map of shares; undefined values let the hatched ground through."""
    return matplotlib.colormaps["cividis"].with_extremes(bad=(0, 0, 0, 0))


def quantity_colormap() -> Colormap:
    """Return the colour map of means, variances and their ratios."""
    return matplotlib.colormaps["viridis"].with_extremes(bad=(0, 0, 0, 0))


def change_colormap() -> Colormap:
    """Return the colour map of changes and correlations, which have a middle at 0."""
    return matplotlib.colormaps["PuOr_r"].with_extremes(bad=(0, 0, 0, 0))


def hatch_ground(ax: Axes) -> None:
    """Hatch what lies behind an image, so that undefined pixels are seen as such."""
    ax.patch.set_facecolor(UNDEFINED_FACE)
    ax.patch.set_edgecolor(UNDEFINED_HATCH)
    ax.patch.set_hatch("//////")
    ax.patch.set_linewidth(0)


def text_color(rgba: Sequence[float]) -> str:
    """Return black or white, whichever reads better on a colour (WCAG relative luminance)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgba[:3]]
    luminance = float(np.dot(linear, (0.2126, 0.7152, 0.0722)))
    return "black" if luminance > 0.179 else "white"


def new_figure(
    height: float, *, figsize: tuple[float, float] | None = None, constrained: bool = True
) -> Figure:
    """Return an empty figure, laid out by constraints or by hand.

    Its size in inches is `figsize`, or the width of a page and a height.
    """
    layout: Literal["constrained"] | None = "constrained" if constrained else None
    return Figure(figsize=figsize or (WIDTH, height), layout=layout, facecolor="white")


def nothing_to_show(title: str, why: str) -> Figure:
    """Return a picture that says why there is nothing to see."""
    figure = new_figure(0.9, constrained=False)
    set_title(figure, title, height=0.06)
    figure.text(0.01, 0.35, why, fontsize=SMALL)
    return figure


def axes_or_new(
    ax: Axes | None, height: float, figsize: tuple[float, float] | None
) -> tuple[Axes, Figure | Axes]:
    """Return axes to draw on, and what takes the title and the legend.

    That is the figure which is made for new axes, and the axes themselves where they are given.
    """
    if ax is not None:
        return ax, ax
    figure = new_figure(height, figsize=figsize)
    return figure.subplots(), figure


def set_title(of: Figure | Axes, text: str, *, height: float | None = None) -> None:
    """Write the title at the top left; `height` in inches places that of a figure by hand."""
    if isinstance(of, Axes):
        of.set_title(text, fontsize=NORMAL, loc="left")
    elif height is None:
        of.suptitle(text, fontsize=LARGE, x=0.01, ha="left")
    else:
        top = of.get_size_inches()[1]
        of.suptitle(text, fontsize=LARGE, x=0.01, ha="left", y=1 - height / top, va="top")


def study_name(data: xr.Dataset, *, layer: bool = True) -> str:
    """Name where a picture's numbers come from: "convnet, spatial set, layer conv1"."""
    parts = [str(data.attrs["model"])] if data.attrs.get("model") else []
    if data.attrs.get("variable_set"):
        parts.append(f"{data.attrs['variable_set']} set")
    if layer and data.attrs.get("layer"):
        parts.append(f"layer {data.attrs['layer']}")
    return ", ".join(parts)


def titled(what: str, where: str) -> str:
    """Join what a picture shows and where its numbers come from."""
    return f"{what}: {where}" if where else what


def plain_axes(ax: Axes) -> None:
    """Set small type and take away the upper and right frame."""
    ax.tick_params(labelsize=SMALL, length=2.5, width=0.6)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_linewidth(0.6)


def bare_axes(ax: Axes) -> None:
    """Take away ticks and thin the frame, as images need."""
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_linewidth(0.4)
        spine.set_color("0.5")


def labels(variables: Sequence[str]) -> list[str]:
    """Write the names of variables for a reader."""
    return [variable_label(name) for name in variables]


def save(figure: Figure, path_without_suffix: str | Path) -> tuple[Path, Path, Path]:
    """Write a figure as .svg, .png (150 dpi) and .pdf, and return the three paths.

    Text stays text: it is found, copied, and edited where fonts are at hand (PDF brings its own).
    The same figure gives the same bytes: SVG identifiers are salted with a constant and no date is
    written. Each file is written beside its place and renamed, so it
    is whole or absent. Missing folders are made.
    """
    base = Path(path_without_suffix)
    written = []
    layout = figure.get_layout_engine()
    if layout is not None:  # once for all three, each of which would do it anew
        if figure.axes:
            with _dots_per_inch(figure):
                layout.execute(figure)
        figure.set_layout_engine("none")
    with matplotlib.rc_context(
        {
            "svg.hashsalt": "variscope",
            "svg.fonttype": "none",
            "pdf.fonttype": 42,
            "image.composite_image": False,  # joining images takes long
        }
    ):
        for kind, write in _WRITERS.items():
            path = base.parent / f"{base.name}.{kind}"
            with new_file(path) as partial, _dots_per_inch(figure):
                write(figure, partial)
            written.append(path)
    if layout is not None:
        figure.set_layout_engine(layout)
    svg, png, pdf = written
    return svg, png, pdf


def _write_pdf(figure: Figure, path: Path) -> None:
    with light_fonts(figure):
        FigureCanvasPdf(figure).print_pdf(path, metadata={"CreationDate": None})


# What `Figure.savefig` ends in: it would draw a figure that was ever laid out twice.
_WRITERS: dict[str, Callable[[Figure, Path], object]] = {
    "svg": lambda figure, path: FigureCanvasSVG(figure).print_svg(path, metadata={"Date": None}),
    "png": lambda figure, path: FigureCanvasAgg(figure).print_png(
        path, pil_kwargs={"compress_level": 3}
    ),
    "pdf": _write_pdf,
}


@contextmanager
def _dots_per_inch(figure: Figure) -> Iterator[None]:
    """Draw a figure at `DPI` for a while."""
    before = figure.dpi
    figure.dpi = DPI
    try:
        yield
    finally:
        figure.dpi = before
