"""Segments fed with color planes: what is known of them is found, and controls are null."""

from __future__ import annotations

import colorsys
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn
from variscope.analyses.registry import built_in
from variscope.analyses.segments.choosing import Chosen, segments_of
from variscope.analyses.segments.comparing import compare, mean_over, triangles_together
from variscope.analyses.source import Source, Study
from variscope.analyses.tables import checked
from variscope.errors import UserError
from variscope.inputs.axes import Layer
from variscope.inputs.images import ImageTable, table_from_arrays
from variscope.inputs.layers import probe
from variscope.responses.network.opened import Network
from variscope.responses.network.segments import Fed, Segment, at_size
from variscope.space.augmentations import get
from variscope.space.hsv import (
    COORDINATES,
    Color,
    colors,
    hue_chroma_value,
    planes,
    typical,
    varying_alone,
)
from variscope.space.images import ImageIndex
from variscope.space.space import Space

ENTRY = built_in()["segments"]
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.3, 0.25]
REST = Color(1.0, 0.5, 0.5)


def stages() -> nn.Sequential:
    """Three stages with a step around the second, and a head."""

    class Around(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = nn.Conv2d(4, 4, 3, padding=1)
            self.after = nn.ReLU(inplace=True)

        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            return self.after(self.inside(maps) + maps)

    torch.manual_seed(2)
    first = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU(inplace=True))
    last = nn.Sequential(nn.Conv2d(4, 5, 3, stride=2, padding=1), nn.Tanh())
    head = nn.Sequential(nn.Flatten(), nn.Linear(5 * 16, 3))
    return nn.Sequential(first, Around(), last, head).eval()


def images(*, gray: bool = False, channels: int = 3, count: int = 12) -> ImageTable:
    """Smooth random images of three classes."""
    rng = np.random.default_rng(4)
    coarse = rng.random((count, channels, 4, 4))
    pixels = np.kron(coarse, np.ones((1, 1, 4, 4))).astype(np.float32)
    if gray:
        pixels[:] = pixels[:, :1]
    return table_from_arrays(pixels, np.repeat(np.arange(3), count // 3), channels=channels)


def space_of(table: ImageTable, *names: str) -> Space:
    """A space of augmentations, class and image."""
    return Space(
        augmentations=tuple(map(get, names)),
        auxiliary=("class", "image"),
        index=ImageIndex.of(table.label, table.part),
        size=table.size,
        channels=table.channels,
        part="train",
    )


def source(
    table: ImageTable,
    model: nn.Module,
    names: tuple[str, ...],
    layers: list[str],
    *,
    twin: nn.Module | None = None,
    **settings: Any,
) -> Source:
    """What the analysis is made from."""
    shape = (table.channels, *table.size)
    mean, std = MEAN[: table.channels], STD[: table.channels]

    def network(untrained: bool) -> Network:
        module = twin if untrained and twin is not None else model
        return Network(
            name="net",
            model=module,
            layers=probe(module, layers, shape),
            mean=mean,
            std=std,
            batch_size=32,
        )

    study = Study(model="net", variable_set="set", design="cycle", paths=())
    beside = Study(model="net_untrained", variable_set="set", design="cycle", paths=())
    return Source(
        studies=[Study(**{**vars(study), "twin": beside if twin is not None else None})],
        settings={"segments": "auto", "channels": 32, "blocks": 32, "replicates": 4, **settings},
        open_images=lambda: table,
        open_space=lambda name, images: space_of(images, *names),
        open_network=network,
        sets=["set"],
    )


def tables(made: Source, folder: Path) -> dict[str, pd.DataFrame]:
    """Run the shard, and compute the tables from it."""
    ENTRY.shard(made, "set", folder)
    found = ENTRY.compute(Source(studies=made.studies, shards={"set": folder}))
    return {table.name: checked(table, found[table.name]) for table in ENTRY.tables}


def picked(table: pd.DataFrame, **of: str) -> pd.DataFrame:
    """Return the rows that have these values."""
    for key, value in of.items():
        table = table[table[key] == value]
    return table.reset_index(drop=True)


def test_planes_are_those_of_the_standard_library_and_colors_come_back():
    pixels = np.random.default_rng(0).random((200, 3))
    pixels[:6] = np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0.5]])
    image = torch.from_numpy(pixels.T.reshape(1, 3, 10, 20)).float()
    found = {name: plane.reshape(-1).numpy() for name, plane in planes(image).items()}
    h, s, v = np.array([colorsys.rgb_to_hsv(*pixel) for pixel in pixels]).T
    assert_allclose(found["hue_cosine"], np.cos(2 * np.pi * h), atol=1e-5)
    assert_allclose(found["hue_sine"], np.sin(2 * np.pi * h), atol=1e-5)
    assert_allclose(found["saturation"], s, atol=1e-6)
    assert_allclose(found["value"], v, atol=1e-6)
    assert_allclose(colors(*hue_chroma_value(image)), image, atol=1e-6)


