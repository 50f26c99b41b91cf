"""Whether things that bear the same label belong together: a test by permuted labels."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np

EXACT = 7  # labels, up to which all permutations are taken: 5,040
DRAWN = 9_999  # permutations beyond


class Matching(NamedTuple):
    """What a square matrix says of its labels.

    Attributes:
        difference: the mean of the diagonal less the mean of all else.
        p: one-sided, that the diagonal is larger; (b + 1) / (B + 1).
        permutations: B + 1, the observed labels among them.
    """

    difference: float
    p: float
    permutations: int


def matching(matrix: np.ndarray, seed: int = 1) -> Matching:
    """Test whether rows and columns of the same label belong together.

    Under the null hypothesis the columns' labels say nothing, so any order of the columns gives a
    diagonal as likely as the observed one. All orders are taken up to 7 labels, else 9,999 drawn
    ones; the observed order counts among them (Phipson and Smyth 2010), so that p is never 0.

    Args:
        matrix: (label, label), what grows with belonging together.
        seed: of the permutations that are drawn.

    Returns:
        Difference, p and permutations; NaN and 0 permutations where there are fewer than two
        labels or a number is not finite.

    Example:
        >>> matching(np.eye(4))
        Matching(difference=1.0, p=0.041666666666666664, permutations=24)
    """
    matrix = np.asarray(matrix, dtype=float)
    count = len(matrix)
    if count < 2 or not np.isfinite(matrix).all():
        return Matching(math.nan, math.nan, 0)
    if count <= EXACT:  # the first of all permutations is the observed one
        orders = np.array(list(itertools.permutations(range(count))))
    else:
        rng = np.random.default_rng((seed, count))
        drawn = rng.permuted(np.tile(np.arange(count), (DRAWN, 1)), axis=1)
        orders = np.vstack([np.arange(count), drawn])
    diagonals = matrix[np.arange(count), orders].sum(axis=1)
    differences = diagonals / count - (matrix.sum() - diagonals) / (count * (count - 1))
    # Orders of the same cells in another sequence may round differently.
    reached = differences >= differences[0] - 1e-12 * np.abs(matrix).max()
    return Matching(float(differences[0]), float(reached.mean()), len(orders))
