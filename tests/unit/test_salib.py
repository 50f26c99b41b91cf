"""The handover of a stored star to SALib, and SALib's estimators on all units at once."""

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import variscope
from closed_forms import g_function, ishigami
from numpy.testing import assert_allclose, assert_array_equal
from tiny import LAYERS, network, photographs
from variscope.designs import Design
from variscope.errors import UserError
from variscope.estimators import Layout, merge
from variscope.estimators.star import salib_indices
from variscope.indices.layer import layer_dataset
from variscope.indices.sums import sum_activations
from variscope.inputs.images import table_from_arrays
from variscope.inputs.layers import probe
from variscope.responses.network.evaluator import Evaluator
from variscope.salib import StarTable, problem, read_star
from variscope.space.augmentations import get
from variscope.space.images import ImageIndex
from variscope.space.space import Space
from variscope.stores import activations as activation_store
from variscope.stores.activations import ActivationsReader, ActivationsWriter
from variscope.stores.results import write_dataset
from variscope.study.shards import activations

AUXILIARY = ("order", "class", "image")
NAMES = ["rolling", "hflip", *AUXILIARY]
SHARDS = {"first": ((0, 1), 0, 8), "other": ((2,), 0, 4), "rest": ((2,), 4, 8)}


def store_study(folder: Path, design: str) -> None:
    """Evaluate and store a small real network in three shards, as the workflow's rules do."""
    images, labels = photographs()
    table = table_from_arrays(images, labels)
    space = Space(
        (get("rolling"), get("hflip")),
        AUXILIARY,
        ImageIndex.of(table.label, table.part),
        table.size,
        part="train",
    )
    model = network()
    layers = probe(model, LAYERS, (3, 16, 16))
    evaluator = Evaluator(
        model, layers, space, table, mean=(0.5,) * 3, std=(0.25,) * 3, batch_size=64
    )
    points = Design(design, space.groups, 24, 3, seed=2)
    for name, rectangle in SHARDS.items():
        activations.store(folder / "activations" / name, evaluator, points.part(*rectangle))
    for number, layer in enumerate(layers):
        readers = [
            ActivationsReader(folder / "activations" / name / f"{layer.name}.zarr")
            for name in SHARDS
        ]
        moments = merge([part for reader in readers for part in sum_activations(reader)])
        attributes = {"layer": layer.name, "layer_number": number, "shards": list(SHARDS)}
        dataset = layer_dataset([moments], NAMES, readers[0].dims, 0.95, attributes)
        (folder / "indices").mkdir(exist_ok=True)
        write_dataset(folder / "indices" / f"{layer.name}.zarr", dataset)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set with both designs."""
    folder = tmp_path_factory.mktemp("study")
    for design in ("star", "cycle"):
        store_study(folder / design, design)
    return folder


@pytest.fixture
def study(stored: Path, tmp_path: Path) -> Path:
    """A private copy of the star, to be damaged."""
    shutil.copytree(stored / "star", tmp_path / "star")
    return tmp_path / "star"


def in_memory(study: Path, layer: str) -> np.ndarray:
    """All stored outputs of a layer, (block, row, *unit), read as the moments are."""
    return np.concatenate(
        [
            part.outputs
            for name in SHARDS
            for part in ActivationsReader(study / "activations" / name / f"{layer}.zarr")
        ]
    )


def analyzed(described: dict, y: np.ndarray) -> dict[str, np.ndarray]:
    """SALib's own numbers of one unit; its S2 as a vector of pairs."""
    sobol = pytest.importorskip("SALib.analyze.sobol")
    found = sobol.analyze(described, y, calc_second_order=True, num_resamples=2, seed=1)
    above = np.triu_indices(described["num_vars"], 1)
    return {"S1": found["S1"], "ST": found["ST"], "S2": found["S2"][above]}


# SALib's estimators


