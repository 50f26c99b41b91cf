"""Activation maximisation: closed forms of linear units, another optimiser, what must not move."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize
from torch import nn
from variscope.attributions import built_in
from variscope.attributions.ascent import (
    Bound,
    _blurred,
    _laplacian,
    has_gradient,
    leaking,
    maximise,
    represented,
)
from variscope.attributions.maximisation import ascended, maximisation
from variscope.attributions.natural_basis import Basis, noise
from variscope.estimators.resampling import generator

SHAPE = (3, 8, 10)
SIZE = 3 * 8 * 10


class Linear(nn.Module):
    """Units that are weighted sums of all pixels."""

    def __init__(self, weights: torch.Tensor) -> None:
        super().__init__()
        self.weights = weights  # (unit, C, H, W)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1) @ self.weights.flatten(1).T


class Shifted(nn.Module):
    """One unit, the sum of the red channel times a power of the number of images in a pass."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, :1].sum(dim=(2, 3)) * self.factor


def linear(seed: int = 1, units: int = 3) -> Linear:
    draw = torch.Generator().manual_seed(seed)
    return Linear(torch.randn((units, *SHAPE), generator=draw))


def random_images(n: int, seed: int = 2) -> torch.Tensor:
    return torch.rand((n, *SHAPE), generator=torch.Generator().manual_seed(seed))


def gray(n: int) -> torch.Tensor:
    return torch.full((n, *SHAPE), 0.5)


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0))


def direction(model: Linear, unit: int) -> torch.Tensor:
    """Of a linear unit sqrt(N) w / |w|: of root mean square 1."""
    weights = model.weights[unit]
    return weights / weights.square().mean().sqrt()


@pytest.mark.parametrize("bound", ["clip", "sigmoid"])
def test_of_a_linear_unit_the_optimum_is_its_weights_direction(bound: Bound) -> None:
    model = linear()
    found = maximise(
        model, gray(3), torch.arange(3), steps=200, step_size=0.05, l2=10.0, bound=bound
    )  # fmt: skip
    for unit in range(3):
        optimum = direction(model, unit) / 10
        assert optimum.abs().max() < 0.5  # it lies inside
        assert cosine(found[unit] - 0.5, model.weights[unit]) > 0.9999
        np.testing.assert_allclose(found[unit] - 0.5, optimum, atol=2e-4)


def test_what_would_leave_the_bounds_ends_at_them() -> None:
    model = linear()
    found = maximise(
        model, gray(3), torch.arange(3), steps=200, step_size=0.3, l2=3.0, bound="clip"
    )
    for unit in range(3):
        optimum = (0.5 + direction(model, unit) / 3).clamp(0, 1)
        assert ((optimum == 0) | (optimum == 1)).any()
        np.testing.assert_allclose(found[unit], optimum, atol=1e-5)
    assert found.min() == 0
    assert found.max() == 1


def test_without_a_penalty_the_optimum_is_the_sign_pattern() -> None:
    weights = linear(units=1).weights.clone()
    weights[0, :, :4] = 0
    model, start = Linear(weights), gray(1)
    clipped = maximise(model, start, torch.tensor([0]), steps=200, step_size=0.5, bound="clip")
    signs = (1 + weights.sign()) / 2  # 0 gives 1/2, where nothing moves
    few = weights.abs() < 0.05  # have not come as far
    assert torch.equal(torch.where(few, signs, clipped), signs)
    smooth = maximise(model, start, torch.tensor([0]), steps=400, step_size=0.5, bound="sigmoid")
    assert (smooth - signs)[~few].abs().max() < 0.05
    assert torch.equal(smooth[weights == 0], represented(start, "sigmoid")[weights == 0])


def test_total_variation_and_distance_weigh_as_a_linear_system_says() -> None:
    model, l2, tv = linear(), 8.0, 4.0
    found = maximise(
        model, gray(1), torch.tensor([1]), steps=600, step_size=0.02, l2=l2,
        total_variation=tv, bound="clip",
    )[0]  # fmt: skip
    # The Laplacian of a grid with free edges, by its definition: neighbours less itself.
    _, rows, columns = SHAPE
    matrix = np.zeros((rows * columns, rows * columns))
    for y in range(rows):
        for x in range(columns):
            for there in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if 0 <= there[0] < rows and 0 <= there[1] < columns:
                    matrix[y * columns + x, there[0] * columns + there[1]] += 1
                    matrix[y * columns + x, y * columns + x] -= 1
    system = l2 * np.eye(rows * columns) - tv * matrix
    pull = direction(model, 1).reshape(3, -1).numpy().astype(float)
    optimum = np.linalg.solve(system, pull.T).T.reshape(SHAPE)
    np.testing.assert_allclose(found - 0.5, optimum, atol=1e-4)
    # Its slope is that of half of the squared differences.
    values = random_images(1).double().requires_grad_()
    squares = (values.diff(dim=2) ** 2).sum() / 2 + (values.diff(dim=3) ** 2).sum() / 2
    (slope,) = torch.autograd.grad(squares, values)
    torch.testing.assert_close(_laplacian(values.detach()), -slope)


