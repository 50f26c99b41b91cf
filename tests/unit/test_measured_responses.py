"""Responses measured elsewhere: what is exported, what comes back, and what is made of it."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from measured_cases import INERT, VARIABLES, laboratory, noise_variance, noisy, session, truth
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from variscope.designs import Design
from variscope.errors import UserError
from variscope.indices.measured import measured_dataset
from variscope.responses.measured.export import altered, export
from variscope.responses.measured.presentations import presentations
from variscope.responses.measured.reading import read_responses, region_sizes
from variscope.responses.measured.sums import drift_of, measured_sums


def dataset(one: Any, responses: Any, present: Any = None) -> Any:
    """The dataset of a session's responses."""
    present = np.ones(len(one.shown), dtype=bool) if present is None else present
    sums = measured_sums(responses, present, one.shown, one.design)
    return measured_dataset(sums, VARIABLES, 0.95, {})


def write(path: Path, **arrays: Any) -> Path:
    """Write an .npz file."""
    np.savez(path, **arrays)
    return path


def test_every_row_is_presented_and_a_share_once_more():
    one = session(blocks=32, repeats=0.25)
    shown, rows = one.shown, 32 * one.design.rows
    own = shown.repeat == 0
    triples = np.stack([shown.replicate, shown.block, shown.row])
    assert len(np.unique(triples[:, own], axis=1).T) == own.sum() == rows
    assert (~own).sum() == 16 * round(0.25 * 2 * one.design.rows)
    # Equal stimuli are one, also across blocks, and a row and its repeat show the same.
    assert len(np.unique(shown.stimulus)) == len(shown.recipes) < rows
    for again in np.flatnonzero(~own)[:20]:
        (first,) = np.flatnonzero(own & (triples == triples[:, [again]]).all(axis=0))
        assert shown.stimulus[first] == shown.stimulus[again]
    # In a random order: position says nothing of the row.
    assert abs(np.corrcoef(np.arange(len(shown)), shown.row)[0, 1]) < 0.2


def test_presentations_follow_from_the_design_and_its_seed():
    space, _ = laboratory()
    design = Design("cycle", space.groups, 32, 2, 5)
    one = presentations(design, space, 0.1)
    assert one.digest == presentations(design, space, 0.1).digest
    others = [
        presentations(design, space, 0.2),
        presentations(Design("cycle", space.groups, 32, 2, 6), space, 0.1),
        presentations(Design("star", space.groups, 32, 2, 5), space, 0.1),
    ]
    assert len({one.digest, *(other.digest for other in others)}) == 4


