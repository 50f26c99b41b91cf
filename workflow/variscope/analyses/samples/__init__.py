"""Images under each augmentation, alone and together."""

from variscope.analyses.registry import Analysis, Picture


def _memory(study: object) -> float:
    return 950.0  # torch, and a handful of images


ANALYSIS = Analysis(
    name="samples",
    title="Sample images",
    question="What does the network see?",
    scope="experiment",
    reads=("images",),
    place=140,
    memory=_memory,
    pictures=(
        Picture(
            name="samples",
            title="Sample images",
            of="set",
            appendix=True,
            caption=(
                "Images as the network sees them, before its normalisation: as they are, under "
                "each augmentation alone, and under all of them together in a random order. Below "
                "each, what was drawn."
            ),
        ),
    ),
)
