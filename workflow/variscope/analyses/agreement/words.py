"""How far the methods agree, and whether what they point at carries the score, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from variscope.analyses.agreement.areas_said import n_of, sentences, text_of
from variscope.analyses.agreement.choosing import VARIANCE
from variscope.analyses.agreement.gathered import CENTRE, EDGES, gather, titles_of
from variscope.analyses.agreement.pairs import NONE, SHUFFLED, UNTRAINED
from variscope.analyses.conditions import few_clusters
from variscope.analyses.source import Source
from variscope.analyses.words import Words
from variscope.estimators.agreement import chance_overlap
from variscope.indices.wording import (
    count_text,
    join_words,
    share_text,
)

# Of which pair the first sentence is: the published one where it is there.
LEADING = ("grad_cam", "gradient", "difference", "hires_cam", "maximisation", "regions")

MOST_NAMED = 4

NOTE = (
    "Maps are compared on the coarser of both grids; of derivatives by a pixel the magnitude "
    "counts, of other maps the values as they are. Maps of two images agree as well, since objects "
    "stand in the middle and a method has its habits: only what is beyond that is about the image. "
    "Images with cells deleted are none that the network was trained on, and what it makes of them "
    "depends on the fill: curves say what the network does with such images."
)


def words(source: Source, tables: Mapping[str, pd.DataFrame]) -> Words:
    """Say how far a leading pair agrees, how many pairs do, and what deletion says of each."""
    pairs = tables["pairs"]
    own = pairs[pairs["baseline"] == NONE].dropna(subset=["spearman"])
    said_of_curves = sentences(source, tables["areas"])
    elsewhere = _elsewhere(source)
    if own.empty:
        return Words(
            answer="No two methods have maps of the same images that are not constant, so that "
            "there is no agreement to speak of.",
            more=[*elsewhere, *said_of_curves],
            note=NOTE if said_of_curves else "",
        )
    told = pairs[(pairs["baseline"] == SHUFFLED) & pairs["difference_low"].notna()]
    told = told[told["first"] != told["second"]]
    first, second = _leading(own if told.empty else told)
    names = list(dict.fromkeys([*own["first"], *own["second"]]))
    titles = titles_of(source, names)
    rows = {
        str(row["baseline"]): row
        for _, row in pairs[(pairs["first"] == first) & (pairs["second"] == second)].iterrows()
    }
    more = [
        _tops(pairs, first, second, titles),
        _all_pairs(pairs, titles),
        _of_the_study(pairs, titles),
    ]
    more += [_undefined(own), *elsewhere, *said_of_curves]
    more.append(few_clusters(int(own["n"].max())) if own["n"].max() > 0 else "")
    return Words(
        answer=_answer(rows, titles[first], titles[second]),
        more=[sentence for sentence in more if sentence],
        control=_control(rows, titles[first], titles[second]),
        note=NOTE,
    )


def _leading(own: pd.DataFrame) -> tuple[str, str]:
    """Return the pair that the first sentence is of: of single images where there is one.

    Args:
        own: rows of pairs that something can be said of.
    """

    def place(name: str) -> tuple[int, int]:
        known = LEADING.index(name) if name in LEADING else len(LEADING)
        return int(name.startswith(f"{VARIANCE}:")), known

    found = own.drop_duplicates(["first", "second"])
    best = min(
        range(len(found)),
        key=lambda k: sorted(
            (place(str(found[end].iloc[k])) for end in ("first", "second")), reverse=True
        ),
    )
    return str(found.iloc[best]["first"]), str(found.iloc[best]["second"])


def _answer(rows: Mapping[str, pd.Series], first: str, second: str) -> str:
    own, other = rows[NONE], rows.get(SHUFFLED)
    said = (
        f"{_capital(first)} and {second} agree at a rank correlation of {_rho(own)} on the same "
        "image"
    )
    if other is None or np.isnan(other["difference"]):
        return f"{said} ({n_of(own)}); how far maps of two images agree cannot be said of so few."
    return f"{said} and at {_rho(other)} on two different ones: {_difference(other)} ({n_of(own)})."


def _difference(row: pd.Series) -> str:
    text = text_of(row, "difference", "difference_low", "difference_high")
    if row["difference_low"] > 0:
        return f"the difference, {text}, is about the image"
    if row["difference_high"] < 0:
        return f"on their own image they agree less, by {text}"
    if np.isnan(row["difference_low"]):
        return f"the difference is {text}"
    return (
        f"the difference, {text}, cannot be told from 0, so that no agreement about the image is "
        "shown"
    )


def _tops(pairs: pd.DataFrame, first: str, second: str, titles: Mapping[str, str]) -> str:
    of = pairs[(pairs["first"] == first) & (pairs["second"] == second)]
    of = of[of["share"] == of["share"].iloc[0]].set_index("baseline")
    if SHUFFLED not in of.index or np.isnan(of.loc[SHUFFLED, "iou"]):
        return ""
    own, other = of.loc[NONE], of.loc[SHUFFLED]
    q = float(own["share"])
    chance = chance_overlap(int(own["rows"] * own["columns"]), q)
    texts = [text_of(row, "iou", "iou_low", "iou_high") for row in (own, other)]
    return (
        f"The top {100 * q:g} % of their {own['rows']} x {own['columns']} cells overlap, as "
        f"intersection over union, by {texts[0]} on the same image and {texts[1]} on two different "
        f"ones; of unrelated maps by {share_text(chance)} on average."
    )


def _all_pairs(pairs: pd.DataFrame, titles: Mapping[str, str]) -> str:
    """Name the pairs of methods on single images that agree more on own images."""
    other = pairs[(pairs["baseline"] == SHUFFLED) & (pairs["first"] != pairs["second"])]
    other = other.drop_duplicates(["first", "second"]).dropna(subset=["difference_low"])
    other = other[~(_of_study(other["first"]) | _of_study(other["second"]))]
    if len(other) < 2:
        return ""
    more, less = other[other["difference_low"] > 0], other[other["difference_high"] < 0]
    named = [
        f"{titles[row['first']]} and {titles[row['second']]} "
        f"({text_of(row, 'difference', 'difference_low', 'difference_high')})"
        for _, row in more.sort_values("difference", ascending=False).head(MOST_NAMED).iterrows()
    ]
    rest = len(more) - len(named)
    named += [f"{rest} more"] if rest else []
    verb = "agrees" if len(more) == 1 else "agree"
    said = (
        f"Of {count_text(len(other), 'pair')} of methods {len(more)} {verb} more on the same image "
        "than on two different ones"
    )
    said += f": {join_words(named)}" if named else ""
    said += f"; {len(less)} less" if len(less) else ""
    return f"{said}. By chance about {0.025 * len(other):.1f} would."


def _of_the_study(pairs: pd.DataFrame, titles: Mapping[str, str]) -> str:
    """Say what the variance maps of the study agree with."""
    own = pairs[(pairs["baseline"] == NONE) & (pairs["n"] > 0)]
    own = own.drop_duplicates(["first", "second"]).dropna(subset=["spearman", "low"])
    own = own[_of_study(own["second"]) & ~_of_study(own["first"])]
    if own.empty:
        return ""
    apart = own[(own["low"] > 0) | (own["high"] < 0)]
    said = (
        "The variance maps of the study are of all its images together: they agree with the maps "
        "of one image as with those of any other, so that nothing of that is about the image. Of "
        f"{count_text(len(own), 'agreement')} with methods {len(apart)} can be told from 0"
    )
    named = [
        f"{titles[row['second']]} and {titles[row['first']]} ({_rho(row)})"
        for _, row in apart.head(MOST_NAMED).iterrows()
    ]
    return f"{said}: {join_words(named)}." if named else f"{said}."


def _of_study(names: pd.Series[str]) -> pd.Series[bool]:
    return names.str.startswith(f"{VARIANCE}:")


def _undefined(own: pd.DataFrame) -> str:
    """Say where maps are constant."""
    lost = own[own["undefined"] > 0]
    if lost.empty:
        return ""
    most = int(lost["undefined"].max())
    pairs = len(lost.drop_duplicates(["first", "second"]))
    return (
        f"A constant map has no agreement: up to {count_text(most, 'image')} are left out of "
        f"{count_text(pairs, 'pair')} of methods."
    )


def _elsewhere(source: Source) -> list[str]:
    found = gather(source)
    if found.edges is None:
        return ["No image is looked at."]
    return [
        f"{_capital(titles_of(source, [name])[name])} has maps of none of these images and targets."
        for name in found.elsewhere
    ]


def _control(rows: Mapping[str, pd.Series], first: str, second: str) -> str:
    """Say what else agrees as much with the first method's maps."""
    what = {
        CENTRE: "a Gaussian in the middle",
        EDGES: "the image's edges",
        UNTRAINED: f"{second} of the untrained twin",
    }
    found = {
        name: row for name, row in rows.items() if name in what and np.isfinite(row["spearman"])
    }
    if not found:
        return "There is nothing else to hold it against."
    said = join_words([f"with {what[name]} at {_rho(row)}" for name, row in found.items()])
    reach = [what[name] for name, row in found.items() if not row["difference_low"] > 0]
    text = f"{_capital(first)} agrees {said}"
    if reach:
        return f"{text}: with {second} not clearly more than with {join_words(reach)}."
    return f"{text}: less than with {second}, beyond doubt."


def _rho(row: pd.Series) -> str:
    return text_of(row, "spearman", "low", "high")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
