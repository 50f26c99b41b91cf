"""An experiment as the Snakefile sees it: configuration, preflight and plan, without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from variscope.analyses.registry import Analysis
from variscope.errors import UserError
from variscope.inputs.images import listing_digest
from variscope.stores.atomic import new_file
from variscope.study.about import about
from variscope.study.choosing import Chosen, chosen
from variscope.study.config import complete, groups_of
from variscope.study.controls import selects, twins
from variscope.study.digest import PACKAGE, code_digest, files_digest, value_digest
from variscope.study.findings import Findings, FoundTable
from variscope.study.forecast import forecast, passes
from variscope.study.layer_groups import sweep
from variscope.study.measured import response_files
from variscope.study.plan import Plan
from variscope.study.study_plan import StudyPlan

SCRIPTS = PACKAGE.parent / "scripts"

# Settings of `evaluation` that decide outputs; the others follow from resources or cut the work.
EVALUATION = ("batch_size", "threads", "precision", "compile")


def script_digest(name: str, *modules: str | Path) -> str:
    """Digest what a script of the workflow imports, and modules that it is told to load.

    Args:
        name: of the script, ``"train"``.
        modules: files of the package, ``"study/shards/moments.py"``, or of the user's.
    """
    files = [(PACKAGE / module).resolve() for module in modules]
    users = [file for file in files if not file.is_relative_to(PACKAGE.resolve())]
    return code_digest(SCRIPTS / f"{name}.py", *files) + (files_digest(users) if users else "")


@dataclass(frozen=True)
class Experiment:
    """A checked experiment.

    Attributes:
        config: completed.
        found: what `variscope.study.preflight` found.
        folder: what relative paths start at, where Snakemake runs.
    """

    config: Mapping[str, Any]
    found: Findings
    folder: Path

    @classmethod
    def open(cls, config: Mapping[str, Any], folder: Path, cache: Path) -> Experiment:
        """Check a configuration and everything that it names.

        Args:
            config: as Snakemake read it.
            folder: what relative paths start at.
            cache: folder where the preflight's findings are kept, so that a second run need not
                look again. Nothing is written where something is wrong.

        Raises:
            UserError: one message that names the key or file.
        """
        experiment = cls.again(config, folder, cache)
        for one in experiment.analyses:
            check_models(one, experiment.config["models"])
            # Layers and units that are not there are refused here, in one sentence, and not where
            # the jobs of rules are named.
            of_tables = one.analysis.of_tables
            passes(
                one,
                list(experiment.found.tables.values())
                if of_tables
                else experiment.about(one.analysis),
                experiment.found,
            )
            if one.analysis.check_tables is not None:
                try:
                    one.analysis.check_tables(one.settings, experiment.tables)
                except UserError as error:
                    raise UserError(f"analyses.{one.analysis.name}.{error}") from error
        experiment.plan.refuse_what_does_not_fit(
            folder / "results", experiment.config["resources"]["memory_gb"]
        )
        return experiment

    @classmethod
    def again(cls, config: Mapping[str, Any], folder: Path, cache: Path) -> Experiment:
        """As `open`, in a job of an experiment that runs: whether it fits is decided."""
        completed = complete(config, folder)
        # What was left out is open until the images are seen: class may not vary.
        sets = {
            name: {**one, "auxiliary": config["variable_sets"][name].get("auxiliary")}
            for name, one in completed["variable_sets"].items()
        }
        found = _found({**completed, "variable_sets": sets}, folder, cache)
        for name, variable_set in completed["variable_sets"].items():
            variable_set["auxiliary"] = list(found.variable_sets[name].auxiliary)
            try:
                groups_of(variable_set)
            except UserError as error:
                raise UserError(f"variable_sets.{name}.{error}") from error
        return cls(completed, found, folder)

    @cached_property
    def plan(self) -> Plan:
        """What will run."""
        results = self.folder / "results" / self.config["experiment"]
        select = selects(one.analysis for one in self.analyses)
        return Plan.of(self.config, self.found, results, select)

    @cached_property
    def analyses(self) -> tuple[Chosen, ...]:
        """The analyses that are on, in the order of the page."""
        return chosen(self.config["analyses"], self.folder)

    def about(self, analysis: Analysis) -> tuple[StudyPlan, ...]:
        """Return the studies that an analysis is about: all that it can be made of."""
        entries = {one.analysis.name: one.analysis for one in self.analyses}
        return about(analysis, entries, self.studies)

    def plan_text(self) -> str:
        """Return the plan as people read it, with how long it will take and what will be drawn."""
        results = self.folder / "results" / self.config["experiment"]
        more = forecast(
            self.plan, self.found, self.analyses, results, self.config["evaluation"]["threads"]
        )
        return self.plan.text(self.folder / "results", more)

    def sweep(self) -> None:
        """Take away what killed jobs of an earlier run left, and no job will write again."""
        results = self.folder / "results" / self.config["experiment"]
        for study in self.plan.every:
            of_study = results / study.model / study.variable_set / study.design
            for store in {study.store, study.sums}:
                sweep(of_study / store, study.layer_groups)

    @property
    def studies(self) -> tuple[StudyPlan, ...]:
        """The studies that analyses are about: without their controls."""
        return self.plan.studies

    @cached_property
    def twins(self) -> dict[str, str]:
        """The models that have an untrained twin, by the twins' names."""
        return twins(self.config)

    @cached_property
    def dataset(self) -> dict[str, Any]:
        """What the images depend on: a params entry of every rule that opens them."""
        settings = self.found.dataset.settings
        return {
            "settings": settings,
            "seed": self.config["seed"],
            "listing": listing_digest(settings, self.folder) if settings else "",
        }

    def model(self, name: str) -> dict[str, Any]:
        """Return what a model depends on: a params entry of every rule that builds it."""
        found = self.found.models[name]
        return {
            **self.config["models"][name],
            "mean": found.mean,
            "std": found.std,
            "memory": found.memory,
            "layers": [layer.to_json() for layer in found.layers],
            "files": model_files_digest(self.config["models"][name], self.folder),
        }

    def network(self, name: str) -> dict[str, Any]:
        """Return what a model's outputs depend on, whichever layers are chosen."""
        if name in self.twins:
            return {**self.network(self.twins[name]), "untrained": True}
        others = ("layers", "axes", "softmax", "twin")
        return {key: value for key, value in self.model(name).items() if key not in others}

    @property
    def tables(self) -> tuple[FoundTable, ...]:
        """The tables, in the order of the configuration."""
        return tuple(self.found.tables[name] for name in self.config["tables"])

    def table(self, name: str) -> dict[str, Any]:
        """Return what a table depends on: a params entry of every rule that reads it."""
        settings = self.config["tables"][name]
        file = self.folder / settings["source"]
        return {"settings": settings, "file": files_digest([file] if file.is_file() else [])}

    def described_network(self, name: str, trained: str) -> dict[str, Any]:
        """Return what `variscope.responses.network.opened.reopen_network` takes of a model.

        Args:
            name: of the model.
            trained: the path of its state dict where it is trained here, or "".
        """
        found, summary = self.found.models[name], self.found.dataset.summary
        twin = next((twin for twin, of in self.twins.items() if of == name), None)
        return {
            "name": name,
            "model": self.network(name),
            "twin": self.network(twin) if twin else None,
            "layers": [layer.to_json() for layer in found.layers],
            "trained": trained,
            "classes": len(summary["classes"]),
            "image_shape": [summary["channels"], *summary["size"]],
            "answers": asdict(found.answers),
            "precision": self.config["evaluation"]["precision"],
            "seed": self.config["seed"],
        }

    def position(self, model: str, layer: str) -> int:
        """Return where a layer stands in the network."""
        return self.found.models[self.twins.get(model, model)].position(layer)

    def measured(self, name: str) -> dict[str, Any]:
        """Say what of a model's answers is measured, and the sets where it is its agreement."""
        kind = self.found.models[name].answers.measured
        sets = self.config["variable_sets"] if kind == "agreement" else ()
        return {"measured": kind, "variable_sets": {s: self.variable_set(s) for s in sets}}

    def unit_names(self, name: str) -> dict[str, list[str]]:
        """Name the classes that a model's layer of scores stands for, by the layer."""
        answers = self.found.models[self.twins.get(name, name)].answers
        if answers.scores is None or answers.names is None:
            return {}
        return {answers.scores: answers.names}

    def variable_set(self, name: str) -> dict[str, Any]:
        """Return what a space depends on."""
        files = self.config["augmentations"]
        given = self.config["variable_sets"][name]
        return {
            # Groups are summed when all is evaluated.
            **{key: value for key, value in given.items() if key != "groups"},
            "augmentations": files,
            "files": files_digest([self.folder / file for file in files]),
        }

    def digest_of(self, files: Iterable[str]) -> str:
        """Digest files of the user's that settings name."""
        return files_digest([self.folder / file for file in files])

    def evaluated_set(self, study: StudyPlan) -> dict[str, Any]:
        """Return what the space of a study depends on: its set, and a part that is held."""
        held = {"hold": study.hold} if study.hold else {}
        return {**self.variable_set(study.variable_set), **held}

    def recipe(self, study: StudyPlan) -> str:
        """Digest all that the evaluation of a shard follows from, besides files and its name."""
        evaluation = self.config["evaluation"]
        return value_digest(
            {
                "dataset": self.dataset,
                "model": self.network(study.model),
                "variable_set": self.evaluated_set(study),
                "evaluation": {key: evaluation[key] for key in EVALUATION},
                "storage": study.storage,
                "code": evaluation_digest(study.storage),
            }
        )

    def groups(self, name: str) -> dict[str, list[str]]:
        """Return the groups of a variable set, by their names."""
        return groups_of(self.config["variable_sets"][name])

    def provenance(self, *, model: str, variable_set: str, design: str) -> dict[str, Any]:
        """Where a study's numbers come from: its part of the configuration, seed and digests."""
        study = self.plan.study(model, variable_set, design)
        return {
            "seed": self.config["seed"],
            "dataset": self.dataset,
            "model": self.network(model),
            "variable_set": self.evaluated_set(study),
            "design": {
                "kind": study.design_kind,
                "blocks": study.blocks,
                "replicates": study.replicates,
                "precision": study.asked,
            },
            "threads": self.config["evaluation"]["threads"],
            "precision": self.config["evaluation"]["precision"],
            "compile": self.config["evaluation"]["compile"],
            "training": self.config["training"],
            "code": numbers_digest(study.storage),
        }


