"""Functions with known indices, and the cycle and star on plain functions of independent inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import factorial

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from variscope.designs import Design
from variscope.estimators import Layout, Moments, UnitIndices, unit_indices

Array = NDArray[np.float64]
Values = Sequence[float] | Array
G_COEFFICIENTS = (0, 1, 4.5, 9, 99, 99, 99, 99)


@dataclass(frozen=True)
class Case:
    """A function of points in [0, 1)^factors, ``(n, factor) -> (n,)``, and its exact indices."""

    name: str
    function: Callable[[Array], Array]
    groups: tuple[tuple[int, ...], ...]
    variance: float
    S1: Values
    ST: Values
    shapley: Values
    S2: dict[tuple[int, int], float] = field(default_factory=dict)


def scalars(count: int) -> tuple[tuple[int, ...], ...]:
    """Groups of one factor each."""
    return tuple((i,) for i in range(count))


def product_case(variances: Sequence[float]) -> Case:
    """Products of (1 + z_i), z_i uniform with variance v_i: indices in closed form."""
    v = np.asarray(variances)
    total = float(np.prod(1 + v) - 1)
    n = len(v)
    others = [np.delete(v, i) for i in range(n)]
    return Case(
        "product",
        lambda u: np.prod(1 + np.sqrt(12 * v) * (u - 0.5), axis=1),
        scalars(n),
        total,
        S1=v / total,
        ST=[v[i] * np.prod(1 + others[i]) / total for i in range(n)],
        shapley=[
            v[i] * quad(lambda t, o=others[i]: np.prod(1 + t * o), 0, 1)[0] / total
            for i in range(n)
        ],
        S2={(i, j): v[i] * v[j] / total for i in range(n) for j in range(i + 1, n)},
    )


def g_function() -> Case:
    """Sobol's g-function, with the figures of the literature."""
    a = np.asarray(G_COEFFICIENTS)
    return Case(
        "g-function",
        lambda u: np.prod((np.abs(4 * u - 2) + a) / (1 + a), axis=1),
        scalars(8),
        0.465424431902,
        S1=[0.7161921689, 0.1790480422, 0.0236757742, 0.0071619217, *[7.16192e-5] * 4],
        ST=[0.7871441267, 0.2421981928, 0.0343169102, 0.0104603871, *[1.049491e-4] * 4],
        shapley=[0.7515188631, 0.2104772937, 0.0288804594, 0.0087718929, *[8.78727e-5] * 4],
    )


def ishigami() -> Case:
    """Ishigami's function with a = 7, b = 0.1."""

    def function(u: Array) -> Array:
        x = np.pi * (2 * u - 1)
        return np.sin(x[:, 0]) + 7 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0])

    return Case(
        "ishigami",
        function,
        scalars(3),
        13.8445879407,
        S1=[0.3139051911, 0.4424111448, 0],
        ST=[0.5575888552, 0.4424111448, 0.2436836641],
        shapley=[0.4357470232, 0.4424111448, 0.1218418320],
        S2={(0, 1): 0, (0, 2): 0.2436836641, (1, 2): 0},
    )


def linear_gaussian(b: Sequence[float] = (1.0, 0.5, 2.0), c: float = 0.7) -> Case:
    """Add b_i X_i and c X_1 X_2, of standard normal inputs."""
    from scipy.special import ndtri

    weights = np.asarray(b)

    def function(u: Array) -> Array:
        x = ndtri(np.clip(u, 2**-32, 1 - 2**-32))
        return x @ weights + c * x[:, 0] * x[:, 1]

    squares = weights**2
    total = float(squares.sum() + c**2)
    interaction = np.array([1, 1, *[0] * (len(b) - 2)]) * c**2
    return Case(
        "linear gaussian",
        function,
        scalars(len(b)),
        total,
        S1=squares / total,
        ST=(squares + interaction) / total,
        shapley=(squares + interaction / 2) / total,
        S2={(0, 1): c**2 / total},
    )


def bits(name: str, function: Callable[[Array], Array], *indices: Sequence[float]) -> Case:
    """A function of three fair bits."""
    variance, s1, st, shapley = indices
    return Case(
        name,
        lambda u: function((u >= 0.5).astype(np.float64)),
        scalars(3),
        variance[0],
        s1,
        st,
        shapley,
    )


