"""Coverage and width of intervals of differences, against exact truth by enumeration.

Run it by ``python -m benchmarks.differences``.

`paired` is `variscope.estimators.paired_difference`; `linearised t` the paired t interval of the
linearised differences by itself; `side by side` says that a difference is known where two intervals
do not overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import combinations, product
from typing import Any

import closed_forms
import numpy as np
from closed_forms import Array
from scipy.special import stdtrit
from variscope.designs import Design
from variscope.estimators import (
    Estimate,
    Layout,
    Moments,
    deviations,
    group_indices,
    group_numerators,
    paired_difference,
    unit_indices,
)

from benchmarks.measuring import Row, arguments, write

BLOCKS, REPLICATES, LEVEL = 512, 16, 0.95
LEVELS = np.array([-1, -1 / 3, 1 / 3, 1])
WEIGHTS = np.array([1, 0.8, 0.6, 0.5, 0.3, 0.2])
EVEN = np.array([1, 1, 1, 0.9, 0.9, 0.9])
GROUPS = ((0, 1), (2, 3, 4))

UNITS: dict[str, Callable[[Array], Array]] = {
    "additive": lambda x: x @ WEIGHTS,
    "additive and a product": lambda x: x @ WEIGHTS + 0.4 * x[:, 0] * x[:, 1],
    "ReLU, 10 %": lambda x: np.maximum(x @ EVEN - 2.25, 0),
    "ReLU, 1.3 %": lambda x: np.maximum(x @ EVEN - 3.4, 0),
    "product": lambda x: np.prod(x, axis=1),
    "shifted product": lambda x: np.prod(x + 0.3, axis=1),
    "exponential": lambda x: np.exp(2 * x @ EVEN),
    "exponential, steeper in one": lambda x: np.exp(1.8 * x @ EVEN + 0.5 * x[:, 0]),
}
ACROSS = (
    ("additive", "additive and a product"),
    ("ReLU, 10 %", "ReLU, 1.3 %"),
    ("product", "shifted product"),
    ("exponential", "exponential, steeper in one"),
    ("additive", "ReLU, 1.3 %"),
    ("additive and a product", "product"),
    ("ReLU, 1.3 %", "exponential"),
)

NOTES = """
Units of {variables} variables of four levels each, {blocks} blocks in {replicates} replicates,
{seeds} seeds, level 0.95, exact truth by enumeration. `two variables` are all pairs of a unit's,
`two units` are compared in each variable, `two groups` of two and of three variables in every unit.
`coverage` is the mean over these differences, `least` of one of them, both of the paired interval;
`width` is the median of its width over that of two intervals side by side, `known` how often it
leaves out 0 where the difference is not 0, and `apart` how often two intervals do not meet there.
One standard error of a coverage of 0.95 of one difference is {noise:.3f}.
"""

Compared = tuple[Estimate, Array, Array]  # an index with its interval, its deviations, its truth


def main(given: Sequence[str] | None = None) -> list[Row]:
    """Run the benchmark and return its table."""
    options = arguments((__doc__ or "").splitlines()[0], given)
    seeds = 2 if options.quick else 400
    gathered: dict[tuple[str, ...], dict[str, list[Array]]] = {}
    for design, seed in product(("cycle", "star"), range(seeds)):
        moments = sums(design, seed)
        for case, index, first, second in differences(moments):
            truth = first[2] - second[2]
            for method, (low, high) in intervals(first, second).items():
                inside = (low <= truth) & (truth <= high)
                known = np.where(np.abs(truth) > 1e-9, (low > 0) | (high < 0), np.nan)
                entry = np.stack([inside, high - low, known])
                gathered.setdefault((design, *case, index), {}).setdefault(method, []).append(entry)
    rows = [_row(key, entries) for key, entries in gathered.items()]
    notes = NOTES.format(
        variables=len(WEIGHTS),
        blocks=BLOCKS,
        replicates=REPLICATES,
        seeds=seeds,
        noise=np.sqrt(0.95 * 0.05 / seeds),
    )
    write("differences", "Intervals of differences", notes, rows, options)
    return rows


def sums(design: str, seed: int) -> Moments:
    """Sum all units on the rows of one design."""
    variables = len(WEIGHTS)
    table = Design(design, closed_forms.scalars(variables), BLOCKS, REPLICATES, seed)
    moments = Moments.zeros(Layout(design, variables), range(REPLICATES), (len(UNITS),))
    for number in range(REPLICATES):
        rows = table.replicate(number)
        x = LEVELS[(rows.points.reshape(-1, variables) * len(LEVELS)).astype(int)]
        outputs = np.stack([unit(x) for unit in UNITS.values()], axis=1)
        moments.update(number, outputs.reshape(-1, table.rows, len(UNITS)), rows.order)
    return moments


@cache
def exact() -> dict[str, Array]:
    """Return the units' exact indices, each ``(variable, unit)``."""
    variables = len(WEIGHTS)
    grid = np.array(list(product(LEVELS, repeat=variables)))
    outputs = np.stack([unit(grid) for unit in UNITS.values()], axis=1)
    shape = (len(LEVELS),) * variables
    even = [[1 / len(LEVELS)] * len(LEVELS)] * variables
    return closed_forms.enumerate_exact(outputs.reshape(*shape, -1), even)


