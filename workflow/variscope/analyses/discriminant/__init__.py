"""Whether a variable can be told from its map."""

from variscope.analyses.registry import (
    Analysis,
    Column,
    Picture,
    Planned,
    Table,
    integer,
    number,
    share,
    text,
)

SAMPLES: tuple[Column, ...] = (
    text("layer", "name of the layer"),
    text("kind", "of the maps: shapley, S1 or ST"),
    text("features", "what the classifier sees: raw, mean or shape"),
)


def memory(study: Planned) -> float:
    """Return MiB of the indices, of the twin's, and of some copies of a layer's maps."""
    return 3 * study.memory_mb["analysis"] + 300


ANALYSIS = Analysis(
    name="discriminant",
    title="Discriminant analysis of maps",
    question="Can a variable be told from where in the picture it acts?",
    scope="set",
    reads=("indices", "twin"),
    memory=memory,
    place=56,
    tables=(
        Table(
            name="accuracy",
            title="How often the variable is told from its map",
            columns=(
                *SAMPLES,
                number("accuracy", "share of maps that are given their variable, held out"),
                number("low", "lower confidence bound"),
                number("high", "upper confidence bound"),
                number("chance", "1 over the number of variables"),
                number("permuted", "mean accuracy where labels are exchanged within channels"),
                number("p", "of the accuracy against exchanged labels"),
                integer("permutations", "how often labels were exchanged"),
                number("twin", "accuracy of the untrained twin"),
                number("difference_low", "lower bound of the accuracy less the twin's"),
                number("difference_high", "upper bound of the accuracy less the twin's"),
                integer("variables", "that are told from each other"),
                integer("pixels", "of a map that the classifier sees"),
                integer("n", "channels, left out fold by fold"),
                text("inference", "what is resampled"),
                text("note", "why a layer or a variable is left out"),
            ),
        ),
        Table(
            name="confusion",
            title="What a map is taken for",
            columns=(
                *SAMPLES,
                text("variable", "whose map it is"),
                text("predicted", "what it is taken for"),
                share("share", "of the variable's maps"),
                share("low", "lower confidence bound"),
                share("high", "upper confidence bound"),
                integer("n", "channels"),
                text("inference", "what the interval is over"),
            ),
            shown=0,
        ),
        Table(
            name="projection",
            title="Maps in the plane that separates them best",
            columns=(
                *SAMPLES,
                text("variable", "whose map it is"),
                integer("channel", "number of the channel"),
                number("first", "place on the first discriminant axis"),
                number("second", "place on the second; 0 where there are two variables"),
                integer("n", "channels"),
                text("inference", "what samples are of"),
            ),
            shown=0,
        ),
    ),
    pictures=(
        Picture(
            name="accuracy",
            title="Told from the map",
            caption=(
                "How often a variable is told from its map in channels that the classifier has "
                "not seen, by what it sees: the map, its mean alone, or its shape (the map over "
                "its norm). Bars are {level} intervals over channels, hollow marks the untrained "
                "twin, the dashed line chance, short gray lines labels exchanged within channels. "
                "Only the shape says where in the picture a variable acts."
            ),
        ),
        Picture(
            name="confusion",
            title="What a map is taken for",
            caption=(
                "Rows: the variable whose map it is; columns: what the classifier takes it for, "
                "as a share of its maps, in channels that it has not seen. Above from the map, "
                "below from its shape."
            ),
        ),
        Picture(
            name="projection",
            title="Maps in the plane that separates them best",
            appendix=True,
            caption=(
                "Every map as a point on the first two discriminant axes, one point for each "
                "channel and variable. The axes were made from these very maps, so that they part "
                "them more than the accuracy above does, which is of channels held out."
            ),
        ),
    ),
    settings={
        "kinds": {
            "type": "array",
            "items": {"enum": ["main", "shapley", "S1", "ST"]},
            "minItems": 1,
            "uniqueItems": True,
            "default": ["main"],
            "description": "Kinds of maps; main is Shapley effects, or S1 where there are none.",
        },
        "components": {
            "type": "integer",
            "minimum": 1,
            "maximum": 200,
            "default": 20,
            "description": "Most principal components of a map that the classifier is given.",
        },
        "permutations": {
            "type": "integer",
            "minimum": 19,
            "default": 199,
            "description": "How often labels are exchanged; no p-value is below 1 / (this + 1).",
        },
        "most_channels": {
            "type": "integer",
            "minimum": 5,
            "default": 256,
            "description": "Channels that are drawn at random where a layer has more.",
        },
        "most_pixels": {
            "type": "integer",
            "minimum": 4,
            "default": 1024,
            "description": "Pixels that are kept, evenly spaced, where a map has more.",
        },
    },
)