def evaluation_digest(storage: str) -> str:
    """Digest the code of the evaluation."""
    return script_digest("evaluate", f"study/shards/{storage}.py")


def numbers_digest(storage: str) -> str:
    """Digest all code that a study's indices come from."""
    return evaluation_digest(storage) + script_digest("estimate")


def model_files_digest(model: Mapping[str, Any], folder: Path) -> str:
    """Digest a model's local files: its factory's and its state dict, or its responses."""
    if model["responses"] is not None:
        return files_digest(response_files(model, folder))
    factory = model["factory"].rpartition(":")[0]
    files = [folder / name for name in (factory, model["weights"]) if (folder / name).is_file()]
    module = folder / (factory.replace(".", "/") + ".py")
    return files_digest([*files, *([module] if module.is_file() else [])])


# Settings that the preflight does not look at.
_UNSEEN = ("analyses", "confidence_level", "storage", "published")


def _found(config: Mapping[str, Any], folder: Path, cache: Path) -> Findings:
    """Return the preflight's findings, kept or fresh."""
    key = value_digest(
        {
            "config": {k: _seen(k, v) for k, v in config.items() if k not in _UNSEEN},
            "selects": selects(one.analysis for one in chosen(config["analyses"], folder)),
            "models": [model_files_digest(m, folder) for m in config["models"].values()],
            "augmentations": files_digest(
                [p for a in config["augmentations"] if (p := folder / a).is_file()]
            ),
            "code": code_digest(PACKAGE / "study" / "preflight.py"),
            "listing": _listing(config["dataset"], folder) if config["dataset"] else "",
            "tables": files_digest(
                [
                    path
                    for table in config["tables"].values()
                    if (path := folder / table["source"]).is_file()
                ]
            ),
        }
    )
    kept = cache / f"preflight-{config['experiment']}.json"
    if kept.is_file():
        try:
            content = json.loads(kept.read_text())
            if content["key"] == key:
                return Findings.of(content["found"])
        except (ValueError, KeyError, TypeError):
            pass  # damaged or of an older version: it is made again
    found = Findings.of(_look(config, folder))
    # Two processes that begin together write under one name; the slower one finds it taken.
    with suppress(FileNotFoundError), new_file(kept) as partial:
        partial.write_text(json.dumps({"key": key, "found": found.to_json()}))
    return found


