"""A clone and a finished study, made once for all tests and all workers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_study import Study, copy_clone, once, write_inputs
from variscope.space.augmentations import registry
from variscope.study import experiment
from variscope.study.preflight import preflight


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.getbasetemp()
    # A worker's own folder lies in that of the whole run.
    return base.parent if base.name.startswith("popen-") else base


@pytest.fixture(scope="session")
def clone(shared: Path) -> Path:
    """A copy of the repository's workflow: what other work changes meanwhile changes no test."""
    return once(shared / "clone", copy_clone)


@pytest.fixture(scope="session")
def finished(shared: Path, clone: Path) -> Study:
    """A study that ran from beginning to end. Tests read it, or work on a copy."""

    def make(folder: Path) -> None:
        write_inputs(folder)
        study = Study(folder, clone)
        study.configure()
        study.run("--cores", "2")

    return Study(once(shared / "finished", make), clone)


@pytest.fixture
def fresh(tmp_path: Path, clone: Path) -> Study:
    """A working directory with images, network and configuration, and no results."""
    folder = tmp_path / "fresh"
    write_inputs(folder)
    study = Study(folder, clone)
    study.configure()
    return study


@pytest.fixture
def unevaluated(finished: Study, tmp_path: Path) -> Study:
    """The finished study with its trained network, before the first evaluation."""
    study = finished.copy(tmp_path / "unevaluated")
    shutil.rmtree(study.results / "net" / "small")
    return study


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory; the preflight runs in this process, which saves importing torch."""

    def look(config: dict[str, Any], at: Path) -> dict[str, Any]:
        return json.loads(json.dumps(preflight(config, at).to_json()))

    monkeypatch.setattr(experiment, "_look", look)
    # What a test's file registers goes with the test.
    monkeypatch.setattr(registry, "_augmentations", dict(registry._augmentations))
    write_inputs(tmp_path)
    return tmp_path
