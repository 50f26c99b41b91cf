"""What analyses of guided masks are made from: made-up outcomes, as two shards leave them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import masking_cases
import synthetic
import xarray as xr
from variscope.analyses.registry import built_in
from variscope.analyses.source import Result, Source, Study


def source(
    name: str, found: xr.Dataset, folder: Path, studies: Sequence[Study] = (), **settings: object
) -> Source:
    """A source of the analysis `name`, with its default settings but for those that are given."""
    entry = built_in()[name]
    defaults = {key: setting["default"] for key, setting in entry.settings.items()}
    result = Result(analysis=entry, shards=masking_cases.shards(folder, found))
    return Source(
        studies=studies or [Study.of(synthetic.tree())],
        settings=defaults | settings,
        results={"masking": result},
    )
