"""Gather what the report is made from: configuration, plan, and the files of the results."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from variscope.analyses.registry import Analysis
from variscope.estimators import proportion
from variscope.indices.measured import HELD
from variscope.indices.precision import Course
from variscope.indices.wording import estimate_text, share_text
from variscope.inputs.axes import file_name
from variscope.inputs.scores import Answers
from variscope.reporting.measured import target_sentence
from variscope.reporting.model import (
    Accuracy,
    AgreementRow,
    Answered,
    AnswerRow,
    ClassCount,
    Data,
    PlanRow,
    Report,
    Study,
    TimingRow,
    VariableRow,
)
from variscope.reporting.sections import in_front, layers, section, section_of_tables
from variscope.stores.results import read_dataset
from variscope.study.about import about
from variscope.study.controls import selects
from variscope.study.findings import Findings, FoundVariable
from variscope.study.plan import Plan
from variscope.study.provenance import versions
from variscope.study.study_plan import MIB, StudyPlan

DATA_NAMES = {
    "photographs": "Bundled photographs",
    "image_folder": "A folder of images",
    "torchvision": "A torchvision data set",
    "arrays": "Arrays",
}

# Of an analysis, each a rule of its own.
STEPS = ("shard", "layer", "complete", "compute", "present")

CITATIONS = (
    "Saltelli et al. (2010), Computer Physics Communications 181: 259-270 (Sobol indices, designs)",
    "Jansen (1999), Computer Physics Communications 117: 35-43 (total index)",
    "Owen (2014), SIAM/ASA Journal on Uncertainty Quantification 2: 245-251 (Shapley effects)",
)

BIBTEX = """@software{variscope,
  title   = {Variscope: variance decomposition of the units of neural networks},
  author  = {{The Variscope developers}},
  version = {%s},
  year    = {2026}
}"""


def gather(
    config: Mapping[str, Any],
    found: Findings,
    results: Path,
    digests: Mapping[str, str],
    analyses: Sequence[Analysis] = (),
) -> Report:
    """Read the results of an experiment into what its page is made from.

    Args:
        config: completed.
        found: by the preflight.
        results: the experiment's folder.
        digests: of the images and of the code.
        analyses: that are on, in the order of the page.
    """
    plan = Plan.of(config, found, results, selects(analyses))
    level = f"{100 * config['confidence_level']:g} %"
    sections, appendix = [], []
    entries = {analysis.name: analysis for analysis in analyses}
    for analysis in analyses:
        if analysis.of_tables:
            whole = section_of_tables(analysis, bool(found.tables), plan, results, level)
        else:
            studies = about(analysis, entries, plan.studies)
            whole = section(analysis, studies, plan, results, level)
        front = in_front(analysis, whole)
        if any(part.answer or part.pictures for part in front.parts):
            sections.append(front)
        elif any(part.pictures or part.sheets for part in whole.parts):
            appendix.append(whole)
    return Report(
        experiment=config["experiment"],
        data=(
            _data(config, json.loads((results / "inputs" / "images.json").read_text()))
            if plan.studies
            else None
        ),
        studies=[_study(study, config, found, results) for study in plan.studies],
        sections=sections,
        appendix=appendix,
        layers=list(layers(analyses, plan, results, level)),
        configuration=yaml.safe_dump(dict(config), sort_keys=False),
        seed=config["seed"],
        plan=[
            PlanRow(
                study=f"{study.model}, {study.variable_set}, {study.design}",
                evaluations=study.evaluations,
                not_evaluated=study.repeats,
                disk_bytes=sum(study.disk.values()),
                memory_bytes=max(study.memory_mb.values()) * MIB,
                shards=len(study.shards),
            )
            for study in plan.every
        ],
        timings=list(_timings(plan, results, analyses)),
        versions=versions(),
        digests=digests,
        commands={
            "run again": "snakemake --cores all",
            "with this configuration": "snakemake --cores all --configfile "
            f"{results / 'config.yaml'}",
            "see the plan": "snakemake plan --cores 1",
        },
        citations=CITATIONS,
        bibtex=BIBTEX % versions()["variscope"],
    )


def _data(config: Mapping[str, Any], images: Mapping[str, Any]) -> Data:
    height, width = images["size"]
    kind = config["dataset"]["kind"]
    where = config["dataset"]["path"] or config["dataset"]["name"]
    description = f"{images['images']} images" + (
        f" of {len(images['classes'])} classes" if images["labelled"] else " without classes"
    )
    if images["parts"] == "drawn":
        share = config["dataset"]["valid_fraction"]
        description += f"; parts were drawn here, {100 * share:g} % of each class valid"
    elif images["parts"] == "none":
        description += ", all of them studied, since the data set has no parts"
    return Data(
        name=DATA_NAMES.get(kind, kind) + (f" ({where})" if where else ""),
        description=description,
        image_size=f"{height} x {width} pixels"
        + (", one channel" if images["channels"] == 1 else ""),
        classes=[
            ClassCount(
                name=name,
                images={part: counts[name] for part, counts in images["images_per_class"].items()},
            )
            for name in images["classes"]
            if images["labelled"]
        ],
        notes=images["notes"],
    )


def _study(plan: StudyPlan, config: Mapping[str, Any], found: Findings, results: Path) -> Study:
    folder = results / plan.model / plan.variable_set / plan.design
    model = config["models"][plan.model]
    described = [
        f"{model['factory']}, {found.models[plan.model].parameters:,} parameters",
        f"weights: {model['weights']}",
        *found.models[plan.model].notes,
    ]
    if plan.responses:
        described = [plan.responses, *found.models[plan.model].notes, *_noise(plan, folder)]
    else:
        described += _computation(plan, folder, config["evaluation"]["precision"])
    measured = json.loads((results / plan.model / "accuracy.json").read_text())
    return Study(
        model=plan.model,
        variable_set=plan.variable_set,
        design=plan.design,
        variables=[
            _variable(variable, config["variable_sets"][plan.variable_set])
            for variable in found.variable_sets[plan.variable_set].variables
        ],
        layers=[layer.name for layer in plan.layers],
        accuracy=_accuracy(measured, config["confidence_level"]),
        answered=_answered(
            measured,
            found.models[plan.model].answers,
            plan.variable_set,
            config["confidence_level"],
            found.dataset.summary["labelled"],
        ),
        model_description="; ".join(described),
        target=_target(folder) if plan.target is not None else "",
    )


def _target(folder: Path) -> str:
    """Say what became of a study's target."""
    course = Course.from_json(json.loads((folder / "precision.json").read_text()))
    return target_sentence(course) if course.rounds else ""


