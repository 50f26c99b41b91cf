"""A real network whose inputs take few levels has exact indices for every unit of every layer.

Hooks, grouping, decoding, the design, the stores and the estimators are held against the full
factorial enumeration of the same network, computed here with nothing of the package but its
augmentations.
"""

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from closed_forms import enumerate_exact
from numpy.testing import assert_allclose, assert_array_equal
from tiny import LAYERS, NETWORK, network, photographs, run_workflow
from torch.nn.functional import softmax
from torchvision.transforms.v2 import functional as tv
from variscope import decompose
from variscope.designs import Blocks, cycle_rows
from variscope.estimators import Layout, Moments, unit_indices
from variscope.inputs.images import table_from_arrays
from variscope.inputs.layers import probe
from variscope.responses.network.evaluator import Evaluator
from variscope.space.augmentations import get
from variscope.space.images import ImageIndex
from variscope.space.space import Space

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
OPERATIONS = {
    "sharpness": lambda image: tv.adjust_sharpness(image, 1.5),
    "grayscale": lambda image: tv.rgb_to_grayscale(image, 3),
    "hflip": tv.horizontal_flip,
}


def layer_outputs(model, image: torch.Tensor, last_softmax: bool = False) -> list[np.ndarray]:
    """The outputs of the three layers for one image in [0, 1], without hooks."""
    mean, std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))
    value, outputs = ((image - mean) / std)[None], []
    with torch.inference_mode():
        for layer in model:
            value = layer(value)
            outputs.append(value[0].numpy())
    if last_softmax:
        outputs[-1] = softmax(torch.from_numpy(outputs[-1]), 0).numpy()
    return outputs


@pytest.fixture(scope="module")
def enumerated() -> dict[str, dict[str, np.ndarray]]:
    """Exact indices over sharpness, grayscale, hflip, order, class, image: 576 passes."""
    images, _ = photographs()
    model = network()
    names = list(OPERATIONS)
    grid: list[list[np.ndarray]] = [[] for _ in LAYERS]
    for s, g, h in product((0, 1), repeat=3):
        for order in permutations(range(3)):
            for image in images:
                altered = torch.from_numpy(image).to(torch.float32) / 255
                for k in order:
                    if (s, g, h)[k]:
                        altered = OPERATIONS[names[k]](altered).clamp(0, 1)
                for layer, output in zip(grid, layer_outputs(model, altered), strict=True):
                    layer.append(output)
    levels = (2, 2, 2, 6, 3, 4)
    probabilities = [[1 / n] * n for n in levels]
    return {
        name: enumerate_exact(np.stack(values).reshape(*levels, *values[0].shape), probabilities)
        for name, values in zip(LAYERS, grid, strict=True)
    }


def test_every_unit_is_exact_where_all_points_and_permutations_are_run():
    """No Monte Carlo error is left: 8 x 8 pairs of points and 6 permutations."""
    images, labels = photographs(classes=2, each=2)
    model = network()
    table = table_from_arrays(images, labels)
    space = Space(
        (get("grayscale"),),
        ("class", "image"),
        ImageIndex.of(table.label, table.part),
        table.size,
        part="train",
    )
    points = np.array(list(product((0.25, 0.75), repeat=3)))
    pairs = [(x, y, pi) for x in points for y in points for pi in permutations(range(3))]
    x, y, order = (np.array(part) for part in zip(*pairs, strict=True))
    layers = probe(model, LAYERS, (3, 16, 16))
    evaluator = Evaluator(model, layers, space, table, mean=MEAN, std=STD, batch_size=96)
    blocks = Blocks(0, 0, cycle_rows(x, y, order, space.groups), order)
    moments = {a.name: Moments.zeros(Layout("cycle", 3), [0], a.shape) for a in layers}
    for evaluated in evaluator.replicate(blocks):
        for name, outputs in evaluated.outputs.items():
            moments[name].update(0, outputs.cpu().numpy(), evaluated.order, evaluated.rows)

    grid: list[list[np.ndarray]] = [[] for _ in LAYERS]
    for gray, image in product((True, False), images):  # u < 0.5 applies
        altered = torch.from_numpy(image).to(torch.float32) / 255
        altered = tv.rgb_to_grayscale(altered, 3) if gray else altered
        for layer, output in zip(grid, layer_outputs(model, altered), strict=True):
            layer.append(output)
    for name, values in zip(LAYERS, grid, strict=True):
        shaped = np.stack(values).reshape(2, 2, 2, *values[0].shape)
        exact = enumerate_exact(shaped, [[0.5, 0.5]] * 3)
        got = unit_indices(moments[name], 0.95)
        fine = got.status == 0
        assert_array_equal(fine, exact["variance"] > 1e-10)
        assert_allclose(got.variance[fine], exact["variance"][fine], rtol=1e-4)
        assert_allclose(got.mean, shaped.mean((0, 1, 2)), atol=1e-5)
        for index in ("S1", "ST", "shapley", "S2"):
            value = got.estimates[index].value
            assert_allclose(value[:, fine], exact[index][:, fine], atol=2e-4, err_msg=index)


