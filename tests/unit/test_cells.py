"""Cells and shells: cuts that depend on the blocks' numbers, and not on how many there are."""

import pytest
from variscope.designs.cells import cells, is_boundary, shells, summed_ranges


def test_cells_double_up_to_what_a_batch_holds():
    assert cells(0, 21, 4) == [
        (0, 1),
        (1, 2),
        (2, 4),
        (4, 8),
        (8, 12),
        (12, 16),
        (16, 20),
        (20, 21),
    ]
    assert cells(0, 3, 1) == [(0, 1), (1, 2), (2, 3)]
    assert shells(0, 21) == [(0, 1), (1, 2), (2, 4), (4, 8), (8, 16), (16, 21)]
    assert cells(8, 20, 64) == [(8, 16), (16, 20)]
    assert cells(5 * 0, 0, 8) == shells(4, 4) == []


@pytest.mark.parametrize("at_once", [1, 2, 4, 8, 64, 1024])
def test_whole_cells_stay_when_a_replicate_grows_or_is_cut(at_once: int):
    longest = cells(0, 300, at_once)
    ends = {stop for _, stop in longest}
    for count in range(1, 300):
        found = cells(0, count, at_once)
        assert found[:-1] == longest[: len(found) - 1]
        assert found[-1][0] == longest[len(found) - 1][0] and found[-1][1] == count
        if is_boundary(count):
            assert found[-1][1] in ends
            assert found + cells(count, 300, at_once) == longest
    for start, stop in longest:
        assert any(first <= start < stop <= last for first, last in shells(0, 300))


def test_what_begins_in_the_middle_keeps_its_shells_apart():
    assert summed_ranges(0, 21) == [(0, 21)]
    assert summed_ranges(4, 21) == [(4, 8), (8, 16), (16, 21)]


def test_blocks_begin_where_shells_do():
    with pytest.raises(ValueError, match="begin at 6; allowed: 0 and powers of two"):
        shells(6, 8)
    for at_once in (0, 3):
        with pytest.raises(ValueError, match="allowed: powers of two"):
            cells(0, 8, at_once)
