"""What the ascents reach, whether they agree, and what the controls say, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from variscope.analyses.kept_maps import TRAINED, UNTRAINED
from variscope.analyses.maximisation.compute import DIFFERENCE, EVERY
from variscope.analyses.maximisation.stored import about
from variscope.analyses.source import Source
from variscope.analyses.words import Words
from variscope.indices.wording import count_text, estimate_text, share_text

NOTE = (
    "Intervals are over the units that were chosen, for these images and this network. An image "
    "that excites a unit most says what the unit reacts to at its strongest, not what it is for, "
    "and not how it answers to the images that it meets: it lies outside of what the network was "
    "made for, and its look is in part that of the ascent, which prefers the frequencies and "
    "colors of natural images. People tell from natural images better what excites a unit: 92 "
    "against 82 of 100 answers were right (Borowski et al. 2021), so that both are shown."
)


def words(source: Source, tables: Mapping[str, pd.DataFrame]) -> Words:
    """Say how far beyond natural images the ascents go, and whether starts agree."""
    reached = tables["reached"]
    notes = [str(note) for note in tables["notes"]["note"]]
    trained = reached[reached["network"] == TRAINED]
    if trained.empty:
        return Words(answer=" ".join(["No unit is maximised.", *notes]))
    summary = tables["summary"]
    known = trained.dropna(subset=["times"])
    if known.empty:
        return Words(
            answer="No unit that was chosen varies over natural images: there is nothing to hold "
            "against what ascents reach.",
            more=notes,
            note=NOTE,
        )
    natural = about(source.shards)["natural"]
    more = [_agreement(summary), _still(trained), _images(tables["images"]), *notes]
    return Words(
        answer=_answer(known, summary, natural),
        more=[sentence for sentence in more if sentence],
        control=_control(summary),
        note=NOTE,
    )


def _row(summary: pd.DataFrame, network: str, measure: str) -> pd.Series | None:
    of_all = summary["of"] == EVERY
    found = summary[of_all & (summary["network"] == network) & (summary["measure"] == measure)]
    return None if found.empty else found.iloc[0]


def _estimate(row: pd.Series) -> str:
    return estimate_text(float(row["value"]), float(row["low"]), float(row["high"]))


def _answer(known: pd.DataFrame, summary: pd.DataFrame, natural: int) -> str:
    """Say how many units go beyond all natural images, and how far."""
    beyond = int((known["times"] > 1).sum())
    of = count_text(len(known), "unit")
    row = _row(summary, TRAINED, "times")
    assert row is not None  # there is a unit
    every = f"all {of}" if len(known) > 1 else "the one unit"
    which = every if beyond == len(known) else f"{beyond:,} of {of}" if beyond else "no unit"
    strongest = known.iloc[int(known["times"].argmax())]
    return (
        f"Made images excite {which} more than any of {count_text(natural, 'natural image')} does: "
        f"the median unit is driven {_estimate(row)} times as far from its median natural image as "
        f"the strongest natural image drives it (n = {count_text(row['n'], 'unit')}); farthest, "
        f"{_unit(strongest)}, {float(strongest['times']):.3g} times."
    )


def _unit(row: pd.Series) -> str:
    if row["kind"] == "class":
        return f"the class {row['name']}" if str(row["name"]) else f"class {row['unit']}"
    return f"{row['kind']} {int(row['unit'])} of {row['layer']}"


def _agreement(summary: pd.DataFrame) -> str:
    """Say whether ascents from different noise end alike, more than those of different units."""
    images, responses = (
        _row(summary, TRAINED, f"{what} likeness") for what in ("image", "response")
    )
    if images is None or not np.isfinite(images["low"]):
        return "Whether different starts agree cannot be told."
    text = (
        f"{_alike(images)}: pixel by pixel, images of one unit from different starts correlate by "
        f"{_estimate(images)} more than images of different units (n = "
        f"{count_text(images['n'], 'unit')})"
    )
    if responses is None or not np.isfinite(responses["low"]):
        return f"{text}."
    return (
        f"{text}. What the other units of the layer do for them correlates by "
        f"{_estimate(responses)} more (n = {count_text(responses['n'], 'unit')})."
    )


def _alike(row: pd.Series) -> str:
    if row["low"] > 0:
        return "Different starts end in like images"
    if row["high"] < 0:
        return "Different starts end in images that are less alike than those of different units"
    return "Whether different starts end in like images cannot be told"


def _still(trained: pd.DataFrame) -> str:
    """Say of how many units the ascents reach no more than the noise that they began with."""
    still = int((trained["value"] <= trained["noise"]).sum())
    if not still:
        return ""
    return (
        f"Of {count_text(still, 'unit')} the ascents end no higher than the noise that they began "
        "with: a unit that is off there may have no gradient, or one that leads nowhere."
    )


def _images(table: pd.DataFrame) -> str:
    """Say what a bounded change of images does to the class that is asked for."""
    trained = table[table["network"] == TRAINED].dropna(subset=["quantile"])
    if trained.empty:
        return ""
    above = int((trained["quantile"] >= 1).sum())
    return (
        f"Of {count_text(len(trained), 'image')} that are changed within the set distance, "
        f"{above:,} excite the class more than any natural image does; the map of the change is "
        "what is held against other maps."
    )


def _control(summary: pd.DataFrame) -> str:
    """Hold what is said against shuffled pixels and the untrained twin."""
    found = []
    shuffled, less = (_row(summary, TRAINED, name) for name in ("shuffled", "beyond shuffled"))
    if shuffled is not None and less is not None:
        found.append(
            "The same images with their pixels in random order drive the median unit "
            f"{_estimate(shuffled)} times as far; unit by unit that is {_estimate(less)} less, "
            f"{_shapes(less)}."
        )
    twin, difference = (_row(summary, of, "times") for of in (UNTRAINED, DIFFERENCE))
    if twin is None or difference is None:
        return " ".join([*found, "There is no untrained twin to hold it against."])
    text = f"The untrained twin's units are driven {_estimate(twin)} times as far"
    if not np.isfinite(difference["low"]):
        judged = "of how many the difference is known too little"
    elif difference["low"] > 0:
        judged = f"less by {_estimate(difference)}, so that training has a part in it"
    elif difference["high"] < 0:
        low, high = sorted(abs(float(difference[end])) for end in ("low", "high"))
        more = estimate_text(abs(float(difference["value"])), low, high)
        judged = f"more by {more}, so that going beyond natural images is no sign of learning"
    else:
        judged = (
            f"not told apart (difference {_estimate(difference)}): going beyond natural images is "
            "no sign of learning"
        )
    found.append(f"{text}: {judged}.")
    return " ".join([*found, _twins_agreement(summary)]).strip()


def _shapes(less: pd.Series) -> str:
    """Say whether images lose something with their shapes."""
    if less["low"] > 0:
        return "which their shapes account for, and not their colors"
    return "so that nothing shows that their shapes excite, and not their colors alone"


def _twins_agreement(summary: pd.DataFrame) -> str:
    """Say whether the twin's starts agree as well."""
    twin = _row(summary, UNTRAINED, "response likeness")
    difference = _row(summary, DIFFERENCE, "response likeness")
    if twin is None or difference is None or not np.isfinite(difference["low"]):
        return ""
    text = f"Of the twin starts agree by {_estimate(twin)} in what other units do"
    if difference["low"] > 0:
        return f"{text}, less than those of the network."
    if difference["high"] < 0:
        return f"{text}, more than those of the network."
    return f"{text}, not told apart from the network ({share_text(float(difference['value']))})."
