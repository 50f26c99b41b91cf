"""Evaluations that estimators need for the same error, on functions with known indices.

Run it by ``python -m benchmarks.evaluations``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import closed_forms
import numpy as np
from closed_forms import Array, Case
from scipy.stats import qmc
from variscope.designs import cycle_rows, permutations
from variscope.estimators import cycle_terms

from benchmarks.measuring import Row, arguments, write

# The published nested sampling: outer and inner draws of each conditional variance.
OUTER, INNER, PERMUTATIONS = 64, 16, 256

NOTES = """
`rms error` is that of the normalised index over all variables and {repeats} seeds ({nested} for
nested sampling). `evaluations of the cycle` is where the cycle with the same kind of points has
that error: on the line through its errors at {budgets} blocks in log-log coordinates, beyond
their ends by the slope of all. `ratio` is the rival's evaluations over the cycle's. Nested
sampling is that of Song, Nelson and Staum (2016) at its published size, {permutations}
permutations x {outer} x {inner} x D evaluations, with plain random points, as published; Goda's
chain (2021) has D + 1 rows, Saltelli (2010) D + 2. `sobol` is one randomised Sobol' sequence a
seed. The cycle's evaluations also give ST, S2 and the variance, Saltelli's ST, the chain's and
nested sampling's none of these.
"""


@dataclass(frozen=True)
class Rival:
    """An estimator of one index: evaluations of a base point, and base points of its last size."""

    name: str
    index: str
    rows: Callable[[int], int]
    sizes: tuple[int, ...]
    estimate: Callable[[Case, int, str, int], Array]


def main(given: Sequence[str] | None = None) -> list[Row]:
    """Run the benchmark and return its table."""
    options = arguments(__doc__ or "", given)
    repeats, nested_repeats = (4, 1) if options.quick else (200, 16)
    sizes = (16, 64) if options.quick else (64, 256, 1024, 4096)
    nested_size = 4 if options.quick else PERMUTATIONS
    rows: list[Row] = []
    for case in cases():
        for index in ("shapley", "S1"):
            for points in ("random", "sobol"):
                errors = [
                    _error(case, index, cycle(index), size, points, repeats) for size in sizes
                ]
                needs = _inverse(np.array(sizes) * 2 * len(case.groups), errors)
                for rival in rivals(sizes[-1], nested_size):
                    if rival.index != index:
                        continue
                    nested = rival.name.startswith("nested")
                    if nested and points == "sobol":
                        continue
                    size = rival.sizes[-1]
                    error = _error(
                        case, index, rival.estimate, size, points,
                        nested_repeats if nested else repeats,
                    )  # fmt: skip
                    took = size * rival.rows(len(case.groups))
                    rows.append(
                        {
                            "function": case.name,
                            "variables": len(case.groups),
                            "index": index,
                            "points": points,
                            "rival": rival.name,
                            "evaluations": took,
                            "rms error": error,
                            "evaluations of the cycle": round(needs(error)),
                            "ratio": took / needs(error),
                        }
                    )
    notes = NOTES.format(
        repeats=repeats, nested=nested_repeats, budgets=", ".join(map(str, sizes)),
        permutations=nested_size, outer=OUTER, inner=INNER,
    )  # fmt: skip
    write("evaluations", "Evaluations for equal error", notes, rows, options)
    return rows


def cases() -> list[Case]:
    """Return closed forms, the last with as many variables as the published sets have factors."""
    return [
        closed_forms.g_function(),
        closed_forms.ishigami(),
        closed_forms.product_case((0.3, 0.2, 0.1, 0.05)),
        closed_forms.product_case(tuple(0.4 / 1.5**i for i in range(15))),
    ]


def rivals(size: int, nested_size: int) -> list[Rival]:
    """Return the estimators that the cycle is held against."""
    return [
        Rival("nested (Song, Nelson, Staum)", "shapley", lambda d: OUTER * INNER * d,
              (nested_size,), nested),
        Rival("chain (Goda)", "shapley", lambda d: d + 1, (size,), chain),
        Rival("Saltelli 2010", "S1", lambda d: d + 2, (size,), saltelli),
    ]  # fmt: skip


def cycle(index: str) -> Callable[[Case, int, str, int], Array]:
    """Return the cycle's estimate of an index, by the formulas of `variscope.estimators`."""

    def estimate(case: Case, size: int, points: str, seed: int) -> Array:
        x, y = _base(case, size, points, seed)
        order = permutations(seed, "cycle", 0, size, len(case.groups))
        outputs = _outputs(case, cycle_rows(x, y, order, case.groups))
        terms = cycle_terms(outputs, order)
        return terms[index].mean(axis=0) / terms["variance"].mean()

    return estimate


