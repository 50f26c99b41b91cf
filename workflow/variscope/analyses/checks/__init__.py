"""Whether estimates and intervals keep to what is possible."""

from variscope.analyses.registry import Analysis, Picture, Table, integer, number, share, text

ANALYSIS = Analysis(
    name="checks",
    title="Checks of the estimates",
    question="How many estimates are impossible, and do intervals allow for it?",
    place=62,
    tables=(
        Table(
            name="estimates",
            title="Estimates that are impossible by more than a tolerance",
            columns=(
                text("layer", "name of the layer"),
                text("check", "what is impossible"),
                number("tolerance", "by which it is exceeded", "share"),
                number("share", "of the estimates that exceed it"),
                integer("count", "of these estimates"),
                integer("n", "estimates: units times variables"),
                text("inference", "what the share is over"),
            ),
            shown=0,
        ),
        Table(
            name="intervals",
            title="Intervals that leave out what is possible",
            columns=(
                text("layer", "name of the layer"),
                text("check", "what the whole interval is"),
                number("share", "of the intervals that are so"),
                number("allowed", "share of one side that the level allows at the bound"),
                integer("count", "of these intervals"),
                integer("n", "intervals: units times variables"),
                text("inference", "what the share is over"),
            ),
        ),
        Table(
            name="variables",
            title="Variables that act, and that do not",
            columns=(
                text("variable", "its name"),
                text("verdict", "acts, inert (exactly 0 in all units), unseen or not varied"),
                integer("moved", "steps of the design in which it changed"),
                number("zero", "share of the units whose total index is exactly 0"),
                text("layer", "where the total index of the layer is the largest"),
                share("ST", "total index of that layer"),
                share("low", "lower confidence bound"),
                share("high", "upper confidence bound"),
                integer("n", "replicates that the interval is over"),
                text("inference", "what the interval is over"),
            ),
        ),
    ),
    pictures=(
        Picture(
            name="checks",
            title="Checks of the estimates",
            appendix=True,
            caption=(
                "How many of a layer's estimates are impossible by more than a tolerance: indices "
                "below 0, total indices above 1, first-order indices above total ones. Estimates "
                "have errors to both sides, so that of indices which truly are 0 half lie below; "
                "what counts is how soon the lines fall. Last: intervals of {level} which lie "
                "beyond what is possible as a whole; the dashed line is the share that the level "
                "allows to one side."
            ),
        ),
    ),
    settings={
        "tolerances": {
            "type": "array",
            "items": {"type": "number", "minimum": 0, "maximum": 1},
            "minItems": 1,
            "default": [0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2],
            "description": "By how much estimates may exceed what is possible, shares of variance.",
        },
    },
)
