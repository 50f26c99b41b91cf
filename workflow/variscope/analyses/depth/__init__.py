"""How shares change from the first layer to the last."""

from variscope.analyses.registry import Analysis, Picture

ANALYSIS = Analysis(
    name="depth",
    title="How shares change over depth",
    question="What rises and what falls from the first layer to the last?",
    place=20,
    pictures=(
        Picture(
            name="depth",
            title="Shares over depth",
            caption=(
                "The shares of the layers' variance as lines over depth, with {level} bands. "
                "Whether two shares differ is said by the interval of their difference, above, "
                "and not by bands that overlap or do not."
            ),
        ),
    ),
)
