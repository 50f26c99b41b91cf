"""One unit of each layer, with all that is known of it."""

from variscope.analyses.registry import Analysis, Picture

ANALYSIS = Analysis(
    name="unit_rows",
    title="One unit of each layer",
    question="What is known of a single unit, by all statistics and all sets of variables?",
    scope="model",
    place=125,
    pictures=(
        Picture(
            name="unit_rows",
            title="One unit of each layer, with all statistics and sets",
            appendix=True,
            caption=(
                "Of each layer the channel, feature or neuron with the largest variance in the "
                "first set: its indices for every variable, set beside set, on one scale from 0 "
                "to 1. Before each set stand the unit's mean, variance and coefficient of "
                "variation, from top to bottom as far as there are rows, in other colours and each "
                "on a scale of its own. Slanted lines lie over pixels whose {level} interval holds "
                "0 or lies below it. "
                "Units without maps are cells with their number."
            ),
        ),
    ),
)
