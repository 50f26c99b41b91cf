"""Functions of few levels whose exact indices are known by enumeration, easy and hard ones.

What makes a unit hard for an interval over replicates: few inputs that switch it on (sparse), few
that carry most of its variance (heavy-tailed), or a variance that is all interaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, product

import closed_forms
import numpy as np
from closed_forms import Array
from variscope.designs import Design
from variscope.estimators import Layout, Moments

WEIGHTS = np.array([1.0, 0.8, 0.6, 0.5, 0.3, 0.2])
EVEN = np.array([1.0, 1.0, 1.0, 0.9, 0.9, 0.9])


@dataclass(frozen=True)
class Family:
    """Units that are functions of the same independent variables, evaluated on the same rows.

    Attributes:
        name: of the family.
        levels: values of each variable, all equally likely.
        units: by name a function of values ``(n, variable) -> (n,)``.
        channels: names of the units of each channel, as many in each; together they are a layer.
    """

    name: str
    levels: tuple[Array, ...]
    units: Mapping[str, Callable[[Array], Array]]
    channels: tuple[tuple[str, ...], ...]

    @property
    def variables(self) -> int:
        """How many there are."""
        return len(self.levels)

    def outputs(self, values: Array) -> Array:
        """Return the units' outputs, ``(n, unit)``."""
        return np.stack([unit(values) for unit in self.units.values()], axis=1)

    def decode(self, points: Array) -> Array:
        """Return the values of points in [0, 1), ``(n, variable)``."""
        columns = zip(points.T, self.levels, strict=True)
        return np.stack([values[(u * len(values)).astype(int)] for u, values in columns], axis=1)

    def sums(self, design: str, blocks: int, replicates: int, seed: int) -> Moments:
        """Sum all units over the rows of a design."""
        table = Design(design, closed_forms.scalars(self.variables), blocks, replicates, seed)
        layout = Layout(design, self.variables)
        moments = Moments.zeros(layout, range(replicates), (len(self.units),))
        for number in range(replicates):
            rows = table.replicate(number)
            outputs = self.outputs(self.decode(rows.points.reshape(-1, self.variables)))
            moments.update(number, outputs.reshape(-1, table.rows, len(self.units)), rows.order)
        return moments

    @cached_property
    def exact(self) -> dict[str, Array]:
        """Exact ``variance (unit)``, ``S1``, ``ST``, ``shapley`` and ``S2`` ``(index, unit)``."""
        values = np.array(list(product(*self.levels)))
        shape = tuple(map(len, self.levels))
        return exact_indices(self.outputs(values).reshape(*shape, -1))

    def as_channels(self, moments: Moments) -> Moments:
        """Lay the units' sums out as channels, units ``(channel, unit of the channel)``."""
        at = np.array([[list(self.units).index(name) for name in of] for of in self.channels])
        return replace(moments, sums=moments.sums[..., at])

    def exact_of(self, names: Sequence[str], index: str) -> Array:
        """Return the exact variance-weighted mean of an index over some units, ``(index,)``."""
        at = [list(self.units).index(name) for name in names]
        weight = self.exact["variance"][at]
        return (self.exact[index][:, at] * weight).sum(axis=1) / weight.sum()


def exact_indices(outputs: Array) -> dict[str, Array]:
    """Compute indices from all outputs on a grid of equally likely levels.

    The functional ANOVA, one variable at a time: along each axis a mean and what is left of it.
    The variance of the part that belongs to a subset of variables, the same for all subsets at
    once, gives every index (Hoeffding 1948; for Shapley effects Owen 2014, theorem 1: a part is
    shared out evenly among its variables). `closed_forms.enumerate_exact` is the slow, obvious
    reference that it is tested against.

    Args:
        outputs: ``(levels_1, ..., levels_D, unit)``.

    Returns:
        ``variance (unit)``, ``S1``, ``ST``, ``shapley (D, unit)``, ``S2 (pair, unit)``.
    """
    n = outputs.ndim - 1
    # Parts of subsets by number, bit i for variable i: axis by axis, squares averaged at the end.
    parts = {0: outputs.astype(np.float64)}
    for axis in range(n):
        split = {}
        for subset, values in parts.items():
            mean = values.mean(axis=axis, keepdims=True)
            split[subset] = mean
            split[subset | 1 << axis] = values - mean
        parts = split
    axes = tuple(range(n))
    component = {subset: (values**2).mean(axis=axes) for subset, values in parts.items() if subset}
    variance = np.sum(list(component.values()), axis=0)
    zero = np.zeros_like(variance)
    shares = {name: np.zeros((n, len(variance))) for name in ("S1", "ST", "shapley")}
    for subset, value in component.items():
        members = [i for i in range(n) if subset >> i & 1]
        for i in members:
            shares["ST"][i] += value
            shares["shapley"][i] += value / len(members)
        if len(members) == 1:
            shares["S1"][members[0]] += value
    pairs = [component.get(1 << i | 1 << j, zero) for i, j in combinations(range(n), 2)]
    return {
        "variance": variance,
        **{name: share / variance for name, share in shares.items()},
        "S2": np.stack(pairs) / variance,
    }


def _levels(count: int) -> Array:
    return np.linspace(-1, 1, count)


def families() -> tuple[Family, ...]:
    """Return the families of the coverage table."""
    six = Family(
        "D = 6",
        (_levels(4),) * 6,
        {
            "additive": lambda x: x @ WEIGHTS,
            "ReLU, 10 %": lambda x: np.maximum(x @ EVEN - 2.25, 0),
            "ReLU, 1.3 %": lambda x: np.maximum(x @ EVEN - 3.75, 0),
            "product": lambda x: np.prod(x + 0.3, axis=1),
            "exponential": lambda x: np.exp(1.2 * x @ EVEN),
            "softplus": lambda x: np.log1p(np.exp(6 * (x @ EVEN - 3.75))) / 6,
        },
        (("additive", "ReLU, 1.3 %"), ("exponential", "ReLU, 10 %")),
    )
    sixteen = Family(
        "D = 16",
        (_levels(2),) * 16,
        {
            "additive": lambda x: x @ np.linspace(1, 0.2, 16),
            "step": lambda x: (x.sum(axis=1) > 5).astype(float),
            "exponential": lambda x: np.exp(0.4 * x.sum(axis=1)),
            "product": lambda x: np.prod(1 + 0.5 * x, axis=1),
        },
        (("additive", "step"), ("exponential", "product")),
    )
    image = Family(
        "one image of 50",
        (np.arange(50.0), *(_levels(4),) * 3),
        {
            "one image": lambda x: (x[:, 0] == 7) * (2 + x[:, 1] + 0.5 * x[:, 2]),
            "one image, dim": lambda x: (x[:, 0] == 7) * (1 + x[:, 1]) + 0.05 * x[:, 3],
        },
        (("one image",), ("one image, dim",)),
    )
    two = Family(
        "D = 2",
        (_levels(8),) * 2,
        {
            "additive": lambda x: x[:, 0] + 0.5 * x[:, 1],
            "product": lambda x: x[:, 0] * x[:, 1],
            "ReLU, 5 %": lambda x: np.maximum(x[:, 0] + x[:, 1] - 1.4, 0),
            "exponential": lambda x: np.exp(2 * x.sum(axis=1)),
        },
        (("additive", "product"), ("ReLU, 5 %", "exponential")),
    )
    eight = Family(
        "D = 8",
        (_levels(2),) * 8,
        {"product": lambda x: np.prod(x + 0.3, axis=1)},
        (("product",),),
    )
    return six, sixteen, image, two, eight