def _seen(key: str, value: Any) -> Any:
    """Leave out of a part of the settings what only says how jobs are run."""
    return {k: v for k, v in value.items() if k != "gpus"} if key == "evaluation" else value


def _listing(dataset: Mapping[str, Any], folder: Path) -> str:
    try:
        return listing_digest(dataset, folder)
    except UserError:
        return "unreadable"  # the preflight says what is wrong with it


def _look(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Run the preflight in a process of its own: torch stays out of this one."""
    share_package()
    done = subprocess.run(
        [sys.executable, "-m", "variscope.study.preflight"],
        input=json.dumps({"config": config, "folder": str(folder)}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"the preflight failed:\n{done.stderr}")
    answer = json.loads(done.stdout)
    if "error" in answer:
        raise UserError(answer["error"])
    return answer["found"]


def share_package() -> None:
    """Let processes that are started from this one import this very package."""
    here = str(Path(__file__).parents[2])
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if here not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([here, *filter(None, paths)])


def check_models(one: Chosen, models: Iterable[str]) -> None:
    """Raise a `UserError` where a setting of an analysis is of a model that is not there."""
    for key in one.analysis.by_model:
        given = one.settings[key]
        for name in given if isinstance(given, Mapping) else ():
            if name not in models:
                raise UserError(
                    f"analyses.{one.analysis.name}.{key}: found {name!r}; allowed: names of "
                    f"models ({', '.join(models)})"
                )
