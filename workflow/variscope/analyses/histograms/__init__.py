"""How shares are distributed over units: histograms a layer, and sorted values of all layers."""

from variscope.analyses.registry import Analysis, Picture

ANALYSIS = Analysis(
    name="histograms",
    title="Distribution over units",
    question="Is a variable's share much alike in all units of a layer, or large in few of them?",
    place=105,
    pictures=(
        Picture(
            name="decay",
            title="Sorted shares of all layers",
            appendix=True,
            caption=(
                "{index} of all units, the largest first, one line a variable and one panel a "
                "layer; across, which part of the layer's units has at least that share, from the "
                "leading unit to all. A line that is high on the left and falls off means few "
                "specialised units, a flat one that all units are alike. Single units scatter: the "
                "largest of many is too large by some of its interval."
            ),
        ),
        Picture(
            name="histograms",
            title="Histograms of shares",
            of="layer",
            appendix=True,
            caption=(
                "{index} of the layer's units, one panel a variable: how many units have which "
                "share. Counts are on a logarithmic scale, shares on a square root one. Line: the "
                "median unit. Dashed: the share of the whole layer, in which units count by "
                "their variance. Units that never change have no share and are left out."
            ),
        ),
    ),
)
