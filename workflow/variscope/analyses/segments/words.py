"""What the segments make of single planes, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from variscope.analyses.source import Source
from variscope.analyses.words import Words
from variscope.indices.wording import (
    count_text,
    estimate_text,
    interval_text,
    join_words,
    share_text,
    variable_label,
    variable_phrase,
)

NOTE = (
    "Intervals are over the channels of a segment's last layer, and over replicates where shares "
    "are compared: they hold for these images, not for others. Maps that are compared are of "
    "different halves of the replicates. A plane is put into every channel, so that a segment sees "
    "what no image shows it; the pictures in which one coordinate varies are natural to it."
)


def words(source: Source, tables: Mapping[str, pd.DataFrame]) -> Words:
    """Name the planes that keep the maps best and worst, what changes most, and the controls."""
    planes = tables["planes"]
    trained = planes[planes["network"] == "trained"]
    if trained.empty:
        return Words(
            answer="No segment is looked at: there are no two studied layers of maps, one after "
            "the other."
        )
    by_segment = trained[trained["via"] == "segment"].dropna(subset=["kept"])
    if by_segment.empty:
        return Words(
            answer="Maps under single planes cannot be compared: none has more than one pixel that "
            "varies in both halves of the replicates.",
            note=NOTE,
        )
    best, worst = (by_segment.iloc[int(k)] for k in by_segment["kept"].argsort().iloc[[-1, 0]])
    kept = (
        f"The whole network's maps are kept best under {_plane(best)} ({_where(best)}; correlation "
        f"across pixels {_kept(best)}, n = {count_text(best['n'], 'channel')})"
    )
    if len(by_segment) > 1:
        kept += f" and least under {_plane(worst)} ({_where(worst)}; {_kept(worst)})"
    of_trained = tables["shares"].query("network == 'trained' and via == 'segment'")
    more = [
        f"{kept}. {_against_others(best)}",
        _noise(tables["variables"].query("network == 'trained'")),
        _outside(by_segment),
    ]
    return Words(
        answer=_changed(of_trained),
        more=[sentence for sentence in more if sentence],
        control=_control(tables, of_trained, best),
        note=NOTE,
    )


def _plane(row: pd.Series) -> str:
    return variable_label(str(row["plane"]))


def _where(row: pd.Series) -> str:
    return f"{row['segment']}, {row['variable_set']} set"


def _kept(row: pd.Series) -> str:
    return estimate_text(float(row["kept"]), float(row["low"]), float(row["high"]))


def _against_others(row: pd.Series) -> str:
    """Say whether it is the channel's own map that is kept, or what all maps have in common."""
    others = float(row["other_channels"])
    if others != others:
        return "There are no other channels to hold it against."
    text = f"Other channels' maps reach {share_text(others)}"
    if others >= float(row["low"]):
        return f"{text}: what is kept is common to all channels, and not the channel's own."
    return f"{text}, which the interval leaves out."


def _most_changed(shares: pd.DataFrame) -> pd.Series | None:
    """Return the share that a plane changes most beyond doubt."""
    apart = shares[(shares["low"] > 0) | (shares["high"] < 0)]
    return None if apart.empty else apart.iloc[int(apart["difference"].abs().argmax())]


def _changed(shares: pd.DataFrame) -> str:
    """Name it, and count those that can be told from the original's."""
    row = _most_changed(shares)
    looked = count_text(len(shares), "share")
    if row is None:
        return (
            f"Where a segment is fed with one color plane alone, none of {looked} can be told from "
            "that of the whole network."
        )
    apart = int(((shares["low"] > 0) | (shares["high"] < 0)).sum())
    verb = "gains" if row["difference"] > 0 else "loses"
    low, high = sorted(abs(float(row[end])) for end in ("low", "high"))
    return (
        f"Where a segment is fed with one color plane alone, {variable_phrase(row['variable'])} "
        f"{verb} {share_text(abs(float(row['difference'])))} {interval_text(low, high)} of the "
        f"variance under {_plane(row)} ({_where(row)}; n = {count_text(row['n'], 'replicate')}), "
        f"the largest of {apart:,} changes of {looked} that can be told from 0; about "
        f"{0.05 * len(shares):.0f} would be by chance."
    )


def _noise(variables: pd.DataFrame) -> str:
    """Say where the maps are too noisy for a correlation without what noise takes away."""
    known = variables["corrected"].notna()
    if known.all():
        return ""
    return (
        f"Of {count_text(len(known), 'map')}, averaged over channels, {int((~known).sum()):,} are "
        "known too little for a correlation without what noise takes away: where few blocks are "
        "evaluated, these correlations are lower than the truth."
    )


def _outside(planes: pd.DataFrame) -> str:
    """Say how much of what a segment is fed with it never sees."""
    known = planes.dropna(subset=["outside"]).drop_duplicates(["segment", "plane"])
    if known.empty:
        return ""
    most = known.groupby("plane", sort=False)["outside"].max()
    parts = [f"{100 * value:.0f} % under {variable_label(str(p))}" for p, value in most.items()]
    return (
        f"Of the segments' inputs up to {join_words(parts)} are outside of what the unit gives to "
        "98 % of the images."
    )


def _control(tables: Mapping[str, pd.DataFrame], shares: pd.DataFrame, best: pd.Series) -> str:
    """Hold what is said against the same of the untrained twin."""
    row = _most_changed(shares)
    found = []
    if row is not None:
        twin = _of_twin(tables["shares"], row, "variable")
        if twin is not None:
            found.append(
                f"In the untrained twin the same share changes by {_change(twin)}: "
                + (
                    "as much or more, so that it need not be learned."
                    if _reaches(twin, row)
                    else "less, so that training has a part in it."
                )
            )
    twin = _of_twin(tables["planes"], best)
    if twin is not None:
        text = f"Under {_plane(best)} its maps keep {_kept(twin)}"
        if twin["high"] < best["low"]:
            text += ": less than those of the trained network."
        elif twin["low"] > best["high"]:
            text += ": more than those of the trained network."
        else:
            text += ": not clearly another number."
        found.append(text)
    return " ".join(found) or "There is no untrained twin to hold it against."


def _of_twin(table: pd.DataFrame, row: pd.Series, *more: str) -> pd.Series | None:
    """Return what a table says of the untrained twin where it says ``row`` of the network."""
    twin = table[table["network"] == "untrained"]
    for key in ("variable_set", "segment", "via", "plane", *more):
        twin = twin[twin[key] == row[key]]
    twin = twin.dropna(subset=["low"])
    return None if twin.empty else twin.iloc[0]


def _change(row: pd.Series) -> str:
    return estimate_text(*(float(row[key]) for key in ("difference", "low", "high")))


def _reaches(twin: pd.Series, row: pd.Series) -> bool:
    """Say whether the twin's change, in the same direction, may be as large."""
    if row["difference"] > 0:
        return bool(twin["high"] >= row["low"])
    return bool(twin["low"] <= row["high"])
