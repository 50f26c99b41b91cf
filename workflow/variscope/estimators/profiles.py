"""Profiles: what things have in common over settings, and which of them form clusters.

A profile is a row of outcomes over settings. Two profiles are alike as their Spearman correlation
says; clusters are those of average linkage. Clusters are always found, in noise as well: a cluster
counts as stable where resampling the images gives it back (Hennig 2007, Comput. Stat. Data Anal.
52: 258-271: a mean Jaccard overlap of 0.75 or more). A cluster of nearly everything overlaps with
the next one whatever it holds, so the overlap must lie at least half of the way from that of
permuted labels to 1 as well.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import cophenet, linkage
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

STABLE = 0.75  # mean Jaccard overlap
BEYOND_CHANCE = 0.5  # of the way from chance to 1
PERMUTATIONS = 50  # of labels: their mean is all that is taken

Array = NDArray[np.float64]
Marks = NDArray[np.bool_]


def rank_correlations(profiles: Array) -> Array:
    """Return the Spearman correlations of profiles with each other.

    Args:
        profiles: ``(..., item, setting)``; settings that are NaN are left out of their item's
            ranks, as where a class is in no image.

    Returns:
        ``(..., item, item)``; NaN where a profile is constant.

    Example:
        >>> rank_correlations(np.array([[1.0, 2.0, 3.0], [10.0, 0.0, -1.0]])).round(12)
        array([[ 1., -1.],
               [-1.,  1.]])
    """
    missing = ~np.isfinite(profiles)
    ranks = rankdata(np.where(missing, np.inf, profiles), axis=-1)
    number = (~missing).sum(axis=-1, keepdims=True)
    mean = np.where(missing, 0.0, ranks).sum(axis=-1, keepdims=True) / np.maximum(number, 1)
    centred = np.where(missing, 0.0, ranks - mean)
    length = np.sqrt((centred**2).sum(axis=-1, keepdims=True))
    unit = centred / np.where(length > 0, length, np.nan)
    return np.clip(unit @ np.swapaxes(unit, -1, -2), -1.0, 1.0)


def distances(correlations: Array, *, unsigned: bool = False) -> Array:
    """Return distances of correlations: 1 - rho, or the published sqrt(1 - abs(rho)).

    The published one takes profiles that are each other's mirror image for the same. Undefined
    correlations, of profiles that are constant in a resample, count as 0.
    """
    known = np.nan_to_num(correlations, nan=0.0)
    return np.sqrt(1 - np.abs(known)) if unsigned else 1 - known


class Tree(NamedTuple):
    """A hierarchy of items.

    Attributes:
        linkage: of scipy, ``(item - 1, 4)``.
        members: which items each of its clusters holds, ``(cluster, item)``; the last, that of all
            items, is left out, and single items are none.
        heights: at which each of these clusters is closed, ``(cluster,)``.
    """

    linkage: Array
    members: Marks
    heights: Array


def tree(distance: Array) -> Tree:
    """Return the hierarchy of average linkage.

    Args:
        distance: ``(item, item)``, of two items at least, in an order that the data do not choose:
            ties are closed in the order of the items.
    """
    joined = linkage(squareform(distance, checks=False), method="average")
    count = len(distance)
    members = np.zeros((2 * count - 1, count), dtype=bool)
    members[np.arange(count), np.arange(count)] = True
    for k, (first, second) in enumerate(joined[:, :2].astype(int)):
        members[count + k] = members[first] | members[second]
    return Tree(joined, members[count:-1], joined[:-1, 2])


def cophenetic(made: Tree, distance: Array) -> float:
    """Return the correlation of distances with those along their tree.

    NaN with fewer than three items, or where all distances are equal.
    """
    condensed, along = squareform(distance, checks=False), cophenet(made.linkage)
    if len(distance) < 3 or np.ptp(condensed) == 0 or np.ptp(along) == 0:
        return np.nan
    return float(np.corrcoef(condensed, along)[0, 1])


def overlaps(members: Marks, others: Marks) -> Array:
    """Return each cluster's largest Jaccard overlap with any cluster of another hierarchy.

    Args:
        members: ``(..., cluster, item)``.
        others: ``(..., cluster, item)``.

    Returns:
        ``(..., cluster)``.
    """
    first, second = members.astype(np.float32), np.swapaxes(others, -1, -2).astype(np.float32)
    both = first @ second
    either = first.sum(axis=-1)[..., None] + second.sum(axis=-2)[..., None, :] - both
    return np.asarray((both / either).max(axis=-1, initial=0.0), dtype=float)


class Stability(NamedTuple):
    """How often clusters come back in resamples.

    Attributes:
        jaccard: mean overlap with the most similar cluster of each resample, ``(cluster,)``.
        chance: the same where the resamples' labels are permuted, ``(cluster,)``.
        stable: ``jaccard`` is 0.75 at least, and half of the way from ``chance`` to 1,
            ``(cluster,)``.
    """

    jaccard: Array
    chance: Array
    stable: Marks


def stability(members: Marks, resampled: Marks, rng: np.random.Generator) -> Stability:
    """Return how stable clusters are.

    Args:
        members: of the clusters, ``(cluster, item)``.
        resampled: of each resample's clusters, ``(resample, cluster, item)``.
        rng: what permutes labels.
    """
    jaccard = overlaps(members, resampled).mean(axis=0)
    orders = rng.permuted(np.tile(np.arange(members.shape[1]), (PERMUTATIONS, 1)), axis=1)
    null = [overlaps(members[:, order], resampled).mean(axis=0) for order in orders]
    chance = np.mean(null, axis=0)
    beyond = jaccard >= chance + BEYOND_CHANCE * (1 - chance)
    return Stability(jaccard, chance, (jaccard >= STABLE) & beyond)
