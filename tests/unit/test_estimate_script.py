"""The job of a layer: from stored sums to indices, without torch or numba."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import variscope
import xarray as xr
from numpy.testing import assert_array_equal
from variscope.designs.cells import cells
from variscope.estimators import Layout, Moments
from variscope.estimators.spine import Spine
from variscope.inputs.axes import Layer
from variscope.stores.moments import write_moments

PROGRAM = """
import json, runpy, sys
from types import SimpleNamespace

given = json.loads(sys.stdin.read())
snakemake = SimpleNamespace(**{key: given[key] for key in ("log", "output", "config")})
for key in ("params", "wildcards", "input"):
    setattr(snakemake, key, SimpleNamespace(**given[key]))
runpy.run_path(given["script"], init_globals={"snakemake": snakemake})
print(sorted({"torch", "numba", "scipy.stats"} & set(sys.modules)))
"""


def test_estimation_imports_neither_torch_nor_numba_and_reads_shards_in_any_order(tmp_path: Path):
    layout, layer = Layout("cycle", 2), Layer("conv", (3, 2, 2), ("channel", "y", "x"))
    rng = np.random.default_rng(0)
    shards = {"g/late": (4, 8), "g/early": (0, 4)}
    for shard, (start, stop) in shards.items():
        parts: list[Moments] = []
        for replicate in range(2):
            spine = Spine(layout, replicate, layer.shape, start)
            for first, last in cells(start, stop, 2):
                outputs = rng.standard_normal((last - first, 4, *layer.shape)).astype(np.float32)
                spine.update(outputs, np.tile([1, 0], (last - first, 1)))
            parts += spine.moments()
        (tmp_path / shard).mkdir(parents=True)
        write_moments(tmp_path / shard / "conv.zarr", parts, layer.dims)
    costs = [tmp_path / f"{name}.json" for name in ("late", "early")]
    for file in costs:
        file.write_text(json.dumps({"device": "CPU", "batch_size": 8}))
    package = Path(variscope.__file__).parent
    target = tmp_path / "indices" / "conv.zarr"
    given = {
        "script": str(package.parent / "scripts" / "estimate.py"),
        "log": [str(tmp_path / "log")],
        "output": [str(target)],
        "config": {"experiment": "e"},
        "wildcards": {"model": "net", "set": "small", "design": "cycle"},
        "input": {
            "cost": list(map(str, costs)),
            "precision": [],
            "moments": [str(tmp_path / shard) for shard in shards],
        },
        "params": {
            "rounds": [[16, ["early", "late"]]],
            "layer": layer.to_json(),
            "position": 3,
            "variables": ["a", "b"],
            "confidence_level": 0.9,
            "groups": {},
            "apply": "always",
            "provenance": {"seed": 1, "dataset": {}},
        },
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(given),
        env={**os.environ, "PYTHONPATH": str(package.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
    data = xr.open_zarr(target).load()
    assert_array_equal(data.blocks_by_replicate, [8, 8])
    assert data.attrs["shards"] == list(shards) and data.attrs["layer_number"] == 3
    assert np.isfinite(data.S1).all()
