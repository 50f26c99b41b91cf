"""Kernels are compiled where they are needed, and no more of them than are needed."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from variscope.estimators import Layout, Moments

COMPILED = """
import numpy as np
from numba.core.dispatcher import Dispatcher
from variscope.estimators import Layout, Moments, kernels

def sum_some(design, scale=1.0, dtype=np.float32):
    layout = Layout(design, 3)
    outputs = np.random.default_rng(0).standard_normal((20, layout.rows, 150)) * scale
    order = np.tile(np.arange(3), (20, 1))
    Moments.zeros(layout, [0], (150,)).update(0, outputs.astype(dtype), order)

def say():
    found = {name: len(one.signatures) for name, one in vars(kernels).items()
             if isinstance(one, Dispatcher)}
    print(*(found[name] for name in ("_add_groups", "_cycle_block", "_star_block")),
          sum(found.values()))

sum_some("cycle")
say()
sum_some("star")
say()
sum_some("star", np.r_[1e-25, np.ones(149)])
say()
"""

WITHOUT = """
import sys
import variscope.study.plan
from variscope.indices import layer
from variscope.estimators import Layout, Moments, merge, unit_indices
from variscope.stores import moments

unit_indices(merge([Moments.zeros(Layout("cycle", 3), [0, 1], (5,))]), 0.95)
print({"numba", "torch"} & set(sys.modules))
"""


def test_a_study_compiles_the_terms_of_its_designs_in_float32_alone(tmp_path: Path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", COMPILED], env=environment, capture_output=True, check=True
    )
    cycle, star, tiny = (line.split() for line in done.stdout.decode().splitlines())
    # `_add_to` adds to sums in float32 and to totals in float64.
    assert cycle == ["1", "1", "0", "6"]
    assert star[:3] == ["2", "1", "1"]
    assert tiny[:3] == ["3", "1", "2"]


def test_planning_and_estimation_import_no_numba():
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "set()"


@pytest.mark.parametrize("design", ["cycle", "star"])
@pytest.mark.parametrize("units", [1, 15, 16, 17, 128, 150, 300])
def test_a_unit_has_the_same_sums_among_others_and_alone(design: str, units: int):
    layout = Layout(design, 3)
    rng = np.random.default_rng(units)
    outputs = rng.standard_normal((70, layout.rows, units)).astype(np.float32)
    outputs *= 10.0 ** rng.integers(-25, 25, units, endpoint=True).astype(np.float32)
    outputs[:, :, rng.random(units) < 0.3] = 2
    outputs[5, 1, rng.random(units) < 0.1] = np.nan
    order = rng.permuted(np.tile(np.arange(3), (70, 1)), axis=1)

    def sums(of: slice) -> np.ndarray:
        moments = Moments.zeros(layout, [0], (len(range(units)[of]),))
        moments.update(0, outputs[..., of], order)
        return moments.sums

    together = sums(slice(None))
    for unit in {0, units // 2, units - 1}:
        assert_array_equal(sums(slice(unit, unit + 1)), together[..., unit : unit + 1])
