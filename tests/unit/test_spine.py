"""Sums along the spine: a replicate cut at powers of two has the same sums, to the last bit."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from variscope.designs.cells import cells
from variscope.estimators import Layout, Moments, merge
from variscope.estimators.moments import with_float32_bits
from variscope.estimators.spine import Spine
from variscope.responses.network.sums import DeviceSums

CUTS: dict[int, list[tuple[int, ...]]] = {
    1: [(0,)],
    7: [(0,), (0, 4), (0, 1, 2, 4)],
    8: [(0,), (0, 4), (0, 1, 4)],
    100: [(0,), (0, 64), (0, 4), (0, 8, 32, 64), (0, 1, 64)],
}


def blocks_of(design: str, count: int, units: int = 37) -> tuple[Layout, np.ndarray, np.ndarray]:
    layout, rng = Layout(design, 3), np.random.default_rng(count)
    outputs = rng.standard_normal((count, layout.rows, units)).astype(np.float32)
    outputs[..., 1] *= np.float32(1e-25)
    outputs[..., 2] = 3
    return layout, outputs, rng.permuted(np.tile(np.arange(3), (count, 1)), axis=1)


def on_host(
    layout: Layout, outputs: np.ndarray, order: np.ndarray, start: int, stop: int, at_once: int
) -> tuple[Moments, ...]:
    spine = Spine(layout, 5, outputs.shape[2:], start)
    for cell in cells(start, stop, at_once):
        spine.update(outputs[slice(*cell)], order[slice(*cell)])
    return spine.moments()


def by_torch(
    layout: Layout, outputs: np.ndarray, order: np.ndarray, start: int, stop: int, at_once: int
) -> tuple[Moments, ...]:
    sums = DeviceSums(layout, 5, outputs.shape[2:], torch.device("cpu"), start=start)
    for first, last in cells(start, stop, at_once):
        rows = np.arange((last - first) * layout.rows).reshape(-1, layout.rows)
        flat = torch.from_numpy(outputs[first:last].reshape(-1, outputs.shape[2]))
        sums.update(flat, rows, order[first:last])
    return sums.moments()


@pytest.mark.parametrize("summed", [on_host, by_torch])
@pytest.mark.parametrize("design", ["cycle", "star"])
@pytest.mark.parametrize("count", CUTS)
@pytest.mark.parametrize("at_once", [1, 16, 128])
def test_parts_cut_at_powers_of_two_merge_to_the_bits_of_the_whole(
    summed: Callable[..., tuple[Moments, ...]], design: str, count: int, at_once: int
):
    layout, outputs, order = blocks_of(design, count)
    (whole,) = summed(layout, outputs, order, 0, count, at_once)
    assert whole.blocks.tolist() == [count] and whole.first.tolist() == [0]
    assert_array_equal(whole.sums, with_float32_bits(whole.sums))
    for cut in CUTS[count]:
        ends = [*cut[1:], count]
        parts = [
            part
            for start, stop in zip(cut, ends, strict=True)
            for part in summed(layout, outputs, order, start, stop, at_once)
        ]
        for merged in (merge(parts), merge(parts[::-1])):
            for name in ("sums", "blocks", "first", "pair_counts", "moved"):
                assert_array_equal(getattr(merged, name), getattr(whole, name), err_msg=name)


@pytest.mark.parametrize("summed", [on_host, by_torch])
def test_the_spine_is_near_the_plain_sums(summed: Callable[..., tuple[Moments, ...]]):
    layout, outputs, order = blocks_of("cycle", 100)
    plain = Moments.zeros(layout, [5], outputs.shape[2:])
    plain.update(5, outputs, order)
    (whole,) = summed(layout, outputs, order, 0, 100, 8)
    scale = np.abs(plain.sums).max(axis=1, keepdims=True)
    assert_allclose(whole.sums / scale, plain.sums / scale, atol=1e-6)
    assert_array_equal(whole.pair_counts, plain.pair_counts)
    assert_array_equal(whole.moved, plain.moved)


def test_a_total_is_rounded_once_a_shell():
    layout, outputs, order = blocks_of("star", 4)
    shells = []
    for first, last in ((0, 1), (1, 2), (2, 4)):
        moments = Moments.zeros(layout, [5], outputs.shape[2:])
        moments.update(5, outputs[first:last], order[first:last])
        shells.append(with_float32_bits(moments.sums))
    expected = with_float32_bits(with_float32_bits(shells[0] + shells[1]) + shells[2])
    assert_array_equal(on_host(layout, outputs, order, 0, 4, 8)[0].sums, expected)


def test_blocks_that_go_beyond_a_shell_are_refused():
    layout, outputs, order = blocks_of("cycle", 7)
    spine = Spine(layout, 0, outputs.shape[2:], 4)
    with pytest.raises(ValueError, match="blocks 4 to 11 go beyond 8, where a shell ends"):
        spine.update(outputs, order)


def test_parts_with_a_gap_or_twice_do_not_merge():
    layout, outputs, order = blocks_of("cycle", 16)
    first, second, third = (
        list(on_host(layout, outputs, order, start, stop, 4))
        for start, stop in ((0, 4), (4, 8), (8, 16))
    )
    with pytest.raises(ValueError, match="after block 4 comes a part that begins at 8"):
        merge(first + third)
    with pytest.raises(ValueError, match="after block 8 comes a part that begins at 4"):
        merge(first + second + second)
