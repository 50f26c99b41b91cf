"""Where variables act together, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from variscope.analyses.comparisons import interaction_sentence
from variscope.analyses.source import Source
from variscope.analyses.words import Words


def words(source: Source, tables: Mapping[str, pd.DataFrame]) -> Words:
    """Say where the total index exceeds the first-order index the most."""
    return Words(answer=interaction_sentence(source.tree))
