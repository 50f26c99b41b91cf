"""The classes whose outputs are sensitive to a variable, and the classes that masks predict."""

from variscope.analyses.registry import Analysis, Picture, Table, integer, number, share, text

CLASS = (
    integer("class", "number of the output"),
    text("name", "of the class, where it is known"),
)
COUNTED = (
    integer("n", "clusters of images"),
    text("inference", "what the interval is about"),
)

ANALYSIS = Analysis(
    name="single_class",
    title="Single classes",
    question="Which classes' outputs are sensitive to a variable, and are these the classes that "
    "are predicted when the units sensitive to it are masked?",
    scope="model",
    reads=("indices", "selection", "halves", "analysis:masking"),
    place=76,
    tables=(
        Table(
            name="classes",
            title="The most sensitive classes, and how often masks predict them",
            columns=(
                text("variable", "that the class is sensitive to, and that masks"),
                text("kind", "index that classes are ranked by, and that the masks are made of"),
                *CLASS,
                share("index", "of the class' output, of half B of the replicates"),
                number("hit", "share of images that have it among the k predicted under the masks"),
                number("low", "lower confidence bound"),
                number("high", "upper confidence bound"),
                number("hit_unmasked", "the same without a mask"),
                number("hit_matched", "the same under matched random masks"),
                number("p_classes", "that a class of like mean activation is predicted as often"),
                integer("like", "classes of like mean activation, itself among them"),
                number("p_masks", "that matched random masks have it predicted as often"),
                integer("masks", "matched random masks"),
                number("q_classes", "p_classes over all classes and variables of a kind, adjusted"),
                number("q_masks", "p_masks over all classes and variables of a kind, adjusted"),
                text("kept", "yes where both are below 0.05, and it is more than without a mask"),
                *COUNTED,
            ),
        ),
        Table(
            name="overlap",
            title="Overlap of sensitive and predicted classes",
            shown=0,
            columns=(
                text("input", "original, or the variable that alters it"),
                text("mask", "variable whose map masks; empty: no mask"),
                text("variable", "whose most sensitive classes are meant"),
                text("kind", "index that classes are ranked by, and that the mask is made of"),
                text("layer", "that is masked, or all"),
                text("operation", "scale, multiply, complement or mean"),
                number("strength", "factor of the units that are hit"),
                number("share", "of the units that are hit"),
                number("jaccard", "mean overlap over images"),
                number("low", "lower confidence bound"),
                number("high", "upper confidence bound"),
                number("chance", "mean overlap of random classes of like mean activation"),
                number("p_classes", "that such classes overlap as much"),
                number("matched", "mean overlap under matched random masks"),
                number("p_masks", "that matched random masks overlap as much"),
                *COUNTED,
            ),
        ),
        Table(
            name="ranking",
            title="The ten classes with the largest",
            sheets="statistic",
            columns=(
                text("variable", "whose index it is; empty for mean and variation"),
                text("statistic", "shapley, S1, mean or coefficient_of_variation"),
                integer("rank", "from 1; of indices by half A of the replicates and train images"),
                *CLASS,
                number("value", "of the whole study"),
                number("low", "lower confidence bound"),
                number("high", "upper confidence bound"),
                number("other_half", "index of half B, which did not take part in the ranking"),
                integer("n", "classes that are ranked"),
                text("inference", "what the interval is about"),
            ),
        ),
        Table(
            name="predictions",
            title="What masks change of each class",
            shown=0,
            columns=(
                text("input", "original, or the variable that alters it"),
                text("mask", "variable whose map masks"),
                *CLASS,
                number("frequency", "share of images for which it is predicted under the mask"),
                number("change", "that less the same without a mask"),
                number("low", "lower confidence bound"),
                number("high", "upper confidence bound"),
                number("matched_change", "change under matched random masks"),
                number("error", "share of its images for which another class is predicted"),
                number("error_change", "that less the same without a mask"),
                number("error_low", "lower confidence bound; none of fewer than two clusters"),
                number("error_high", "upper confidence bound; none of fewer than two clusters"),
                number("matched_error_change", "change under matched random masks"),
                *COUNTED,
            ),
        ),
    ),
    pictures=(
        Picture(
            name="overlap",
            title="Sensitive and predicted classes",
            caption=(
                "Overlap (Jaccard index) of the classes most sensitive to a variable with those "
                "that are predicted, less what classes of like mean activation would give. Left: "
                "without a mask, for each input. Right: with the original input under the "
                "variable's own masks. Framed: more than classes of like activation and more than "
                "matched random masks give, at p below 0.05 each and without correction."
            ),
        ),
        Picture(
            name="decay",
            title="How sensitivity falls off over the classes",
            caption=(
                "The outputs of the layer of scores, sorted for each variable by its index, and "
                "for mean and coefficient of variation once. A curve that falls off steeply means "
                "that few classes depend on the variable more than others. Dashed: how many "
                "classes are taken for the most sensitive."
            ),
        ),
        Picture(
            name="predictions",
            title="What masks change of each class",
            caption=(
                "With the original input and all units of the top fifth set to 0: by how much "
                "more, or less, often a class is predicted, and by how much more of its own images "
                "are taken for another class, than without a mask. Dots: the interval leaves out "
                "0. Of more than 30 classes those that change the most are shown."
            ),
        ),
    ),
)
