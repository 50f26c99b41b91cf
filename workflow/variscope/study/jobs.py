"""What every job of the workflow does around its work: a log file, errors said once, its end."""

from __future__ import annotations

import fcntl
import logging
import os
import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import IO

from variscope.errors import UserError
from variscope.log import LOG
from variscope.stores.atomic import naming_a_full_disk, why_full

# Holds the process id of the workflow that jobs on this machine belong to.
WORKFLOW_PROCESS = "VARISCOPE_WORKFLOW_PROCESS"

# Open for as long as this process lives.
_held: list[IO[str]] = []


def hold(results: Path) -> None:
    """Keep a results folder from other runs until this process ends, also where it is killed.

    Snakemake locks its working directory. Results that two working directories share, through a
    link or a mount, need this lock of their own. File systems that know no locks go without.

    Raises:
        UserError: another run holds it.
    """
    with naming_a_full_disk(results):
        results.mkdir(parents=True, exist_ok=True)
        file = (results / ".lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise UserError(
            f"{results}: another run writes there, from this or another working directory; "
            f"wait for its end ({results}/.lock is free then)"
        ) from None
    except OSError as error:
        LOG.warning("%s: cannot be locked (%s)", results, error)
    _held.append(file)


@contextmanager
def job(log: str) -> Iterator[None]:
    """Log to a file; a `UserError` ends it with its message alone, others with a traceback."""
    with naming_a_full_disk(log):
        handler = _LogFile(log, mode="w")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    LOG.info("start")
    _end_with_the_workflow()
    start = monotonic()
    try:
        yield
    except UserError as error:
        LOG.error("%s", error)
        sys.exit(f"error: {error}")
    except BaseException:
        LOG.exception("failed")
        raise
    LOG.info("done in %.1f s, with %d MiB of memory at most", monotonic() - start, peak_mib())


def peak_mib() -> int:
    """Return the most memory that this process held at once, MiB."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // (2**20 if sys.platform == "darwin" else 2**10)
    # Linux counts into what getrusage says the process that this one was started from.
    return int(status.partition("VmHWM:")[2].split()[0]) // 2**10


class _LogFile(logging.FileHandler):
    """A log file that a full disk does not end: what it did not take is written once it can be."""

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if error is None or why_full(error) is None:
            super().handleError(record)


def _end_with_the_workflow() -> None:
    """End this process where Snakemake was killed: nobody else would, and its output is stale.

    A job that went on would write beside the job that the next run starts for the same output.
    """
    workflow = int(os.environ.get(WORKFLOW_PROCESS, "0"))
    if not workflow:
        return

    parent = os.getppid()

    def watch() -> None:
        # Snakemake is the parent, or stands behind a shell. A killed parent that nobody has waited
        # for yet keeps its number, so the number alone does not tell.
        while os.getppid() == parent and _is_there(workflow):
            sleep(0.5)
        LOG.error("Snakemake is gone: this job ends")
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # there, and another user's
    return True
