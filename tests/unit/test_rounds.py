"""Rounds of a growing study, their shards and gates."""

import itertools
import os
from pathlib import Path

import pytest
from variscope.designs.cells import is_boundary
from variscope.errors import UserError
from variscope.indices.precision import Target
from variscope.study.gates import (
    is_closed,
    is_fresh,
    last_shards,
    of_shards,
    sign,
    was_skipped,
    write_gate,
)
from variscope.study.rounds import gate_after, plan_rounds, round_before, sizes_of


def target(most_blocks: int) -> Target:
    return Target(half_width=0.01, index="shapley", of="layers", most_blocks=most_blocks)


def test_without_a_target_there_is_one_round():
    assert sizes_of(20, 4, None) == ((5, 5, 5, 5),)
    assert sizes_of(16, 4, target(70)) == ((4,) * 4, (8,) * 4, (16,) * 4)


@pytest.mark.parametrize("blocks", [4, 5, 7, 9, 16, 23, 48, 63])
@pytest.mark.parametrize("most_blocks_of_a_shard", [1, 8, 1000])
def test_every_round_holds_its_blocks_once_and_all_but_cut_shells_stay(
    blocks: int, most_blocks_of_a_shard: int
):
    sizes = sizes_of(blocks, 4, target(17 * blocks))
    rounds = plan_rounds(sizes, most_blocks_of_a_shard)
    assert [one.blocks for one in rounds] == [blocks * 2**k for k in range(5)]
    for one, of_replicates in zip(rounds, sizes, strict=True):
        for replicate, size in enumerate(of_replicates):
            held = sorted(
                block
                for shard in one.shards
                if replicate in shard.replicates
                for block in range(shard.start, shard.stop)
            )
            assert held == list(range(size))
    for before, after in itertools.pairwise(rounds):
        assert {shard for shard in before.shards if is_boundary(shard.stop)} <= set(after.shards)


@pytest.mark.parametrize("blocks", [4, 5, 7, 9, 16, 23, 48, 63])
def test_a_shard_waits_for_the_round_before_its_own_at_the_latest(blocks: int):
    sizes = sizes_of(blocks, 4, target(17 * blocks))
    gates = {gate_after(sizes, number): number for number in range(len(sizes) - 1)}
    assert len(gates) == len(sizes) - 1
    seen = set()
    for number, one in enumerate(plan_rounds(sizes, 8)):
        for shard in one.shards:
            before = round_before(sizes, shard.start)
            assert before is None or (before < number and gates[shard.start] == before)
            if shard not in seen and number and shard.start >= max(sizes[number - 1]):
                assert before == number - 1
            seen.add(shard)


def test_nothing_waits_for_the_last_round():
    with pytest.raises(ValueError, match="nothing waits for round 0 of 1"):
        gate_after(((4, 4),), 0)


def test_a_shard_is_fresh_where_nothing_it_follows_from_changed(tmp_path: Path):
    images, shard = tmp_path / "images.csv", tmp_path / "shard"
    images.touch()
    shard.mkdir()
    assert not is_fresh(shard, "a", [images])
    sign(shard, "a")
    assert is_fresh(shard, "a", [images]) and not was_skipped(shard)
    assert not is_fresh(shard, "b", [images])
    assert not is_fresh(shard, "a", [images, tmp_path / "weights.pt"])
    later = (shard / "made.json").stat().st_mtime + 1
    os.utime(images, (later, later))
    assert not is_fresh(shard, "a", [images])


def test_the_sums_of_a_shard_are_fresh_until_it_is_made_again(tmp_path: Path):
    activations, moments = tmp_path / "activations", tmp_path / "moments"
    for folder in (activations, moments):
        folder.mkdir()
        sign(folder, "a")
    assert is_fresh(moments, "a", [activations])
    later = (moments / "made.json").stat().st_mtime + 1
    os.utime(activations / "made.json", (later, later))
    assert not is_fresh(moments, "a", [activations])


def test_what_was_skipped_is_never_fresh_and_never_read(tmp_path: Path):
    shard = tmp_path / "one"
    shard.mkdir()
    sign(shard, "a", skipped=True)
    assert was_skipped(shard) and not is_fresh(shard, "a", [])
    assert of_shards([str(shard)], ["two"]) == []
    with pytest.raises(UserError, match="one: was skipped; remove it"):
        of_shards([str(shard)], ["one"])


def test_a_gate_is_closed_by_a_course_that_is_finished(tmp_path: Path):
    gate = tmp_path / "precision" / "blocks-000004.json"
    for course, closed in (({}, False), ({"finished": False}, False), ({"finished": True}, True)):
        write_gate(gate, course)
        assert is_closed(gate) is closed


def test_results_are_of_the_shards_of_the_last_round(tmp_path: Path):
    rounds = [(16, ["a"]), (32, ["a", "b"]), (64, ["a", "b", "c"])]
    assert last_shards(rounds[:1], []) == ["a"]
    ended = tmp_path / "precision.json"
    write_gate(ended, {"rounds": [{"blocks": 16}, {"blocks": 32}]})
    assert last_shards(rounds, [str(ended)]) == ["a", "b"]
