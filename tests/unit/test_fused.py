"""The GPU's kernels against the formulas and the CPU's kernel: interpreted, and on a GPU if any."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fused_cases import BLOCKS, CASES, CONSTANT, SPOILED, Case, blocks_of, kinds, sums_of
from numpy.testing import assert_allclose, assert_array_equal
from variscope.estimators import Layout, Moments, cycle_terms, star_terms

pytest.importorskip("triton")

DEVICES = ["interpreter", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """Sums of all cases by Triton's interpreter, in a process of its own."""
    path = tmp_path_factory.mktemp("fused") / "sums.npz"
    script = Path(__file__).with_name("fused_cases.py")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, script, path], check=True, env=environment)
    with np.load(path) as sums:
        return dict(sums)


@pytest.fixture
def summed(request: pytest.FixtureRequest, case: Case, device: str) -> np.ndarray:
    if device == "interpreter":
        return request.getfixturevalue("interpreted")[case.name]
    return sums_of(case, device)


def on_every_device(cases: list[Case]):
    def mark(test):
        test = pytest.mark.parametrize("case", cases, ids=lambda case: case.name)(test)
        return pytest.mark.parametrize("device", DEVICES)(test)

    return mark


@on_every_device(CASES)
def test_units_of_every_size_side_by_side_are_summed_by_the_formulas(
    case: Case, summed: np.ndarray
):
    """However small, large, sparse, constant or far from 0; one with a NaN spoils no other."""
    layout, kind = case.layout, kinds(case)
    outputs, rows, order = blocks_of(case)
    fine = kind != SPOILED
    assert np.isfinite(summed[:, fine]).all()
    assert np.isnan(summed[layout.sums["total"]][:, ~fine]).all()
    assert np.isnan(summed[layout.sums["variance"]][:, ~fine]).all()
    exact = outputs.astype(np.float64)[rows][:, :, fine]
    terms = cycle_terms(exact, order) if case.design == "cycle" else star_terms(exact)
    tolerance = 1e-13 if case.dtype is np.float64 else 3e-6
    for name in (*layout.indices, "S2"):
        got = layout.scale[name] * summed[layout.sums[name]][:, fine]
        size = np.abs(terms[name]).sum(axis=0) + 1e-300  # terms cancel
        assert_allclose(
            got / size, terms[name].sum(axis=0) / size, rtol=0, atol=tolerance, err_msg=name
        )
    variance = layout.scale["variance"] * summed[layout.sums["variance"]][0, fine]
    assert_allclose(variance, terms["variance"].sum(axis=0), rtol=tolerance)
    total = summed[layout.sums["total"]][0, fine]
    size = np.abs(exact).sum(axis=(0, 1))
    assert_allclose(total / size, exact.sum(axis=(0, 1)) / size, rtol=0, atol=tolerance)
    constant = summed[: layout.sums["total"].start, kind == CONSTANT]
    assert_array_equal(constant, np.zeros_like(constant))


@on_every_device(CASES)
def test_sums_are_those_of_the_kernel_of_the_cpu(case: Case, summed: np.ndarray):
    layout = case.layout
    outputs, rows, order = blocks_of(case)
    kernel = Moments.zeros(layout, [0], (case.units,))
    for part in (slice(BLOCKS[0]), slice(BLOCKS[0], None)):
        kernel.update(0, outputs, order[part], rows[part])
    fine = kinds(case) != SPOILED
    expected, got = kernel.sums[0][:, fine], summed[:, fine]
    size = np.abs(expected[layout.sums["ST"]]).max(axis=0) + 1e-300
    for name in (*layout.indices, "S2", "variance"):
        of = layout.sums[name]
        assert_allclose(got[of] / size, expected[of] / size, rtol=0, atol=1e-4, err_msg=name)
    assert_array_equal(got[layout.sums["nonzero"]], expected[layout.sums["nonzero"]])


def test_the_interpreter_was_chosen_for_its_own_process_alone(interpreted: dict[str, np.ndarray]):
    from triton.runtime.jit import JITFunction
    from variscope.responses.network import fused

    assert set(interpreted) == {case.name for case in CASES}
    assert isinstance(fused.KERNELS["cycle"].add, JITFunction)


@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("work", [torch.float32, torch.float64])
@pytest.mark.parametrize("design", ["cycle", "star"])
@pytest.mark.parametrize("variables", [1, 9])
def test_kernels_compile_for_a_gpu_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variables: int,
    design: str,
    work: torch.dtype,
    capability: int,
):
    """And give each thread its own units, on which the order of its reads and writes relies."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from variscope.responses.network import fused

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = fused.KERNELS[design].add
    constants = fused.constants(Layout(design, variables), work)
    number = "*fp64" if work == torch.float64 else "*fp32"
    types = {"outputs": "*fp32", "room": number, "left": "*i8", "sums": "*fp64"}
    types |= dict.fromkeys(("walk", "moves", "steps"), "*i64")
    types |= dict.fromkeys(("blocks", "units"), "i32") | dict.fromkeys(constants, "constexpr")
    names = kernel.arg_names
    aligned = {
        (at,): [["tt.divisibility", 16]]
        for at, name in enumerate(names)
        if types[name].startswith("*")
    }
    source = ASTSource(kernel, {name: types[name] for name in names}, constants, aligned)
    target = GPUTarget("cuda", capability, 32)
    compiled = triton.compile(source, target=target, options=fused.options(work))
    assert compiled.asm["cubin"]
    layouts = re.findall(
        r"sizePerThread = \[(.*?)\], threadsPerWarp = \[(.*?)\], warpsPerCTA = \[(.*?)\]",
        compiled.asm["ttgir"],
    )
    assert layouts
    for sizes, threads, warps in layouts:
        ones = "1, " * sizes.count(",")
        assert (sizes, threads, warps) == (f"{ones}1", f"{ones}32", f"{ones}4")
    if work == torch.float32:
        assert compiled.metadata.shared == 0  # nothing passes between threads


def test_what_does_not_fit_is_refused():
    from variscope.responses.network import fused

    layout = Layout("cycle", 2)
    outputs, sums = torch.zeros(8, 3), torch.zeros(layout.sum_rows, 3, dtype=torch.float64)
    rows, order = np.arange(8).reshape(2, 4), np.tile(np.arange(2), (2, 1))
    for wrong in (rows[:, :3], rows + 1, rows - 1):
        with pytest.raises(ValueError, match="rows"):
            fused.add(layout, outputs, wrong, order, sums)
    with pytest.raises(ValueError, match="sums"):
        fused.add(layout, outputs, rows, order, sums[1:])
    with pytest.raises(ValueError, match="order"):
        fused.add(layout, outputs, rows, order[1:], sums)
