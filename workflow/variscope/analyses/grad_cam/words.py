"""What class activation maps say, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from variscope.analyses.kept_maps import TRAINED
from variscope.analyses.source import Source
from variscope.analyses.words import Words
from variscope.estimators.resampling import MIN_CLUSTERS
from variscope.indices.wording import estimate_text, share_text

Row = Mapping[str, Any]

# A rank correlation from which on two maps are called the same.
ALIKE = 0.9
# And from which on they are one but for rounding.
IDENTICAL = 0.9999


def words(source: Source, tables: Mapping[str, pd.DataFrame]) -> Words:
    """Say whether both methods see the same, and what of it the untrained twin has as well."""
    notes = [str(note) for note in tables["notes"]["note"]]
    pairs = {
        (str(row["first"]), str(row["second"]), str(row["measure"])): row
        for row in _rows(tables["agreement"])
    }
    spearman, iou = (
        pairs.get(("grad_cam", "hires_cam", measure)) for measure in ("spearman", "iou")
    )
    if spearman is None or iou is None:
        return Words(answer=" ".join(notes or ["No image was looked at."]))
    if not spearman["n"]:
        return Words(
            answer="Class activation maps are the same everywhere in every image, and say nothing: "
            "the class scores do not depend on the layer, or on all of its places alike.",
            more=notes,
        )
    layer = str(tables["images"]["layer"].iloc[0])
    if spearman["low"] >= ALIKE:
        same = spearman["difference_low"] <= 0
        judged = f"Grad-CAM shows the same as HiResCAM{', whatever the image,' if same else ''}"
    elif spearman["difference_low"] > 0:
        judged = "Grad-CAM shows a part of what HiResCAM does"
    else:
        judged = "Grad-CAM is not shown to agree with HiResCAM more than maps of two images do"
    answer = (
        f"{judged} in {layer}: cells of an image rank alike by {_estimate(spearman)} "
        f"({spearman['inference']}), those of two images by {share_text(spearman['others'])}, and "
        f"of the top fifths of both {_estimate(iou)} is common."
    )
    return Words(
        answer=answer,
        more=[*_identical(spearman), *_undefined(spearman), *_sums(tables), *notes],
        control=_twin(pairs),
        note=_note(int(spearman["n"])),
    )


def _rows(found: pd.DataFrame) -> list[Row]:
    columns = [str(name) for name in found.columns]
    return [dict(zip(columns, row, strict=True)) for row in found.itertuples(index=False)]


def _estimate(row: Row, name: str = "value", prefix: str = "") -> str:
    return estimate_text(row[name], row[f"{prefix}low"], row[f"{prefix}high"])


def _identical(row: Row) -> list[str]:
    if row["value"] < IDENTICAL:
        return []
    return ["Where only a mean over places and a linear layer follow, both are one by definition."]


def _undefined(row: Row) -> list[str]:
    if not row["undefined"]:
        return []
    return [f"Maps of {row['undefined']} images are the same everywhere, and left out."]


def _sums(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Say how much speaks against the class, and where Grad-CAM shows nothing."""
    found = {str(row["measure"]): row for row in _rows(tables["sums"]) if row["network"] == TRAINED}
    said = []
    against, empty = found["against"], found["empty"]
    if against["n"]:
        said.append(
            f"Of HiResCAM's values {_estimate(against)} speak against the class that is asked for, "
            "which Grad-CAM cuts off."
        )
    if empty["n"] and empty["value"] > 0:
        said.append(
            f"Grad-CAM is 0 everywhere for a share of {_estimate(empty)} of the images: all of the "
            "layer speaks against the class, by its mean."
        )
    return said


def _twin(pairs: Mapping[tuple[str, str, str], Row]) -> str:
    """Say what of it the untrained twin has as well."""
    said = []
    for name, label in (("grad_cam", "Grad-CAM"), ("hires_cam", "HiResCAM")):
        row = pairs.get((name, f"untrained {name}", "spearman"))
        if row is None or not row["n"]:
            continue
        judged = "more than" if row["difference_low"] > 0 else "not shown to be more than"
        said.append(
            f"{label} of the untrained twin agrees with the trained network's by {_estimate(row)}, "
            f"{judged} with that of other images ({share_text(row['others'])}, difference "
            f"{_estimate(row, 'difference', 'difference_')})."
        )
    return " ".join(said) or "There is no untrained twin to hold the maps against."


def _note(clusters: int) -> str:
    note = (
        "Grad-CAM is compared before its values below 0 are cut off. The classes asked for are "
        "those of the trained network's answers, of the twin the same."
    )
    if clusters < MIN_CLUSTERS:
        return (
            f"{note} Of {clusters} sources of images, fewer than {MIN_CLUSTERS}, no p-value over "
            "images is given: so few cannot show how images differ."
        )
    return note
