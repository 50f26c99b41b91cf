"""What the most specialised units are, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from variscope.analyses.source import Source
from variscope.analyses.words import Words
from variscope.indices.wording import count_text, estimate_text, variable_phrase


def words(source: Source, tables: Mapping[str, pd.DataFrame]) -> Words:
    """Name the unit whose lead is clearest, and count how many lead for certain."""
    units = tables["units"]
    if units.empty:
        return Words(
            answer="No unit has a share of an augmentation whose lower bound is above 0.01."
        )
    sure = int((units["margin"] > 0).sum())
    best = units.iloc[int(units["margin"].argmax())]
    name = f" ({best['name']})" if best["name"] else ""
    text = estimate_text(*(float(best[key]) for key in ("share", "low", "high")))
    return Words(
        answer=(
            f"The clearest is unit {best['unit']}{name} of layer {best['layer']}: "
            f"{variable_phrase(best['variable'])} holds {text} of its variance. Of "
            f"{count_text(len(units), 'best unit')}, one for each layer and augmentation, {sure} "
            f"lead{'s' if sure == 1 else ''} over the next variable by a difference whose interval "
            "leaves out 0."
        ),
        control=(
            "The bounds are those of one unit. Each is the best of many, which flatters it: a "
            "second study, with another seed, says how much of its lead stays."
        ),
    )
