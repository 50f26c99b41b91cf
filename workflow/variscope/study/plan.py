"""The plan of an experiment: what will run, in which shards, and what it will take.

Everything that the rules need to know is worked out here, once, from the configuration and from
what `variscope.study.preflight` found. No torch is imported.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from variscope.errors import UserError
from variscope.study.config import designs_of
from variscope.study.controls import SELECTED_ON, SELECTION, twin_of, twins
from variscope.study.findings import Findings, FoundTable
from variscope.study.study_plan import MIB, StudyPlan, plan_study


@dataclass(frozen=True)
class Plan:
    """All studies of an experiment, and what an earlier one took (`published` of the settings).

    Controls are the studies that others are held against (`variscope.study.controls`). Notes are
    what the preflight says of each model, its normalisation and whence, and of each table.
    """

    experiment: str
    studies: tuple[StudyPlan, ...]
    published: Mapping[str, Any]
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    controls: tuple[StudyPlan, ...] = ()

    @classmethod
    def of(
        cls, config: Mapping[str, Any], found: Findings, results: Path, select: bool = False
    ) -> Plan:
        """Plan a completed configuration with what the preflight found.

        Args:
            config: completed.
            found: by the preflight.
            results: the experiment's folder, whose shards are taken where they fit.
            select: whether an analysis selects units, for which half A is evaluated again.
        """
        designs = designs_of(config)
        study = partial(plan_study, config, found, results)
        controls = [
            study(twin, variable_set, next(iter(designs)), network=model)
            for twin, model in twins(config).items()
            for variable_set in config["variable_sets"]
        ]
        controls += [
            study(model, variable_set, next(iter(designs)), hold=SELECTED_ON)
            for model in config["models"]
            for variable_set in config["variable_sets"]
            if select and found.variable_sets[variable_set].selects
            if config["models"][model]["responses"] is None
        ]
        return cls(
            config["experiment"],
            tuple(
                study(model, variable_set, design)
                for model in config["models"]
                if found.models[model].layers  # else its responses are still to be measured
                for variable_set in config["variable_sets"]
                for design in designs
            ),
            config["published"],
            {
                **{f"model {name}": found.models[name].notes for name in config["models"]},
                **{f"table {name}": _of_table(found.tables[name]) for name in config["tables"]},
            },
            tuple(controls),
        )

    @property
    def every(self) -> tuple[StudyPlan, ...]:
        """All studies that are evaluated, controls among them."""
        return (*self.studies, *self.controls)

    def twin(self, study: StudyPlan) -> StudyPlan | None:
        """Return the study of the untrained twin of a study's model, if there is one."""
        return self._control(twin_of(study.model), study, study.design)

    def selection(self, study: StudyPlan) -> StudyPlan | None:
        """Return the study that selects units for a study, if it is evaluated."""
        return self._control(study.model, study, SELECTION)

    def _control(self, model: str, study: StudyPlan, design: str) -> StudyPlan | None:
        wanted = (model, study.variable_set, design, study.design)
        for one in self.controls:
            if (one.model, one.variable_set, one.design, one.design_kind) == wanted:
                return one
        return None

    def study(self, model: str, variable_set: str, design: str) -> StudyPlan:
        """Return one study by its names."""
        for study in self.every:
            if (study.model, study.variable_set, study.design) == (model, variable_set, design):
                return study
        raise KeyError((model, variable_set, design))

    def refuse_what_does_not_fit(self, folder: Path, memory_gb: float) -> None:
        """Raise a UserError, with the numbers, where disk or memory does not suffice.

        Args:
            folder: where results go.
            memory_gb: what one job may take.
        """
        needed = sum(sum(study.disk.values()) for study in self.every)
        parent = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        free = shutil.disk_usage(parent).free
        # What an earlier run has written is both used and needed no more.
        there = _size_on_disk(folder / self.experiment)
        if needed > free + there:
            raise UserError(
                f"designs: the study needs up to {_size(needed)} of disk, and {_size(free)} are "
                f"free at {parent}; fewer blocks or layers, or a results folder on a larger disk"
            )
        for study in self.every:
            for stage, megabytes in study.memory_mb.items():
                if megabytes > memory_gb * 1024:
                    raise UserError(
                        f"resources.memory_gb: found {memory_gb}, but a job of {stage} of "
                        f"{study.model}/{study.variable_set}/{study.design} needs "
                        f"{megabytes / 1024:.1f}; raise it, or choose a smaller "
                        "evaluation.batch_size or fewer layers"
                    )

    def table(self) -> list[dict[str, str]]:
        """Return one row per study, as text for people."""
        rows, source = [], self.published["source"]
        for study in self.every:
            about = "" if study.exact else "about "
            published = self.published["evaluations"].get(study.variable_set)
            rows.append(
                {
                    "study": f"{study.model}/{study.variable_set}/{study.design}",
                    "variables": str(len(study.variables)),
                    "layers": str(len(study.layers)),
                    "units": f"{study.units:,}",
                    "blocks": f"{study.blocks:,}",
                    **_asked(study),
                    "rows": f"{study.rows:,}",
                    "no-op rows": f"{about}{study.repeats:,} ({study.repeats / study.rows:.0%})",
                    **_passes(study, about),
                    **({"published": f"{published:,}"} if source and published else {}),
                    **{f"{stage} disk": _size(size) for stage, size in study.disk.items()},
                    **{
                        f"{stage} memory": _size(size * MIB)
                        for stage, size in study.memory_mb.items()
                    },
                }
            )
        return rows

    def text(self, folder: Path, more: Sequence[str] = ()) -> str:
        """Return the plan as people read it.

        Args:
            folder: where results go.
            more: lines of the whole (`variscope.study.forecast`).
        """
        lines = [f"Plan of {self.experiment}"]
        for row in self.table():
            lines += [
                "",
                row.pop("study"),
                *(f"  {key:20} {value:>24}" for key, value in row.items()),
            ]
        for what, notes in self.notes.items():
            lines += ["", what, *(f"  {note}" for note in notes)]
        evaluations = sum(len(study.layer_groups) * study.evaluations for study in self.every)
        disk = sum(sum(study.disk.values()) for study in self.every)
        jobs = {
            "evaluate": sum(len(study.shards) for study in self.every),
            "moments": sum(
                len(study.shards) for study in self.every if study.storage == "activations"
            ),
            "indices": sum(len(study.layers) for study in self.every),
        }
        parent = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        lines += [
            "",
            "in all",
            f"  {'evaluations':20} {evaluations:>24,}",
            f"  {'disk, at most':20} {_size(disk):>24}",
            f"  {'disk, free':20} {_size(shutil.disk_usage(parent).free):>24}",
            *(f"  {rule + ' jobs':20} {count:>24}" for rule, count in jobs.items()),
            *more,
        ]
        if self.published["source"]:
            lines += ["", f"the whole of {self.published['source']}"]
            for key, name in (("machine_days", "machine-days"), ("terabytes", "TB")):
                if self.published[key]:
                    lines.append(f"  {name:20} {self.published[key]:>24,}")
        return "\n".join(lines)


