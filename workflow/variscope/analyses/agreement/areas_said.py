"""What deletion and insertion say of each method, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from variscope.analyses.agreement.gathered import CENTRE, EDGES, titles_of
from variscope.analyses.agreement.orders import RANDOM
from variscope.analyses.source import Source
from variscope.indices.wording import count_text, estimate_text, join_words, share_text


def sentences(source: Source, areas: pd.DataFrame) -> list[str]:
    """Say which methods find what carries the score: better than random orders, or worse."""
    methods = areas[~areas["method"].isin([RANDOM, CENTRE, EDGES])]
    titles = titles_of(source, list(dict.fromkeys(areas["method"])))
    titles |= {CENTRE: "the middle first", EDGES: "edges first"}
    return [
        _of_kind(areas[(areas["kind"] == kind) & (areas["fill"] == fill)], titles, kind, fill)
        for kind in dict.fromkeys(methods["kind"])
        for fill in dict.fromkeys(methods["fill"])
    ]


def _of_kind(areas: pd.DataFrame, titles: Mapping[str, str], kind: str, fill: str) -> str:
    """Name all methods that are better than random orders, and of these those beyond edges.

    Not the best of them alone, which would look better than it is: chosen by the numbers that it
    is then given by.
    """
    sign, what = (-1, "lower") if kind == "deletion" else (1, "raise")
    areas = areas.dropna(subset=["random_low"])
    if areas.empty:
        return f"So few images tell nothing about {kind} with the {fill} fill."

    def beyond(control: str, side: int) -> pd.Series[bool]:
        return (areas[[f"{control}_low", f"{control}_high"]] * side > 0).all(axis=1)

    def named(rows: pd.DataFrame) -> str:
        keys = "random_difference", "random_low", "random_high"
        return join_words(
            [f"{titles[row['method']]} ({text_of(row, *keys)})" for _, row in rows.iterrows()]
        )

    methods = ~areas["method"].isin([CENTRE, EDGES])
    better = areas[methods & beyond(RANDOM, sign)]
    chance = f"of {count_text(int(methods.sum()), 'method')} about {0.025 * methods.sum():.1f}"
    by = f"by the area under the curve ({n_of(areas.iloc[0])}; {chance} would by chance)"
    order = "order" if len(better) == 1 else "orders"
    verb = f"{what}s" if len(better) < 2 else what
    start = f"By {kind} with the {fill} fill"
    if better.empty:
        said = f"{start} no method's order {verb} the score faster than random ones, {by}"
    else:
        said = (
            f"{start} the {order} of {named(better)} {verb} the score faster than random ones, {by}"
        )
        also = areas[methods & beyond(RANDOM, sign) & beyond(CENTRE, sign) & beyond(EDGES, sign)]
        known = "the middle first and edges first, which know nothing of the network"
        said += (
            f"; {join_words([titles[name] for name in also['method']])} faster than {known}, too"
            if len(also)
            else f"; none of them is clearly faster than both {known}"
        )
    controls = areas[~methods & beyond(RANDOM, sign)]
    if len(controls):
        said += f". Faster than random ones {'is' if len(controls) == 1 else 'are'} also "
        said += named(controls)
    worse = areas[methods & beyond(RANDOM, -sign)]
    return f"{said}. Slower {named(worse)}." if len(worse) else f"{said}."


def text_of(row: pd.Series, value: str, low: str, high: str) -> str:
    """Write an estimate, with its interval where there is one."""
    if np.isnan(row[low]):
        return share_text(float(row[value]))
    return estimate_text(float(row[value]), float(row[low]), float(row[high]))


def n_of(row: pd.Series) -> str:
    """Write what a number is of."""
    if row["n"] == row["images"]:
        return f"n = {count_text(row['n'], 'image')}"
    return f"n = {count_text(row['n'], 'cluster')} of {count_text(row['images'], 'image')}"
