"""Which layers are evaluated together: groups, each with a folder and shards of its own.

A group's folder bears a digest of its layers, and holds a list of them. Planning takes the groups
of an earlier run first, for the layers that are wanted still and are what they were; new groups are
made of what none of them holds. So a layer that is added evaluates itself alone, and one that is
dropped leaves the others as they are. As with shards (`variscope.study.sharding`), the plan is the
same whichever of its groups are begun or done.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from variscope.inputs.axes import Layer, file_name
from variscope.stores.atomic import PARTIAL
from variscope.stores.manifest import read_layers
from variscope.study.digest import value_digest
from variscope.study.gates import was_skipped
from variscope.study.rounds import Round, plan_rounds
from variscope.study.sharding import NAME, Shard

# What a group's name looks like: a constraint of Snakemake's wildcard.
NAMES = "[0-9a-f]{8}"


@dataclass(frozen=True)
class LayerGroup:
    """Layers that are evaluated together.

    Attributes:
        name: of its folder.
        layers: those that its jobs evaluate.
        read: those of them that the study takes from it; another group may hold the others.
        rounds: sizes of the study with the shards that hold them.
    """

    name: str
    layers: tuple[Layer, ...]
    read: tuple[Layer, ...]
    rounds: tuple[Round, ...]

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The jobs of its evaluation, of all rounds."""
        return tuple(sorted({shard for one in self.rounds for shard in one.shards}))


def group_name(layers: Sequence[Layer]) -> str:
    """Digest what layers are."""
    return value_digest([layer.to_json() for layer in layers])[:8]


def plan_groups(
    layers: Sequence[Layer],
    per_pass: int | None,
    folder: Path,
    sizes: Sequence[Sequence[int]],
    most_blocks: int,
) -> tuple[LayerGroup, ...]:
    """Find a group for each layer.

    Args:
        layers: those of the study, in order.
        per_pass: of a new group, at most; None for all in one.
        folder: of the study's stores, which an earlier run may have begun.
        sizes, most_blocks: as of `variscope.study.rounds.plan_rounds`.

    Returns:
        The groups, in the order of the first layer that is read of each. Of those that are there
        already, the ones that hold more layers were taken first.
    """
    groups = []
    for name, of_group in _there(folder).items():
        group = LayerGroup(name, of_group, (), _rounds(folder / name, sizes, most_blocks))
        held = tuple(
            layer for layer in layers if layer in of_group and _holds(folder, group, layer)
        )
        groups.append(LayerGroup(name, held, held, group.rounds))
    taken: set[Layer] = set()
    found = []
    for group in sorted(groups, key=lambda group: (-len(group.layers), group.name)):
        read = tuple(layer for layer in group.layers if layer not in taken)
        if read:
            found.append(LayerGroup(group.name, group.layers, read, group.rounds))
            taken.update(read)
    left = [layer for layer in layers if layer not in taken]
    step = per_pass or max(1, len(left))
    for start in range(0, len(left), step):
        new = tuple(left[start : start + step])
        name = group_name(new)
        rounds = _rounds(folder / name, sizes, most_blocks)
        found.append(LayerGroup(name, new, new, rounds))
    return tuple(sorted(found, key=lambda group: layers.index(group.read[0])))


def sweep(folder: Path, groups: Sequence[LayerGroup]) -> None:
    """Take away what killed jobs left half written of shards that are planned no more.

    Args:
        folder: of a study's stores.
        groups: as they are planned; what is left of their shards is taken away by those who write
            them again.
    """
    planned = {(group.name, shard.name) for group in groups for shard in group.shards}
    for path in folder.glob(f"*/{PARTIAL}replicates-*"):
        if (path.parent.name, path.name.removeprefix(PARTIAL)) not in planned:
            shutil.rmtree(path, ignore_errors=True)


def shards_there(folder: Path) -> list[Shard]:
    """Return the shards that a group's folder holds, without those that were skipped."""
    if not folder.is_dir():
        return []
    return [
        Shard.of(path.name)
        for path in folder.iterdir()
        if NAME.fullmatch(path.name) and not was_skipped(path)
    ]


def _rounds(folder: Path, sizes: Sequence[Sequence[int]], most_blocks: int) -> tuple[Round, ...]:
    return plan_rounds(sizes, most_blocks, shards_there(folder))


def _there(folder: Path) -> dict[str, tuple[Layer, ...]]:
    """Return the layers of each group that was begun, by its name."""
    if not folder.is_dir():
        return {}
    found = {path.name: read_layers(path) for path in folder.iterdir() if path.is_dir()}
    return {name: layers for name, layers in found.items() if layers and name == group_name(layers)}


def _holds(folder: Path, group: LayerGroup, layer: Layer) -> bool:
    """Say whether all of a group's shards that are there have a layer.

    Where they were made again while the layer was not wanted, they have it no more.
    """
    there = [path for shard in group.shards if (path := folder / group.name / shard.name).is_dir()]
    file = f"{file_name(layer.name)}.zarr"
    return all((path / file).is_dir() for path in there if not was_skipped(path))
