"""A convolutional network's study, grown, has the bits of one that was large from the beginning."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from tiny import photographs
from torch import nn
from variscope.designs import Design, DesignPart
from variscope.estimators import Moments
from variscope.indices.layer import layer_dataset
from variscope.indices.sums import sum_activations
from variscope.inputs.axes import file_name
from variscope.inputs.images import table_from_arrays
from variscope.inputs.layers import probe
from variscope.inputs.networks import convnet
from variscope.responses.network.evaluator import Evaluator
from variscope.space.augmentations import get
from variscope.space.images import ImageIndex
from variscope.space.space import Space
from variscope.stores.activations import ActivationsReader
from variscope.stores.moments import MomentsReader, write_moments
from variscope.study.shards import activations, moments

LAYERS = ("stage1", "stage3", "logits")
SIZE = 16

# How a replicate of so many blocks is cut: at powers of two, one shard after another.
CUTS = {
    4: [(0, 4), (0, 2, 4), (0, 1, 2, 4)],
    8: [(0, 8), (0, 4, 8)],
    16: [(0, 16), (0, 4, 8, 16), (0, 4, 16)],
    19: [(0, 19), (0, 16, 19), (0, 4, 8, 19)],
}


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(1)
    return convnet(num_classes=3).eval()


def evaluator(model: nn.Module, layers: tuple[str, ...], batch_size: int) -> Evaluator:
    images, labels = photographs(size=SIZE)
    table = table_from_arrays(images, labels)
    space = Space(
        (get("hue"), get("gaussian_blur"), get("hflip")),
        ("order", "class", "image"),
        ImageIndex.of(table.label, table.part),
        table.size,
        part="train",
    )
    return Evaluator(
        model,
        probe(model, layers, (3, SIZE, SIZE)),
        space,
        table,
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        batch_size=batch_size,
    )


def summed(
    folder: Path, store: ModuleType, made: Evaluator, design: Design, cut: tuple[int, ...]
) -> dict[str, Moments]:
    """Evaluate both replicates in shards cut at some blocks, and merge what they stored."""
    shards: list[Path] = []
    for start, stop in pairwise(cut):
        for replicates in ([0], [1]) if start else ([0, 1],):
            part: DesignPart = design.part(replicates, start, stop)
            shard = folder / f"{len(shards)}"
            store.store(shard, made, part)
            if store is activations:
                for layer in made.layers:
                    path = shard / f"{file_name(layer.name)}.zarr"
                    reader = ActivationsReader(path)
                    sums = list(sum_activations(reader))
                    write_moments(folder / f"summed{len(shards)}" / path.name, sums, layer.dims)
                shard = folder / f"summed{len(shards)}"
            shards.append(shard)
    return {
        layer.name: MomentsReader(
            *(shard / f"{file_name(layer.name)}.zarr" for shard in reversed(shards))
        ).read()
        for layer in made.layers
    }


def assert_same(one: Moments, other: Moments) -> None:
    for name in ("replicates", "first", "blocks", "sums", "pair_counts", "moved"):
        assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@pytest.mark.parametrize("kind", ["cycle", "star"])
@pytest.mark.parametrize("count", CUTS)
def test_grown_is_from_scratch_in_both_storages(
    model: nn.Module, tmp_path: Path, kind: str, count: int
):
    made = evaluator(model, LAYERS, 64)
    design = Design(kind, made.space.groups, 2 * count, 2, seed=1)
    assert made.blocks_at_once(design.rows) == 4
    whole = summed(tmp_path / "whole", moments, made, design, (0, count))
    for number, cut in enumerate(CUTS[count]):
        for store in (moments, activations):
            folder = tmp_path / f"{number}{store.__name__}"
            for name, of_layer in summed(folder, store, made, design, cut).items():
                assert_same(of_layer, whole[name])
    names = [variable.name for variable in made.space.variables]
    for layer in made.layers:
        data = layer_dataset([whole[layer.name]], names, layer.dims, 0.95, {})
        assert data.blocks == 2 * count and np.isfinite(data.ST_layer).all()


@pytest.mark.parametrize(("kind", "count"), [("cycle", 1000), ("star", 517)])
def test_a_long_replicate_grows_too(model: nn.Module, tmp_path: Path, kind: str, count: int):
    made = evaluator(model, ("logits",), 256)
    design = Design(kind, made.space.groups, 2 * count, 2, seed=1)
    whole = summed(tmp_path / "whole", moments, made, design, (0, count))
    grown = summed(tmp_path / "grown", moments, made, design, (0, 64, 512, count))
    assert_same(whole["logits"], grown["logits"])
    stored = summed(tmp_path / "stored", activations, made, design, (0, 512, count))
    assert_same(whole["logits"], stored["logits"])


def test_a_layer_has_the_same_bits_whichever_others_are_evaluated_with_it(
    model: nn.Module, tmp_path: Path
):
    together = evaluator(model, LAYERS, 64)
    design = Design("cycle", together.space.groups, 20, 2, seed=1)
    whole = summed(tmp_path / "whole", moments, together, design, (0, 10))
    for name in LAYERS:
        alone = evaluator(model, (name,), 64)
        assert_same(summed(tmp_path / name, moments, alone, design, (0, 10))[name], whole[name])