def chain(case: Case, size: int, points: str, seed: int) -> Array:
    """Goda (2021), algorithm 1: a walk from x to y in a random order of the variables.

    phi_i = E[(f(x) - (F_k + F_{k-1}) / 2) (F_{k-1} - F_k)], i = pi(k), over the variance of x's.
    """
    x, y = _base(case, size, points, seed)
    d = len(case.groups)
    order = permutations(seed, "chain", 0, size, d)
    outputs = _outputs(case, cycle_rows(x, y, order, case.groups)[:, : d + 1])
    steps = (outputs[:, :1] - (outputs[:, 1:] + outputs[:, :-1]) / 2) * (
        outputs[:, :-1] - outputs[:, 1:]
    )
    total = np.zeros((size, d))
    np.put_along_axis(total, order, steps, axis=1)
    both = outputs[:, [0, -1]]
    return total.mean(axis=0) / ((both[:, 0] - both[:, 1]) ** 2).mean() * 2


def nested(case: Case, size: int, points: str, seed: int) -> Array:
    """Song, Nelson and Staum (2016): increments of E[Var(Y | X_-S)] along random permutations.

    The last increment ends at the variance of Y itself, which is estimated once, from as many
    evaluations as the other cost functions of all permutations take in one position.
    """
    random = np.random.default_rng([seed, 1])
    d = len(case.groups)
    variance = case.function(random.random((size * OUTER * INNER, d))).var(ddof=1)
    total = np.zeros(d)
    for _ in range(size):
        order = random.permutation(d)
        before = 0.0
        for k, i in enumerate(order):
            if k == d - 1:
                cost = variance
            else:
                # The variables so far vary within, the others are drawn outside.
                given = np.repeat(random.random((OUTER, 1, d)), INNER, axis=1)
                given[..., order[: k + 1]] = random.random((OUTER, INNER, k + 1))
                outputs = case.function(given.reshape(-1, d)).reshape(OUTER, INNER)
                cost = outputs.var(axis=1, ddof=1).mean()
            total[i] += cost - before
            before = cost
    return total / size / variance


def saltelli(case: Case, size: int, points: str, seed: int) -> Array:
    """Saltelli et al. (2010), table 2 (b): S1_i V = E[f(B) (f(AB_i) - f(A))]."""
    a, b = _base(case, size, points, seed)
    f_a, f_b = case.function(a), case.function(b)
    centre = (f_a.mean() + f_b.mean()) / 2
    variance = np.concatenate([f_a, f_b]).var()
    found = np.empty(len(case.groups))
    for i, group in enumerate(case.groups):
        mixed = a.copy()
        mixed[:, list(group)] = b[:, list(group)]
        found[i] = ((f_b - centre) * (case.function(mixed) - f_a)).mean() / variance
    return found


def _base(case: Case, size: int, points: str, seed: int) -> tuple[Array, Array]:
    """Return two independent points of each block, ``(block, factor)``."""
    factors = sum(map(len, case.groups))
    if points == "random":
        both = np.random.default_rng([seed, 0]).random((size, 2 * factors))
    else:
        both = qmc.Sobol(2 * factors, rng=np.random.default_rng([seed, 0])).random(size)
    return both[:, :factors], both[:, factors:]


def _outputs(case: Case, rows: Array) -> Array:
    """Evaluate ``(block, row, factor)``."""
    return case.function(rows.reshape(-1, rows.shape[-1])).reshape(rows.shape[:2])


def _error(
    case: Case,
    index: str,
    estimate: Callable[[Case, int, str, int], Array],
    size: int,
    points: str,
    repeats: int,
) -> float:
    exact = np.asarray(getattr(case, index))
    found = np.array([estimate(case, size, points, seed) for seed in range(repeats)])
    return float(np.sqrt(((found - exact) ** 2).mean()))


def _inverse(evaluations: Array, errors: Sequence[float]) -> Callable[[float], float]:
    """Return how many evaluations an error takes, from errors at some sizes."""
    x, y = np.log(evaluations), np.log(errors)
    slope = np.polyfit(x, y, 1)[0]

    def needed(error: float) -> float:
        e = np.log(error)
        if e >= y.max():
            return float(np.exp(x[0] + (e - y[0]) / slope))
        if e <= y.min():
            return float(np.exp(x[-1] + (e - y[-1]) / slope))
        return float(np.exp(np.interp(-e, -y, x)))

    return needed


if __name__ == "__main__":
    main()
