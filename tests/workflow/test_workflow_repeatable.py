"""Same seed, same numbers: whatever the cores, the shards, and, to rounding, the batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tiny_study import Study, assert_same_numbers, layers_of


def test_one_core_gives_the_numbers_of_two(finished: Study, fresh: Study) -> None:
    fresh.run("indices", "--cores", "1")
    assert_same_numbers(finished.indices, fresh.indices)
    weights = "net/weights.pt"
    assert (fresh.results / weights).read_bytes() == (finished.results / weights).read_bytes()


def test_one_shard_summed_in_transit_gives_the_numbers_of_several_that_are_stored(
    finished: Study, unevaluated: Study, tmp_path: Path
) -> None:
    unevaluated.configure({"evaluation.rows_per_shard": 10_000, "storage": "moments"})
    unevaluated.run("indices", "--cores", "2")
    assert not (unevaluated.indices.parent / "activations").exists()
    assert unevaluated.group == finished.group
    kept = unevaluated.indices.parent / "moments" / unevaluated.group
    assert [path.name for path in kept.glob("replicates*")] == [
        "replicates-000-003-blocks-000000-000002"
    ]
    stored = finished.indices.parent / "activations" / finished.group
    assert len(list(stored.glob("replicates*"))) == 2
    assert_same_numbers(finished.indices, unevaluated.indices)
    # The sums are of the evaluation's making: it depends on the estimators here.
    study = Study(unevaluated.folder, finished.copy_of_clone(tmp_path))
    study.change_module("estimators/kernels.py")
    assert study.rules_that_would_run("indices") == {"evaluate": 1, "estimate": 2}


def test_the_batch_size_decides_the_rounding_alone(finished: Study, unevaluated: Study) -> None:
    unevaluated.configure({"evaluation.batch_size": 5})
    unevaluated.run("indices", "--cores", "2")
    one, other = layers_of(finished.indices), layers_of(unevaluated.indices)
    for layer, data in one.items():
        for name in ("mean", "variance", "S1_layer", "ST_layer", "shapley_layer", "ST"):
            scale = float(np.abs(data[name]).max())
            np.testing.assert_allclose(
                data[name], other[layer][name], rtol=1e-4, atol=1e-5 * scale, err_msg=name
            )
        np.testing.assert_array_equal(data["status"], other[layer]["status"])
