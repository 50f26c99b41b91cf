"""Shards: each row once, whole old shards again, and the same plan whichever of them are there."""

import itertools

import numpy as np
import pytest
from variscope.designs import replicate_sizes
from variscope.designs.cells import is_boundary, largest_power
from variscope.study.sharding import Shard, plan_shards

STUDIES = [(2, 2), (8, 4), (9, 4), (24, 4), (64, 4), (100, 6), (128, 8), (256, 16), (1000, 7)]
MOST = [0, 1, 5, 16, 37, 200, 10**6]


def assert_covers(shards: tuple[Shard, ...], sizes: tuple[int, ...]) -> None:
    counts = np.zeros((len(sizes), max(sizes)), int)
    for shard in shards:
        counts[shard.first : shard.end, shard.start : shard.stop] += 1
    for replicate, size in enumerate(sizes):
        assert (counts[replicate, :size] == 1).all() and (counts[replicate, size:] == 0).all()


def assert_mergeable(shards: tuple[Shard, ...], sizes: tuple[int, ...]) -> None:
    for shard in shards:
        assert is_boundary(shard.start)
        if not is_boundary(shard.stop):
            assert {sizes[r] for r in shard.replicates} == {shard.stop}
            assert shard.start == largest_power(shard.stop)


@pytest.mark.parametrize("most", MOST)
@pytest.mark.parametrize("new", STUDIES)
def test_a_study_takes_what_an_earlier_one_left_and_each_row_once(new: tuple[int, int], most: int):
    sizes = replicate_sizes(*new)
    for old, most_before in itertools.product(STUDIES, (most, 16)):
        before = replicate_sizes(*old)
        there = plan_shards(before, most_before)
        shards = plan_shards(sizes, most, there)
        assert_covers(shards, sizes)
        assert_mergeable(shards, sizes)
        for shard in there:
            inside = shard.end <= len(sizes) and shard.stop <= min(sizes[shard.first : shard.end])
            if inside and is_boundary(shard.stop):
                assert shard in shards
        # A run that goes on, or a job that plans again, finds some of them done.
        rng = np.random.default_rng(len(shards))
        for share in (0.2, 0.5, 0.9, 1.0):
            done = {shard for shard in shards if rng.random() < share}
            found = list({*there, *done})
            rng.shuffle(found)
            assert plan_shards(sizes, most, found) == shards


def test_a_plan_stays_after_several_sizes_one_after_another():
    there: set[Shard] = set()
    rng = np.random.default_rng(0)
    for _ in range(60):
        blocks, replicates = int(rng.integers(40, 2000)), int(rng.integers(2, 20))
        sizes, most = replicate_sizes(blocks, replicates), int(rng.integers(1, 300))
        shards = plan_shards(sizes, most, there)
        assert_covers(shards, sizes)
        done = {shard for shard in shards if rng.random() < 0.6}
        assert plan_shards(sizes, most, there | done) == shards
        there |= done


def test_more_blocks_and_more_replicates_evaluate_the_new_rows_only():
    first = plan_shards(replicate_sizes(512, 16), 455)
    assert [shard.name for shard in first] == [
        "replicates-000-007-blocks-000000-000032",
        "replicates-008-015-blocks-000000-000032",
    ]
    more_blocks = plan_shards(replicate_sizes(1024, 16), 455, first)
    new = set(more_blocks) - set(first)
    assert set(first) < set(more_blocks)
    assert sum(shard.blocks for shard in new) == 512 and {shard.start for shard in new} == {32}
    more_replicates = plan_shards(replicate_sizes(1024, 32), 455, first)
    assert set(first) < set(more_replicates)
    assert sum(shard.blocks for shard in set(more_replicates) - set(first)) == 512


def test_a_last_shell_that_is_cut_short_is_a_shard_of_its_own():
    small = plan_shards(replicate_sizes(24, 4), 100)
    assert [(s.start, s.stop) for s in small] == [(0, 4), (4, 6)]
    grown = plan_shards(replicate_sizes(32, 4), 100, small)
    assert [(s.start, s.stop) for s in grown] == [(0, 4), (4, 8)]


@pytest.mark.parametrize("most", [1, 40, 100, 10**4])
def test_new_shards_have_about_so_many_blocks(most: int):
    shards = plan_shards(replicate_sizes(64 * 16, 16), most)
    for shard in shards:
        one_shell = (shard.start == 0 and shard.stop == 1) or shard.stop == 2 * shard.start
        assert shard.blocks <= most or (one_shell and len(shard.replicates) == 1)
    if most >= 100:
        assert min(shard.blocks for shard in shards) * 2 > min(most, 1024) / 2


def test_a_name_says_what_a_shard_holds():
    shard = Shard(32, 64, 8, 16)
    assert shard.name == "replicates-008-015-blocks-000032-000064"
    assert Shard.of(shard.name) == shard and shard.blocks == 256
    large = Shard(2**21, 2**22, 0, 1024)
    assert Shard.of(large.name) == large
    with pytest.raises(ValueError, match="no shard's name"):
        Shard.of("replicates-000-003")
