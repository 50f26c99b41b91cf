"""What pairs do together, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from variscope.analyses.source import Source
from variscope.analyses.words import Words
from variscope.indices.reading import layers
from variscope.indices.wording import count_text, estimate_text, variable_phrase


def words(source: Source, tables: Mapping[str, pd.DataFrame]) -> Words:
    """Name the largest pair, count those that can be told from 0, and how many were looked at."""
    found = layers(source.tree).values()
    looked = sum(data.sizes.get("pair", 0) for data in found)
    if not looked:
        return Words(answer="The study has one variable, and so no pairs.")
    pairs = tables["pairs"]
    level = float(next(iter(found)).attrs["confidence_level"])
    chance = (
        f"Of {count_text(looked, 'pair')} in all layers, about {(1 - level) * looked:.0f} would "
        f"be named at this level if none did anything together."
    )
    if pairs.empty:
        return Words(answer="No pair's S2 can be told from 0 in any layer.", control=chance)
    best = pairs.iloc[int(pairs["S2"].argmax())]
    text = estimate_text(float(best["S2"]), float(best["low"]), float(best["high"]))
    return Words(
        answer=(
            f"{count_text(len(pairs), 'pair')} of {looked:,} can be told from 0; the largest "
            f"estimate is {text}, of {variable_phrase(best['first'])} with "
            f"{variable_phrase(best['second'])} in layer {best['layer']}."
        ),
        control=chance,
    )