def _variable(variable: FoundVariable, variable_set: Mapping[str, Any]) -> VariableRow:
    augmentation = variable.kind == "augmentation"
    bounds = "; ".join(
        f"{b.name.replace('_', ' ')} {b.low:.3g} to {b.high:.3g} {b.unit}".strip()
        for b in variable.bounds
    )
    switched = "switch" in variable.factors
    share = f"with probability {variable_set['apply_probability']:g}"
    return VariableRow(
        name=variable.name,
        kind="augmentation" if augmentation else "auxiliary",
        factors=len(variable.factors),
        bounds=bounds,
        apply=(share if switched else "always") if augmentation else "",
    )


def _accuracy(measured: Mapping[str, Any], confidence_level: float) -> Accuracy | None:
    if measured["measured"] != "accuracy" or measured["valid"]["top1"] is None:
        return None
    valid = measured["valid"]
    top1 = proportion(valid["top1"], valid["n"], confidence_level)
    return Accuracy(
        top1=top1.value,
        low=top1.low,
        high=top1.high,
        images=valid["n"],
        classes=valid["classes"],
        top5=None if valid["top5"] is None else valid["top5"] / valid["n"],
        level=f"{100 * confidence_level:g} %",
    )


def _answered(
    measured: Mapping[str, Any],
    answers: Answers,
    name: str,
    confidence_level: float,
    labelled: bool,
) -> Answered | None:
    """Return what stands for accuracy in a set, with the classes by their names."""
    if measured["measured"] != "agreement":
        return None
    found, names = measured["sets"][name], answers.names
    agreement = []
    for row in found["agreement"]:
        same = proportion(row["same"], row["n"], confidence_level)
        agreement.append(
            AgreementRow(
                variable=row["variable"],
                images=row["n"],
                value=same.value,
                low=same.low,
                high=same.high,
            )
        )
    return Answered(
        outputs=answers.outputs,
        classes=len(found["answers"]),
        answers=[
            AnswerRow(
                name=row["class"] if labelled else "all, without labels",
                images=row["images"],
                answers=", ".join(
                    f"{names[output] if names else f'output {output}'} "
                    f"{100 * count / row['images']:.0f} %"
                    for output, count in row["answers"]
                ),
            )
            for row in found["answers"]
        ],
        agreement=agreement,
        labelled=labelled,
        level=f"{100 * confidence_level:g} %",
    )


