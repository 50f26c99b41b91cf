"""Gather what the report is made from: configuration, plan, and the files of the results."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from variscope.estimators import proportion
from variscope.inputs.axes import file_name
from variscope.reporting.page import (
    Accuracy,
    AgreementRow,
    Answered,
    AnswerRow,
    ClassCount,
    Data,
    Picture,
    PlanRow,
    Report,
    Study,
    TimingRow,
    VariableRow,
)
from variscope.stores.results import read_study
from variscope.study.plan import LAYER_PICTURES, MIB, STUDY_PICTURES, Plan, StudyPlan
from variscope.study.provenance import versions

DATA_NAMES = {
    "photographs": "Bundled photographs",
    "image_folder": "A folder of images",
    "torchvision": "A torchvision data set",
    "arrays": "Arrays",
}

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
    found: Mapping[str, Any],
    results: Path,
    digests: Mapping[str, str],
) -> Report:
    """Read the results of an experiment into what its page is made from.

    Args:
        config: completed.
        found: by the preflight.
        results: the experiment's folder.
        digests: of the images and of the code.
    """
    plan = Plan.of(config, found, results)
    return Report(
        experiment=config["experiment"],
        data=_data(config, json.loads((results / "inputs" / "images.json").read_text())),
        studies=[_study(study, config, found, results) for study in plan.studies],
        configuration=yaml.safe_dump(dict(config), sort_keys=False),
        seed=config["seed"],
        pictures=[
            _picture("samples", results / "inputs" / "samples" / name, title=f"Samples, {name} set")
            for name in config["variable_sets"]
        ],
        plan=[
            PlanRow(
                study=f"{study.model}, {study.variable_set}, {study.design}",
                evaluations=study.evaluations,
                not_evaluated=study.repeats,
                disk_bytes=sum(study.disk.values()),
                memory_bytes=max(study.memory_mb.values()) * MIB,
                shards=len(study.shards),
            )
            for study in plan.studies
        ],
        timings=list(_timings(plan, results)),
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


def _study(
    plan: StudyPlan, config: Mapping[str, Any], found: Mapping[str, Any], results: Path
) -> Study:
    folder = results / plan.model / plan.variable_set / plan.design
    specialised = folder / "analyses" / "specialised.csv"
    layers = [layer.name for layer in plan.layers]
    model = config["models"][plan.model]
    described = [
        f"{model['factory']}, {found['models'][plan.model]['parameters']:,} parameters",
        f"weights: {model['weights']}",
        *found["models"][plan.model]["notes"],
        *_computation(folder, config["evaluation"]["precision"]),
    ]
    pictures = [_picture(kind, folder / "figures" / kind) for kind in STUDY_PICTURES]
    pictures += [
        _picture(kind, folder / "figures" / kind / file_name(layer), layer=layer)
        for layer in layers
        for kind in LAYER_PICTURES
    ]
    measured = json.loads((results / plan.model / "accuracy.json").read_text())
    return Study(
        model=plan.model,
        variable_set=plan.variable_set,
        design=plan.design,
        tree=read_study(folder / "indices"),
        variables=[
            _variable(variable, config["variable_sets"][plan.variable_set])
            for variable in found["variable_sets"][plan.variable_set]["variables"]
        ],
        pictures=pictures,
        accuracy=_accuracy(measured, config["confidence_level"]),
        answered=_answered(
            measured,
            found["models"][plan.model]["answers"],
            plan.variable_set,
            config["confidence_level"],
            found["dataset"]["summary"]["labelled"],
        ),
        model_description="; ".join(described),
        specialised=pd.read_csv(
            specialised, dtype={"layer": str, "unit": str}, keep_default_na=False
        ),
    )


def _variable(variable: Mapping[str, Any], variable_set: Mapping[str, Any]) -> VariableRow:
    augmentation = variable["kind"] == "augmentation"
    bounds = "; ".join(
        f"{b['name'].replace('_', ' ')} {b['low']:.3g} to {b['high']:.3g} {b['unit']}".strip()
        for b in variable.get("bounds", [])
    )
    switched = "switch" in variable["factors"]
    share = f"with probability {variable_set['apply_probability']:g}"
    return VariableRow(
        name=variable["name"],
        kind="augmentation" if augmentation else "auxiliary",
        factors=len(variable["factors"]),
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
    answers: Mapping[str, Any],
    name: str,
    confidence_level: float,
    labelled: bool,
) -> Answered | None:
    """Return what stands for accuracy in a set, with the classes by their names."""
    if measured["measured"] != "agreement":
        return None
    found, names = measured["sets"][name], answers["names"]
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
        outputs=answers["outputs"],
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


def _computation(folder: Path, precision: str) -> Iterator[str]:
    """Yield what evaluated, and what a reduced precision adds: the largest share of variance."""
    costs = [json.loads(path.read_text()) for path in sorted((folder / "cost").glob("*.json"))]
    yield "evaluated on " + ", ".join(sorted({cost["device"] for cost in costs}))
    shares = [(share, name) for c in costs for name, share in c.get("noise_floor", {}).items()]
    if shares:
        share, layer = max(shares)
        yield (
            f"computed in {precision}: rounding makes up to {100 * share:.3g} % of the variance "
            f"of a layer ({layer})"
        )


def _picture(kind: str, base: Path, layer: str = "", title: str = "") -> Picture:
    svg, png = (base.parent / f"{base.name}{suffix}" for suffix in (".svg", ".png"))
    return Picture(kind=kind, svg=svg, png=png, layer=layer, title=title)


def _timings(plan: Plan, results: Path) -> Iterator[TimingRow]:
    """Yield what each stage took: from the jobs' own measurements and the sizes on the disk."""
    train = sum(map(_seconds, (results / "benchmarks").glob("train-*.tsv")))
    if train:
        yield TimingRow(stage="train", seconds=train)
    for study in plan.studies:
        name = f"{study.model}-{study.variable_set}-{study.design}"
        folder = results / study.model / study.variable_set / study.design
        costs = [json.loads(path.read_text()) for path in (folder / "cost").glob("*.json")]
        seconds = sum(cost["seconds"] for cost in costs)
        yield TimingRow(
            stage="evaluate",
            study=name,
            seconds=seconds,
            bytes=sum(cost["bytes"] for cost in costs),
            images_per_second=sum(cost["evaluations"] for cost in costs) / max(seconds, 1e-9),
        )
        for stage in ("moments", "indices"):
            files = list((results / "benchmarks").glob(f"{stage}-{name}*.tsv"))
            size = sum(f.stat().st_size for f in (folder / stage).rglob("*") if f.is_file())
            if files:
                seconds = sum(map(_seconds, files))
                yield TimingRow(stage=stage, study=name, seconds=seconds, bytes=size)
        drawn = (results / "benchmarks").glob(f"draw-{name}.tsv")
        yield TimingRow(stage="figures", study=name, seconds=sum(map(_seconds, drawn)))


def _seconds(benchmark: Path) -> float:
    return float(pd.read_csv(benchmark, sep="\t", na_values="-")["s"].sum())
