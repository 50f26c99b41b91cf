"""What all benchmarks share: the machine, medians, peak memory, and tables."""

from __future__ import annotations

import argparse
import csv
import ctypes
import multiprocessing
import os
import platform
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

Row = dict[str, Any]

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "numpy", "scipy", "numba", "torch", "torchvision", "SALib", "openturns", "iterative-stats",
)  # fmt: skip


def arguments(about: str, given: Sequence[str] | None, **switches: str) -> argparse.Namespace:
    """Read the command line: ``--quick`` for a smoke run, ``--output`` for the tables' folder.

    A benchmark's own switches are given by their names, with what they say of themselves.

    A quick run measures nothing worth keeping: its tables are kept only where a folder is given.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--output", type=Path, default=None, help="folder of the tables")
    for name, about_it in switches.items():
        parser.add_argument(f"--{name}", action="store_true", help=about_it)
    options = parser.parse_args(given)
    if options.output is None and not options.quick:
        options.output = RESULTS
    return options


def seconds(function: Callable[[], object], repeats: int = 5, warm_up: int = 1) -> float:
    """Return the median seconds of a call, after ``warm_up`` calls that are not counted."""
    for _ in range(warm_up):
        function()
    taken = []
    for _ in range(repeats):
        start = perf_counter()
        function()
        taken.append(perf_counter() - start)
    return median(taken)


def side_by_side(tasks: Sequence[Callable[[], object]]) -> None:
    """Run tasks that release Python's lock in a thread each, and wait for all."""
    if len(tasks) == 1:
        tasks[0]()
        return
    with ThreadPoolExecutor(len(tasks)) as pool:
        for done in [pool.submit(task) for task in tasks]:
            done.result()


def in_processes(tasks: Sequence[Callable[[], object]]) -> None:
    """Run tasks in a forked process each, which share what they read, and wait for all."""
    if len(tasks) == 1:
        tasks[0]()
        return
    processes = [multiprocessing.get_context("fork").Process(target=task) for task in tasks]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise RuntimeError("a benchmark's process failed")


def peak_bytes(function: Callable[[], object]) -> int:
    """Return by how much a call raises the resident memory at its peak, in a forked process.

    The process is forked before the call, so that its arguments do not count and what other calls
    left behind does not help. Linux alone keeps a peak that can be reset.
    """
    receive, send = multiprocessing.Pipe(duplex=False)

    def measure() -> None:
        # What was freed before and not given back would be taken again unseen.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        function()
        send.send(_status("VmHWM") - before)

    process = multiprocessing.get_context("fork").Process(target=measure)
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError("a benchmark's process failed")
    return int(receive.recv())


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return the slope of log cost over log size: 1 where the cost grows in proportion."""
    import numpy as np

    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def write(name: str, title: str, notes: str, rows: list[Row], options: argparse.Namespace) -> None:
    """Print a table, and write it as CSV and as Markdown with date, machine and versions."""
    text = f"# {title}\n\n{machine()}\n\n{notes.strip()}\n\n{markdown(rows)}\n"
    print(text)
    if options.output is None:
        return
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / f"{name}.md").write_text(text)
    with (options.output / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def markdown(rows: list[Row]) -> str:
    """Return rows as a Markdown table; numbers get three digits."""
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *([_text(row[name]) for name in names] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """Say when and on what this is measured."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[0]
    versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC: {model}, "
        f"{len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB of memory, "
        f"load {load:.1f} before; Python {platform.python_version()}, {versions}."
    )


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return 1024 * int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {key}")


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