def _of_table(table: FoundTable) -> list[str]:
    """Say how large a table is, what is predicted, and what was made of it when it was read."""
    classes = f", classes {', '.join(table.classes)}" if table.classes else ""
    size = f"{table.rows:,} rows, {len(table.features)} features, target {table.target}{classes}"
    return [size, *table.notes]


def _asked(study: StudyPlan) -> dict[str, str]:
    """Say what is asked of the intervals, for which rows and evaluations are the most."""
    if study.target is None:
        return {}
    of = f"{study.target.index} of {study.target.of}"
    return {
        "half-width": f"{study.target.half_width:g} ({of})",
        "most blocks": f"{study.most_blocks:,} in {len(study.sizes)} rounds",
    }


def _passes(study: StudyPlan, about: str) -> dict[str, str]:
    """Say what is evaluated and how, or that nothing is."""
    if study.responses:
        return {"presentations": f"{study.presented:,}", "responses": study.responses}
    return {
        "evaluations": f"{about}{study.evaluations:,}",
        "passes": str(len(study.layer_groups)),
        "shards": str(len(study.shards)),
    }


def _size_on_disk(folder: Path) -> int:
    """Return the bytes of all files below a folder; a run beside this one may take some away."""
    total = 0
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += file.stat().st_size if file.is_file() else 0
    return total


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
