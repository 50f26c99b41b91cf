"""What the axes of layers are: known answers on networks of torchvision, timm and our own."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import variscope
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn
from variscope import figures
from variscope.analyses.aggregates.compute import summary_table
from variscope.analyses.specialised.compute import specialised_units
from variscope.designs import Design
from variscope.errors import UserError
from variscope.estimators import merge
from variscope.indices.maps import as_maps, map_over_channels
from variscope.indices.reading import is_map, layers, unit_name
from variscope.indices.sums import sum_activations
from variscope.inputs.axes import Layer, file_name, given_axes
from variscope.inputs.images import table_from_arrays
from variscope.inputs.layers import capture, probe
from variscope.inputs.models import build
from variscope.responses.network.evaluator import Evaluator
from variscope.space.augmentations import get
from variscope.space.images import ImageIndex
from variscope.space.space import Space
from variscope.stores.activations import ActivationsReader
from variscope.stores.moments import MomentsReader
from variscope.study.shards import activations, moments

MAPS, TOKENS = ("channel", "y", "x"), ("token", "feature")
SIDES = (32, 48)


def small_vit(**settings) -> nn.Module:
    from torchvision.models import VisionTransformer

    given = {"image_size": 32, "patch_size": 8, "num_layers": 4, "num_heads": 2}
    given |= {"hidden_dim": 12, "mlp_dim": 24, "num_classes": 5} | settings
    return VisionTransformer(**given).eval()


def small_swin() -> nn.Module:
    from torchvision.models import SwinTransformer

    torch.manual_seed(0)
    return SwinTransformer([4, 4], 8, [2, 2], [2, 2], [4, 4], num_classes=5).eval()


class Last(nn.Module):
    """Of the six channels-last features only the fourth follows the image."""

    def __init__(self) -> None:
        super().__init__()
        self.cut = nn.Conv2d(3, 6, 4, stride=4)
        self.mix = nn.Linear(6, 6)
        nn.init.zeros_(self.cut.weight)
        self.cut.weight.data[4] = 1.0
        self.mix.weight.data = torch.eye(6)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.mix(self.cut(images).permute(0, 2, 3, 1)).flatten(1)


class Recurrent(nn.Module):
    """Rows of an image through an LSTM, and a mapping as transformers' models give it."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(24, 5, batch_first=True)
        self.pack = Pack()
        self.out = nn.Linear(5, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        rows, _ = self.lstm(images.permute(0, 2, 1, 3).flatten(2))
        return self.out(self.pack(rows)["last_hidden_state"][:, -1])


class Pack(nn.Module):
    def forward(self, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"last_hidden_state": 2 * rows, "pooled": rows.mean(1)}


def hooked(model: nn.Module, names: list[str], images: torch.Tensor) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    handles = [
        model.get_submodule(name).register_forward_hook(
            lambda module, inputs, output, name=name: found.update({name: output.clone()})
        )
        for name in names
    ]
    with torch.inference_mode():
        model(images)
    for handle in handles:
        handle.remove()
    return found


def images(count: int = 6, height: int = 32, width: int = 32) -> np.ndarray:
    return np.random.default_rng(0).random((count, 3, height, width), dtype=np.float32)


def study(model: nn.Module, names, sides=(32, 32), **settings):
    given: dict[str, Any] = {
        "variables": ["brightness", "hue"],
        "blocks": 16,
        "replicates": 4,
        "progress": False,
    }
    given |= {"mean": (0.5,) * 3, "std": (0.25,) * 3} | settings
    labels = np.repeat(np.arange(3), 2)
    return variscope.decompose(model, images(6, *sides), labels, layers=names, **given)


@pytest.mark.parametrize("sides", [(32, 32), SIDES])
def test_a_swin_has_its_features_as_channels_whatever_the_sides(sides):
    model, names = small_swin(), ["features.1", "features.2", "features.3", "norm"]
    found = probe(model, [*names, "permute"], (3, *sides))
    assert [layer.dims for layer in found] == [MAPS] * 5
    assert found[0].shape == (8, sides[0] // 4, sides[1] // 4)
    assert found[2].shape == found[4].shape == (16, sides[0] // 8, sides[1] // 8)
    batch = torch.from_numpy(images(2, *sides))
    expected = hooked(model, names, batch)
    got: dict[str, torch.Tensor] = {}
    with torch.inference_mode(), capture(model, found, got.__setitem__):
        model(batch)
    for name in names:
        assert torch.equal(got[name], expected[name].permute(0, 3, 1, 2))
        assert_allclose(got[name].sum((2, 3)), expected[name].sum((1, 2)), rtol=1e-4, atol=1e-4)


def test_side_and_channels_of_one_size_are_told_apart():
    found = probe(small_swin(), ["features.1"], (3, 32, 32))
    assert found[0].output == (8, 8, 8) and found[0].axes == ("y", "x", "channel")


@pytest.mark.parametrize("name", ["convnext_tiny", "swin_t", "maxvit_t", "vit_b_16"])
def test_torchvisions_networks_have_named_axes_and_their_last_block(name: str):
    size = 224 if name == "maxvit_t" else 64
    arguments = {"image_size": 64} if name == "vit_b_16" else {}
    found = probe(build(f"torchvision:{name}", arguments=arguments), "auto", (3, size, size))
    by_name = {layer.name: layer for layer in found}
    last, dims, shape = {
        "convnext_tiny": ("features.7", MAPS, (768, 2, 2)),
        "swin_t": ("features.7", MAPS, (768, 2, 2)),
        "maxvit_t": ("blocks.3", MAPS, (512, 7, 7)),
        "vit_b_16": ("encoder.layers.encoder_layer_11", TOKENS, (17, 768)),
    }[name]
    assert (by_name[last].dims, by_name[last].shape) == (dims, shape)
    assert all(layer.dims in (MAPS, TOKENS, ("neuron",)) for layer in found)


TIMM = """
import timm


def registers():
    return timm.create_model("vit_small_patch14_reg4_dinov2", img_size=(28, 42), depth=4,
                             embed_dim=24, num_heads=2)


def swin():
    return timm.create_model("swin_tiny_patch4_window7_224", img_size=32, window_size=4,
                             embed_dim=16, depths=(2, 2), num_heads=(2, 2))


def convnext():
    return timm.create_model("convnext_atto", depths=(1, 1, 1, 1), dims=(8, 16, 24, 32))


def mixer():
    return timm.models.MlpMixer(img_size=96, patch_size=32, embed_dim=24, num_blocks=2)
"""


def timm_layers(folder: Path, name: str, names, sides: tuple[int, int]) -> dict[str, Layer]:
    (folder / "nets.py").write_text(TIMM)
    model = build(f"nets.py:{name}", folder=folder)
    return {layer.name: layer for layer in probe(model, names, (3, *sides))}


def test_timms_networks_have_named_axes(tmp_path: Path):
    pytest.importorskip("timm")
    found = timm_layers(tmp_path, "registers", "auto", (28, 42))
    assert list(found) == ["patch_embed", "blocks.0", "blocks.1", "blocks.2", "blocks.3"]
    block = found["blocks.3"]
    assert (block.dims, block.shape, block.grid) == (TOKENS, (11, 24), (2, 3))
    assert block.tokens == ("class", *("register",) * 4, *("patch",) * 6)
    found = timm_layers(tmp_path, "swin", "auto", (32, 32))
    assert (found["layers.1"].dims, found["layers.1"].shape) == (MAPS, (32, 4, 4))
    found = timm_layers(tmp_path, "convnext", "auto", (64, 32))
    assert (found["stages.3"].dims, found["stages.3"].shape) == (MAPS, (32, 2, 1))


def test_what_mixes_tokens_is_not_called_tokens_and_features(tmp_path: Path):
    pytest.importorskip("timm")
    names = ["blocks.0.mlp_tokens.fc1", "blocks.0.mlp_channels.fc1", "blocks.1"]
    found = timm_layers(tmp_path, "mixer", names, (96, 96))
    assert found[names[0]].dims == ("unit_0", "unit_1")  # (feature, hidden) of the token mixing
    assert found[names[1]].dims == found[names[2]].dims == TOKENS


def test_what_cannot_be_known_is_numbered_and_the_settings_name_it():
    class Unknown(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.adaptive_avg_pool2d(x, 4).reshape(len(x), 2, 4, 6)

    model = nn.Sequential(Unknown(), nn.Flatten())
    (layer,) = probe(model, ["0"], (3, 8, 8))
    assert layer.dims == ("unit_0", "unit_1", "unit_2") and layer.shape == (2, 4, 6)
    (layer,) = probe(model, ["0"], (3, 8, 8), axes={"0": "y x channel"})
    assert layer.dims == MAPS and layer.shape == (6, 2, 4)
    with pytest.raises(UserError, match=r"axes: 0: found 'y x', 2 axes for an output of 3; .*4, 6"):
        probe(model, ["0"], (3, 8, 8), axes={"0": "y x"})
    with pytest.raises(UserError, match=r"axes: found '1'; allowed: the layers 0"):
        probe(model, ["0"], (3, 8, 8), axes={"1": "neuron"})
    with pytest.raises(UserError, match=r"found 'row col rgb'; .* allowed: 'channel y x', in the"):
        given_axes("a", "row col rgb", (2, 4, 6))


def test_volumes_have_four_dimensions():
    class Volume(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv3d(1, 5, (2, 3, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x[:, None])

    tree = study(Volume(), ["conv"], (10, 12))
    data = tree["conv"].to_dataset()
    assert dict(data.variance.sizes) == {"channel": 5, "z": 2, "y": 8, "x": 10}
    assert unit_name(data) == "channel" and not is_map(data)
    table = specialised_units(tree)
    for picture in (figures.maps(data), figures.pair_maps(data), figures.moments(data),
                    figures.specialised(data, table)):  # fmt: skip
        assert picture.axes


def test_only_the_channel_that_reacts_has_variance():
    data = study(Last(), ["mix"], (24, 32))["mix"].to_dataset()
    assert dict(data.variance.sizes) == {"channel": 6, "y": 6, "x": 8}
    assert_array_equal(np.flatnonzero(data.variance.sum(("y", "x"))), [4])
    assert_array_equal(np.flatnonzero(data.S1_channel.notnull().all("variable")), [4])


def test_tensors_in_tuples_and_mappings_are_layers_by_their_place():
    names = ["lstm[0]", "lstm[1][0]", "pack[last_hidden_state]", "pack[pooled]"]
    model = Recurrent().eval()
    with pytest.raises(UserError, match=r"'lstm\[1\]\[0\]' gives shape \(1, 2, 5\) for 2 images"):
        probe(model, names, (3, 8, 8))
    del names[1]
    found = probe(model, names, (3, 8, 8))
    assert [layer.shape for layer in found] == [(8, 5), (8, 5), (5,)]
    assert found[0].dims == TOKENS and found[0].grid is None
    for name, message in {
        "lstm": r"gives a tuple; name one of its tensors: there is 'lstm\[0\]'",
        "lstm[7]": r"no \[7\]; there is 'lstm\[0\]', 'lstm\[1\]\[0\]', 'lstm\[1\]\[1\]'",
        "pack[poled]": r"no \[poled\]; there is 'pack\[last_hidden_state\]', 'pack\[pooled\]'",
        "out[0]": r"no \[0\]; there is 'out'",
        "lstn[0]": r"no module 'lstn\[0\]'; near it: lstm",
    }.items():
        with pytest.raises(UserError, match=message):
            probe(model, [name], (3, 8, 8))
    batch = torch.rand(2, 3, 8, 8)
    got: dict[str, torch.Tensor] = {}
    with torch.inference_mode(), capture(model, found, got.__setitem__):
        model(batch)
        rows, _ = model.lstm(batch.permute(0, 2, 1, 3).flatten(2))
    assert torch.equal(got["lstm[0]"], rows)
    assert torch.equal(got["pack[last_hidden_state]"], 2 * rows)


def test_one_output_is_a_unit():
    model = nn.Sequential(nn.Conv2d(3, 2, 5), nn.Flatten(), nn.Linear(2 * 16, 1), nn.Flatten(0))
    data = study(model, ["3"], (8, 8))["3"].to_dataset()
    assert dict(data.variance.sizes) == {"unit": 1} and unit_name(data) == "unit"
    assert_allclose(data.shapley.sum("variable"), 1, atol=1e-6)
    assert figures.maps(data).axes


@pytest.fixture(scope="module")
def tokens():
    return study(small_vit(), ["encoder.layers.encoder_layer_2", "heads.head"])


def test_aggregates_of_tokens_and_features_are_ratios_of_sums(tokens):
    data = tokens["encoder.layers.encoder_layer_2"].to_dataset()
    assert dict(data.variance.sizes) == {"token": 17, "feature": 12}
    assert list(data.token_kind.values) == ["class", *["patch"] * 16]
    for name in ("S1", "ST", "shapley"):
        product = data[name] * data.variance
        expected = product.sum("feature") / data.variance.sum("feature")
        assert_allclose(data[f"{name}_token"], expected, rtol=1e-4, atol=1e-6)
        patches = data.isel(token=slice(1, None)).variance.sum("token")
        expected = product.isel(token=slice(1, None)).sum("token") / patches
        assert_allclose(data[f"{name}_feature"], expected, rtol=1e-4, atol=1e-6)
        assert data[f"{name}_feature_low"].dims == ("variable", "feature")
        assert (data[f"{name}_token_low"] <= data[f"{name}_token_high"]).all()
    assert data.numerator_S1_token.dims == ("replicate", "variable", "token")
    found = variscope.difference(
        data.isel(token=0), "image", data.isel(token=1), "image", of="token"
    )
    expected = data.shapley_token.sel(variable="image")
    assert found.value == pytest.approx(float(expected[0] - expected[1]), abs=1e-12)


def test_patches_are_maps_row_by_row_and_the_class_token_apart(tokens):
    data = tokens["encoder.layers.encoder_layer_2"].to_dataset()
    maps = as_maps(data)
    assert dict(maps.variance.sizes) == {"channel": 12, "y": 4, "x": 4}
    for y, x in ((0, 0), (1, 3), (3, 2)):
        assert_array_equal(maps.ST[:, :, y, x], data.ST[:, 1 + 4 * y + x])
    mean = map_over_channels(maps, "ST")
    assert_allclose(mean.values.reshape(len(mean), -1), data.ST_token[:, 1:],
                    rtol=1e-4, atol=1e-6)  # fmt: skip
    picture = figures.maps(data)
    texts = [text.get_text() for ax in picture.axes for text in ax.texts]
    assert "class token" in texts and "all 12\nfeatures" in texts
    assert not any("channel" in text for text in texts)


def test_tables_of_tokens_name_tokens_and_features(tokens):
    table = summary_table(tokens)
    block = table[table["layer"].str.startswith("encoder") & (table["index"] == "ST")]
    assert set(block["token"].dropna()) == set(range(17))
    assert set(block["feature"].dropna()) == set(range(12))
    assert block["channel"].isna().all()
    assert set(block.loc[block["feature"].notna(), "units"]) == {16}
    chosen = specialised_units(tokens)
    rows = chosen[chosen["layer"].str.startswith("encoder")]
    assert len(rows) and rows["reason"].str.contains("features with defined").all()
    data = layers(tokens)["encoder.layers.encoder_layer_2"]
    for row in rows.to_dict("records"):
        at = {"variable": row["variable"], "feature": int(row["unit"])}
        assert row["share"] == float(data.shapley_feature.sel(at))


@pytest.mark.parametrize("make", [small_swin, small_vit])
@pytest.mark.parametrize("design", ["cycle", "star"])
def test_both_storages_give_the_same_bits_of_axes_put_in_order(make, design, tmp_path: Path):
    torch.manual_seed(1)
    model = make()
    names = ["features.1", "norm"] if make is small_swin else ["encoder.layers.encoder_layer_1"]
    found = probe(model, names, (3, 32, 32))
    table = table_from_arrays(images(), np.repeat(np.arange(3), 2))
    index = ImageIndex.of(table.label, table.part)
    space = Space((get("hue"), get("hflip")), ("class", "image"), index, table.size, part="train")
    normal: dict[str, Any] = {"mean": (0.5,) * 3, "std": (0.25,) * 3}
    evaluator = Evaluator(model, found, space, table, batch_size=32, **normal)
    points = Design(design, space.groups, 12, 2, seed=1)
    part = points.part([0, 1], 0, points.sizes[0])
    activations.store(tmp_path / "a", evaluator, part)
    moments.store(tmp_path / "m", evaluator, part)
    for layer in found:
        stored = ActivationsReader(tmp_path / "a" / f"{file_name(layer.name)}.zarr")
        summed = MomentsReader(tmp_path / "m" / f"{file_name(layer.name)}.zarr")
        assert stored.dims == summed.dims == layer.dims and stored.unit == layer.shape
        assert_array_equal(merge(list(sum_activations(stored))).sums, summed.read().sums)


def test_names_with_brackets_and_slashes_have_files_of_their_own():
    assert file_name("lstm[0]") == "lstm%5B0%5D" and file_name("a/b") == "a%2Fb"
    assert file_name("encoder.layers-1_x~") == "encoder.layers-1_x~"
    model = nn.Sequential(nn.Conv2d(3, 2, 3))
    model.add_module("a/b", nn.Flatten())
    tree = study(model, ["0", "a/b"], (6, 6))
    assert list(layers(tree)) == ["0", "a/b"] and len(tree.children) == 2


@pytest.mark.parametrize("size", [(8, 2, 192), (4, 200, 3)])
def test_wide_and_tall_maps_are_drawn(size):
    from synthetic import dataset

    data = dataset(size=size, variables=("erasing", "hue", "class", "image"))
    table = specialised_units(xr.DataTree.from_dict({"conv1": data}))
    drawn = [figures.maps(data), figures.pair_maps(data), figures.specialised(data, table)]
    for picture in (*drawn, figures.moments(data), figures.moments(data, channels=8)):
        picture.savefig(io.BytesIO(), format="svg")
        for ax in picture.axes:
            box = ax.get_position()
            assert box.width > 0 and box.height > 0


def test_a_line_of_very_many_units_is_thinned():
    from variscope.figures.units import MOST_POINTS, shown_ranks

    assert_array_equal(shown_ranks(7), range(7))
    ranks = shown_ranks(150_000)
    assert len(ranks) <= MOST_POINTS and ranks[0] == 0 and ranks[-1] == 149_999
    assert np.ptp(np.diff(ranks)) <= 1
