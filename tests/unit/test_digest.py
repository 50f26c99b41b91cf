"""What a job depends on is found from the imports of its script, and nothing beside it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from variscope.study.digest import PACKAGE, import_closure
from variscope.study.experiment import SCRIPTS, script_digest


def files(script: str, *modules: str) -> set[str]:
    """The package's files that a script depends on, with modules that it is told to load."""
    entries = [SCRIPTS / f"{script}.py", *(PACKAGE / module for module in modules)]
    found = set().union(*map(import_closure, entries))
    return {path.relative_to(PACKAGE).as_posix() for path in found}


@pytest.mark.parametrize("storage", ["activations", "moments"])
def test_a_changed_interval_reruns_no_evaluation(storage: str) -> None:
    found = files("evaluate", f"study/shards/{storage}.py")
    assert {"responses/network/evaluator.py", "space/altering.py"} <= found
    for name in ("intervals", "guards", "indices", "differences", "groups"):
        assert f"estimators/{name}.py" not in found
    assert not [name for name in found if name.startswith(("analyses", "figures", "reporting"))]


def test_activations_do_not_depend_on_the_code_that_sums_them() -> None:
    assert "estimators/kernels.py" in files("evaluate", "study/shards/moments.py")
    assert "estimators/kernels.py" not in files("evaluate", "study/shards/activations.py")
    assert "estimators/kernels.py" in files("moments")


def test_an_analysis_depends_on_its_own_folder_and_on_no_neighbour() -> None:
    found = files("present", "analyses/depth/__init__.py", "analyses/depth/figures.py")
    of_analyses = {name for name in found if name.startswith("analyses/") and name.count("/") > 1}
    assert of_analyses == {"analyses/depth/__init__.py", "analyses/depth/figures.py"}


def test_modules_that_register_themselves_count_and_data_beside_a_module_too() -> None:
    found = files("evaluate", "study/shards/activations.py")
    assert {"space/augmentations/blur.py", "inputs/datasets/arrays.py"} <= found
    assert "designs/assignment.txt" in found
    assert {"designs/kinds/cycle.py", "designs/kinds/star.py"} <= found & files("moments")
    assert {"reporting/report.html", "reporting/report.css"} <= files("page")


def test_messages_logs_and_what_jobs_do_around_their_work_count_for_nothing() -> None:
    for script in ("evaluate", "estimate", "train", "page"):
        assert not {"errors.py", "log.py", "study/jobs.py"} & files(script)


def test_every_script_finds_its_imports_and_a_changed_one_changes_its_digest(
    tmp_path: Path,
) -> None:
    """In a copy of the package, since digests are kept for as long as a process lives."""
    shutil.copytree(
        PACKAGE.parent, tmp_path / "workflow", ignore=shutil.ignore_patterns("__pycache__")
    )
    ask = """
from variscope.study.experiment import script_digest
print(script_digest("estimate"), script_digest("train"))
"""

    def digests() -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", ask],
            env={"PYTHONPATH": str(tmp_path / "workflow")},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.split()

    before = digests()
    assert before == [script_digest("estimate"), script_digest("train")]
    file = tmp_path / "workflow" / "variscope" / "estimators" / "guards.py"
    file.write_text(file.read_text() + "\n# changed\n")
    after = digests()
    assert after[0] != before[0] and after[1] == before[1]
