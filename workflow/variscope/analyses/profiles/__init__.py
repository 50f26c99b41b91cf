"""Profiles of guided masks over their settings: which go together."""

from variscope.analyses.registry import Analysis, Picture, Table, integer, number, text

WHERE = (
    text("kind", "index that the masks are made of"),
    text("layer", "that is masked, or all for all convolutional layers at once"),
    text("outcome", "that the profile is of"),
)
COUNTED = (
    integer("n", "clusters of images"),
    text("inference", "what intervals are about"),
)

ANALYSIS = Analysis(
    name="profiles",
    title="Profiles of guided masks",
    question="Does a mask do the same to altered images as to the images as they are, and which "
    "masks do alike?",
    scope="model",
    reads=("indices", "analysis:masking"),
    place=74,
    tables=(
        Table(
            name="matching",
            title="A variable's mask under its own alteration and without it",
            columns=(
                *WHERE,
                text("variable", "of the mask, and that alters the input"),
                number("spearman", "correlation of the profiles under altered and original input"),
                number("low", "lower confidence bound"),
                number("high", "upper confidence bound"),
                number("raw", "the same of profiles from which no control is taken away"),
                number("raw_low", "lower confidence bound"),
                number("raw_high", "upper confidence bound"),
                number("others", "mean correlation with the masks of other variables"),
                number("raw_others", "the same of raw profiles"),
                number("published", "raw correlation of the published study, where it is given"),
                integer("settings", "that a profile has"),
                integer("seeds", "of matched random masks that are taken away from a profile"),
                *COUNTED,
            ),
        ),
        Table(
            name="tests",
            title="Whether profiles of the same mask belong together",
            columns=(
                *WHERE,
                number("difference", "mean correlation of matching masks less that of others"),
                number("low", "lower confidence bound"),
                number("high", "upper confidence bound"),
                number("p", "that permuted labels of masks do as well"),
                number("raw_difference", "the same of raw profiles"),
                number("raw_p", "the same of raw profiles"),
                integer("permutations", "of labels, the observed ones among them"),
                integer("masks", "variables whose profiles are compared"),
                number("cophenetic", "correlation of the distances with those along the tree"),
                integer("profiles", "in the tree"),
                integer("constant", "profiles that are constant, and left out"),
                integer("stable", "clusters that are stable"),
                *COUNTED,
            ),
        ),
        Table(
            name="clusters",
            title="Clusters of profiles",
            shown=30,
            columns=(
                *WHERE,
                text("members", "profiles, as mask @ input"),
                integer("size", "how many"),
                number("height", "distance at which the cluster is closed"),
                number("jaccard", "mean overlap with its like in resamples of the images"),
                number("chance", "the same with permuted labels"),
                text(
                    "stable", "yes where it is 0.75 at least, and half of the way from chance to 1"
                ),
                *COUNTED,
            ),
        ),
        Table(
            name="profiles",
            title="The profiles",
            shown=0,
            columns=(
                *WHERE,
                text("input", "original, or the variable that alters it"),
                text("mask", "variable whose map masks"),
                text("operation", "scale, multiply or complement"),
                number("strength", "factor of the units that are hit"),
                number("share", "of the units that are hit"),
                text("feature", "class, or class and predicted class, that the outcome is of"),
                number("value", "outcome under the mask"),
                number("control", "under matched random masks"),
                number("difference", "of the two"),
                number("low", "lower confidence bound"),
                number("high", "upper confidence bound"),
                *COUNTED,
            ),
        ),
    ),
    pictures=(
        Picture(
            name="matching",
            title="The same mask, with the image altered and not",
            caption=(
                "Spearman correlation between a mask's profile under the matching alteration and "
                "under the image as it is. Filled: profiles less those of matched random masks, "
                "with {level} intervals over images. Hollow: raw profiles, which all fall with the "
                "dose, so that they go together whatever the mask. Crosses: the mean correlation "
                "with other variables' masks, which a claim about the matching mask must exceed."
            ),
        ),
        Picture(
            name="profiles",
            title="Profiles and their clusters",
            caption=(
                "Each row is a mask under an input (mask @ input), each column a setting of the "
                "mask; colours say how much more, or less, the outcome is than under random masks "
                "that hit as many and as large units. The tree joins profiles that go together "
                "(distance 1 - Spearman correlation, average linkage); clusters in strong colour "
                "come back when the images are resampled. A tree finds clusters in noise as well."
            ),
        ),
    ),
    settings={
        "outcomes": {
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {"enum": ["accuracy", "margin", "class_accuracy", "confusion"]},
            "allowed": "a list of accuracy, margin, class_accuracy, confusion",
            "default": ["margin", "accuracy"],
            "description": "What profiles are of. Of class_accuracy and confusion a profile has a "
            "number for each setting and class, or pair of classes.",
        },
        "distance": {
            "enum": ["signed", "unsigned"],
            "allowed": "signed, unsigned",
            "default": "signed",
            "description": "signed: 1 - rho; unsigned: the published sqrt(1 - abs(rho)), which "
            "takes opposite profiles for the same.",
        },
        "resamples": {
            "type": "integer",
            "minimum": 20,
            "default": 100,
            "description": "Of the images, for the stability of clusters.",
        },
        "published": {
            "type": "object",
            "additionalProperties": {"type": "object", "additionalProperties": {"type": "number"}},
            "default": {},
            "description": "Raw correlations of accuracy that a publication gives, to stand beside "
            "those of this study: {shapley: {hue: 0.73}}.",
        },
    },
)
