"""How long the first sums of a process wait for their kernel to be compiled.

Run it by ``python -m benchmarks.compiling``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from statistics import median

from benchmarks.measuring import Row, arguments, write

NOTES = """
`first` is the seconds of the first `Moments.update` of a process, of which `processor` are the
process's own, with an empty cache of compiled kernels; `cached` the same in a second process;
`again` the next call of the process. `import` is what numba takes to be imported, once per process,
cached or not, and is not in the others. 16 blocks of 9 variables, 1000 units. With `tiny` outputs a
unit's squares leave the range of float32, and its terms are taken in float64: rare, and compiled
only then. Medians of {repeats} pairs of processes.
"""

_PROCESS = """
import json, sys
from time import perf_counter, process_time
import numpy as np
from variscope.estimators import Layout, Moments

design, dtype, tiny = sys.argv[1:]
layout = Layout(design, 9)
outputs = np.random.default_rng(0).standard_normal((16, layout.rows, 1000)).astype(dtype)
outputs[..., 0] *= 1e-25 if tiny == "yes" else 1
order = np.tile(np.arange(9), (16, 1))
moments = Moments.zeros(layout, [0], (1000,))
start = perf_counter()
import numba
found = {"import, s": perf_counter() - start}
start, own = perf_counter(), process_time()
moments.update(0, outputs, order)
found |= {"first, s": perf_counter() - start, "processor, s": process_time() - own}
start = perf_counter()
moments.update(0, outputs, order)
print(json.dumps(found | {"again, s": perf_counter() - start}))
"""


def main(given: Sequence[str] | None = None) -> list[Row]:
    """Run the benchmark and return its table."""
    options = arguments(__doc__ or "", given)
    repeats = 1 if options.quick else 5
    cases = [
        (design, dtype, tiny)
        for design in ("cycle", "star")
        for dtype, tiny in (("float32", "no"), ("float32", "yes"), ("float64", "no"))
    ]
    turns: dict[tuple[str, str, str], list[Row]] = {case: [] for case in cases}
    for _ in range(repeats):
        for case in cases[: 1 if options.quick else None]:
            turns[case].append(_measure(*case))
    rows: list[Row] = [
        {
            "design": design,
            "outputs": dtype,
            "tiny": tiny,
            **{name: median(turn[name] for turn in found) for name in found[0]},
        }
        for (design, dtype, tiny), found in turns.items()
        if found
    ]
    notes = NOTES.format(repeats=repeats)
    write("compiling", "Compilation of the sums' kernels", notes, rows, options)
    return rows


def _measure(*case: str) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        command = [sys.executable, "-c", _PROCESS, *case]
        first, second = (
            json.loads(subprocess.run(command, env=environment, check=True, stdout=-1).stdout)
            for _ in range(2)
        )
    return {**first, "cached, s": second["first, s"]}


if __name__ == "__main__":
    main()
