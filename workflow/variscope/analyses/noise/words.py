"""How much is noise, and what becomes of the indices without it, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from variscope.analyses.source import Source
from variscope.analyses.words import Words
from variscope.indices.measured import HELD
from variscope.indices.wording import count_text, estimate_text, share_text, variable_phrase

# Drift below this share of the median unit's variance is not worth a word of warning.
_LITTLE = 0.02


def words(source: Source, tables: Mapping[str, pd.DataFrame]) -> Words:
    """Say the largest share of noise, whether it is taken off, and what that changes most."""
    regions = tables["regions"]
    if regions.empty:
        return Words(answer="")
    noisy = regions.dropna(subset=["noise"])
    if noisy.empty:
        if (regions["held"] == HELD).any():
            return Words(
                answer="No stimulus was presented twice: the noise is not known, and V, ST and the "
                "Shapley effects hold it."
            )
        return Words(answer="No unit varies: there is nothing to tell noise from.")
    most = noisy.iloc[int(noisy["noise"].argmax())]
    share = estimate_text(*(float(most[key]) for key in ("noise", "low", "high")))
    among = f", the most of {count_text(len(noisy), 'region')}" if len(noisy) > 1 else ""
    sample = f"{count_text(most['n'], 'replicate')}, {count_text(most['repeats'], 'repeat')}"
    answer = (
        f"Noise is {share} of the measured variance of {most['layer']}{among} (n = {sample}); it "
        "is taken off the indices."
    )
    more = [_changed(tables["indices"]), _drift(regions), _dropped(regions)]
    return Words(
        answer=answer,
        more=[sentence for sentence in more if sentence],
        control=_first_order(tables["indices"]),
    )


def _changed(indices: pd.DataFrame) -> str:
    """Name the total index that the noise had raised most."""
    total = indices[indices["index"] == "ST"].dropna(subset=["measured", "value"])
    if total.empty:
        return ""
    row = total.iloc[int((total["measured"] - total["value"]).argmax())]
    measured, value = (
        estimate_text(*(float(row[key]) for key in keys))
        for keys in (("measured", "measured_low", "measured_high"), ("value", "low", "high"))
    )
    return (
        f"Most changes the total index of {variable_phrase(row['variable'])} in {row['layer']}: "
        f"{measured} as measured, {value} without the noise."
    )


def _drift(regions: pd.DataFrame) -> str:
    known = regions.dropna(subset=["drift"])
    if known.empty:
        return ""
    row = known.iloc[int(known["drift"].argmax())]
    text = f"{share_text(float(row['drift']))} of the variance of the median unit of {row['layer']}"
    if row["drift"] < _LITTLE:
        return f"Drift is little: {text} lies between the tenths of the session."
    return (
        f"Responses drift: {text} lies between the tenths of the session. The order is random, so "
        "that it counts as noise."
    )


def _dropped(regions: pd.DataFrame) -> str:
    dropped = int(regions["blocks_dropped"].max())
    return f"{count_text(dropped, 'block')} had missing rows and are left out." if dropped else ""


def _first_order(indices: pd.DataFrame) -> str:
    """Hold the correction against what noise cannot raise: no S1 may exceed its ST."""
    first, total = (
        indices[indices["index"] == name].set_index(["layer", "variable"]) for name in ("S1", "ST")
    )
    both = (
        first.add_suffix("_first")
        .join(total.add_suffix("_total"))
        .dropna(subset=["low_first", "high_total"])
    )
    if both.empty:
        return ""
    beyond = int((both["low_first"] > both["high_total"]).sum())
    text = (
        f"Noise adds nothing to S1, and ST is at least S1: were too much taken off, S1 would lie "
        f"above ST. Its interval does so for {beyond} of {count_text(len(both), 'share')}"
    )
    return f"{text}: repeats may differ more than responses do." if beyond else f"{text}."
