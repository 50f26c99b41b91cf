"""Studies that others are held against, or that choose units for them: twins and selections.

The untrained twin of a model is studied with the same rows: what is equally there is architecture
and geometry, not learning. A selection is half A of a study's replicates, evaluated again with all
images of part train: what selects units must not have seen the images and the rows that it is
tested on (Kriegeskorte et al. 2009, Circular analysis in systems neuroscience).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from variscope.analyses.registry import Analysis
from variscope.errors import UserError

# The folder of a selection, in the place of its design's.
SELECTION = "selection"

# The folder of the sums of controls, which are made as the outputs come; these are never kept.
TRANSIT = "transit"

# The part that selections are made on.
SELECTED_ON = "train"


def twin_of(model: str) -> str:
    """Name the untrained twin of a model."""
    return f"{model}_untrained"


def twins(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the models that have a twin, by the twins' names.

    Raises:
        UserError: another model has that name.
    """
    models = config["models"]
    found = {twin_of(name): name for name, model in models.items() if model["twin"]}
    for twin, name in found.items():
        if twin in models:
            raise UserError(
                f"models.{twin}: found a model of the name that the untrained twin of {name} has; "
                f"name it otherwise, or leave models.{name}.twin out"
            )
    return found


def selects(analyses: Iterable[Analysis]) -> bool:
    """Say whether one of the analyses selects units on one part and is tested on the other."""
    return any("selection" in analysis.reads for analysis in analyses)
