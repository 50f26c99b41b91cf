"""Which Sobol' dimensions serve x and which y: a table, and the search that made it.

In the natural order the estimates of some pairs stall. Take two variables of two levels, cut at
1/2, and their interaction (xor). Its terms hold the leading binary digits of x_i, x_j, y_i and y_j.
The leading digit of a Sobol' dimension is a linear function, over the integers modulo 2, of the
digits of the point's number: a row of bits r. The four add up to the same value in all of the first
2^m points, whatever the scrambling, where

    r(x_i) + r(y_i) + r(x_j) + r(y_j) = 0 (mod 2)        in the rows' first m bits,

and the products then have one sign throughout, drawn once per replicate: more blocks do not help.
In the natural order of nine factors that is so for the second and third, up to 512 points. With
p_i = r(x_i) + r(y_i), no pair stalls where the p_i differ from each other, and no single variable
where p_i is not 0. The search permutes the first 2 F dimensions until few p_i agree in their first
4 bits, then 5, 6, ...; the first bit of every r is 1, so that at most 2^(m-1) - 1 can differ in m.

Run it by ``python -m variscope.designs.assignment``: it writes the same table again.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

TABLE = Path(__file__).with_name("assignment.txt")

# Factors that the table knows.
MOST = 64

# Points of a replicate for which pairs are looked at: 2^4 to 2^10.
_BITS = range(4, 11)

_TRIES = 20_000


@cache
def dimensions(factors: int) -> NDArray[np.int64]:
    """Return the Sobol' dimensions of x's factors, then of y's, ``(2 factors,)``.

    Raises:
        ValueError: more factors than the table knows, or less than one.
    """
    if not 1 <= factors <= MOST:
        raise ValueError(f"factors is {factors}; allowed: 1 to {MOST}")
    line = TABLE.read_text().splitlines()[factors - 1]
    return np.array(line.split(), dtype=np.int64)


def digit_rows(count: int, digit: int = 1) -> NDArray[np.int64]:
    """Return the rows of bits r that give a digit of each of the first Sobol' dimensions.

    The digit of point n is the parity of r & gray(n), gray(n) = n ^ (n >> 1): scipy draws the
    points in the order of the Gray code, which leaves the first 2^m of them the same set.

    Args:
        count: of dimensions.
        digit: 1 for the leading binary digit, 2 for the next.

    Returns:
        ``(count,)``, the lowest bits those of the first points.
    """
    from scipy.stats import qmc

    points = qmc.Sobol(count, scramble=False).random(2 ** _BITS[-1])
    digits = np.floor(points * 2**digit).astype(np.int64) & 1
    number = np.arange(len(points))
    gray = number ^ (number >> 1)
    where = [int(np.flatnonzero(gray == 1 << bit)[0]) for bit in range(_BITS[-1])]
    return (digits[where] << np.arange(_BITS[-1])[:, None]).sum(axis=0)


def stalled_pairs(
    chosen: NDArray[np.int64], points: int, rows: NDArray[np.int64] | None = None
) -> int:
    """Count the pairs of variables that stall in the first ``points`` points, a power of two.

    Args:
        chosen: dimensions of x's factors, then of y's, ``(2 factors,)``.
        points: of a replicate.
        rows: `digit_rows` of all dimensions, where they are known.
    """
    rows = digit_rows(int(chosen.max()) + 1) if rows is None else rows
    return _agreeing(_sums(rows, chosen) & (points - 1))


def search(factors: int, seed: int = 0) -> NDArray[np.int64]:
    """Search a permutation of the first 2 F dimensions in which few pairs stall, by annealing.

    The cost adds, over m, the stalled pairs in 2^m points, those of larger m weighing more, and a
    little for pairs of second digits, which scrambling mixes with the first.
    """
    rng = np.random.default_rng([seed, factors])
    leading, second = digit_rows(2 * factors), digit_rows(2 * factors, 2)

    def cost(chosen: NDArray[np.int64]) -> float:
        first, next_ = _sums(leading, chosen), _sums(second, chosen)
        total = 0.0
        for bits in _BITS:
            mask = (1 << bits) - 1
            both = np.concatenate([first, next_, first ^ next_]) & mask
            total += 4.0 ** (bits - _BITS[0]) * (_agreeing(first & mask) + 0.02 * _agreeing(both))
        return total

    current = best = np.arange(2 * factors)
    found = least = cost(current)
    for step in range(_TRIES):
        a, b = rng.choice(2 * factors, 2, replace=False)
        changed = current.copy()
        changed[[a, b]] = changed[[b, a]]
        now = cost(changed)
        heat = 2.0 * (1 - step / _TRIES) + 1e-9
        if now <= found or rng.random() < np.exp((found - now) / heat):
            current, found = changed, now
        if found < least:
            best, least = current, found
    return best


def _sums(rows: NDArray[np.int64], chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return p_i = r(x_i) + r(y_i) modulo 2, bit by bit, ``(factor,)``."""
    x, y = rows[chosen].reshape(2, -1)
    return x ^ y


def _agreeing(sums: NDArray[np.int64]) -> int:
    """Count pairs of equal entries, and entries that are 0."""
    counts = np.bincount(sums)
    return int((counts * (counts - 1) // 2).sum() + counts[0])


def main() -> None:
    """Write the table."""
    lines = [" ".join(map(str, search(factors))) for factors in range(1, MOST + 1)]
    TABLE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
