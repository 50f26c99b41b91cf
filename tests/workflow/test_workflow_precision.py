"""Studies that grow until their intervals are narrow: reached, capped, asked for more, killed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tiny_study import Study, assert_same_numbers, once, until, write_inputs
from variscope.study.gates import was_skipped

TARGET = {"half_width": 0.4, "index": "S1", "most_blocks": 512}


def asking(target: Mapping[str, Any] | None, blocks: int = 16, **changes: Any) -> dict[str, Any]:
    """Changes of the configuration, for few and large shards."""
    designs = {"cycle": {"blocks": blocks}, "replicates": 4, "precision": target}
    return {"designs": designs, "evaluation.rows_per_shard": 5000, **changes}


@pytest.fixture(scope="module")
def grown(shared: Path, clone: Path) -> Study:
    """A study whose intervals are narrow before the most blocks. Tests work on a copy."""

    def make(folder: Path) -> None:
        write_inputs(folder)
        study = Study(folder, clone)
        study.configure(asking(TARGET))
        study.run("indices", "--cores", "2")

    return Study(once(shared / "grown", make), clone)


@pytest.fixture
def study(grown: Study, tmp_path: Path) -> Study:
    return grown.copy(tmp_path / "study")


def course(study: Study) -> dict[str, Any]:
    """How it ended."""
    return json.loads((study.indices.parent / "precision.json").read_text())


def skipped(study: Study) -> set[str]:
    """Shards of activations without arrays."""
    folders = (study.indices.parent / "activations").glob("*/replicates-*")
    return {folder.name for folder in folders if was_skipped(folder)}


def test_a_study_ends_once_its_intervals_are_narrow_twice(grown: Study) -> None:
    ended = course(grown)
    assert ended["asked"] == {**TARGET, "of": "layers"}
    assert ended["reached"] and ended["finished"]
    reached = [one["reached"] for one in ended["rounds"]]
    assert reached[-2:] == [True, True] and not any(reached[:-2])
    blocks = [one["blocks"] for one in ended["rounds"]]
    assert blocks == [16, 32, 64, 128, 256]
    assert skipped(grown) == {"replicates-000-003-blocks-000064-000128"}
    log = (grown.results / "logs").glob("evaluate-*-blocks-000064-000128.log")
    assert "nothing is evaluated" in next(log).read_text()


def test_its_numbers_are_those_of_a_study_of_its_last_size(study: Study, fresh: Study) -> None:
    fresh.configure(asking(None, blocks=256))
    fresh.run("indices", "--cores", "2")
    assert_same_numbers(fresh.indices, study.indices)


# Whatever is asked, what was evaluated stays, and what was skipped is asked again.
ASKED_AGAIN = Counter(evaluate=1, sums=1)


@pytest.mark.parametrize(
    ("changes", "evaluations"),
    [
        (asking(TARGET), Counter()),
        (asking({**TARGET, "half_width": 0.3}), ASKED_AGAIN),
        (asking({**TARGET, "half_width": 0.05}), ASKED_AGAIN),
        (asking({**TARGET, "half_width": 0.49}), ASKED_AGAIN),
        (asking({**TARGET, "most_blocks": 256}), Counter()),
        (asking({**TARGET, "most_blocks": 1024}), Counter(evaluate=3, sums=3)),
        (asking(TARGET, confidence_level=0.9), ASKED_AGAIN),
        (asking(None, blocks=256), Counter()),
        (asking(None, blocks=512), ASKED_AGAIN),
        (asking(None, blocks=64), Counter()),
        # A change of the evaluation is seen behind gates that are made again.
        (
            asking({**TARGET, "half_width": 0.05}) | {"variable_sets.small.apply": "switched"},
            Counter(evaluate=6, sums=6),
        ),
        (asking(TARGET, seed=5), Counter(evaluate=6, sums=6)),
    ],
)
def test_what_was_evaluated_stays_whatever_is_asked(
    study: Study, changes: Mapping[str, Any], evaluations: Counter[str]
) -> None:
    study.configure(changes)
    jobs = study.rules_that_would_run("indices")
    assert Counter({rule: jobs[rule] for rule in ("evaluate", "sums") if jobs[rule]}) == (
        evaluations
    )
    same = changes == asking(TARGET)
    assert (not jobs) if same else jobs["estimate"] == 2


def test_a_changed_script_is_seen_behind_gates_that_are_made_again(
    grown: Study, tmp_path: Path
) -> None:
    study = grown.copy(tmp_path / "study", clone=grown.copy_of_clone(tmp_path))
    (study.clone / "workflow" / "scripts" / "evaluate.py").touch()
    study.configure(asking({**TARGET, "half_width": 0.05}))
    assert study.rules_that_would_run("indices")["evaluate"] == 6


def test_a_narrower_target_goes_on_to_the_cap_and_ends_well(study: Study, fresh: Study) -> None:
    study.configure(asking({**TARGET, "half_width": 0.01}))
    study.run("indices", "--cores", "2")
    ended = course(study)
    assert ended["finished"] and not ended["reached"]
    assert ended["rounds"][-1]["blocks"] == 512 and skipped(study) == set()
    fresh.configure(asking(None, blocks=512))
    fresh.run("indices", "--cores", "2")
    assert_same_numbers(fresh.indices, study.indices)


def test_a_wider_target_leaves_the_later_blocks_out(study: Study, fresh: Study) -> None:
    study.configure(asking({**TARGET, "half_width": 0.49}))
    study.run("indices", "--cores", "2")
    blocks = course(study)["rounds"][-1]["blocks"]
    assert blocks == 128
    fresh.configure(asking(None, blocks=blocks))
    fresh.run("indices", "--cores", "2")
    assert_same_numbers(fresh.indices, study.indices)


def test_a_study_that_was_killed_between_rounds_ends_with_the_same_bits(
    grown: Study, fresh: Study
) -> None:
    fresh.configure(asking(TARGET))
    run = fresh.start("indices", "--cores", "1")
    try:
        until(
            lambda: (
                list(fresh.indices.parent.glob("precision/blocks-000008.json"))
                or run.poll() is not None
            )
        )
        assert run.poll() is None
    finally:
        run.kill()
        run.communicate()
    fresh.run("--unlock", "--cores", "1")
    fresh.run("indices", "--cores", "2")
    assert_same_numbers(grown.indices, fresh.indices)
    assert course(fresh) == course(grown)


def test_the_plan_says_the_most_that_may_be_evaluated(study: Study) -> None:
    text = study.run("plan", "--cores", "1").stdout
    lines = {line.split("  ")[1]: line.split()[-1] for line in text.splitlines() if "  " in line}
    assert "most blocks" in lines and "512 in 6 rounds" in text
    assert lines["rows"] == f"{512 * 12:,}"
    assert "0.4 (S1 of layers)" in text


def test_sums_in_transit_end_alike(grown: Study, fresh: Study) -> None:
    fresh.configure(asking(TARGET, storage="moments"))
    fresh.run("indices", "--cores", "2")
    assert_same_numbers(grown.indices, fresh.indices)
    assert course(fresh) == course(grown)