def test_of_a_curved_unit_it_finds_what_another_optimiser_finds() -> None:
    torch.manual_seed(3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 16), nn.Softplus(beta=3), nn.Linear(16, 1))
    model.requires_grad_(False).eval()
    distance = 0.12
    start = torch.rand((1, 3, 2, 2)) * 0.4 + 0.3

    def loss(change: np.ndarray) -> tuple[float, np.ndarray]:
        image = (start.double().flatten() + torch.from_numpy(change)).requires_grad_()
        value = -model.double()(image.reshape(1, 3, 2, 2)).sum()
        (slope,) = torch.autograd.grad(value, image)
        return float(value.detach()), slope.numpy()

    ball = {"type": "ineq", "fun": lambda d: 12 * distance**2 - d @ d, "jac": lambda d: -2 * d}
    begin = np.full(12, 1e-3)
    best = minimize(loss, begin, jac=True, constraints=[ball], method="SLSQP", tol=1e-12)
    model.float()
    found = ascended(model, start, torch.tensor([0]), steps=64, distance=distance)
    change = (found - start).flatten()
    assert float(change.square().mean().sqrt()) == pytest.approx(distance, rel=1e-3)
    assert cosine(change, torch.from_numpy(best.x).float()) > 0.999
    assert float(model(found)) == pytest.approx(-best.fun, abs=1e-3)


def test_the_map_of_a_linear_unit_is_the_size_of_its_weights() -> None:
    model, images = linear(), random_images(3) * 0.2 + 0.4
    maps = maximisation(model, images, torch.tensor([0, 2, 1]), distance=0.03)
    for place, unit in enumerate((0, 2, 1)):
        known = 0.03 * direction(model, unit).abs().mean(dim=0)
        np.testing.assert_allclose(maps[place], known, atol=1e-5)


@pytest.mark.parametrize("bound", ["clip", "sigmoid"])
def test_a_unit_that_reads_one_patch_changes_nothing_else(bound: Bound) -> None:
    weights = torch.zeros((1, *SHAPE))
    weights[0, :, 2:5, 3:7] = torch.randn((3, 3, 4), generator=torch.Generator().manual_seed(1))
    model, images = Linear(weights), random_images(2)
    images[:, :, :2] = 0.0  # black and white, where a sigmoid cannot be
    images[:, :, 5:] = 1.0
    inside = torch.zeros(SHAPE[1:], dtype=torch.bool)
    inside[2:5, 3:7] = True
    maps = maximisation(model, images, torch.tensor([0, 0]))
    assert (maps[:, ~inside] == 0).all()
    assert (maps[:, inside] > 0).all()
    begin = represented(images, bound)
    moved = maximise(model, images, torch.tensor([0, 0]), steps=5, l2=1.0, bound=bound) - begin
    assert (moved[:, :, ~inside] == 0).all()
    assert moved[:, :, inside].abs().max() > 0


