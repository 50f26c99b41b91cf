"""Stores: complete or absent, the same numbers back, and damage named."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from variscope.errors import UserError
from variscope.estimators import Layout, Moments, merge
from variscope.estimators.spine import Spine
from variscope.indices.layer import layer_dataset
from variscope.indices.sums import sum_activations
from variscope.stores import activations as activation_store
from variscope.stores.activations import ActivationsReader, ActivationsWriter
from variscope.stores.atomic import new_directory, new_file
from variscope.stores.moments import MomentsReader, write_moments
from variscope.stores.results import read_dataset, read_study, write_dataset

VARIABLES = ("hue", "class", "image")
LAYOUT = Layout("cycle", 3)


def outputs(blocks: int = 10, unit: tuple[int, ...] = (4, 3, 2)) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.standard_normal((blocks, 6, *unit)).astype(np.float32)


def orders(blocks: int = 10) -> np.ndarray:
    return np.random.default_rng(1).permuted(np.tile(np.arange(3), (blocks, 1)), axis=1)


def write_activations(path: Path, values: np.ndarray, pieces: tuple[int, ...] = (10,)) -> None:
    blocks = len(values)
    writer = ActivationsWriter(
        path,
        blocks=blocks,
        rows=6,
        unit=values.shape[2:],
        dims=("channel", "y", "x"),
        replicate=np.repeat([3, 4], blocks // 2),
        number=np.tile(np.arange(blocks // 2), 2),
        order=orders(blocks),
        attributes={"design": "cycle", "number_of_variables": 3, "blocks_at_once": 2},
    )
    start = 0
    for size in pieces:
        writer.append(values[start : start + size])
        start += size
    writer.close()


def some_moments(unit: tuple[int, ...] = (4, 3, 2)) -> Moments:
    moments = Moments.zeros(LAYOUT, [0, 1], unit)
    values, order = outputs(10, unit), orders()
    moments.update(0, values[:5], order[:5])
    moments.update(1, values[5:], order[5:])
    return moments


def dataset(**attributes: object) -> xr.Dataset:
    given = {"layer": "conv", "layer_number": 0} | attributes
    return layer_dataset([some_moments()], VARIABLES, ("channel", "y", "x"), 0.9, given)


def test_a_directory_is_complete_or_absent(tmp_path: Path):
    target = tmp_path / "deep" / "store"
    with pytest.raises(KeyError), new_directory(target) as folder:
        (folder / "half").write_text("x")
        raise KeyError
    assert list(target.parent.iterdir()) == []
    with new_directory(target) as folder:
        (folder / "whole").write_text("1")
        assert not target.exists()
    assert [f.name for f in target.iterdir()] == ["whole"]
    with new_directory(target) as folder:
        (folder / "newer").write_text("2")
        assert [f.name for f in target.iterdir()] == ["whole"]
    assert [f.name for f in target.iterdir()] == ["newer"]


def test_what_a_killed_writer_left_is_taken_away(tmp_path: Path):
    left = tmp_path / ".partial.store"
    left.mkdir()
    (left / "junk").write_text("x")
    with new_directory(tmp_path / "store") as folder:
        assert list(folder.iterdir()) == []
    assert sorted(f.name for f in tmp_path.iterdir()) == ["store"]


def test_a_file_is_complete_or_absent(tmp_path: Path):
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(KeyError), new_file(target) as file:
        file.write_text("half")
        raise KeyError
    assert target.read_text() == "old"
    with new_file(target) as file:
        file.write_text("new")
    assert target.read_text() == "new"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("pieces", [(10,), (1,) * 10, (3, 7), (9, 1)])
@pytest.mark.parametrize("chunk", [1, 600, 10**9])
def test_activations_come_back_whatever_the_pieces_and_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: tuple[int, ...], chunk: int
):
    monkeypatch.setattr(activation_store, "CHUNK_BYTES", chunk)
    values = outputs()
    write_activations(tmp_path / "conv.zarr", values, pieces)
    reader = ActivationsReader(tmp_path / "conv.zarr")
    read = list(reader)
    assert_array_equal(np.concatenate([r.outputs for r in read]), values)
    assert_array_equal(np.concatenate([r.order for r in read]), orders())
    assert [r.replicate for r in read] == sorted(r.replicate for r in read)
    assert reader.dims == ("channel", "y", "x")
    moments = merge(list(sum_activations(reader)))
    for at, first in enumerate((0, 5)):
        spine = Spine(LAYOUT, 3 + at, (4, 3, 2))
        for start, stop in ((0, 1), (1, 2), (2, 4), (4, 5)):  # as evaluated
            cell = slice(first + start, first + stop)
            spine.update(values[cell], orders()[cell])
        assert_array_equal(moments.sums[at], spine.moments()[0].sums[0])


def test_sums_are_rounded_as_float32_is_over_the_range_of_float64():
    values = np.array([1.0, -1 / 3, 1e-200, 3e300, 0.0, np.nan, np.inf, 1 + 2**-23, 1 + 2**-24])
    moments = Moments.zeros(Layout("star", 1), [0], (1,))
    rounded = replace(moments, sums=values.reshape(1, -1, 1)).rounded().sums.ravel()
    small = np.abs(values) < 1e30
    small &= np.abs(values) > 1e-30
    assert_array_equal(rounded[small], values[small].astype(np.float32).astype(np.float64))
    assert_allclose(rounded, values, rtol=2**-24)
    assert (rounded.view(np.uint64)[:5] & np.uint64(2**29 - 1) == 0).all()


@pytest.mark.parametrize("unit", [(), (7,), (5, 3, 2)])
def test_slabs_give_the_dataset_of_the_whole(tmp_path: Path, unit: tuple[int, ...]):
    moments = some_moments(unit).rounded()
    dims = ("channel", "y", "x") if len(unit) == 3 else ("neuron", "b")[: len(unit)]
    halves = []
    for at in range(2):  # one replicate per shard, the last first
        part = {
            name: getattr(moments, name)[1 - at : 2 - at]
            for name in ("replicates", "first", "blocks", "sums", "pair_counts", "moved")
        }
        halves.append(tmp_path / f"{at}.zarr")
        write_moments(halves[-1], [replace(moments, **part)], dims)
    reader = MomentsReader(*halves)
    assert_array_equal(reader.read().sums, moments.sums)
    slabs = list(reader.slabs(2 * 8 * 2 * LAYOUT.sum_rows * int(np.prod(unit[1:]))))
    if unit:
        assert [slab.unit[0] for slab in slabs] == {7: [2, 2, 2, 1], 5: [2, 2, 1]}[unit[0]]
        given = {"layer": "conv", "layer_number": 0}
        one, other = (
            layer_dataset(parts, VARIABLES, dims, 0.9, given) for parts in (slabs, [moments])
        )
        assert one.identical(other)


def test_activations_open_in_xarray_with_named_dimensions(tmp_path: Path):
    write_activations(tmp_path / "conv.zarr", outputs())
    opened = xr.open_zarr(tmp_path / "conv.zarr", consolidated=False)
    assert opened.activations.dims == ("block", "row", "channel", "y", "x")


def test_a_writer_refuses_to_end_short(tmp_path: Path):
    with pytest.raises(ValueError, match="9 blocks written, 10 announced"):
        write_activations(tmp_path / "conv.zarr", outputs(), (9,))


def test_zeros_are_written_and_not_left_to_a_fill_value(tmp_path: Path):
    write_activations(tmp_path / "conv.zarr", np.zeros((10, 6, 4, 3, 2), np.float32))
    chunks = [f for f in (tmp_path / "conv.zarr/activations/c").rglob("*") if f.is_file()]
    assert len(chunks) == 1
    (only,) = {r.outputs.sum() for r in ActivationsReader(tmp_path / "conv.zarr")} or {0}
    assert only == 0


def test_moments_come_back_to_the_last_bit(tmp_path: Path):
    moments = some_moments()
    write_moments(tmp_path / "conv.zarr", [moments], ("channel", "y", "x"))
    reader = MomentsReader(tmp_path / "conv.zarr")
    read, dims = reader.read(), reader.dims
    assert read.layout == moments.layout and dims == ("channel", "y", "x")
    for name in ("replicates", "first", "blocks", "sums", "pair_counts", "moved"):
        assert_array_equal(getattr(read, name), getattr(moments, name))


def test_results_hold_the_contract(tmp_path: Path, recwarn: pytest.WarningsRecorder):
    write_dataset(tmp_path / "conv.zarr", dataset())
    opened = xr.open_zarr(tmp_path / "conv.zarr")
    assert [str(w.message) for w in recwarn] == []
    unit = ("channel", "y", "x")
    for name in ("S1", "ST", "shapley"):
        for end in ("", "_low", "_high"):
            assert opened[name + end].dims == ("variable", *unit)
            assert opened[f"{name}_layer{end}"].dims == ("variable",)
            assert opened[f"{name}_channel{end}"].dims == ("variable", "channel")
    assert opened.S2.dims == ("pair", *unit)
    assert opened["mean"].dims == opened["variance"].dims == opened["status"].dims == unit
    assert opened["variable"].values.tolist() == list(VARIABLES)
    assert opened["pair"].values.tolist() == ["hue:class", "hue:image", "class:image"]
    for name in opened.data_vars:
        assert opened[name].attrs["long_name"] and opened[name].attrs["units"], name
    assert opened.attrs["confidence_level"] == 0.9
    assert float(opened.S1.sel(variable="hue", channel=0, y=1, x=1)) == pytest.approx(
        float(dataset().S1[0, 0, 1, 1])
    )


def test_the_last_step_by_replicates_is_the_layers_own_estimate():
    data = dataset()
    for name in ("S1", "ST", "shapley"):
        for end in ("", "_low", "_high"):
            steps = data[f"{name}_layer_by_replicates{end}"]
            np.testing.assert_allclose(steps[-1], data[f"{name}_layer{end}"], rtol=1e-9)


def test_a_study_is_read_in_the_order_of_the_network(tmp_path: Path):
    for number, layer in enumerate(("zeta", "alpha", "mid.1")):
        write_dataset(tmp_path / f"{layer}.zarr", dataset(layer=layer, layer_number=number))
    assert list(read_study(tmp_path).children) == ["zeta", "alpha", "mid.1"]


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
@pytest.mark.parametrize("kind", ["activations", "moments", "indices"])
def test_damage_is_an_error_that_names_the_file(tmp_path: Path, kind: str, damage: str):
    path = tmp_path / "conv.zarr"
    read: Callable[[], object]
    if kind == "activations":
        write_activations(path, outputs())
        victim, read = "activations", lambda: list(ActivationsReader(path))
    elif kind == "moments":
        write_moments(path, [some_moments()], ("channel", "y", "x"))
        victim, read = "sums", lambda: MomentsReader(path).read()
    else:
        write_dataset(path, dataset())
        victim, read = "ST", lambda: read_dataset(path)
    file = sorted(f for f in (path / victim / "c").rglob("*") if f.is_file())[-1]
    content = bytearray(file.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 0xFF
        file.write_bytes(content)
    elif damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    else:
        file.unlink()
    word = "missing" if damage == "remove" else "damaged"
    with pytest.raises(UserError, match=word) as caught:
        read()
    assert str(file) in str(caught.value)


def test_a_folder_that_is_no_store_is_named(tmp_path: Path):
    with pytest.raises(UserError, match="nowhere"):
        MomentsReader(tmp_path / "nowhere.zarr")