def test_a_picture_has_one_coordinate_that_varies():
    image = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    rest = typical(image)
    for coordinate in COORDINATES:
        altered = varying_alone(image, coordinate, rest)
        before, after = planes(image), planes(altered)
        for name, plane in after.items():
            if name.startswith(coordinate):
                assert_allclose(plane, before[name], atol=1e-4)
            else:
                assert float(plane.std()) < 1e-5, (coordinate, name)


def fed(model: nn.Module, start: str | None, end: str, table: ImageTable) -> Fed:
    """The segments of one start and end."""
    shape = (table.channels, *table.size)
    layers = probe(model, [name for name in (start, end) if name], shape)
    channels = tuple(range(layers[-1].shape[0]))
    segment = Segment("s", layers[0] if start else None, layers[-1], channels)
    return Fed(
        model, [segment], mean=MEAN[: table.channels], std=STD[: table.channels], rest=REST
    ).eval()


def outputs(module: Fed, batch: torch.Tensor) -> dict[tuple[str, str], torch.Tensor]:
    """What the taps give to images in [0, 1], by via and plane."""
    found = {}
    for feeding, tap in zip(module.feedings, module.taps, strict=True):
        key = feeding.via, feeding.plane

        def keep(_: Any, __: Any, output: Any, key: tuple[str, str] = key) -> None:
            found[key] = output.clone()

        tap.register_forward_hook(keep)
    with torch.inference_mode():
        module(batch)
    return found


def test_a_segment_is_what_the_network_computes_between_its_layers():
    """Also where something leads around it: what had ended before is that of the image."""
    model, table = stages(), images()
    batch = torch.from_numpy(table.load([0, 5, 9]))
    _, around, last, _ = model.children()
    plain = outputs(fed(model, "0", "2", table), batch)
    skipping = outputs(fed(model, "1.inside", "2", table), batch)
    with torch.inference_mode():
        mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
        before = model[0]((batch - mean) / std)
        for name, plane in planes(batch).items():
            maps = at_size(plane, (8, 8)).expand(-1, 4, -1, -1)
            assert_allclose(plain["segment", name], last(around(maps.clone())), atol=1e-6)
            expected = last(torch.relu(maps + before))
            assert_allclose(skipping["segment", name], expected, atol=1e-6)
        natural = model[:3]((batch - mean) / std)
    assert_array_equal(plain["original", ""], natural)


def test_gray_images_and_their_value_are_one_thing_to_the_network(tmp_path: Path):
    """The known answer: of gray images value is the image, and hue and saturation are constant."""
    segments = {"net": {"all": {"from": "input", "to": "2"}}}
    made = source(images(gray=True), stages(), ("hflip", "erasing"), ["2"], segments=segments)
    found = tables(made, tmp_path)
    value = {"via": "segment", "plane": "value"}
    shares = picked(found["shares"], **value)
    assert_allclose(shares["difference"], 0, atol=1e-5)
    assert (shares["share"] > 0.01).all()
    for plane in ("hue_cosine", "saturation"):
        assert picked(found["shares"], via="segment", plane=plane)["share"].isna().all()
    maps = picked(found["variables"], **value)
    assert_allclose(maps["correlation"], maps["reliability"], atol=1e-4)
    assert_allclose(
        picked(found["pairs"], **value)["correlation"],
        picked(found["pairs"], via="original")["correlation"],
        atol=1e-4,
    )
    whole = picked(found["planes"], **value)
    assert (whole["outside"] < 0.05).all()
    assert_allclose(whole["difference"], 0, atol=1e-4)


