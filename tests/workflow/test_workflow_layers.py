"""Layers of odd names and outputs, from the configuration to the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from tiny import photographs, run_workflow
from variscope.stores.results import read_study

NETWORK = """
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2)
        self.add_module("a/b", nn.Conv2d(4, 5, 3))
        self.lstm = nn.LSTM(25, 6, batch_first=True)
        self.head = nn.Linear(6, 1)
        self.add_module("7", nn.Flatten(0))

    def forward(self, x):
        x = getattr(self, "a/b")(self.conv(x).relu())
        x, _ = self.lstm(x.permute(0, 2, 1, 3).flatten(2))
        return getattr(self, "7")(self.head(x[:, -1]))
"""


@pytest.mark.slow
def test_tuples_slashes_numbers_and_one_output_go_to_the_report(tmp_path: Path):
    images, labels = photographs()
    np.savez(tmp_path / "images.npz", images=images, labels=labels)
    (tmp_path / "net.py").write_text(NETWORK)
    names = ["conv", "a/b", "lstm[0]", "7"]
    net = {"factory": "net.py:Net", "weights": "none", "layers": names}
    config = {
        "experiment": "odd",
        "dataset": {"kind": "arrays", "path": "images.npz"},
        "models": {"net": {**net, "mean": [0.5] * 3, "std": [0.25] * 3}},
        "variable_sets": {"small": {"variables": ["brightness", "hflip"]}},
        "designs": {"cycle": {"blocks": 8}, "replicates": 2},
    }
    run_workflow(tmp_path, config)
    indices = tmp_path / "results/odd/net/small/cycle/indices"
    files = {"conv.zarr", "a%2Fb.zarr", "lstm%5B0%5D.zarr", "7.zarr"}
    assert {path.name for path in indices.glob("*.zarr")} == files
    assert [node.attrs["layer"] for node in read_study(indices).children.values()] == names
    assert xr.open_zarr(indices / "7.zarr").variance.sizes == {"unit": 1}
    assert xr.open_zarr(indices / "lstm%5B0%5D.zarr").variance.sizes == {"token": 5, "feature": 6}
    page = (tmp_path / "results/odd/report.html").read_text()
    assert all(name in page for name in names)
