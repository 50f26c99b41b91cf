"""What the pictures of analyses share: style, grids, maps, and how figures are saved.

The pictures themselves stand with their analyses, ``analyses/<name>/figures.py``. They can be had
from here by name all the same, as `variscope.figures.summary`: arrays and named dimensions in,
matplotlib figures out. Nothing is estimated by a picture, and pyplot's state is not touched.
"""

from __future__ import annotations

import importlib
from typing import Any

from variscope.figures.style import save

# Function of each picture that people call: where it stands.
_PICTURES = {
    name: f"variscope.analyses.{name}.figures"
    for name in ("comparison", "convergence", "depth", "histograms", "maps", "moments", "pair_maps",
                 "pairs", "samples", "specialised", "summary", "unit_rows")
} | {
    "decay": "variscope.analyses.histograms.figures",
    "network": "variscope.analyses.moments.figures",
}  # fmt: skip

__all__ = [*_PICTURES, "save"]


def __getattr__(name: str) -> Any:
    if name in _PICTURES:
        return getattr(importlib.import_module(_PICTURES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