def test_planes_know_nothing_of_what_does_not_change_them(tmp_path: Path):
    """Hue turned is nothing to saturation and value; gray images have no saturation."""
    found = tables(source(images(), stages(), ("grayscale", "hue"), ["0", "2"]), tmp_path)
    for plane in ("saturation", "value"):
        assert picked(found["shares"], plane=plane, variable="hue")["share"].max() < 1e-6
    turned = picked(found["shares"], plane="hue_sine", variable="hue")
    assert (turned["difference"] > 0).all()
    assert (picked(found["shares"], plane="saturation", variable="grayscale")["low"] > 0).all()
    words = ENTRY.words(Source(studies=[]), found)
    assert "gains" in words.answer and "no untrained twin" in words.control


def test_how_much_of_what_is_fed_in_is_unnatural_is_said():
    model, table = stages(), images(count=60)
    module = fed(model, "0", "2", table)
    outputs(module, torch.from_numpy(table.load(np.arange(60))))
    outside = module.outside("s")
    assert outside[""] <= 0.04
    # Cosines below 0 are nothing that rectified units give.
    assert outside["hue_cosine"] > 0.3
    assert set(outside) == {"", "hue_cosine", "hue_sine", "saturation", "value"}


def test_maps_that_share_their_noise_alone_do_not_correlate():
    """The naive correlation, within a half, takes the noise that maps of the same rows share."""
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((2, 3, 60, 64))
    original, other = (shared + rng.standard_normal(shared.shape) / 2 for _ in range(2))
    naive = np.mean(
        [np.corrcoef(a, b)[0, 1] for a, b in zip(original[0, 0], other[0, 0], strict=True)]
    )
    assert naive > 0.6
    found = compare(original, other)
    assert abs(mean_over(found.kept)).max() < 0.1
    assert np.isnan(found.corrected).all()  # nothing is reliable


def test_maps_of_a_truth_are_kept_by_their_own_channels_alone():
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((1, 3, 20, 100))
    original, other = (truth + rng.standard_normal((2, 3, 20, 100)) * 0.7 for _ in range(2))
    found = compare(original, other)
    assert_allclose(found.corrected, 1, atol=0.08)
    assert (mean_over(found.kept) < 0.75).all()
    assert abs(mean_over(found.others)).max() < 0.1
    # What is common to all channels is no channel's own.
    common = np.broadcast_to(truth[:, :, :1], truth.shape)
    noisy = [common + rng.standard_normal((2, 3, 20, 100)) * 0.7 for _ in range(2)]
    found = compare(*noisy)
    assert_allclose(mean_over(found.others), mean_over(found.kept), atol=0.05)


def test_triangles_are_held_against_permuted_variables():
    rng = np.random.default_rng(1)
    ps = []
    for _ in range(200):
        one, other = (np.asarray(np.corrcoef(rng.standard_normal((6, 8)))) for _ in range(2))
        ps.append(triangles_together(one, other, rng)[1])
    assert 0.02 < np.mean(np.array(ps) <= 0.1) < 0.18
    same, p, permutations = triangles_together(one, one, rng)
    assert same == pytest.approx(1) and p == pytest.approx(1 / 720) and permutations == 720
    assert np.isnan(triangles_together(one[:3, :3], one[:3, :3], rng)[0])
    assert np.isnan(triangles_together(np.ones((5, 5)), one[:5, :5], rng)[0])


def test_the_untrained_twin_is_run_on_the_same_rows(tmp_path: Path):
    made = source(images(), stages(), ("hflip",), ["0", "2"], twin=stages())
    found = tables(made, tmp_path)
    trained, untrained = (
        found["shares"].query(f"network == '{name}'").drop(columns="network").reset_index(drop=True)
        for name in ("trained", "untrained")
    )
    pd.testing.assert_frame_equal(trained, untrained)  # the twin is the network itself here
    words = ENTRY.words(made, found)
    assert "as much or more" in words.control or "In the untrained twin" not in words.control
    assert "not clearly another number" in words.control


def test_batches_change_nothing_but_rounding(tmp_path: Path):
    results = []
    for size in (8, 64):
        made = source(images(), stages(), ("hflip",), ["0", "2"])
        network = made.network()
        one = Source(
            **{
                **{k: v for k, v in vars(made).items() if k in Source.__dataclass_fields__},
                "open_network": lambda twin, n=network, s=size: Network(
                    **{**vars(n), "batch_size": s}
                ),
            }
        )
        results.append(tables(one, tmp_path / str(size))["shares"]["share"])
    assert_allclose(results[0], results[1], atol=1e-5)


