"""Many small networks trained side by side, on the same rows and some of the columns each.

A network that is not shown a column is one whose weights of that column are 0: networks of all
subsets of the columns have one shape, and their layers are one product of stacked matrices. That
takes little longer than one of them alone, whose time is that of calling torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from variscope.estimators.resampling import generator

ROWS_AT_ONCE = 512  # of a step of training
SCORED_AT_ONCE = 8192
NETWORKS_AT_ONCE = 64
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # of Adam


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a network is trained by.

    Attributes:
        hidden: neurons of its hidden layers.
        outputs: how many.
        classes: whether outputs are of classes, by cross-entropy; else a value, by squared error.
        epochs: at most.
        patience: epochs without a lower loss of the validation rows, after which it stops.
        learning_rate: of Adam.
        weight_decay: lambda of the penalty, lambda / (2 rows) times the sum of squared weights.
    """

    hidden: tuple[int, ...]
    outputs: int
    classes: bool
    epochs: int
    patience: int
    learning_rate: float
    weight_decay: float


@dataclass(frozen=True, eq=False)
class Trained:
    """One network as it was best.

    Attributes:
        weights: of each layer ``(in, out)``, the first of all columns.
        biases: of each layer ``(out,)``.
        history: epoch, and mean losses of the training and the validation rows, ``(epoch, 3)``.
    """

    weights: list[torch.Tensor]
    biases: list[torch.Tensor]
    history: NDArray[np.float64]


