"""What the jobs of analyses begin with: the entry, and the studies that it is about."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from variscope.analyses.registry import Analysis, built_in, from_file
from variscope.analyses.source import Source, Study


def find(analysis: dict[str, str]) -> Analysis:
    """Return the entry that a rule names: ``name``, and ``file`` of a user's."""
    if analysis["file"]:
        return from_file(analysis["name"], Path(analysis["file"]))
    return built_in()[analysis["name"]]


def open_source(analysis: Analysis, params: Any, given: Any) -> Source:
    """Return what an analysis is made from.

    Args:
        analysis: its entry.
        params: of the job: ``settings``, ``studies`` (a mapping with ``paths`` for each) and, for
            an analysis that reads images, ``dataset``, ``variable_sets`` and ``seed``.
        given: the job's input, ``images`` among it for such an analysis.
    """
    studies = [
        Study(**{**study, "paths": tuple(map(Path, study["paths"]))}) for study in params.studies
    ]
    if "images" not in analysis.reads:
        return Source(studies=studies, settings=params.settings)
    from variscope.inputs.images import reopen_images
    from variscope.inputs.spaces import make_space

    def open_space(name: str, images: Any) -> Any:
        entry = params.variable_sets[name]
        return make_space(entry, images, entry["augmentations"], Path.cwd())

    return Source(
        studies=studies,
        settings=params.settings,
        open_images=partial(reopen_images, params.dataset, given.images, Path.cwd()),
        open_space=open_space,
        sets=list(params.variable_sets),
        seed=params.dataset["seed"],
    )
