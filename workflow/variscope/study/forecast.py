"""How long a study will take, and what will be drawn: for people, and never for a job."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import Any

from variscope.analyses.registry import Analysis
from variscope.inputs.scores import DRAWS, MOST_IMAGES
from variscope.study.about import about
from variscope.study.choosing import Chosen
from variscope.study.findings import Findings
from variscope.study.plan import Plan
from variscope.study.study_plan import StudyPlan

# What a job of the evaluation takes beside its images, mostly to import torch: seconds.
_START = 6

# What the parts of a study are called.
_NAMES = ("model", "variable_set", "design")

# What a picture takes in all its formats together, as measured on the embedded study.
_PICTURE_BYTES = 200 * 2**10


def forecast(
    plan: Plan,
    found: Findings,
    analyses: Sequence[Chosen],
    results: Path,
    threads: int,
    cores: int | None = None,
) -> list[str]:
    """Say how long the evaluation takes and how that is known, and what is drawn and answered.

    Args:
        plan: of the experiment.
        found: by the preflight.
        analyses: that are on.
        results: of the experiment; the rate of an earlier run is taken from there.
        threads: of a job of the evaluation.
        cores: of this machine.

    Returns:
        Lines of the plan's text.
    """
    if cores is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    at_once = 1 if found.device.startswith("cuda") else max(1, (cores or 1) // threads)
    rates, seconds, most = [], 0.0, False
    for study in plan.every:
        if study.responses:
            continue
        one, how = rate(study, found, results)
        rates.append(f"{_number(1 / one)} images a second of {_name(study)}, {how}")
        jobs = len(study.shards)
        alone = one * study.evaluations * len(study.layer_groups) + _START * jobs
        seconds += alone / min(at_once, jobs)
        most |= study.target is not None
    entries = {one.analysis.name: one.analysis for one in analyses}
    made = [
        one.analysis
        for one in analyses
        if (found.tables if one.analysis.of_tables else plan.studies)
    ]
    drawn = pictures(plan.studies, made)
    answers = answered(found)
    beside = f"{at_once} jobs side by side" if at_once > 1 else "one job after another"
    return [
        *([f"  {'images for agreement':20} {answers:>24,}"] if answers else []),
        *(
            line
            for one in analyses
            for line in passes(
                one,
                list(found.tables.values())
                if one.analysis.of_tables
                else about(one.analysis, entries, plan.studies),
                found,
                {study.network for study in plan.controls if study.network},
            )
        ),
        f"  {'pictures':20} {drawn:>24,}",
        f"  {'pictures disk, about':20} {f'{drawn * _PICTURE_BYTES / 2**20:,.0f} MiB':>24}",
        f"  {'evaluation, ' + ('at most' if most else 'about'):20} {duration(seconds):>24}",
        f"    {beside}, on {cores} cores",
        *(f"    at {line}" for line in rates),
    ]


def rate(study: StudyPlan, found: Findings, results: Path) -> tuple[float, str]:
    """Return the seconds that one image takes in a job, and how they are known.

    What an earlier run took is with all that its jobs did; what was timed when the study was
    planned is without what stores or sums the outputs.
    """
    costs = results / study.model / study.variable_set / study.design / study.cost
    seconds, evaluations = 0.0, 0
    for file in costs.glob("*/*.json"):
        cost = json.loads(file.read_text())
        if "seconds" not in cost:
            continue  # of a round that was not needed
        seconds, evaluations = seconds + cost["seconds"], evaluations + cost["evaluations"]
    if evaluations:
        return seconds / evaluations, "as the last run went"
    timed = found.models[study.network_of].seconds[study.variable_set]
    return timed, "measured when this was planned"


def pictures(studies: Sequence[StudyPlan], analyses: Iterable[Analysis]) -> int:
    """Count what analyses draw: per study, set, model or experiment; per layer or set of it."""
    scopes = {
        "study": len(studies),
        "set": len({(study.model, study.variable_set) for study in studies}),
        "model": len({study.model for study in studies}),
        "experiment": 1,
    }
    layers = sum(len(study.layers) for study in studies)
    sets = len({study.variable_set for study in studies})
    return sum(
        layers if picture.of == "layer"
        else sets if picture.of == "set"
        else scopes[analysis.scope]
        for analysis in analyses
        for picture in analysis.pictures
    )  # fmt: skip


def passes(
    chosen: Chosen, studies: Sequence[Any], found: Findings, twins: Container[str] = ()
) -> list[str]:
    """Say what an analysis runs the network on, and in how many jobs: a line, or none.

    Args:
        chosen: the analysis.
        studies: that it is about, or tables.
        found: by the preflight.
        twins: the models that have an untrained twin.
    """
    analysis, settings = chosen.analysis, chosen.settings
    if analysis.shards is None or (analysis.of_tables and not studies):
        return []
    keys = {"study": _NAMES, "set": _NAMES[:2], "model": _NAMES[:1], "experiment": ()}[
        analysis.scope
    ]
    scopes: dict[tuple[str, ...], list[Any]] = {}
    for study in studies:
        scopes.setdefault(tuple(getattr(study, key) for key in keys), []).append(study)
    jobs = sum(len(analysis.shards(settings, of_scope)) for of_scope in scopes.values())
    if analysis.passes is None:
        return [f"  {analysis.name + ' jobs':20} {jobs:>24,}"]
    summary = found.dataset.summary
    count = sum(
        analysis.passes(
            settings, of_scope, {**summary, "twin": getattr(of_scope[0], "model", "") in twins}
        )
        for of_scope in scopes.values()
    )
    return [f"  {analysis.name + ' passes':20} {count:>24,}", f"    in {jobs:,} jobs"]


def answered(found: Findings) -> int:
    """Count the images that a model's agreement with itself takes, at most."""
    per_class: Counter[str] = Counter()
    for of_part in found.dataset.summary["images_per_class"].values():
        per_class.update(of_part)
    looked_at = sum(min(MOST_IMAGES, count) for count in per_class.values())
    per_model = 0
    for variable_set in found.variable_sets.values():
        alone = sum(variable.kind == "augmentation" for variable in variable_set.variables)
        # Each alone, all together, and the images as they are.
        per_model += DRAWS * (alone + 2) + looked_at
    return per_model * sum(m.answers.measured == "agreement" for m in found.models.values())


def duration(seconds: float) -> str:
    """Return a time in hours and minutes, or where it is short in seconds.

    Example:
        >>> duration(4000), duration(59.6)
        ('1 h 7 min', '60 s')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min"


def _name(study: StudyPlan) -> str:
    return f"{study.model}/{study.variable_set}/{study.design}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
