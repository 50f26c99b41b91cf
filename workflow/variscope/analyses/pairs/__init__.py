"""What pairs of variables do together."""

from variscope.analyses.registry import Analysis, Picture, Table, integer, share, text

ANALYSIS = Analysis(
    name="pairs",
    title="Pairs of variables",
    question="Which two variables do something together, beyond what each does by itself?",
    place=40,
    tables=(
        Table(
            name="pairs",
            title="Pairs whose interval leaves out 0",
            columns=(
                text("layer", "name of the layer"),
                text("first", "variable"),
                text("second", "variable"),
                share("S2", "pair index of the layer"),
                share("low", "lower confidence bound"),
                share("high", "upper confidence bound"),
                integer("n", "replicates that the interval is over"),
                text("inference", "what the interval is about"),
            ),
        ),
    ),
    pictures=(
        Picture(
            name="pairs",
            title="Pairs of variables",
            caption=(
                "S2 of every pair of variables: what the two do together beyond what each does by "
                "itself. Numbers stand where the {level} interval leaves out 0. Note the scale: it "
                "ends at the largest estimate, and colours are on its square root. Hatched: pairs "
                "which the design does not give."
            ),
        ),
    ),
)
