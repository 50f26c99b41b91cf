"""Regions: what masks of known models share out is found, and what nothing reads has exactly 0."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, combinations
from typing import Any

import numpy as np
import pytest
import timm
import torch
from numpy.testing import assert_allclose, assert_array_equal
from SALib.analyze import sobol as sobol_analysis
from SALib.sample import sobol as sobol_sample
from scipy.ndimage import gaussian_filter
from torch import nn
from variscope.attributions import built_in
from variscope.attributions.regions import region_sums, regions, replacement
from variscope.errors import UserError
from variscope.estimators import unit_indices
from variscope.space.regions import OFFSETS, Cells

WHITE = torch.ones(1, 1, 12, 12)
FIRST = torch.tensor([0])


class OfCells(nn.Module):
    """A function of the means of cells; of a white image on black these are the masks."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor], grid: int) -> None:
        super().__init__()
        self.function, self.grid = function, grid

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        means = nn.functional.adaptive_avg_pool2d(images.mean(1, keepdim=True), self.grid)
        return self.function(means.flatten(1))[:, None]


def indices(
    function: Callable[[torch.Tensor], torch.Tensor],
    grid: int,
    *,
    blocks: int = 256,
    replicates: int = 8,
    seed: int = 1,
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Value, low and high of S1, ST and Shapley effects of a function of masks, each (cell,)."""
    sums = region_sums(
        OfCells(function, grid), WHITE, FIRST, cells=Cells(grid), fills=["black"],
        blocks=blocks, replicates=replicates, seed=seed,
    )  # fmt: skip
    found = unit_indices(sums, 0.95).estimates
    return {name: tuple(e[:, 0, 0] for e in found[name]) for name in ("S1", "ST", "shapley")}  # type: ignore[misc]


def within(
    found: tuple[np.ndarray, np.ndarray, np.ndarray], exact: object, slack: float = 0.02
) -> bool:
    """Whether the truth lies in all intervals, a little widened: there are many at once."""
    _, low, high = found
    truth = np.asarray(exact)
    return bool(((low - slack <= truth) & (truth <= high + slack)).all())


def test_a_product_of_two_cells_has_no_share_of_its_own() -> None:
    found = indices(lambda m: (m[:, 0] - 0.5) * (m[:, 3] - 0.5), 2)
    assert_allclose(found["shapley"][0], [0.5, 0, 0, 0.5], atol=0.03)
    assert_allclose(found["ST"][0], [1, 0, 0, 1], atol=0.06)
    assert_allclose(found["S1"][0], 0, atol=0.12)
    assert within(found["S1"], [0, 0, 0, 0]) and within(found["ST"], [1, 0, 0, 1])
    for name in ("S1", "ST", "shapley"):  # what is not read is known to be exactly 0
        assert_array_equal([part[[1, 2]] for part in found[name]], 0)


def test_cells_of_a_sum_have_all_the_same_and_of_a_weighted_one_their_weights_squared() -> None:
    alike = indices(lambda m: m.sum(1), 3)
    weights = torch.tensor([1.0, 2, 3, 0, -1, -2, 0, 0, 1])
    weighted = indices(lambda m: m @ weights, 3)
    squares = (weights**2 / (weights**2).sum()).numpy()
    for name in ("S1", "ST", "shapley"):
        assert_allclose(alike[name][0], 1 / 9, atol=0.03)
        assert_allclose(weighted[name][0], squares, atol=0.05)
        assert within(weighted[name], squares)
    assert_allclose(alike["shapley"][0].sum(), 1, atol=1e-6)


def subsets(cells: int) -> list[tuple[int, ...]]:
    """All sets of cells but the empty one."""
    return list(chain.from_iterable(combinations(range(cells), k) for k in range(1, cells + 1)))


def test_all_interactions_of_four_cells_are_shared_out_as_enumeration_says() -> None:
    """Sums of products of centred masks: each has variance c^2 / 12^k, all of its own."""
    rng = np.random.default_rng(3)
    terms = {cells: float(rng.normal()) * 12 ** (len(cells) / 2) for cells in subsets(4)}

    def function(m: torch.Tensor) -> torch.Tensor:
        return torch.stack(
            [c * (m[:, list(cells)] - 0.5).prod(1) for cells, c in terms.items()]
        ).sum(0)

    parts = {cells: c**2 / 12 ** len(cells) for cells, c in terms.items()}
    whole = sum(parts.values())
    exact = {
        "S1": [parts[(i,)] / whole for i in range(4)],
        "ST": [sum(v for s, v in parts.items() if i in s) / whole for i in range(4)],
        "shapley": [sum(v / len(s) for s, v in parts.items() if i in s) / whole for i in range(4)],
    }
    found = indices(function, 2, blocks=1024, replicates=16)
    for name, values in exact.items():
        assert within(found[name], values), name
        assert_allclose(found[name][0], values, atol=0.06)


def test_salib_finds_the_same() -> None:
    def function(m: torch.Tensor) -> torch.Tensor:
        return (
            torch.sin(3 * m[:, 0]) + m[:, 1] * m[:, 2] ** 2 + 0.5 * torch.maximum(m[:, 0], m[:, 3])
        )

    found = indices(function, 2, blocks=512)
    problem = {"num_vars": 4, "names": list("abcd"), "bounds": [[0, 1]] * 4}
    points = sobol_sample.sample(problem, 2048, calc_second_order=False, seed=1)
    theirs = sobol_analysis.analyze(
        problem, function(torch.from_numpy(points)).numpy(), calc_second_order=False, seed=1
    )
    for name in ("S1", "ST"):
        _, low, high = found[name]
        error = theirs[f"{name}_conf"]
        assert ((low <= theirs[name] + error) & (theirs[name] - error <= high)).all()


def test_either_of_two_regions_is_enough_and_occlusion_sees_neither() -> None:
    """One at a time is the naive way: what another region makes up for has no effect."""

    def either(m: torch.Tensor) -> torch.Tensor:
        return torch.maximum(m[:, 0], m[:, 8])

    naive = built_in()["occlusion"].attribute(
        OfCells(either, 3), WHITE, FIRST, window=4, stride=4, fill=0.0
    )
    assert_array_equal(naive, 0)
    found = indices(either, 3)
    assert_allclose(found["ST"][0][[0, 8]], 0.6, atol=0.06)  # of max(a, b): 1 - S1, S1 = 2 / 5
    assert_allclose(found["S1"][0][[0, 8]], 0.4, atol=0.08)
    assert_allclose(found["shapley"][0][[0, 8]], 0.5, atol=0.06)
    assert within(found["shapley"], [0.5, 0, 0, 0, 0, 0, 0, 0, 0.5])
    assert_array_equal(found["ST"][0][1:8], 0)


class Patch(nn.Module):
    """A network that reads the pixels of a square alone."""

    def __init__(self, rows: slice, columns: slice) -> None:
        super().__init__()
        self.place = (..., rows, columns)
        self.head = nn.Sequential(nn.LazyConv2d(4, 3, padding=1), nn.ReLU(inplace=True),
                                  nn.Flatten(), nn.LazyLinear(3))  # fmt: skip

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(images[self.place])


def patch(rows: slice, columns: slice, images: torch.Tensor) -> nn.Module:
    """A `Patch` with seeded weights."""
    torch.manual_seed(0)
    model = Patch(rows, columns).eval()
    model(images)
    return model


def photographs(count: int = 2, size: int = 16, channels: int = 3) -> torch.Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("fill", ["mean", "blurred", "black"])
def test_what_a_network_does_not_read_has_exactly_0(fill: str) -> None:
    images = photographs()
    model = patch(slice(4, 8), slice(8, 12), images)
    maps = regions(
        model, images, torch.tensor([1, 2]), grid=4, fills=[fill], blocks=16, replicates=8
    )
    wanted = torch.zeros(2, 4, 4)
    wanted[:, 1, 2] = 1.0
    assert torch.equal(maps > 0, wanted > 0)
    assert_allclose(maps, wanted, atol=1e-6)


def test_four_offsets_find_a_patch_of_half_a_cell() -> None:
    """It is in one cell of each grid, and they have one quarter in common."""
    images = photographs()
    model = patch(slice(6, 8), slice(8, 10), images)
    maps = regions(model, images, torch.tensor([0, 1]), grid=4, offsets=4, blocks=16, replicates=8)
    assert maps.shape == (2, 8, 8)
    assert_allclose(maps.sum(dim=(1, 2)), 1, atol=1e-6)
    for image in maps:
        assert image.argmax() == 3 * 8 + 4
        assert_allclose(image[3, 4], 0.25)  # all of a cell's share, of each grid, on its quarter
        assert int((image > 0).sum()) == 9


@pytest.mark.parametrize("offset", OFFSETS.values())
@pytest.mark.parametrize("size", [(8, 8), (160, 97), (33, 64)])
def test_cells_cover_an_image_in_order_and_cut_ones_are_half_as_large(
    offset: tuple[int, int], size: tuple[int, int]
) -> None:
    cells = Cells(4, offset)
    over = cells.over(size)
    assert over.shape == size and set(over.reshape(-1)) == set(range(len(cells)))
    for axis, (side, shift) in enumerate(zip(size, offset, strict=True)):
        line = over[:, 0] // cells.shape[1] if axis == 0 else over[0]
        pixels = np.bincount(line)
        halves = np.full(4 + shift, 2) if not shift else np.array([1, 2, 2, 2, 1])
        assert_allclose(pixels, halves * side / 8, atol=1.5)
        assert (np.diff(line) >= 0).all()
    values = np.random.default_rng(0).random((len(cells), 3))
    assert_allclose(cells.spread(values).sum(axis=(0, 1)), values.sum(axis=0))


def test_fills_are_what_they_are_called() -> None:
    images = photographs(size=24)
    assert_array_equal(replacement(images, "black", 4), 0)
    mean = replacement(images, "mean", 4)
    assert_allclose(mean, images.mean((2, 3), keepdim=True).expand_as(images))
    blurred = replacement(images, "blurred", 4)
    pixels = images.double().numpy()
    weights = gaussian_filter(np.ones((24, 24)), 3, mode="constant", truncate=20)
    for ours, theirs in zip(blurred.reshape(-1, 24, 24), pixels.reshape(-1, 24, 24), strict=True):
        wanted = gaussian_filter(theirs, 3, mode="constant", truncate=20) / weights
        assert_allclose(ours, wanted, atol=1e-5)
    flat = torch.full((1, 3, 8, 8), 0.3)
    assert_allclose(replacement(flat, "blurred", 2), flat, atol=1e-6)


def test_a_unit_that_does_not_see_the_masks_has_maps_of_0() -> None:
    class Deaf(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.full((len(images), 1), 3.25)

    assert_array_equal(regions(Deaf(), photographs(), torch.tensor([0, 0])), 0)
    even = torch.full((1, 3, 8, 8), 0.25)  # masked by its own mean it stays what it is
    assert_array_equal(regions(nn.Flatten(), even, FIRST), 0)


def test_an_image_has_the_same_map_whatever_is_beside_it() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3),
        nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5),
    ).eval()  # fmt: skip
    images, target = photographs(3, 32), torch.tensor([4, 0, 2])
    settings = {"grid": 3, "blocks": 8, "replicates": 8, "at_once": 16}
    together = regions(model, images, target, **settings)  # type: ignore[arg-type]
    for k in range(3):
        alone = regions(model, images[k : k + 1], target[k : k + 1], **settings)  # type: ignore[arg-type]
        assert torch.equal(alone[0], together[k])
    again = regions(model, images, target, **{**settings, "at_once": 7})  # type: ignore[arg-type]
    assert_allclose(again, together, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("vit_tiny_patch16_224", 32),
        ("swin_tiny_patch4_window7_224", 56),
        ("convnext_atto", 32),
        ("tf_efficientnet_lite0", 32),
    ],
)
def test_any_network_has_them(name: str, size: int) -> None:
    torch.manual_seed(0)
    given: dict[str, Any] = {"img_size": size} if name.startswith(("vit", "swin")) else {}
    model = timm.create_model(name, num_classes=3, **given).eval()
    before = [p.clone() for p in model.parameters()]
    maps = built_in()["regions"].maps(
        model, photographs(2, size), torch.tensor([0, 2]), grid=2, blocks=2, replicates=2
    )
    assert maps.shape == (2, 2, 2)
    assert_allclose(maps.sum(dim=(1, 2)), 1, atol=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_grid_finer_than_the_image_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"grid: found 5, of 5 cells a side, .* 4 x 6 .* at most 4$"
    ):
        regions(nn.Flatten(), torch.rand(1, 1, 4, 6), FIRST, grid=5)
    with pytest.raises(UserError, match=r"of 8 halves of cells a side, .* at most 3$"):
        regions(
            nn.Flatten(), torch.rand(1, 1, 7, 7), FIRST, grid=4, offsets=4, blocks=8, replicates=8
        )


@pytest.mark.slow
def test_intervals_hold_what_they_promise() -> None:
    """A network-like function of nine cells: some alone, two only together, some unread."""

    def function(m: torch.Tensor) -> torch.Tensor:
        centred = m - 0.5
        return 2 * centred[:, 0] + centred[:, 1] + 6 * centred[:, 4] * centred[:, 5]

    parts = {(0,): 4 / 12, (1,): 1 / 12, (4, 5): 36 / 144}
    whole = sum(parts.values())
    exact = np.zeros(9)
    for cells, variance in parts.items():
        exact[list(cells)] += variance / len(cells) / whole
    hit = []
    for seed in range(200):
        value, low, high = indices(function, 3, blocks=64, replicates=16, seed=seed)["shapley"]
        hit.append((low <= exact) & (exact <= high))
        assert_array_equal(value[[2, 3, 6, 7, 8]], 0)
    coverage = np.mean(hit, axis=0)
    assert ((coverage[[0, 1, 4, 5]] > 0.9) & (coverage[[0, 1, 4, 5]] < 0.99)).all(), coverage