def differences(
    moments: Moments,
) -> Iterator[tuple[tuple[str, str], str, Compared, Compared]]:
    """Yield what is compared: case, index, and the two sides of many differences at once."""
    found, names = unit_indices(moments, LEVEL), list(UNITS)
    i, j = np.array(list(combinations(range(len(WEIGHTS)), 2))).T
    for index in moments.layout.indices:
        each = deviations(moments.numerator(index), moments.variance, moments.blocks)
        whole = (found.estimates[index], each, exact()[index])
        for unit, name in enumerate(names):
            first, second = (_part(whole, (variables, unit)) for variables in (i, j))
            yield ("two variables", name), index, first, second
        for pair in ACROSS:
            first, second = (_part(whole, (slice(None), names.index(name))) for name in pair)
            yield ("two units", " and ".join(pair)), index, first, second
    if "shapley" in moments.layout.indices:
        numerators = group_numerators(moments, GROUPS)
        truth = np.stack([exact()["shapley"][list(group)].sum(axis=0) for group in GROUPS])
        estimate = group_indices(moments, GROUPS, found.status, LEVEL)
        each = deviations(numerators, moments.variance, moments.blocks)
        for unit, name in enumerate(names):
            first, second = (_part((estimate, each, truth), (g, [unit])) for g in (0, 1))
            yield ("two groups", name), "shapley", first, second


def _part(whole: Compared, at: tuple[Any, ...]) -> Compared:
    """Take a part of the dimensions (index, unit)."""
    estimate, each, truth = whole
    return Estimate(*(bound[at] for bound in estimate)), each[(slice(None), *at)], truth[at]


def intervals(first: Compared, second: Compared) -> dict[str, tuple[Array, Array]]:
    """Return the lower and upper bounds of the difference by each method."""
    (one, each, _), (other, others, _) = first, second
    paired = paired_difference(one, other, each, others, LEVEL)
    spread = ((each - others) ** 2).sum(axis=0) * REPLICATES / (REPLICATES - 1)
    reach = stdtrit(REPLICATES - 1, (1 + LEVEL) / 2) * np.sqrt(spread)
    value = one.value - other.value
    return {
        "paired": (paired.low, paired.high),
        "linearised t": (value - reach, value + reach),
        "side by side": (one.low - other.high, one.high - other.low),
    }


def _row(key: tuple[str, ...], gathered: dict[str, list[Array]]) -> Row:
    """Return a row of the table; of each method arrays ``(inside, width, known; difference)``."""
    # Each (seed, difference).
    inside, width, known = np.stack(gathered["paired"], axis=1)
    by_t = np.stack(gathered["linearised t"], axis=1)[0]
    _, widest, apart = np.stack(gathered["side by side"], axis=1)
    design, what, case, index = key
    return {
        "design": design,
        "difference": what,
        "of": case,
        "index": index,
        "coverage": float(inside.mean()),
        "least": float(inside.mean(axis=0).min()),
        "width": float(np.median(width / np.maximum(widest, 1e-300))),
        "known": _share(known),
        "apart": _share(apart),
        "t alone": float(by_t.mean()),
        "least t": float(by_t.mean(axis=0).min()),
    }


def _share(known: Array) -> float:
    """Return the mean over the differences that are not 0; NaN where all are."""
    some = known[~np.isnan(known)]
    return float(some.mean()) if some.size else float("nan")


if __name__ == "__main__":
    main()