def test_a_unit_without_a_gradient_changes_nothing() -> None:
    constant = Linear(torch.zeros((1, *SHAPE)))
    images = random_images(2)
    zero = torch.tensor([0, 0])
    assert torch.equal(maximise(constant, images, zero, bound="clip"), images)
    assert (maximisation(constant, images, zero) == 0).all()

    class Blind(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.ones((len(images), 1))

    assert (maximisation(Blind(), images, zero) == 0).all()
    infinite = Linear(torch.full((1, *SHAPE), torch.inf))
    assert (maximisation(infinite, images, zero) == 0).all()


class Off(nn.Module):
    """One unit that is off where red is below 0.8 on average, by a rectifier that works in place.

    The rectifier is called twice, the second time on what is always on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU(inplace=True)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        unit = self.act(images[:, :1].mean(dim=(2, 3)) - 0.8)
        return self.act(unit + 1) - 1


def test_a_unit_that_is_off_is_found_where_rectifiers_leak() -> None:
    model, start, target = Off(), gray(2), torch.tensor([0, 0])
    start[1, 0] = 0.9  # where it is on
    stuck = maximise(model, start, target, steps=20, bound="clip")
    assert torch.equal(stuck[0], start[0])
    assert not has_gradient(model, start, target)[0]
    found = maximise(model, start, target, steps=20, bound="clip", leak=0.1)
    assert model(found)[0] > 0
    assert torch.equal(found[1], stuck[1])  # one that is on does not see the leak
    assert has_gradient(model, start, target, leak=0.1).all()
    assert torch.equal(found[:, 1:], start[:, 1:])
    with leaking(model, 0.1):
        values = model(start)
    assert torch.equal(values, model(start))
    constant = Linear(torch.zeros((1, *SHAPE)))
    assert torch.equal(maximise(constant, start, target, bound="clip", leak=0.1), start)


@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_the_scale_of_a_unit_does_not_matter(factor: float) -> None:
    images = random_images(2)
    target = torch.tensor([0, 0])
    torch.testing.assert_close(
        maximisation(Shifted(factor), images, target), maximisation(Shifted(1.0), images, target)
    )


def test_images_do_not_depend_on_the_batch() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(192, 5)
    )
    target = torch.tensor([0, 1, 2, 3, 4, 0, 1])
    basis = Basis.of(random_images(4))

    def run(order: list[int], at_once: int) -> torch.Tensor:
        draws = [generator(1, "test", place) for place in order]
        start = 0.5 + 0.05 * noise(SHAPE, draws, basis)
        return maximise(
            model, start, target[order], steps=8, jitter=2, blur=0.5, total_variation=0.5, l2=1.0,
            centre=0.5, basis=basis, draws=draws, at_once=at_once,
        )  # fmt: skip

    whole = run(list(range(7)), 7)
    for at_once in (1, 3):
        torch.testing.assert_close(run(list(range(7)), at_once), whole, atol=1e-5, rtol=0)
    backwards = run(list(range(7))[::-1], 3)
    torch.testing.assert_close(backwards.flip(0), whole, atol=1e-5, rtol=0)
    assert torch.equal(run(list(range(7)), 3), run(list(range(7)), 3))
    assert not torch.equal(whole[0], whole[5])  # other draws of the same unit


def test_colors_and_frequencies_are_those_of_the_images() -> None:
    one_color = torch.rand((5, 1, 16, 16), generator=torch.Generator().manual_seed(1))
    basis = Basis.of(one_color.expand(5, 3, 16, 16))
    drawn = noise((3, 16, 16), [generator(1)], basis)
    # Channels that are equal in the data are nearly equal in what is drawn.
    assert (drawn - drawn.mean(dim=1, keepdim=True)).abs().max() < 0.1 * drawn.abs().max()
    # Noise of the basis has its spectrum: 100 draws of it, one frequency at twice the other.
    many = noise((3, 16, 16), [generator(1, k) for k in range(100)], basis)
    power = torch.fft.fft2(many).abs().square().mean(dim=(0, 1))
    assert float(power[0, 2] / power[0, 4]) == pytest.approx(4, rel=0.25)
    flat = Basis.of(torch.full((2, 3, 16, 16), 0.3), spectrum=0)
    values = random_images(1)[:, :, :8, :8].repeat(1, 1, 2, 2)
    torch.testing.assert_close(flat(values), values)  # nothing is known of colors


def test_blur_is_gaussian() -> None:
    values = random_images(2)
    expected = gaussian_filter(values.numpy(), (0, 0, 1.3, 1.3), mode="nearest", truncate=3.0)
    np.testing.assert_allclose(_blurred(values, 1.3), expected, atol=2e-3)
    assert torch.equal(_blurred(values, 0.0), values)


def test_jitter_is_drawn_for_each_image_and_step() -> None:
    model = linear()
    start, target = gray(2), torch.tensor([0, 0])
    same = maximise(model, start, target, steps=4, jitter=3)
    assert torch.equal(same[0], same[1])
    draws = [generator(1, 1), generator(1, 2)]
    other = maximise(model, start, target, steps=4, jitter=3, draws=draws)
    assert not torch.equal(other[0], other[1])


def test_no_image_is_no_error_and_other_counts_are() -> None:
    empty = torch.empty((0, *SHAPE))
    assert maximise(linear(), empty, torch.empty(0, dtype=torch.int64)).shape == (0, *SHAPE)
    with pytest.raises(ValueError, match="2 starts, 1 targets"):
        maximise(linear(), gray(2), torch.tensor([0]))
    assert built_in()["maximisation"].maps(linear(), gray(2), torch.tensor([0, 1])).shape == (
        2,
        8,
        10,
    )
