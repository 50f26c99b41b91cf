"""Mean, variance and coefficient of variation of the units."""

from variscope.analyses.registry import Analysis, Picture

ANALYSIS = Analysis(
    name="moments",
    title="Mean and variance",
    question="How large are the units, and how much do they vary?",
    place=130,
    pictures=(
        Picture(
            name="network",
            title="Mean and variance of the whole network",
            appendix=True,
            caption=(
                "Mean, variance and coefficient of variation of all layers, from the first on the "
                "left to the last. In maps, and in the patches of tokens, each pixel is over all "
                "channels: their mean of each, and for the coefficient the root of the mean "
                "variance over the mean magnitude of the means. Units of other layers are "
                "sorted, the largest on top. Each cell has its own scale, whose ends stand below "
                "it: magnitudes of layers differ by far more than a colour scale can show."
            ),
        ),
        Picture(
            name="moments",
            title="Mean and variance",
            of="layer",
            appendix=True,
            caption=(
                "Mean, variance and coefficient of variation (standard deviation over absolute "
                "mean) of the units when all variables vary. Each has its own scale; the "
                "coefficient's ends at its 98th percentile, since a mean near 0 makes it "
                "arbitrarily large. Shares are of this variance: where it is tiny, a large share "
                "is a large part of little."
            ),
        ),
    ),
)
