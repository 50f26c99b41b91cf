"""What variables do alone, and what they do jointly with others."""

from variscope.analyses.registry import Analysis, Picture

ANALYSIS = Analysis(
    name="comparison",
    title="Alone, and jointly with others",
    question="What does each variable do by itself, and what jointly with others?",
    place=30,
    pictures=(
        Picture(
            name="comparison",
            title="First-order, Shapley and total indices",
            caption=(
                "Three indices of each variable with {level} intervals. S1, triangle to the left: "
                "what the variable does by itself. ST, triangle to the right: what it does by "
                "itself and jointly with others. The Shapley effect, dot, shares out what is joint "
                "and lies between. A wide gap between S1 and ST means that the variable acts "
                "through others."
            ),
        ),
    ),
)
