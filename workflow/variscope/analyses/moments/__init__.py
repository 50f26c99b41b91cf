"""Mean, variance and coefficient of variation of the units."""

from variscope.analyses.registry import Analysis, Picture

ANALYSIS = Analysis(
    name="moments",
    title="Mean and variance",
    question="How large are the units, and how much do they vary?",
    place=130,
    pictures=(
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
