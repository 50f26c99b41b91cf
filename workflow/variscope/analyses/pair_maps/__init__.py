"""Pairs of variables unit by unit."""

from variscope.analyses.registry import Analysis, Picture

ANALYSIS = Analysis(
    name="pair_maps",
    title="Maps of pairs",
    question="Where in a layer do two variables act together?",
    place=120,
    pictures=(
        Picture(
            name="pair_maps",
            title="Maps of pairs",
            of="layer",
            appendix=True,
            caption=(
                "S2 at every unit, of the pairs whose {level} interval for the whole layer leaves "
                "out 0: what the two do together beyond what each does by itself. In maps each "
                "cell is the picture plane, or the grid of patches, weighted by variance over all "
                "channels, or features. Note the scale: it is one for all cells, ends at the "
                "largest estimate, and its colours are on the square root; estimates below 0, "
                "which are sampling noise, take the colour of 0. In other layers the units of "
                "each cell are sorted by their S2, with {level} intervals, which end where the "
                "cell does. Hatched: pixels that never change."
            ),
        ),
    ),
)
