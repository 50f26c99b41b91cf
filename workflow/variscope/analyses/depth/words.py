"""What changes over depth, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from variscope.analyses.comparisons import trend_sentences
from variscope.analyses.source import Source
from variscope.analyses.words import Words


def words(source: Source, tables: Mapping[str, pd.DataFrame]) -> Words:
    """Say which shares rise or fall, the largest changes first."""
    found = trend_sentences(source.tree, source.index)
    if not found:
        return Words(answer="There is one layer with shares, and so no depth to compare over.")
    return Words(answer=found[0], more=found[1:])
