"""What the jobs of analyses begin with: the entry, and the studies that it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from variscope.analyses.registry import Analysis, built_in, from_file
from variscope.analyses.source import GivenTable, Result, Source, Study


def find(analysis: Mapping[str, str]) -> Analysis:
    """Return the entry that a rule names: ``name``, and ``file`` of a user's."""
    if analysis["file"]:
        return from_file(analysis["name"], Path(analysis["file"]))
    return built_in()[analysis["name"]]


def open_source(
    analysis: Analysis,
    params: Any,
    given: Any,
    open_network: Callable[[bool], Any] | None = None,
) -> Source:
    """Return what an analysis is made from.

    Args:
        analysis: its entry.
        params: of the job: ``settings``, ``seed``, ``sets`` (names of variable sets, where it has
            to do with each), ``studies`` (a mapping with ``paths`` for each), ``made``, what its
            own earlier steps made (``shards`` and ``layer_datasets``, paths by name), ``others``,
            what other analyses made; for an analysis that opens images ``dataset`` and
            ``variable_sets``; where they may be known ``confidence_level`` and ``tables``
            (``settings`` and ``trained`` of each, by name).
        given: the job's input, ``images`` among it for an analysis that opens them.
        open_network: where the network is run; only the jobs that do so depend on what runs it.
    """
    opened: dict[str, Any] = {}
    if analysis.opens_images:
        from variscope.inputs.images import reopen_images

        opened = {
            "open_images": partial(reopen_images, params.dataset, given.images, Path.cwd()),
            "open_space": partial(_space, params.variable_sets),
        }
    if open_network is not None:
        opened |= {
            "open_network": open_network,
            "twin_network": params.network["twin"] is not None,
        }
    return Source(
        studies=[study_from(study) for study in params.studies],
        settings=params.settings,
        seed=params.seed,
        sets=params.sets,
        shards=_paths(params.made["shards"]),
        layer_datasets=_paths(params.made["layer_datasets"]),
        results={name: _result(result) for name, result in params.others.items()},
        level=params.get("confidence_level"),
        tables={
            name: GivenTable(settings=table["settings"], trained=Path(table["trained"]))
            for name, table in params.get("tables", {}).items()
        },
        **opened,
    )


def study_from(study: Mapping[str, Any]) -> Study:
    """Return a study as a rule's params have it."""
    return Study(
        **{
            **study,
            "paths": tuple(map(Path, study["paths"])),
            "selection_paths": tuple(map(Path, study["selection_paths"])),
            "twin": study_from(study["twin"]) if study["twin"] else None,
        }
    )


def _result(result: Mapping[str, Any]) -> Result:
    return Result(
        analysis=find(result["analysis"]),
        tables=_paths(result["tables"]),
        shards=_paths(result["shards"]),
        layer_datasets=_paths(result["layer_datasets"]),
        settings=result["settings"],
    )


def _paths(texts: Mapping[str, str]) -> dict[str, Path]:
    return {name: Path(path) for name, path in texts.items()}


def _space(variable_sets: Mapping[str, Any], name: str, images: Any) -> Any:
    from variscope.inputs.spaces import make_space

    entry = variable_sets[name]
    return make_space(entry, images, entry["augmentations"], Path.cwd())