@pytest.mark.parametrize("offset", [0.0, 1e3])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e8])
@pytest.mark.parametrize("case", [ishigami(), g_function()], ids=lambda case: case.name)
def test_the_indices_are_salibs_on_every_scale(case, scale: float, offset: float):
    design = Design("star", case.groups, 128, 2, seed=3)
    points = np.concatenate([design.replicate(r).points for r in range(2)])
    y = case.function(points.reshape(-1, points.shape[-1]))
    # Three units, one of them the opposite of another and one without any structure.
    noise = np.random.default_rng(0).standard_normal(len(y))
    units = scale * (np.stack([y, -y, noise], axis=1) + offset)
    variables = len(case.groups)
    mine = salib_indices(units.reshape(128, 2 * variables + 2, 3))
    for unit in range(3):
        theirs = analyzed(problem([f"x{k}" for k in range(variables)]), units[:, unit])
        for name, expected in theirs.items():
            assert_allclose(mine[name][..., unit], expected, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("layer", LAYERS)
def test_the_indices_are_salibs_for_units_of_a_real_network(stored: Path, layer: str):
    described, table = read_star(stored / "star", layer)
    outputs = in_memory(stored / "star", layer)
    mine = salib_indices(outputs)
    # Where A and B never change, SALib gives 0 and a warning, and the indices here are NaN.
    alive = np.argwhere(np.ptp(outputs[:, [0, -1]], axis=(0, 1)) > 0)
    assert_array_equal(np.argwhere(np.isfinite(mine["S1"]).all(axis=0)), alive)
    assert len(alive) > 2
    for unit in map(tuple, alive[:: max(1, len(alive) // 7)]):
        theirs = analyzed(described, table[(slice(None), *unit)])
        assert np.abs(theirs["S2"]).max() > 0.01
        for name, expected in theirs.items():
            assert_allclose(mine[name][(..., *unit)], expected, atol=1e-10, err_msg=name)


def test_a_closed_form_is_met_by_the_indices_as_salib_makes_them():
    case = ishigami()
    design = Design("star", case.groups, 8192, 2, seed=1)
    points = np.concatenate([design.replicate(r).points for r in range(2)])
    found = salib_indices(case.function(points.reshape(-1, 3)).reshape(-1, 8))
    assert_allclose(found["S1"], case.S1, atol=0.02)
    assert_allclose(found["ST"], case.ST, atol=0.02)
    for pair, expected in case.S2.items():
        at = Layout("star", 3).pairs.index(pair)
        assert found["S2"][at] == pytest.approx(expected, abs=0.05)


def test_what_has_no_variance_or_is_not_finite_is_undefined_and_spoils_no_other():
    y = np.random.default_rng(0).standard_normal((16, 8, 5))
    alone = salib_indices(y[:, :, 4])
    y[:, :, 0] = 0.1
    y[:, [0, -1], 1] = 2.0  # A and B are constant, though the other rows are not
    y[3, 2, 2] = np.inf
    y[3, 2, 3] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = salib_indices(y)
    for name, values in found.items():
        assert np.isnan(values[:, :4]).all(), name
        assert_allclose(values[:, 4], alone[name], rtol=1e-13)


def test_one_variable_has_no_pairs_and_the_outputs_are_left_alone():
    y = np.random.default_rng(0).standard_normal((8, 4, 2)).astype(np.float32)
    before = y.copy()
    found = salib_indices(y)
    assert found["S2"].shape == (0, 2) and found["S1"].shape == found["ST"].shape == (1, 2)
    assert found["S1"].dtype == np.float64
    assert_array_equal(y, before)


@pytest.mark.parametrize("shape", [(8,), (8, 2), (8, 7, 3)])
def test_rows_that_are_no_stars_are_refused(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match=r"outputs have the shape .*allowed: \(block, 2 D \+ 2"):
        salib_indices(np.zeros(shape))


# The handover


def test_the_problem_has_one_entry_a_variable(stored: Path):
    described, _ = read_star(stored / "star", "2")
    assert described == {"num_vars": 5, "names": NAMES, "bounds": [[0.0, 1.0]] * 5}


@pytest.mark.parametrize("layer", LAYERS)
def test_the_table_holds_every_row_of_every_replicate_in_order(stored: Path, layer: str):
    _, table = read_star(str(stored / "star"), layer)
    outputs = in_memory(stored / "star", layer)
    expected = outputs.reshape(-1, *outputs.shape[2:]).astype(np.float64)
    assert table.shape == expected.shape and len(table) == 24 * 12
    assert table.ndim == expected.ndim and table.dims[0] == "row"
    assert table.replicates == [0, 1, 2]
    assert_array_equal(np.asarray(table), expected)
    assert table[:].dtype == np.asarray(table).dtype == np.float64
    assert np.asarray(table, dtype=np.float32).dtype == np.float32


@pytest.mark.parametrize("chunk", [1, 2000, 10**9])
def test_units_are_read_whatever_the_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
):
    monkeypatch.setattr(activation_store, "CHUNK_BYTES", chunk)
    values = np.random.default_rng(0).standard_normal((9, 6, 5, 4, 3)).astype(np.float32)
    # The shards come in another order than their replicates.
    for name, blocks, replicates in (("a", slice(6, 9), [2] * 3), ("b", slice(6), [0, 1] * 3)):
        write(tmp_path / name, values[blocks], np.sort(replicates))
    table = StarTable([tmp_path / "a", tmp_path / "b"])
    whole = values.reshape(54, 5, 4, 3).astype(np.float64)
    for key in (
        np.s_[:, 3],
        np.s_[:, -1, 2, 1],
        np.s_[:, 1:4, ::2],
        np.s_[..., 2],
        np.s_[:, np.int64(2), ..., 1],
        np.s_[2:7, 0, 0, 0],
        np.s_[5],
        np.s_[...],
    ):
        assert_array_equal(table[key], whole[key], err_msg=str(key))
    assert repr(table) == "<StarTable (row: 54, channel: 5, y: 4, x: 3) of 3 replicates>"


def write(path: Path, values: np.ndarray, replicate: np.ndarray, **attributes: object) -> None:
    number = np.concatenate([np.arange(n) for n in np.unique(replicate, return_counts=True)[1]])
    given = {"design": "star", "number_of_variables": 2, "seed": 1} | attributes
    writer = ActivationsWriter(
        path,
        blocks=len(values),
        rows=values.shape[1],
        unit=values.shape[2:],
        dims=("channel", "y", "x"),
        replicate=np.asarray(replicate, dtype=np.int64),
        number=number,
        order=np.zeros((len(values), 0), dtype=np.int64),
        attributes=given,
    )
    writer.append(values)
    writer.close()


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (np.s_[:, 99], "out of bounds"),
        (np.s_[:, 0, 0, 0, 0], "5 indices for the 4 dimensions"),
        (np.s_[:, [0, 1]], r"found \[0, 1\]; allowed: integers, and slices"),
        (np.s_[:, ::-1], "slices that go forward"),
        (np.s_[:, "x"], "allowed: integers"),
    ],
)
def test_a_key_that_names_no_units_is_refused(stored: Path, key: object, message: str):
    _, table = read_star(stored / "star", "0")
    with pytest.raises(IndexError, match=message):
        table[key]


def test_a_cycle_is_refused_since_its_rows_are_not_salibs(stored: Path):
    with pytest.raises(UserError, match=r"cycle: .*only the star's rows are SALib's"):
        read_star(stored / "cycle", "0")
    with pytest.raises(UserError, match=r"0\.zarr: .*only the star's rows are SALib's"):
        StarTable([stored / "cycle/activations/rest/0.zarr"])


def test_an_unknown_layer_is_answered_with_those_that_are_there(stored: Path, tmp_path: Path):
    with pytest.raises(UserError, match="no such layer in this study; it holds 0, 1, 2"):
        read_star(stored / "star", "stage9")
    with pytest.raises(UserError, match="it holds none"):
        read_star(tmp_path / "nowhere", "0")


def test_a_study_that_kept_no_outputs_says_which_setting_keeps_them(study: Path):
    shutil.rmtree(study / "activations")
    with pytest.raises(UserError, match="run the study with storage: activations"):
        read_star(study, "0")


def test_a_lost_shard_is_missed(study: Path):
    shutil.rmtree(study / "activations" / "rest")
    with pytest.raises(UserError, match=r"found 3 replicates, 20 blocks .* of 3 replicates, 24"):
        read_star(study, "0")


def test_a_shard_left_over_from_another_plan_is_not_read(study: Path):
    folder = study / "activations"
    shutil.copytree(folder / "first", folder / "left")
    _, table = read_star(study, "0")
    assert len(table) == 24 * 12
    twice = [folder / name / "0.zarr" for name in ("first", "left")]
    with pytest.raises(UserError, match=r"holds block 0 of replicate 0, which .*; delete"):
        StarTable(twice)


def test_shards_of_two_studies_are_not_joined(tmp_path: Path):
    values = np.zeros((3, 6, 5, 4, 3), np.float32)
    write(tmp_path / "a", values, np.zeros(3))
    write(tmp_path / "b", values, np.ones(3), seed=2)
    with pytest.raises(UserError, match=r"b: these outputs are of another study"):
        StarTable([tmp_path / "a", tmp_path / "b"])


def test_what_a_killed_job_left_half_written_is_not_read(study: Path):
    folder = study / "activations"
    shutil.copytree(folder / "first", folder / ".partial.first")
    _, table = read_star(study, "2")
    assert len(table) == 24 * 12


@pytest.mark.parametrize("damage", ["flip", "remove"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_damage_is_an_error_that_names_the_file(study: Path, damage: str, when: str):
    shard = study / "activations" / "rest"
    file = next(f for f in (shard / "2.zarr/activations/c").rglob("*") if f.is_file())
    table = read_star(study, "2")[1] if when == "after" else None
    if damage == "flip":
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 0xFF
        file.write_bytes(content)
    else:
        file.unlink()
    with pytest.raises(UserError, match=f"{file}: this chunk is .*delete the directory"):
        (table if table is not None else read_star(study, "2")[1])[:, 0]


def test_a_star_is_read_without_salib_and_without_torch(stored: Path):
    program = (
        "import sys; from variscope.salib import read_star; "
        f"read_star({str(stored / 'star')!r}, '2')[1][:, 0]; "
        "sys.exit(bool({'SALib', 'torch'} & set(sys.modules)))"
    )
    path = str(Path(variscope.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path}, check=False
    )
    assert done.returncode == 0
