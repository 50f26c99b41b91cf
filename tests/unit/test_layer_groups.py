"""Groups of layers: what an earlier run holds is taken; the plan stays as it is carried out."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from variscope.inputs.axes import Layer, file_name
from variscope.stores.manifest import read_layers, write_layers
from variscope.study.gates import sign
from variscope.study.layer_groups import (
    LayerGroup,
    group_name,
    plan_groups,
    shards_there,
    sweep,
)
from variscope.study.sharding import Shard

A, B, C, D = (Layer(name, (2,)) for name in ("a", "b/x", "c[0]", "d"))
SIZES, MOST = (4, 4, 4, 4), 8


def plan(layers: list[Layer], folder: Path, per_pass: int | None = None) -> tuple[LayerGroup, ...]:
    return plan_groups(layers, per_pass, folder, (SIZES,), MOST)


def evaluate(folder: Path, group: LayerGroup, shards: tuple[Shard, ...]) -> None:
    """Leave what jobs leave."""
    for shard in shards:
        path = folder / group.name / shard.name
        write_layers(path, group.layers)
        for layer in group.layers:
            (path / f"{file_name(layer.name)}.zarr").mkdir(parents=True)


def run(folder: Path, groups: tuple[LayerGroup, ...]) -> None:
    for group in groups:
        done = [shard for shard in group.shards if not (folder / group.name / shard.name).exists()]
        evaluate(folder, group, tuple(done))


def read(groups: tuple[LayerGroup, ...]) -> list[str]:
    return ["".join(layer.name[0] for layer in group.read) for group in groups]


def test_layers_are_split_in_their_order(tmp_path: Path):
    assert read(plan([A, B, C, D], tmp_path)) == ["abcd"]
    assert read(plan([A, B, C, D], tmp_path, 2)) == ["ab", "cd"]
    assert read(plan([A, B, C, D], tmp_path, 3)) == ["abc", "d"]
    (only,) = plan([C], tmp_path, 2)
    assert only.name == group_name([C]) and only.layers == (C,) and len(only.shards) == 2


def test_a_layer_added_has_a_group_of_its_own_and_one_dropped_changes_nothing(tmp_path: Path):
    first = plan([A, B], tmp_path)
    run(tmp_path, first)
    added = plan([A, D, B, C], tmp_path)
    assert read(added) == ["ab", "dc"] and added[0] == first[0]
    run(tmp_path, added)
    assert read(plan([A, D, B, C], tmp_path, 1)) == ["ab", "dc"]
    dropped = plan([B], tmp_path)
    assert read(dropped) == ["b"] and dropped[0].name == first[0].name
    assert dropped[0].layers == (B,) and dropped[0].shards == first[0].shards
    assert read(plan([A, B, C], tmp_path)) == ["ab", "c"]


def test_a_layer_that_is_another_now_is_evaluated_again(tmp_path: Path):
    run(tmp_path, plan([A, B], tmp_path))
    for other in (replace(B, output=(3,)), replace(B, softmax=True)):
        groups = plan([A, other], tmp_path)
        assert [group.read for group in groups] == [(A,), (other,)]


def test_a_layer_that_some_shards_have_no_more_is_not_taken_from_them(tmp_path: Path):
    (both,) = plan([A, B], tmp_path)
    run(tmp_path, (both,))
    (tmp_path / both.name / both.shards[0].name / "b%2Fx.zarr").rmdir()
    assert read(plan([A, B], tmp_path)) == ["a", "b"]


@pytest.mark.parametrize("per_pass", [None, 1, 2])
def test_the_plan_is_the_same_whichever_of_its_shards_are_done(
    tmp_path: Path, per_pass: int | None
):
    """After any history of other choices, some of them left half done."""
    rng = np.random.default_rng(per_pass or 0)
    for history in range(40):
        folder = tmp_path / str(history)
        for _ in range(int(rng.integers(0, 4))):
            chosen = [layer for layer in (A, B, C, D) if rng.random() < 0.6] or [A]
            for group in plan(chosen, folder, int(rng.integers(1, 4))):
                done = [s for s in group.shards if not (folder / group.name / s.name).exists()]
                evaluate(folder, group, tuple(s for s in done if rng.random() < 0.7))
        wanted = [layer for layer in (A, B, C, D) if rng.random() < 0.7] or [D]
        groups = plan(wanted, folder, per_pass)
        assert sorted(itertools.chain(*read(groups))) == sorted(x.name[0] for x in wanted)
        left = [
            (group, shard)
            for group in groups
            for shard in group.shards
            if not (folder / group.name / shard.name).exists()
        ]
        rng.shuffle(left)
        for group, shard in left:
            evaluate(folder, group, (shard,))
            assert plan(wanted, folder, per_pass) == groups


def test_a_list_of_layers_is_complete_or_absent(tmp_path: Path):
    assert read_layers(tmp_path / "none") is None
    shard = tmp_path / "group" / "shard"
    write_layers(shard, [A, B])
    write_layers(shard, [C])  # of a job that evaluates fewer: the folder is what it was
    assert read_layers(shard.parent) == (A, B)
    assert [path.name for path in shard.parent.iterdir()] == ["layers.json"]
    (shard.parent / "layers.json").write_text("[{")
    assert read_layers(shard.parent) is None


def test_what_is_left_half_written_goes_where_nobody_will_write_it_again(tmp_path: Path):
    groups = plan([A], tmp_path)
    folder = tmp_path / groups[0].name
    planned = folder / f".partial.{groups[0].shards[0].name}"
    left = folder / f".partial.{Shard(0, 2, 0, 1).name}"
    for path in (planned, left):
        path.mkdir(parents=True)
    sweep(tmp_path, groups)
    assert list(folder.iterdir()) == [planned]


def test_what_was_skipped_is_of_its_group_and_is_not_taken_for_evaluated(tmp_path: Path):
    rounds = ((4,) * 4, (8,) * 4)

    def of(layers: list[Layer]) -> tuple[LayerGroup, ...]:
        return plan_groups(layers, None, tmp_path, rounds, MOST)

    (group,) = of([A, B])
    first, second = (one.shards for one in group.rounds)
    assert set(first) < set(second) and group.shards == second
    evaluate(tmp_path, group, first)
    for shard in set(second) - set(first):
        (tmp_path / group.name / shard.name).mkdir()
        sign(tmp_path / group.name / shard.name, "recipe", skipped=True)
    assert of([A, B]) == (group,)
    assert set(shards_there(tmp_path / group.name)) == set(first)
    assert read(of([A, B, C])) == ["ab", "c"]
