"""The units whose variance is most one variable's."""

from variscope.analyses.registry import Analysis, Picture, Table, integer, share, text

ANALYSIS = Analysis(
    name="specialised",
    title="The most specialised units",
    question="Which units answer to one augmentation above all?",
    place=50,
    tables=(
        Table(
            name="units",
            title="The most specialised units",
            columns=(
                text("layer", "name of the layer"),
                text("unit", "number of the channel, feature or neuron"),
                text("name", "of its class, where it is known"),
                text("variable", "that the unit was chosen for"),
                text("index", "shapley, or S1 where there is none"),
                share("share", "the variable's index in the unit"),
                share("low", "lower confidence bound"),
                share("high", "upper confidence bound"),
                text("runner_up", "the variable with the next share"),
                share("runner_up_share", "its index in the unit"),
                share("margin", "lower bound of the difference of the two, paired where it can be"),
                share("S1", "the variable's first-order index"),
                share("ST", "the variable's total index"),
                integer("n", "units among which it was chosen"),
                text("inference", "what the interval is about"),
                text("reason", "why the unit was chosen"),
            ),
        ),
    ),
    pictures=(
        Picture(
            name="specialised",
            title="Most specialised units",
            of="layer",
            appendix=True,
            caption=(
                "For each augmentation, the unit with the highest lower {level} bound of that "
                "augmentation's share: its maps, or its bars, over all variables. Framed or "
                "coloured: the variable that the unit was chosen for. The bounds are those of one "
                "unit; that the best of many was taken flatters it somewhat."
            ),
        ),
    ),
)
