"""The tables of the agreement."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import Any

import pandas as pd

from variscope.analyses.agreement import ANALYSIS
from variscope.analyses.agreement.areas import rows_of_curves
from variscope.analyses.agreement.gathered import gather
from variscope.analyses.agreement.pairs import image_rows, pair_rows, paired
from variscope.analyses.source import Source


def compute(source: Source) -> dict[str, pd.DataFrame]:
    """Return the tables."""
    rows: dict[str, list[dict[str, Any]]] = {table.name: [] for table in ANALYSIS.tables}
    gathered = gather(source)
    names = source.images.source if gathered.methods else ()
    for first, second in combinations_with_replacement(gathered.methods.values(), 2):
        pair = paired(first, second, source)
        if pair is not None:
            rows["pairs"] += pair_rows(pair, gathered)
            rows["images"] += image_rows(pair, names)
    for table, row in rows_of_curves(source):
        rows[table].append(row)
    return {
        name: pd.DataFrame(found, columns=ANALYSIS.columns(name)) for name, found in rows.items()
    }
