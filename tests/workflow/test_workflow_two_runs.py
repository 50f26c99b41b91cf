"""Two runs on the same results folder: the second is refused, and the first goes on unharmed."""

from __future__ import annotations

from pathlib import Path

from tiny_study import Study, assert_same_numbers, in_the_middle, write_inputs


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_run_is_refused_before_its_first_job_and_the_first_ends_well(
    finished: Study, unevaluated: Study
) -> None:
    with in_the_middle(unevaluated) as (first, _):
        before = contents(unevaluated.results)
        second = unevaluated.run("--cores", "1", fails=True)
        output = second.stdout + second.stderr
        # The message names the folder, and how a lock that nobody holds any more is taken away.
        assert "Directory cannot be locked" in output
        assert f"\n{unevaluated.folder}\n" in output
        assert "--unlock" in output
        assert "Traceback" not in output
        assert "\nrule " not in output
        assert contents(unevaluated.results) == before
        # A dry run beside it is not a second run.
        assert unevaluated.rules_that_would_run("indices")["sums"] == 2
        (unevaluated.folder / "wait").unlink()
        assert first.wait(120) == 0
    assert_same_numbers(finished.indices, unevaluated.indices)
    assert not list(unevaluated.results.rglob(".partial*"))


def test_a_second_run_from_another_working_directory_on_shared_results_is_refused(
    unevaluated: Study, tmp_path: Path
) -> None:
    second = Study(tmp_path / "second", unevaluated.clone)
    write_inputs(second.folder)
    second.configure()
    (second.folder / "results").symlink_to(unevaluated.folder / "results")
    with in_the_middle(unevaluated) as (first, _):
        before = contents(unevaluated.results)
        done = second.run("indices", "--cores", "1", fails=True)
        output = done.stdout + done.stderr
        assert "error: results/tiny: another run writes there" in output
        assert "Traceback" not in output
        assert "\nrule " not in output
        assert contents(unevaluated.results) == before
        assert first.poll() is None
        (unevaluated.folder / "wait").unlink()
        assert first.wait(120) == 0
