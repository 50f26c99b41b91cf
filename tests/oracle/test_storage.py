"""Sums in transit and sums of stored activations are the same, to the last bit."""

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from numpy.testing import assert_array_equal
from tiny import LAYERS, NETWORK, network, photographs, run_workflow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("storage")
    images, labels = photographs()
    (path / "net.py").write_text(NETWORK)
    torch.save(network().state_dict(), path / "net.pt")
    np.savez(path / "images.npz", images=images, labels=labels, part=np.ones(len(labels), int))
    config = {
        "seed": 3,
        "dataset": {"kind": "arrays", "path": "images.npz"},
        "models": {
            "net": {
                "factory": "net.py:network",
                "weights": "net.pt",
                "layers": [*LAYERS],
                "mean": [0.5, 0.5, 0.5],
                "std": [0.25, 0.25, 0.25],
            }
        },
        "variable_sets": {"set": {"variables": ["hue", "rolling", "hflip"]}},
        "designs": {"cycle": {"blocks": 24}, "star": {"blocks": 24}, "replicates": 4},
    }
    for storage in ("activations", "moments"):
        run_workflow(path, {**config, "experiment": storage, "storage": storage}, "indices")
    return path


@pytest.mark.parametrize("design", ["cycle", "star"])
@pytest.mark.parametrize("layer", LAYERS)
def test_both_storages_give_the_same_indices(folder: Path, design: str, layer: str):
    one, other = (
        xr.open_zarr(
            folder / "results" / storage / "net/set" / design / "indices" / f"{layer}.zarr"
        ).load()
        for storage in ("activations", "moments")
    )
    for name in one.variables:
        assert_array_equal(one[name].values, other[name].values, err_msg=str(name))


def test_moments_keep_no_activations(folder: Path):
    assert not list((folder / "results/moments").rglob("activations"))
    assert list((folder / "results/activations").rglob("activations"))
