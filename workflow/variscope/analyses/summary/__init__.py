"""What each layer is sensitive to: shares of its variance, with intervals."""

from variscope.analyses.registry import Analysis, Picture, Table, integer, share, text

ANALYSIS = Analysis(
    name="summary",
    title="What the layers are sensitive to",
    question="Which share of each layer's variance is due to each variable?",
    place=10,
    tables=(
        Table(
            name="shares",
            title="Shares of each layer's variance, with intervals",
            grid=("layer", "variable"),
            sheets="index",
            columns=(
                text("layer", "name of the layer"),
                text("index", "shapley, shapley_group (sums over groups of variables), S1 or ST"),
                text("variable", "variable, or group of variables"),
                share("value", "variance-weighted mean over the units"),
                share("low", "lower confidence bound"),
                share("high", "upper confidence bound"),
                integer("n", "replicates that the interval is over"),
                text("inference", "what the interval is about"),
            ),
        ),
        Table(
            name="units",
            title="Units, and those without indices",
            columns=(
                text("layer", "name of the layer"),
                text("shape", "sizes and names of its dimensions"),
                integer("units", "units in all"),
                integer("fine", "units with indices"),
                integer("constant", "units that never change"),
                integer("not_finite", "units with a value that is no number"),
            ),
        ),
    ),
    pictures=(
        Picture(
            name="summary",
            title="Shares by layer",
            caption=(
                "Each cell is one variable's share of one layer's variance ({index}): the "
                "estimate, and below it its {level} interval. A layer's share is the "
                "variance-weighted mean over its units. Layers go from the input, left, to the "
                "output, right. Colours are on the square root of 0 to 1, so that small shares "
                "can be told apart; estimates below 0 are sampling noise about 0 and keep their "
                "sign in the numbers."
            ),
        ),
    ),
)
