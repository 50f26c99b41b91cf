"""All studies of an experiment in one picture: the last layer, all models together."""

from variscope.analyses.registry import Analysis, Picture

ANALYSIS = Analysis(
    name="overview",
    title="In short",
    question="What is each network sensitive to, in its last layer?",
    scope="experiment",
    place=0,
    pictures=(
        Picture(
            name="overview",
            title="The last layer of every study",
            caption=(
                "Shares of the last layer's variance that each variable accounts for ({index}), "
                "with {level} intervals: one panel for each variable set, one mark for each model."
            ),
        ),
    ),
)