def test_segments_are_run_together_as_their_sums_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made = source(images(), stages(), ("hflip",), ["0", "1", "2"], channels=3)
    results = [tables(made, tmp_path / "together")]
    monkeypatch.setattr("variscope.analyses.segments.shard.TOGETHER", 1)
    results.append(tables(made, tmp_path / "apart"))
    for name, table in results[0].items():
        pd.testing.assert_frame_equal(table, results[1][name])
    assert (results[0]["planes"]["n"] == 3).all()


def layer(name: str, *output: int) -> Layer:
    """A layer of maps, or of a vector."""
    return Layer(name, output, ("channel", "y", "x") if len(output) == 3 else ())


LAYERS = [layer("a", 4, 8, 8), layer("b", 6, 4, 4), layer("pooled", 6, 1, 1), layer("c", 10)]


def test_segments_lie_between_consecutive_layers_of_maps():
    def found(given: Any, layers: Any = LAYERS, most: int = 32, model: str = "net") -> Any:
        return segments_of({"segments": given, "channels": most}, model, layers)

    assert found("auto") == [Chosen("a to b", "a", "b", (0, 1, 2, 3, 4, 5))]
    assert found("auto", most=3) == [Chosen("a to b", "a", "b", (0, 2, 4))]
    assert found("auto", LAYERS[2:]) == []
    given = {"net": {"low": {"from": "input", "to": "b", "channels": [0, 5]}}}
    assert found(given) == [Chosen("low", "input", "b", (0, 5))]
    assert found(given, model="other") == []


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"from": "a"}, "allowed: {from: layer, to: layer"),
        ({"from": "a", "to": "b", "size": 3}, "allowed: {from: layer, to: layer"),
        ({"from": "z", "to": "b"}, r"low.from: found 'z'; allowed: .*\(input, a, b\)"),
        ({"from": "a", "to": "c"}, r"low.to: found 'c'; allowed: .*\(a, b\)"),
        ({"from": "b", "to": "a"}, "found 'b' to 'a'; allowed: a later layer"),
        ({"from": "a", "to": "b", "channels": [6]}, "channels: found 6; allowed: 0 to 5"),
        ({"from": "a", "to": "b", "channels": "all"}, "channels: found 'all'"),
    ],
)
def test_segments_that_are_none_are_refused(entry: Mapping[str, Any], message: str):
    with pytest.raises(UserError, match=message):
        segments_of({"segments": {"net": {"low": entry}}, "channels": 32}, "net", LAYERS)


def test_a_network_without_maps_has_no_segments_and_says_so():
    assert ENTRY.shards is not None
    study: Any = SimpleNamespace(model="net", variable_set="set", layers=LAYERS[2:])
    assert ENTRY.shards({"segments": "auto", "channels": 32}, [study]) == []
    made = Source(studies=[])
    found = ENTRY.compute(made)
    assert all(table.empty for table in found.values())
    assert "No segment" in ENTRY.words(made, found).answer
    for picture in ENTRY.pictures:
        assert ENTRY.draw(picture, made, found).texts


@pytest.mark.parametrize("case", ["gray", "one variable", "one channel", "a block a replicate"])
def test_little_data_is_no_error(tmp_path: Path, case: str):
    model, table = stages(), images()
    names: tuple[str, ...] = () if case == "one variable" else ("hflip", "erasing")
    segments: Any = "auto"
    if case == "gray":
        table = images(channels=1)
        model = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), *list(stages().children())[1:]).eval()
    if case == "one channel":
        segments = {"net": {"low": {"from": "0", "to": "2", "channels": [3]}}}
    blocks = 4 if case == "a block a replicate" else 32
    made = source(table, model, names, ["0", "2"], segments=segments, blocks=blocks)
    found = tables(made, tmp_path)
    described = json.loads((tmp_path / "trained" / "feedings.json").read_text())
    assert len(described["feedings"]) == (2 if case == "gray" else 8)
    for picture in ENTRY.pictures:
        assert ENTRY.draw(picture, made, found).axes
    words = ENTRY.words(made, found)
    assert "nan" not in " ".join([words.answer, *words.more, words.control]).split()
    if case == "one channel":
        assert (found["variables"]["n"] <= 1).all()
        assert_array_equal(found["planes"]["other_channels"].isna(), True)