def test_an_export_holds_the_stimuli_in_their_order(tmp_path: Path):
    space, images = laboratory()
    shown = presentations(Design("cycle", space.groups, 4, 2, 5), space, 0.1)
    stimuli = np.concatenate([batch for _, batch in altered(shown, space, images)])
    for form in ("png", "npz"):
        (tmp_path / form).mkdir()
        export(tmp_path / form, shown, space, images, form=form)
    pictures = [
        np.asarray(Image.open(path)).transpose(2, 0, 1)
        for path in sorted((tmp_path / "png" / "stimuli").iterdir())
    ]
    assert_allclose(np.stack(pictures) / 255, stimuli, atol=0.5 / 255 + 1e-6)
    with np.load(tmp_path / "npz" / "stimuli" / "000000.npz") as file:
        assert_array_equal(file["images"], stimuli)
    with (tmp_path / "png" / "order.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [int(line["stimulus"]) for line in table] == shown.stimulus.tolist()
    assert [int(line["position"]) for line in table] == list(range(len(shown)))
    readme = (tmp_path / "png" / "README.md").read_text()
    assert shown.digest in readme and f"{len(shown):,} presentations" in readme


@pytest.mark.parametrize("form", ["npz", "zarr"])
def test_responses_come_back_in_the_order_of_presentation(tmp_path: Path, form: str):
    one = session(blocks=32)
    positions = np.random.default_rng(0).permutation(len(one.shown))
    lost = positions[:3]
    values, kept = one.clean[positions], slice(3, None)
    if form == "npz":
        path = write(
            tmp_path / "r.npz",
            V1=values[kept],
            V4=values[kept, :2].astype(np.float32),
            position=positions[kept],
            digest=one.shown.digest,
        )
    else:
        path = tmp_path / "r.zarr"
        group = zarr.open_group(str(path), mode="w", attributes={"digest": one.shown.digest})
        for name, array in (("V1", values), ("V4", values[:, :2]), ("position", positions)):
            group.create_array(name, data=array[kept])
    found = read_responses(path, one.shown)
    assert region_sizes(path) == {"V1": 24, "V4": 2}
    assert found.missing == 3 and not found.present[lost].any()
    assert_array_equal(found.regions["V1"][found.present], one.clean[found.present])
    assert_array_equal(
        np.float32(found.regions["V4"][found.present]), np.float32(one.clean[found.present][:, :2])
    )


def test_what_cannot_be_taken_in_is_refused_by_what_is_wrong(tmp_path: Path):
    one = session(blocks=32)
    digest, clean = one.shown.digest, one.clean
    broken = clean.copy()
    broken[7, 2] = np.inf
    everywhere = np.full_like(clean, np.nan)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"V1": clean}, "digest: found none; allowed: " + digest),
        ({"V1": clean, "digest": "0123"}, "digest: found 0123"),
        ({"V1": clean[:-1], "digest": digest}, r"V1: found the shape .*allowed: \(\d+, units\)"),
        ({"V1": clean[:, 0], "digest": digest}, "V1: found the shape"),
        ({"V1": clean[:, :0], "digest": digest}, "V1: found the shape"),
        ({"V1": clean.astype(complex), "digest": digest}, "V1: found complex128"),
        ({"V1": broken, "digest": digest}, "V1: found inf at position 7, unit 2"),
        ({"V1": everywhere, "digest": digest}, "all presentations are missing"),
        ({"digest": digest}, "no responses"),
        ({"V1": clean[:2], "position": [0, 0], "digest": digest}, "found 0 twice"),
        ({"V1": clean[:2], "position": [0, 9999], "digest": digest}, "found 0 to 9999"),
        ({"V1": clean[:2], "position": [0.5, 1], "digest": digest}, "position: found float64"),
    ]
    for number, (arrays, message) in enumerate(cases):
        with pytest.raises(UserError, match=message):
            read_responses(write(tmp_path / f"{number}.npz", **arrays), one.shown)
    (tmp_path / "text.npz").write_text("no")
    for name in ("text.npz", "nowhere.npz"):
        with pytest.raises(UserError, match=name):
            read_responses(tmp_path / name, one.shown)


def test_blocks_with_missing_rows_are_left_out_and_counted():
    one = session()
    responses, present = noisy(one), np.ones(len(one.shown), dtype=bool)
    lost = (one.shown.replicate == 4) & (one.shown.block < 3) & (one.shown.row == 2)
    present[lost & (one.shown.repeat == 0)] = False
    present[one.shown.replicate == 9] = False
    responses[~present] = np.nan
    sums = measured_sums(responses, present, one.shown, one.design)
    assert sums.dropped == 3 + 32
    assert sums.moments.replicates.tolist() == [r for r in range(16) if r != 9]
    assert sums.moments.blocks[4] == 29
    data = dataset(one, responses, present)
    assert data.attrs["blocks_dropped"] == 35 and data.attrs["blocks"] == 512 - 35
    assert_allclose(data["shapley"].sum("variable"), 1, atol=1e-5)
    present[one.shown.replicate != 0] = False
    with pytest.raises(UserError, match="1 of 16 replicates a whole block"):
        measured_sums(responses, present, one.shown, one.design)


