"""What pixels' sensitivity says, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from variscope.analyses.kept_maps import TRAINED
from variscope.analyses.pixels import STEPS
from variscope.analyses.pixels.compute import CLASS_SCORE
from variscope.analyses.source import Source
from variscope.analyses.words import Words
from variscope.estimators.resampling import MIN_CLUSTERS
from variscope.indices.wording import estimate_text, share_text

Row = Mapping[str, Any]

# A difference of rank correlations from which on something is said to follow edges.
NOTICEABLE = 0.1


def words(source: Source, tables: Mapping[str, pd.DataFrame]) -> Words:
    """Say whether maps say more than edges and the untrained twin, and how they are spread."""
    notes = [str(note) for note in tables["notes"]["note"]]
    pairs = {
        (str(row["first"]), str(row["second"])): row
        for row in _rows(tables["agreement"], of=CLASS_SCORE)
    }
    edges = pairs.get(("gradient", "edges"))
    if edges is None:
        return Words(answer=" ".join(["No image was looked at.", *notes]))
    if not edges["n"]:
        why = "Gradients are the same for all pixels of every image: there is no map."
        return Words(answer=" ".join([why, *notes]))
    held = (
        f"gradient and edges of an image correlate by {_estimate(edges)} ({edges['inference']}), "
        f"gradient and edges of other images by {share_text(edges['others'])} (difference "
        f"{_estimate(edges, 'difference', 'difference_')})"
    )
    much = abs(edges["difference"]) >= NOTICEABLE
    if edges["difference_low"] > 0 and much:
        answer = f"The class score is sensitive to pixels at edges of the image: {held}."
    elif edges["difference_high"] < 0 and much:
        answer = f"The class score is sensitive to pixels away from edges of the image: {held}."
    elif edges["difference_low"] > 0 or edges["difference_high"] < 0:
        answer = f"Maps of sensitivity hardly have to do with the edges of their images: {held}."
    else:
        answer = f"Maps of sensitivity are not shown to follow the edges of their images: {held}."
    return Words(
        answer=answer,
        more=[*_spread(tables), *_differences(pairs, tables), *notes],
        control=_twin(pairs),
        note=_note(int(edges["n"])),
    )


def _rows(found: pd.DataFrame, **wanted: object) -> list[Row]:
    for name, value in wanted.items():
        found = found[found[name] == value]
    columns = [str(name) for name in found.columns]
    return [dict(zip(columns, row, strict=True)) for row in found.itertuples(index=False)]


def _estimate(row: Row, name: str = "value", prefix: str = "") -> str:
    return estimate_text(row[name], row[f"{prefix}low"], row[f"{prefix}high"])


def _spread(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Say how much the most sensitive tenth holds, and where it lies."""
    found = {
        str(row["measure"]): row
        for row in _rows(tables["where"], of=CLASS_SCORE, network=TRAINED, method="gradient")
    }
    top, centre = found["top"], found["centre"]
    if not top["n"] or not centre["n"]:
        return []
    if centre["low"] > centre["chance"]:
        lies = "more than chance puts there"
    elif centre["high"] < centre["chance"]:
        lies = "less than chance puts there"
    else:
        lies = "no more or less than chance can put there"
    return [
        f"The most sensitive tenth of the pixels holds {_estimate(top)} of all sensitivity; "
        f"{_estimate(centre)} of it lies in the central quarter of the image, {lies}."
    ]


def _twin(pairs: Mapping[tuple[str, str], Row]) -> str:
    """Say what of it the untrained twin has as well."""
    same = pairs.get(("gradient", "untrained gradient"))
    edges = pairs.get(("untrained gradient", "edges"))
    if same is None or edges is None or not same["n"] or not edges["n"]:
        return "There is no untrained twin to hold the maps against."
    shared = (
        "more than those of two images do: architecture and image alone make part of the map"
        if same["difference_low"] > 0
        else "no more than those of two images are shown to"
    )
    return (
        f"Gradients of the untrained twin, for the same image and class, agree with edges by "
        f"{_estimate(edges)}. With the trained network's they agree by {_estimate(same)}, {shared} "
        f"(other images {share_text(same['others'])}, difference "
        f"{_estimate(same, 'difference', 'difference_')})."
    )


def _differences(
    pairs: Mapping[tuple[str, str], Row], tables: Mapping[str, pd.DataFrame]
) -> list[str]:
    """Say whether finite differences see what gradients see."""
    said = []
    cells = pairs.get(("gradient", "difference"))
    if cells is not None and cells["n"]:
        said.append(
            f"Cell by cell the gradient ranks as finite differences do by {_estimate(cells)}."
        )
    found = {
        (float(row["step"]), str(row["measure"])): row
        for row in _rows(tables["sampled"], of=CLASS_SCORE)
    }
    error = {step: found.get((step, "error")) for step in STEPS}
    large, small = (error[step] for step in STEPS)
    if large is not None and small is not None and large["n"] and small["n"]:
        said.append(
            f"Of single pixels, in float64, a step of one grey value differs from the gradient by "
            f"{_part(large)} of it, since the network is not linear over the step; a step of a "
            f"thousandth of that differs by {small['value']:.1g}."
        )
    return said


def _part(row: Row) -> str:
    """Write an estimate with its interval, or the magnitude alone of one that is next to 0."""
    return _estimate(row) if row["value"] >= 0.001 else f"{row['value']:.1g}"


def _note(clusters: int) -> str:
    note = "Correlations are by ranks, across the pixels or cells of one image, of absolute values."
    if clusters < MIN_CLUSTERS:
        return (
            f"{note} Of {clusters} sources of images, fewer than {MIN_CLUSTERS}, no p-value over "
            "images is given: so few cannot show how images differ."
        )
    return note
