"""Captions which say how a picture is to be read."""

from variscope.vocabulary import INDEX_NAMES

CAPTIONS = {
    "summary": (
        "Each cell is one variable's share of one layer's variance ({index}): the estimate, and "
        "below it its {level} interval. A layer's share is the variance-weighted mean over its "
        "units. Layers go from the input, left, to the output, right. Colours are on the square "
        "root of 0 to 1, so that small shares can be told apart; estimates below 0 are "
        "sampling noise about 0 and keep their sign in the numbers."
    ),
    "depth": (
        "The same shares as lines over depth, with {level} bands. Whether two shares differ is "
        "said by the interval of their difference, above, and not by bands that overlap or do not."
    ),
    "comparison": (
        "Three indices of each variable with {level} intervals. S1, triangle to the left: what "
        "the variable does by itself. ST, triangle to the right: what it does by itself and "
        "jointly with others. The Shapley effect, dot, shares out what is joint and lies between. "
        "A wide gap between S1 and ST means that the variable acts through others."
    ),
    "convergence": (
        "Half-width of the {level} interval against the number of replicates that it was made "
        "from, both on logarithmic scales. The dotted guide falls as one over the square root of "
        "the number. Lines that fall as the guide, or faster, mean that more replicates buy "
        "precision at the usual price; with few replicates intervals are wider, as Student's t "
        "asks. Widths below 0.001, as of variables that do next to nothing, fall off the picture."
    ),
    "pairs": (
        "S2 of every pair of variables: what the two do together beyond what each does by itself. "
        "Numbers stand where the {level} interval leaves out 0. Note the scale: it ends at the "
        "largest estimate, and colours are on its square root. Hatched: pairs which the design "
        "does not give."
    ),
    "maps": (
        "{index} at every unit. In maps each square is a channel's picture plane, each column a "
        "variable; the first row is the variance-weighted mean over all channels, the others are "
        "the channels that carry most of the layer's variance, with how much of it in brackets. "
        "Of tokens the patches are drawn as the grid that they were cut from, features stand for "
        "channels, and class and register tokens, over all features, follow as numbers. In other "
        "layers units are sorted by their share, with {level} intervals. All "
        "on one scale from 0 to 1. Units that never change have no share and are hatched or "
        "left out."
    ),
    "pair_maps": (
        "S2 of every pair of variables at every unit: what the two do together beyond what each "
        "does by itself. In maps each cell is the picture plane, or the grid of patches, weighted "
        "by variance over all channels, or features. Note the scale: it is one for all cells, "
        "ends at the largest estimate, and its colours are on the square root; estimates below 0, "
        "which are sampling noise, take the colour of 0. In other layers the units of each cell "
        "are sorted by their S2, with {level} intervals, which end where the cell does. Framed: "
        "pairs whose {level} interval for the whole layer leaves out 0; in the others much of "
        "what is seen may be noise. Hatched: pixels that never change, and pairs which the design "
        "does not give."
    ),
    "moments": (
        "Mean, variance and coefficient of variation (standard deviation over absolute mean) of "
        "the units when all variables vary. Each has its own scale; the coefficient's ends at its "
        "98th percentile, since a mean near 0 makes it arbitrarily large. Shares are of this "
        "variance: where it is tiny, a large share is a large part of little."
    ),
    "specialised": (
        "For each augmentation, the unit with the highest lower {level} bound of that "
        "augmentation's share: its maps, or its bars, over all variables. Framed or coloured: the "
        "variable that the unit was chosen for. The bounds are those of one unit; that the best "
        "of many was taken flatters it somewhat."
    ),
    "samples": (
        "Images as the network sees them, before its normalisation: as they are, under each "
        "augmentation alone, and under all of them together in a random order. Below each, "
        "what was drawn."
    ),
}


def caption(kind: str, *, index: str = "shapley", level: str = "95 %") -> str:
    """Return the caption of a kind of picture; empty for a kind that has none."""
    text = CAPTIONS.get(kind, "").format(index=INDEX_NAMES.get(index, index), level=level)
    return text[:1].upper() + text[1:]
