"""How much of measured responses is noise, and what is left where it is taken off."""

from variscope.analyses.registry import Analysis, Picture, Table, integer, number, share, text

ANALYSIS = Analysis(
    name="noise",
    title="Noise and drift of measured responses",
    question="How much of what was measured is noise, and what do indices gain without it?",
    about="measured",
    place=15,
    tables=(
        Table(
            name="regions",
            title="Noise and drift of each region",
            columns=(
                text("layer", "name of the region"),
                share("noise", "variance of responses to one stimulus, over that of all"),
                share("low", "lower confidence bound"),
                share("high", "upper confidence bound"),
                share("drift", "between the tenths of the session, of the median unit"),
                text("held", "whether the noise is taken off the indices, or held in them"),
                integer("repeats", "presentations of a stimulus beside its first, in a replicate"),
                integer("blocks_dropped", "blocks that are left out, with rows that are missing"),
                integer("n", "replicates that the interval is over"),
                text("inference", "what the interval is about"),
            ),
        ),
        Table(
            name="indices",
            title="Indices of each region, with the noise and without",
            columns=(
                text("layer", "name of the region"),
                text("variable", "name of the variable"),
                text("index", "S1, ST or shapley"),
                share("measured", "the index as measured, with the noise"),
                share("measured_low", "lower confidence bound of it"),
                share("measured_high", "upper confidence bound of it"),
                share("value", "the index without the noise"),
                share("low", "lower confidence bound of it"),
                share("high", "upper confidence bound of it"),
                integer("n", "replicates that the intervals are over"),
                text("inference", "what the intervals are about"),
            ),
        ),
        Table(
            name="units",
            title="Noise and drift of each unit",
            shown=0,
            columns=(
                text("layer", "name of the region"),
                integer("unit", "number of the unit"),
                share("noise", "variance of responses to one stimulus, over that of all"),
                share("low", "lower confidence bound"),
                share("high", "upper confidence bound"),
                share("drift", "between the tenths of the session"),
                number("variance", "without the noise, where that is known", "output^2"),
                integer("n", "replicates that the interval is over"),
                text("inference", "what the interval is about"),
            ),
        ),
    ),
    pictures=(
        Picture(
            name="noise",
            title="Noise and drift",
            caption=(
                "Left: how many units of each region have which share of noise in their measured "
                "variance. Right: the units' mean responses in each tenth of the session, less the "
                "mean, in standard deviations: the median unit and the middle 80 % of them. The "
                "order of presentation is random, so that a course is drift and no stimulus."
            ),
        ),
    ),
)
