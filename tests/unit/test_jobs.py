"""What every job of the workflow, and the run that it belongs to, does around its work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from variscope.errors import UserError
from variscope.study import jobs

HOLD = """
import sys
from pathlib import Path
from variscope.study.jobs import hold
hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_results_are_held_by_one_run_and_are_free_once_it_is_killed(tmp_path: Path) -> None:
    # Two working directories share the folder through a link.
    results, link = tmp_path / "results", tmp_path / "link"
    link.symlink_to(results)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(results)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdout is not None and run.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=rf"^{link}: another run writes there"):
            jobs.hold(link)
        run.kill()
        run.wait()
        jobs.hold(link)
    with pytest.raises(UserError, match="another run writes there"):
        jobs.hold(results)
    jobs._held.pop().close()