def test_the_whole_workflow_agrees_with_full_enumeration(enumerated, tmp_path):
    images, labels = photographs()
    (tmp_path / "net.py").write_text(NETWORK)
    torch.save(network().state_dict(), tmp_path / "net.pt")
    np.savez(tmp_path / "images.npz", images=images, labels=labels, part=np.ones(len(labels), int))
    config = {
        "experiment": "oracle",
        "seed": 3,
        "dataset": {"kind": "arrays", "path": "images.npz"},
        "models": {
            "net": {
                "factory": "net.py:network",
                "weights": "net.pt",
                "layers": list(LAYERS),
                "mean": list(MEAN),
                "std": list(STD),
            }
        },
        "variable_sets": {"set": {"variables": list(OPERATIONS)}},
        "designs": {"cycle": {"blocks": 4096}, "star": {"blocks": 2048}, "replicates": 16},
        "evaluation": {"rows_per_shard": 100_000},
    }
    run_workflow(tmp_path, config, "indices")
    for design, indices in (("cycle", ("S1", "ST", "shapley", "S2")), ("star", ("S1", "ST", "S2"))):
        inside, count = 0, 0
        for name in LAYERS:
            folder = tmp_path / "results/oracle/net/set" / design / "indices" / f"{name}.zarr"
            got, exact = xr.open_zarr(folder).load(), enumerated[name]
            fine = got.status.values == 0
            assert_array_equal(fine, exact["variance"] > 1e-10)
            total = got.variance.values[fine].sum() / exact["variance"][fine].sum()
            assert total == pytest.approx(1, abs=0.02)
            for index in indices:
                truth = exact[index][:, fine]
                value, low, high = (
                    got[index + end].values[:, fine] for end in ("", "_low", "_high")
                )
                error = np.sqrt(((value - truth) ** 2).mean())
                assert error < (0.03 if index == "S2" else 0.02), (design, name, index)
                weight = exact["variance"][fine] / exact["variance"][fine].sum()
                layer = got[f"{index}_layer"].values
                reach = 2 * (got[f"{index}_layer_high"].values - layer) + 0.002
                assert reach.max() < 0.12
                assert (abs(layer - (truth * weight).sum(1)) < reach).all(), (name, index)
                inside += ((low - 1e-6 <= truth) & (truth <= high + 1e-6)).sum()
                count += truth.size
        # Units of one network are dependent: the share varies more than of independent intervals.
        assert 0.90 < inside / count < 0.99, (design, inside / count)


def test_decompose_gives_the_numbers_of_the_workflow_bit_for_bit(tmp_path):
    images, labels = photographs()
    (tmp_path / "net.py").write_text(NETWORK)
    torch.save(network().state_dict(), tmp_path / "net.pt")
    np.savez(tmp_path / "images.npz", images=images, labels=labels, part=np.ones(len(labels), int))
    variables: list[Any] = ["rolling", {"name": "hue", "factor": [-0.2, 0.3]}, "hflip"]
    config = {
        "experiment": "same",
        "seed": 5,
        "dataset": {"kind": "arrays", "path": "images.npz"},
        "models": {
            "net": {
                "factory": "net.py:network",
                "weights": "net.pt",
                "mean": list(MEAN),
                "std": list(STD),
            }
        },
        "variable_sets": {"set": {"variables": variables, "apply": "switched"}},
        "designs": {"cycle": {"blocks": 32}, "replicates": 4},
        "confidence_level": 0.9,
    }
    run_workflow(tmp_path, config, "indices")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        tree = decompose(
            network(),
            images,
            labels,
            variables=variables,
            apply="switched",
            blocks=32,
            replicates=4,
            seed=5,
            confidence_level=0.9,
            progress=False,
            mean=MEAN,
            std=STD,
        )
    finally:
        torch.set_num_threads(threads)
    stored = sorted((tmp_path / "results/same/net/set/cycle/indices").glob("*.zarr"))
    assert {path.stem for path in stored} == set(tree.children)
    for path in stored:
        theirs, ours = xr.open_zarr(path).load(), tree[path.stem].to_dataset()
        assert set(theirs.variables) == set(ours.variables)
        for name in theirs.data_vars:
            assert_array_equal(theirs[name].values, ours[name].values, err_msg=name)
            assert theirs[name].dims == ours[name].dims