def _costs(plan: StudyPlan, folder: Path) -> list[dict[str, Any]]:
    """Read what the shards of a study cost, but for those that were skipped."""
    files = (folder / "cost" / f"{shard}.json" for shard in plan.shards)
    costs = [json.loads(file.read_text()) for file in files]
    return [cost for cost in costs if not cost.get("skipped", False)]


def _computation(plan: StudyPlan, folder: Path, precision: str) -> Iterator[str]:
    """Yield what evaluated, and what a reduced precision adds: the largest share of variance."""
    costs = _costs(plan, folder)
    yield "evaluated on " + ", ".join(sorted({cost["device"] for cost in costs}))
    shares = [(share, name) for c in costs for name, share in c.get("noise_floor", {}).items()]
    if shares:
        share, layer = max(shares)
        yield (
            f"computed in {precision}: rounding makes up to {100 * share:.3g} % of the variance "
            f"of a layer ({layer})"
        )


def _noise(plan: StudyPlan, folder: Path) -> Iterator[str]:
    """Yield how much of each region's variance is noise, and whether it is in the indices."""
    for layer in plan.layers:
        data = read_dataset(folder / "indices" / f"{file_name(layer.name)}.zarr", _is_noise)
        if data.attrs["noise"] == HELD:
            yield (
                f"{layer.name}: nothing was presented twice, so that V, ST and the Shapley effects "
                "hold the noise"
            )
            continue
        share = estimate_text(
            *(float(data[f"noise_share_layer{bound}"]) for bound in ("", "_low", "_high"))
        )
        drift = float(data["drift_share"].median())
        yield (
            f"{layer.name}: noise is {share} of the measured variance, from "
            f"{data.attrs['repeats']:,} repeats, and taken off; drift is {share_text(drift)} of it "
            "in the median unit"
        )


def _is_noise(name: Hashable) -> bool:
    return str(name).startswith(("noise_share_layer", "drift_share"))


def _timings(plan: Plan, results: Path, analyses: Sequence[Analysis]) -> Iterator[TimingRow]:
    """Yield what each stage took: from the jobs' own measurements and the sizes on the disk."""
    for stage, kept in (("train", "train-*.tsv"), ("train on tables", "train_table-*.tsv")):
        train = sum(map(_seconds, (results / "benchmarks").glob(kept)))
        if train:
            yield TimingRow(stage=stage, seconds=train)
    for study in plan.studies:
        name = f"{study.model}-{study.variable_set}-{study.design}"
        folder = results / study.model / study.variable_set / study.design
        if study.responses:
            continue
        costs = _costs(study, folder)
        seconds = sum(cost["seconds"] for cost in costs)
        yield TimingRow(
            stage="evaluate",
            study=name,
            seconds=seconds,
            bytes=sum(cost["bytes"] for cost in costs),
            images_per_second=sum(cost["evaluations"] for cost in costs) / max(seconds, 1e-9),
        )
        for stage, made in (("sums", "moments"), ("indices", "indices")):
            files = list((results / "benchmarks").glob(f"{made}-{name}-*.tsv"))
            size = sum(f.stat().st_size for f in (folder / made).rglob("*") if f.is_file())
            if files:
                seconds = sum(map(_seconds, files))
                yield TimingRow(stage=stage, study=name, seconds=seconds, bytes=size)
    for analysis in analyses:
        files = [
            file
            for step in STEPS
            for file in (results / "benchmarks").glob(f"{analysis.name}_{step}*.tsv")
        ]
        if files:
            yield TimingRow(stage=analysis.name, seconds=sum(map(_seconds, files)))


def _seconds(benchmark: Path) -> float:
    return float(pd.read_csv(benchmark, sep="\t", na_values="-")["s"].sum())
