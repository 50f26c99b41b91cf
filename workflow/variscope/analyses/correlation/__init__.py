"""Whether the variables act on the same channels: correlation of their maps."""

from variscope.analyses.registry import (
    Analysis,
    Column,
    Picture,
    Planned,
    Table,
    integer,
    number,
    text,
)

COMPARED: tuple[Column, ...] = (
    text("layer", "name of the layer"),
    text("kind", "of the first map: shapley, S1, ST or rank_biserial (its magnitude)"),
    text("set", "variable set of the first map"),
    text("first", "variable of the first map"),
    text("kind_second", "of the second map; cv is the coefficient of variation"),
    text("set_second", "variable set of the second map"),
    text("second", "variable of the second map; empty of the coefficient of variation"),
)


def memory(study: Planned) -> float:
    """Return MiB of the indices, their halves, and as much again of the twin."""
    return 4 * study.memory_mb["analysis"]


ANALYSIS = Analysis(
    name="correlation",
    title="Correlation of maps",
    question="Do two variables act on the same channels?",
    scope="model",
    reads=("indices", "halves", "twin", "analysis:contrast?"),
    memory=memory,
    place=54,
    tables=(
        Table(
            name="layers",
            title="How maps correlate, layer by layer",
            columns=(
                text("layer", "name of the layer"),
                text("kind", "of the first map"),
                text("kind_second", "of the second map; cv is the coefficient of variation"),
                integer("pairs", "pairs of maps that have a correlation"),
                integer("reliable", "of these, pairs of which both maps are reliable"),
                number("median", "of the corrected correlations of the reliable pairs"),
                integer("apart", "pairs that permuted maps do not explain"),
                integer("differ", "pairs whose difference from the twin leaves out 0"),
                number("twin", "rank correlation of the pairs' values with the untrained twin's"),
                integer("constant", "maps at one pixel that are the same in all channels"),
                integer("pixels", "of a map"),
                integer("n", "channels, or neurons, that maps are correlated across"),
                text("inference", "what is resampled and permuted"),
                text("note", "why a layer is left out, or what holds of it"),
            ),
            shown=40,
        ),
        Table(
            name="pairs",
            title="Correlations of maps",
            columns=(
                *COMPARED,
                number("raw", "correlation of the maps from all replicates, mean over pixels"),
                number("spread", "its standard deviation over pixels"),
                number("cross", "correlation across halves of the replicates, mean over pixels"),
                number(
                    "reliability_first",
                    "correlation of the first map's two halves, where it has some",
                ),
                number("reliability_second", "correlation of the second map's two halves"),
                number("corrected", "cross over the root of both reliabilities; may exceed 1"),
                number("low", "lower confidence bound of corrected"),
                number("high", "upper confidence bound of corrected"),
                number("null_low", "lower end of what cross is after channels were exchanged"),
                number("null_high", "upper end of what cross is after channels were exchanged"),
                number("p", "two-sided, of cross against exchanged channels"),
                number(
                    "p_adjusted", "against the farthest of all pairs of these kinds in the layer"
                ),
                integer("permutations", "how many times channels were exchanged"),
                number("twin", "corrected of the untrained twin"),
                number("difference_low", "lower bound of corrected less the twin's"),
                number("difference_high", "upper bound of corrected less the twin's"),
                integer("pixels", "at which there is a correlation"),
                integer("n", "channels, or neurons, that maps are correlated across"),
                text("inference", "what is resampled and permuted"),
            ),
            shown=0,
        ),
    ),
    pictures=(
        Picture(
            name="variables",
            title="Correlation between variables",
            caption=(
                "Across the channels of a layer, and as a mean over its pixels, how the maps of "
                "two variables correlate. Above the diagonal without the noise of the estimates, "
                "from two halves of the replicates; hatched where a map is too noisy for that. "
                "Below the diagonal as the maps are, with the noise that they share. Framed: pairs "
                "that exchanged channels do not explain, each held against the farthest of all."
            ),
        ),
        Picture(
            name="kinds",
            title="Correlation between kinds of value",
            caption=(
                "For each variable, how the maps of two kinds of value correlate across channels, "
                "and how each kind does with the coefficient of variation of the unit. Without the "
                "noise of the estimates; hatched where a map is too noisy for that. Rank: the "
                "magnitude of the rank-biserial correlation, where `contrast` is on; its halves "
                "are images of part train and of part valid."
            ),
        ),
        Picture(
            name="depth",
            title="Correlation over depth",
            caption=(
                "From the input to the output, for each variable set: how the shares of a variable "
                "correlate with the coefficient of variation; below it the pairs of augmentations "
                "whose maps correlate the most anywhere. Bands are {level} intervals over "
                "channels; points are missing where a map is too noisy."
            ),
        ),
        Picture(
            name="spread",
            title="Spread over pixels",
            appendix=True,
            caption=(
                "How much the correlation of two maps differs from pixel to pixel: the standard "
                "deviation over pixels of every pair of variables, one histogram for each layer "
                "of maps. Gray: what as many channels give at each pixel where nothing "
                "correlates, 1 over the root of the channels less 1."
            ),
        ),
        Picture(
            name="pixels",
            title="Where shares follow the coefficient of variation",
            of="set",
            appendix=True,
            caption=(
                "At each pixel, the correlation across channels between the map of a variable and "
                "the coefficient of variation. Hatched where all channels have the same share, or "
                "too few channels vary."
            ),
        ),
    ),
    settings={
        "method": {
            "type": "string",
            "enum": ["spearman", "pearson"],
            "default": "spearman",
            "description": "Correlation of ranks or of values.",
        },
        "resamples": {
            "type": "integer",
            "minimum": 50,
            "default": 200,
            "description": "Bootstrap samples of channels that an interval is from.",
        },
        "permutations": {
            "type": "integer",
            "minimum": 19,
            "default": 99,
            "description": "How often channels are exchanged; no p-value is below 1 / (this + 1).",
        },
    },
)