class _Stack:
    """Networks in training: weights ``(network, in, out)`` and what Adam knows of them."""

    def __init__(self, shown: torch.Tensor, shape: Shape, seed: int) -> None:
        self.mask = shown[:, :, None]
        self.shape = shape
        sizes = [shown.shape[1], *shape.hidden, shape.outputs]
        rng = generator(seed, "weights")
        weights, biases = [], []
        for layer, (into, out) in enumerate(pairwise(sizes)):
            # All networks start at the same draw, so that they differ by their columns alone.
            drawn = torch.from_numpy(rng.uniform(-1, 1, (into, out)).astype(np.float32))
            into_each = shown.sum(dim=1) if layer == 0 else torch.full((len(shown),), float(into))
            scale = into_each.clamp(min=1).rsqrt()[:, None, None]
            weights.append(drawn * scale * (self.mask if layer == 0 else 1.0))
            biases.append(torch.zeros(len(shown), 1, out))
        self.parameters = [part.requires_grad_() for part in (*weights, *biases)]
        self.means = [torch.zeros_like(part) for part in self.parameters]
        self.squares = [torch.zeros_like(part) for part in self.parameters]
        self.steps = 0

    @property
    def weights(self) -> list[torch.Tensor]:
        """The weights of each layer; of columns that are not shown 0."""
        return self.parameters[: len(self.parameters) // 2]

    def outputs(self, rows: torch.Tensor) -> torch.Tensor:
        """Return ``(network, row, output)`` for standardised rows ``(row, column)``."""
        biases = self.parameters[len(self.weights) :]
        found = torch.matmul(rows, self.weights[0] * self.mask) + biases[0]
        for weight, bias in zip(self.weights[1:], biases[1:], strict=True):
            found = torch.baddbmm(bias, torch.relu(found), weight)
        return found

    def losses(self, rows: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of each network, ``(network,)``."""
        outputs = self.outputs(rows)
        if not self.shape.classes:
            return ((outputs[..., 0] - target) ** 2).mean(dim=1)
        networks, count, _ = outputs.shape
        flat = functional.cross_entropy(
            outputs.flatten(0, 1), target.repeat(networks), reduction="none"
        )
        return flat.reshape(networks, count).mean(dim=1)

    def step(self, rows: torch.Tensor, target: torch.Tensor, decay: float) -> torch.Tensor:
        """Take a step of Adam (Kingma and Ba 2015, algorithm 1), and return the losses before it.

        Args:
            rows, target: to learn from.
            decay: factor of half the sum of squared weights.
        """
        losses = self.losses(rows, target)
        gradients = list(torch.autograd.grad(losses.sum(), self.parameters))
        self.steps += 1
        rate = self.shape.learning_rate / (1 - BETA_1**self.steps)
        spread = 1 / math.sqrt(1 - BETA_2**self.steps)
        with torch.no_grad():
            for number, (parameter, gradient) in enumerate(
                zip(self.parameters, gradients, strict=True)
            ):
                if number < len(self.weights):
                    gradient = gradient.add(parameter, alpha=decay)
                mean, square = self.means[number], self.squares[number]
                mean.mul_(BETA_1).add_(gradient, alpha=1 - BETA_1)
                square.mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
                parameter.addcdiv_(mean, square.sqrt().mul_(spread).add_(EPSILON), value=-rate)
        return losses.detach().double()

    @torch.no_grad()
    def scored(self, rows: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of each network over many rows, ``(network,)``."""
        total = torch.zeros(len(self.mask), dtype=torch.float64)
        for start in range(0, len(rows), SCORED_AT_ONCE):
            part = slice(start, start + SCORED_AT_ONCE)
            total += self.losses(rows[part], target[part]).double() * len(rows[part])
        return total / len(rows)

    @torch.no_grad()
    def keep(self, some: torch.Tensor) -> None:
        """Go on with some of the networks, by their numbers."""
        self.mask = self.mask[some]
        self.parameters = [part[some].clone().requires_grad_() for part in self.parameters]
        self.means = [part[some] for part in self.means]
        self.squares = [part[some] for part in self.squares]


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch work in one thread: sums have the same bits on every machine of a kind."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.enable_grad():
            yield
    finally:
        torch.set_num_threads(before)


def train(
    rows: NDArray[np.float64],
    target: NDArray[np.generic],
    validation: NDArray[np.int64],
    shown: NDArray[np.bool_],
    shape: Shape,
    seed: int,
) -> list[Trained]:
    """Train a network for each choice of columns, and keep each as it was best.

    Adam (Kingma and Ba 2015) on the mean loss and the penalty, all rows at once where they are few.
    Each network stops by itself: what others stand beside it makes no difference but for rounding.

    Args:
        rows: standardised, ``(row, column)``.
        target: numbers of classes, or standardised values, ``(row,)``.
        validation: numbers of the rows that say when to stop.
        shown: which columns each network is given, ``(network, column)``.
        shape: of all of them.
        seed: of weights and the order of rows.

    Returns:
        The networks, in the order of `shown`.

    Raises:
        FloatingPointError: a loss is not finite.
    """
    found: list[Trained] = []
    with one_thread():
        values = torch.from_numpy(rows.astype(np.float32))
        wanted = torch.from_numpy(
            target.astype(np.int64) if shape.classes else target.astype(np.float32)
        )
        for start in range(0, len(shown), NETWORKS_AT_ONCE):
            some = torch.from_numpy(shown[start : start + NETWORKS_AT_ONCE].astype(np.float32))
            found += _train(values, wanted, validation, some, shape, seed)
    return found


def _train(
    rows: torch.Tensor,
    target: torch.Tensor,
    validation: NDArray[np.int64],
    shown: torch.Tensor,
    shape: Shape,
    seed: int,
) -> list[Trained]:
    """Train networks that fit into memory together."""
    stack = _Stack(shown, shape, seed)
    learned = torch.ones(len(rows), dtype=torch.bool)
    learned[torch.from_numpy(validation)] = False
    own, own_target = rows[learned], target[learned]
    count = len(own)
    steps = math.ceil(count / ROWS_AT_ONCE)
    draws = torch.Generator().manual_seed(seed)
    best = torch.full((len(shown),), math.inf, dtype=torch.float64)
    at = torch.zeros(len(shown), dtype=torch.long)  # the epoch of the best loss
    kept = [part.detach().clone() for part in stack.parameters]
    history = np.full((shape.epochs, len(shown), 2), np.nan)
    going = torch.arange(len(shown))  # the networks that are in training, all of them in `stack`
    for epoch in range(1, shape.epochs + 1):
        seen = torch.zeros(len(going), dtype=torch.float64)
        order = torch.arange(count) if steps == 1 else torch.randperm(count, generator=draws)
        for chosen in order.tensor_split(steps):
            part = (own, own_target) if steps == 1 else (own[chosen], own_target[chosen])
            seen += stack.step(*part, shape.weight_decay / count) * len(chosen)
        judged = stack.scored(rows[~learned], target[~learned])
        running = epoch - at[going] <= shape.patience
        if not torch.isfinite(judged[running]).all():
            raise FloatingPointError(f"the loss is not finite after epoch {epoch}")
        history[epoch - 1, going[running]] = torch.stack([seen / count, judged], dim=1)[running]
        better = running & (judged < best[going])
        best[going[better]], at[going[better]] = judged[better], epoch
        for place, parameter in zip(kept, stack.parameters, strict=True):
            place[going[better]] = parameter.detach()[better]
        running = epoch + 1 - at[going] <= shape.patience
        if not running.any():
            break
        if running.sum() <= len(going) / 2:  # the others would be trained for nothing
            stack.keep(running.nonzero()[:, 0])
            going = going[running]
    layers = len(stack.weights)
    return [
        Trained(
            [weight[number] for weight in kept[:layers]],
            [bias[number, 0] for bias in kept[layers:]],
            _with_epochs(history[:, number]),
        )
        for number in range(len(shown))
    ]


def _with_epochs(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return epochs from 1 and losses, of the epochs that there were."""
    found = losses[~np.isnan(losses[:, 0])]
    return np.column_stack([np.arange(1, len(found) + 1), found])