def bit_cases() -> list[Case]:
    """AND, OR, XOR and MUX of three fair bits."""
    third = [1 / 3] * 3
    return [
        bits("and", lambda b: b.prod(1), [7 / 64], [1 / 7] * 3, [4 / 7] * 3, third),
        bits("or", lambda b: b.max(1), [7 / 64], [1 / 7] * 3, [4 / 7] * 3, third),
        bits("xor", lambda b: b.sum(1) % 2, [1 / 4], [0] * 3, [1] * 3, third),
        bits(
            "mux",
            lambda b: np.where(b[:, 0] == 1, b[:, 1], b[:, 2]),
            [1 / 4],
            [0, 1 / 4, 1 / 4],
            [1 / 2, 1 / 2, 1 / 2],
            [1 / 4, 3 / 8, 3 / 8],
        ),
    ]


def switch(grouped: bool) -> Case:
    """A switch (p = 1/2) times a uniform parameter: two players, or one."""

    def function(u: Array) -> Array:
        return (u[:, 0] < 0.5) * u[:, 1]

    if grouped:
        return Case("switch as one", function, ((0, 1),), 5 / 48, [1], [1], [1])
    return Case(
        "switch", function, scalars(2), 5 / 48, [0.6, 0.2], [0.8, 0.4], [0.7, 0.3], {(0, 1): 0.2}
    )


def all_cases() -> list[Case]:
    """Every case above."""
    return [
        product_case((0.3, 0.2, 0.1, 0.05)),
        g_function(),
        ishigami(),
        linear_gaussian(),
        *bit_cases(),
        switch(False),
        switch(True),
    ]


def run(
    case: Case,
    design: str = "cycle",
    *,
    blocks: int = 4096,
    replicates: int = 16,
    seed: int = 0,
    confidence_level: float = 0.95,
) -> UnitIndices:
    """Estimate a case through the public design and estimator functions; one unit."""
    return unit_indices(
        sums_of(case, design, blocks=blocks, replicates=replicates, seed=seed), confidence_level
    )


def sums_of(
    case: Case, design: str = "cycle", *, blocks: int = 4096, replicates: int = 16, seed: int = 0
) -> Moments:
    """Sum a case's rows."""
    table = Design(design, case.groups, blocks, replicates, seed)
    moments = Moments.zeros(Layout(design, len(case.groups)), range(replicates), (1,))
    for number in range(replicates):
        rows = table.replicate(number)
        outputs = case.function(rows.points.reshape(-1, table.factors))
        moments.update(number, outputs.reshape(-1, table.rows, 1), rows.order)
    return moments


def enumerate_exact(outputs: Array, probabilities: Sequence[Sequence[float]]) -> dict[str, Array]:
    """Compute indices by full enumeration: the slow, obvious reference.

    Args:
        outputs: the function on the full grid of levels, ``(levels_1, ..., levels_D, *unit)``.
        probabilities: of each variable's levels.

    Returns:
        variance ``(*unit)`` and S1, ST, shapley ``(D, *unit)``, S2 ``(pair, *unit)``.
    """
    n = len(probabilities)
    values = outputs.astype(np.float64)

    def mean_over(array: Array, variables: Sequence[int]) -> Array:
        for axis in variables:
            weights = np.asarray(probabilities[axis])
            if array.shape[axis] == 1:  # averaged over already
                continue
            array = np.expand_dims(np.tensordot(weights, array, axes=(0, axis)), axis)
        return array

    mean = mean_over(values, range(n))

    def closed(subset: Sequence[int]) -> Array:
        conditional = mean_over(values, [i for i in range(n) if i not in subset])
        return mean_over((conditional - mean) ** 2, range(n)).reshape(outputs.shape[n:])

    subsets = {bits: closed([i for i in range(n) if bits[i]]) for bits in product((0, 1), repeat=n)}
    variance = subsets[(1,) * n]

    def only(*chosen: int) -> tuple[int, ...]:
        return tuple(int(i in chosen) for i in range(n))

    with np.errstate(invalid="ignore", divide="ignore"):
        s1 = np.stack([subsets[only(i)] / variance for i in range(n)])
        st = np.stack(
            [1 - subsets[tuple(int(j != i) for j in range(n))] / variance for i in range(n)]
        )
        s2 = [
            (subsets[only(i, j)] - subsets[only(i)] - subsets[only(j)]) / variance
            for i in range(n)
            for j in range(i + 1, n)
        ]
        shapley = []
        for i in range(n):
            share = np.zeros_like(variance)
            for present in product((0, 1), repeat=n):
                if present[i]:
                    continue
                size = sum(present)
                weight = factorial(size) * factorial(n - size - 1) / factorial(n)
                with_i = tuple(1 if j == i else present[j] for j in range(n))
                share += weight * (subsets[with_i] - subsets[present])
            shapley.append(share / variance)
    return {
        "variance": variance,
        "S1": s1,
        "ST": st,
        "shapley": np.stack(shapley),
        "S2": np.stack(s2) if s2 else np.zeros((0, *variance.shape)),
    }
