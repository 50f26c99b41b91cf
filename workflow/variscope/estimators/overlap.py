"""Whether the classes that are sensitive to a variable are those that are predicted.

The overlap is the Jaccard index of k sensitive classes with the k predicted ones of each image,
averaged over images. A network whose predictions have collapsed predicts the same classes for all
images: with k = 5 one common class gives 1/9, of which nothing follows. The null hypothesis that
holds the predictions fixed and draws the classes takes that into account; the classes are drawn
among those of like mean activation, as classes with large outputs are predicted more often and have
more variance that something can be sensitive to.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_STRATA = 10
FEWEST_IN_A_STRATUM = 10

Array = NDArray[np.float64]
Numbers = NDArray[np.integer]


def most_sensitive(index: Array, count: int) -> NDArray[np.int64]:
    """Return the `count` classes with the largest index; ties go to the lower number.

    Classes whose index is NaN are none of them, so that there may be fewer.
    """
    order = np.argsort(-np.nan_to_num(index, nan=-np.inf), kind="stable")[:count]
    return order[np.isfinite(index[order])]


def strata(mean: Array, count: int) -> NDArray[np.int64]:
    """Return the stratum of each class by its mean activation, 0 the smallest.

    Tenths, of at least 10 classes and twice those that are drawn: of few classes all are exchanged
    with all. A class can be told from its like with p = 1 / (size of the stratum) at best.

    Args:
        mean: activation of each class, ``(class,)``.
        count: classes that are drawn, k.
    """
    parts = len(mean) // max(FEWEST_IN_A_STRATUM, 2 * count)
    parts = min(MOST_STRATA, max(1, parts))
    ranks = np.argsort(np.argsort(np.nan_to_num(mean), kind="stable"), kind="stable")
    return (ranks * parts // max(1, len(mean))).astype(np.int64)


def like_sets(
    chosen: Numbers,
    stratum: Numbers,
    allowed: NDArray[np.bool_],
    draws: int,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Draw sets of classes with as many in each stratum as a chosen set has.

    Args:
        chosen: the classes of the set.
        stratum: of each class, ``(class,)``.
        allowed: classes that can be drawn, ``(class,)``.
        draws: how many sets.
        rng: what draws.

    Returns:
        ``(draw, class)``, whether a class is in the set.
    """
    found = np.zeros((draws, len(stratum)), dtype=bool)
    for part in np.unique(stratum[chosen]):
        candidates = np.flatnonzero((stratum == part) & allowed)
        count = int((stratum[chosen] == part).sum())
        drawn = np.argsort(rng.random((draws, len(candidates))), axis=1)[:, :count]
        found[np.arange(draws)[:, None], candidates[drawn]] = True
    return found


def overlaps(sets: NDArray[np.bool_], predicted: Numbers) -> Array:
    """Return the Jaccard index of sets of classes with the classes predicted for each image.

    Args:
        sets: whether a class is in a set, ``(..., class)``.
        predicted: distinct classes, ``(image, k)``.

    Returns:
        ``(..., image)``.

    Example:
        >>> sets = np.zeros(100, dtype=bool)
        >>> sets[[0, 1, 2, 3, 4]] = True
        >>> float(overlaps(sets, np.array([[4, 5, 6, 7, 8]]))[0] * 9)
        1.0
    """
    both = np.zeros((*sets.shape[:-1], len(predicted)), dtype=np.int64)
    for rank in range(predicted.shape[1]):  # k of them
        both += sets[..., predicted[:, rank]]
    either = sets.sum(axis=-1)[..., None] + predicted.shape[1] - both
    return np.asarray(both / either, dtype=float)


def rank_p(values: Array, chosen: Numbers, stratum: Numbers, allowed: NDArray[np.bool_]) -> Array:
    """Return how often a class of the same stratum has a value as large as each chosen class.

    Exact: the classes of a stratum are all permutations there are, the chosen one among them.

    Args:
        values: of each class, ``(class,)``.
        chosen: classes that are tested.
        stratum: of each class, ``(class,)``.
        allowed: classes that count, ``(class,)``.
    """
    like = (stratum[chosen][:, None] == stratum) & allowed
    reached = like & (values >= values[chosen][:, None] - 1e-12)
    return np.asarray(reached.sum(axis=1) / like.sum(axis=1), dtype=float)