def test_without_noise_the_indices_are_those_of_the_network():
    one = session()
    data = dataset(one, one.clean)
    assert_allclose(data["noise_share"], 0, atol=1e-12)
    assert_allclose(data["ST"], data["ST_raw"], atol=1e-6)
    inert = data.sel(variable="inert")
    assert_array_equal(inert["ST"], 0)
    # It moved, into stimuli of its own: what changes nothing is known to.
    assert data["moved"].values[INERT] > 0


def test_the_dataset_holds_corrected_and_raw_indices_and_the_noise():
    one = session()
    data = dataset(one, noisy(one))
    assert data.attrs["noise"] == "taken off" and data.attrs["repeats"] > 500
    assert_allclose(data["noise_variance"], noise_variance(), rtol=0.2)
    assert_allclose(data["variance"], truth()["variance"], rtol=0.3)
    raw, corrected = data["ST_raw"].values[INERT], data["ST"].values[INERT]
    share = noise_variance() / (truth()["variance"] + noise_variance())
    assert_allclose(raw, share, atol=0.1)  # the naive total index of what does nothing
    assert abs(corrected).max() < 0.25
    assert float(data["ST_layer_raw_low"][INERT]) > 0.2 > float(data["ST_layer_low"][INERT])
    assert float(data["ST_layer_low"][INERT]) <= 0 <= float(data["ST_layer_high"][INERT])
    layer = noise_variance().sum() / (truth()["variance"] + noise_variance()).sum()
    assert float(data["noise_share_layer_low"]) < layer < float(data["noise_share_layer_high"])


def test_without_repeats_the_indices_say_that_they_hold_the_noise():
    one = session(repeats=0.0)
    unlike = np.arange(len(one.shown))
    shown = type(one.shown)(**{**vars(one.shown), "stimulus": unlike})
    sums = measured_sums(noisy(one), np.ones(len(shown), dtype=bool), shown, one.design)
    data = measured_dataset(sums, VARIABLES, 0.95, {})
    assert data.attrs["noise"] == "held" and "ST_raw" not in data
    for name, holds in (("ST", True), ("shapley_layer", True), ("S1", False), ("S2", False)):
        assert ("noise" in data[name].attrs["long_name"]) is holds, name
    assert np.isnan(data["noise_share"]).all()


def test_units_of_noise_alone_are_constant_and_do_not_lift_the_aggregate():
    """Units that are left out for a variance below 0 would leave those above it."""
    one = session()
    rng = np.random.default_rng(5)
    signal = noisy(one)[:, :2]
    noise = 3 * rng.standard_normal((len(one.shown), 200))
    data = dataset(one, np.concatenate([signal, noise], axis=1))
    counts = json.loads(data.attrs["unit_counts"])
    assert 60 < counts["constant"] < 140
    total = float((data["variance_layer"].sum() / data.attrs["blocks"]).item())
    positive = float(data["variance"].where(data["status"] == 0).sum())
    assert abs(total - truth()["variance"][:2].sum()) < positive / 3


def test_constant_responses_and_one_unit_are_no_error():
    one = session(blocks=32)
    data = dataset(one, np.full((len(one.shown), 1), 3.0))
    assert data["status"].values.tolist() == [1]
    assert np.isnan(data["ST"]).all() and np.isnan(data["noise_share"]).all()


def test_drift_is_seen_and_is_no_variables_effect():
    one = session()
    course = np.linspace(-2, 2, len(one.shown))[:, None] * np.sqrt(truth()["variance"])
    present = np.ones(len(one.shown), dtype=bool)
    means, share = drift_of(one.clean + course, present)
    assert (np.diff(means, axis=0) > 0).all() and (share > 0.4).all()
    _, still = drift_of(one.clean, present)
    assert abs(still).max() < 0.01
    data = dataset(one, one.clean + course)
    inert = data["ST"].values[INERT]
    assert abs(inert).max() < 0.25
    assert (data["noise_share"] > 0.4).all()
