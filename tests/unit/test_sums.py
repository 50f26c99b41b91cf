"""Sums on the device are those of the compiled kernel."""

import sys

import numpy as np
import pytest
import torch
import variscope.responses.network
from numpy.testing import assert_allclose, assert_array_equal
from variscope.designs import kinds
from variscope.estimators import Layout, Moments
from variscope.responses.network import sums as sums_module
from variscope.responses.network.sums import DeviceSums, HostSums, layer_sums

DEVICES = [
    ("cpu", "torch"),
    *([("cuda", "torch"), ("cuda", "fused")] if torch.cuda.is_available() else []),
]


@pytest.mark.parametrize(("device", "by"), DEVICES)
@pytest.mark.parametrize("design", ["cycle", "star"])
@pytest.mark.parametrize("variables", [1, 2, 3, 6])
@pytest.mark.parametrize("at_once", [1, 10**9])
def test_sums_on_the_device_are_those_of_the_kernel(
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    by: str,
    design: str,
    variables: int,
    at_once: int,
):
    add = None if by == "torch" else sums_module.fused_sums(design)
    assert by == "torch" or add is not None
    monkeypatch.setattr(sums_module, "_BYTES_AT_ONCE", at_once)
    rng = np.random.default_rng(variables)
    layout = Layout(design, variables)
    outputs = rng.standard_normal((12, layout.rows, 4, 3, 2)).astype(np.float32)
    outputs[:, :, 1] = 0
    outputs[:, :, 2] *= 1e-25
    outputs[:, :, 3] += 1000
    order = rng.permuted(np.tile(np.arange(variables), (12, 1)), axis=1)
    kernel = Moments.zeros(layout, [5], (4, 3, 2))
    sums = DeviceSums(layout, 5, (4, 3, 2), torch.device(device), add, start=16)
    for start, stop in ((0, 5), (5, 12)):
        kernel.update(5, outputs[start:stop], order[start:stop])
        rows = np.arange((stop - start) * layout.rows).reshape(-1, layout.rows)
        flat = outputs[start:stop].reshape(-1, 4, 3, 2)
        sums.update(torch.from_numpy(flat).to(device), rows, order[start:stop])
    (moments,) = sums.moments()
    scale = np.abs(kernel.sums).max(axis=(3, 4), keepdims=True)
    assert_allclose(moments.sums / (scale + 1e-300), kernel.sums / (scale + 1e-300), atol=1e-5)
    for name in ("replicates", "blocks", "pair_counts"):
        assert_array_equal(getattr(moments, name), getattr(kernel, name))


def test_a_spoiled_unit_spoils_no_other():
    layout = Layout("cycle", 3)
    outputs = torch.randn(24, 2, generator=torch.Generator().manual_seed(0))
    outputs[0, 1] = torch.nan
    order = np.tile(np.arange(3), (4, 1))
    sums = DeviceSums(layout, 0, (2,), torch.device("cpu"), start=4)
    sums.update(outputs, np.arange(24).reshape(4, 6), order)
    finite = np.isfinite(sums.moments()[0].sums[0])
    assert finite[:, 0].all() and not finite[layout.sums["total"], 1].any()


def test_outputs_are_summed_where_they_are():
    layout = Layout("cycle", 2)
    assert isinstance(layer_sums(layout, 0, (3,), torch.device("cpu")), HostSums)
    assert isinstance(layer_sums(layout, 0, (3,), torch.device("meta")), DeviceSums)


def test_where_triton_is_missing_torch_sums(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "variscope.responses.network.fused", raising=False)
    monkeypatch.delattr(variscope.responses.network, "fused", raising=False)
    assert sums_module.fused_sums.__wrapped__("cycle") is None
    assert "summed by torch" in caplog.text


def test_a_kernel_that_sums_otherwise_is_not_taken():
    def by_torch(layout, outputs, rows, order, sums):
        inner = DeviceSums(layout, 0, (outputs.shape[1],), outputs.device, start=32)
        inner.update(outputs, rows, order)
        sums += inner._sums

    def wrong(layout, outputs, rows, order, sums):
        by_torch(layout, outputs, rows, np.roll(order, 1, axis=0), sums)

    device = torch.device("cpu")
    for design in kinds.summed_names():
        assert sums_module.sums_agree(by_torch, device, design)
        assert not sums_module.sums_agree(lambda *args: None, device, design)
    assert not sums_module.sums_agree(wrong, device, "cycle")
