"""How intervals shrink with the number of replicates."""

from variscope.analyses.registry import Analysis, Picture

ANALYSIS = Analysis(
    name="convergence",
    title="How intervals shrink",
    question="Do more replicates buy precision at the usual price?",
    place=80,
    pictures=(
        Picture(
            name="convergence",
            title="How intervals shrink",
            appendix=True,
            caption=(
                "Half-width of the {level} interval against the number of replicates that it was "
                "made from, both on logarithmic scales. The dotted guide falls as one over the "
                "square root of the number. Lines that fall as the guide, or faster, mean that "
                "more replicates buy precision at the usual price; with few replicates intervals "
                "are wider, as Student's t asks. Widths below 0.001, as of variables that do next "
                "to nothing, fall off the picture."
            ),
        ),
    ),
)
