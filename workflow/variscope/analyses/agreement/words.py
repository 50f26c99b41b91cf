"""How far the methods agree, and whether what they point at carries the score, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from variscope.analyses.agreement.choosing import VARIANCE
from variscope.analyses.agreement.gathered import CENTRE, EDGES, gather, titles_of
from variscope.analyses.agreement.orders import RANDOM
from variscope.analyses.agreement.pairs import NONE, SHUFFLED, UNTRAINED
from variscope.analyses.conditions import few_clusters
from variscope.analyses.source import Source
from variscope.analyses.words import Words
from variscope.estimators.agreement import chance_overlap
from variscope.indices.wording import (
    count_text,
    estimate_text,
    join_words,
    share_text,
)

# Of which pair the first sentence is: the published one where it is there.
LEADING = ("grad_cam", "gradient", "difference", "hires_cam", "maximisation", "regions")

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
    said_of_curves = _curves(source, tables["areas"])
    elsewhere = _elsewhere(source)
    if own.empty:
        return Words(
            answer="No two methods have maps of the same images that are not constant, so that "
            "there is no agreement to speak of.",
            more=[*elsewhere, *said_of_curves],
            note=NOTE if said_of_curves else "",
        )
    first, second = _leading(own)
    names = list(dict.fromkeys([*own["first"], *own["second"]]))
    titles = titles_of(source, names)
    rows = {
        str(row["baseline"]): row
        for _, row in pairs[(pairs["first"] == first) & (pairs["second"] == second)].iterrows()
    }
    more = [_tops(pairs, first, second, titles), _all_pairs(pairs), _of_the_study(pairs, titles)]
    more += [_undefined(own), *elsewhere, *said_of_curves]
    more.append(few_clusters(int(own["n"].max())) if own["n"].max() > 0 else "")
    return Words(
        answer=_answer(rows, titles[first], titles[second]),
        more=[sentence for sentence in more if sentence],
        control=_control(rows, titles[first], titles[second]),
        note=NOTE,
    )


def _leading(own: pd.DataFrame) -> tuple[str, str]:
    """Return the pair that the first sentence is of: of single images where there is one."""

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
        return f"{said} ({_n(own)}); how far maps of two images agree cannot be said of so few."
    return f"{said} and at {_rho(other)} on two different ones: {_difference(other)} ({_n(own)})."


def _difference(row: pd.Series) -> str:
    text = _text(row, "difference", "difference_low", "difference_high")
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
    texts = [_text(row, "iou", "iou_low", "iou_high") for row in (own, other)]
    return (
        f"The top {100 * q:g} % of their {own['rows']} x {own['columns']} cells overlap, as "
        f"intersection over union, by {texts[0]} on the same image and {texts[1]} on two different "
        f"ones; of unrelated maps by {share_text(chance)} on average."
    )


def _all_pairs(pairs: pd.DataFrame) -> str:
    """Count the pairs that agree more on own images."""
    other = pairs[(pairs["baseline"] == SHUFFLED) & (pairs["first"] != pairs["second"])]
    other = other.drop_duplicates(["first", "second"]).dropna(subset=["difference_low"])
    of_study = other["first"].str.startswith(VARIANCE) | other["second"].str.startswith(VARIANCE)
    other = other[~of_study]
    if len(other) < 2:
        return ""
    more, less = int((other["difference_low"] > 0).sum()), int((other["difference_high"] < 0).sum())
    return (
        f"Of {count_text(len(other), 'pair')} of methods {more} agree more on the same image than "
        f"on two different ones, and {less} less; by chance about {0.025 * len(other):.1f} of each "
        "would."
    )


def _of_the_study(pairs: pd.DataFrame, titles: Mapping[str, str]) -> str:
    """Say what the variance maps of the study agree with."""
    own = pairs[(pairs["baseline"] == NONE) & (pairs["n"] > 0)]
    own = own.drop_duplicates(["first", "second"])
    of_study = own["second"].str.startswith(VARIANCE) & ~own["first"].str.startswith(VARIANCE)
    own = own[of_study].dropna(subset=["spearman"])
    if own.empty:
        return ""
    parts = []
    for name in dict.fromkeys(own["second"]):
        of = own[own["second"] == name]
        best = of.iloc[int(of["spearman"].abs().argmax())]
        parts.append(f"{titles[name]} most with {titles[best['first']]}, {_rho(best)}")
    return (
        "The variance maps of the study are of all its images together, so that they agree with "
        "the maps of one image as with those of any other, and nothing of that is about the "
        f"image: {'; '.join(parts)}."
    )


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
    said = join_words([f"{what[name]} {_rho(row)}" for name, row in found.items()])
    reach = [what[name] for name, row in found.items() if not row["difference_low"] > 0]
    text = f"With {first}, in the place of {second}, agree {said}."
    if not reach:
        return f"{text} All of them agree less than {second} does."
    return (
        f"{text} {second.capitalize() if second.islower() else second} cannot be said to agree "
        f"more than {join_words(reach)}."
    )


def _curves(source: Source, areas: pd.DataFrame) -> list[str]:
    """Say which methods find what carries the score: better than random orders, and than none."""
    methods = areas[~areas["method"].isin([RANDOM, CENTRE, EDGES])]
    if methods.empty:
        return []
    names = list(dict.fromkeys([*methods["method"], CENTRE, EDGES]))
    titles = titles_of(source, names)
    found = []
    for kind, sign, verb in (("deletion", -1, "falls"), ("insertion", 1, "rises")):
        for fill in dict.fromkeys(methods["fill"]):
            of = areas[(areas["kind"] == kind) & (areas["fill"] == fill)]
            found.append(_of_kind(of, titles, kind, fill, sign, verb))
    return found


def _of_kind(
    areas: pd.DataFrame, titles: Mapping[str, str], kind: str, fill: str, sign: int, verb: str
) -> str:
    of = areas[~areas["method"].isin([RANDOM, CENTRE, EDGES])]
    best = of.iloc[int((sign * of["random_difference"]).argmax())]
    text = _text(best, "random_difference", "random_low", "random_high")
    name = titles[best["method"]]
    said = (
        f"By {kind} with the {fill} fill the score {verb} fastest in the order of {name} "
        f"(area {_text(best, 'area', 'low', 'high')}; "
        f"less that of random orders {text}, {_n(best)})"
    )
    ends = of[["random_low", "random_high"]] * sign
    passed = [titles[name] for name in of["method"][ends.min(axis=1) > 0]]
    worse = [titles[name] for name in of["method"][ends.max(axis=1) < 0]]
    said += (
        f"; better than random {'is' if len(passed) == 1 else 'are'} {join_words(passed)}"
        if passed
        else "; no method is better than random beyond doubt"
    )
    if worse:
        said += f", worse {join_words(worse)}"
    over = best[["centre_low", "centre_high"]] * sign
    if over.min() > 0:
        return f"{said}. It is better than the order from the centre, too."
    return (
        f"{said}. Better than the order from the centre, which knows nothing of the network, it "
        f"cannot be said to be: {_text(best, 'centre_difference', 'centre_low', 'centre_high')}."
    )


def _text(row: pd.Series, value: str, low: str, high: str) -> str:
    """Write an estimate, with its interval where there is one."""
    if np.isnan(row[low]):
        return share_text(float(row[value]))
    return estimate_text(float(row[value]), float(row[low]), float(row[high]))


def _n(row: pd.Series) -> str:
    """Write what a number is of."""
    if row["n"] == row["images"]:
        return f"n = {count_text(row['n'], 'image')}"
    return f"n = {count_text(row['n'], 'cluster')} of {count_text(row['images'], 'image')}"


def _rho(row: pd.Series) -> str:
    return _text(row, "spearman", "low", "high")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
