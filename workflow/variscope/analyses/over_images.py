"""Means over single images with their intervals, by clusters: columns that several tables share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from variscope.estimators.own_images import of_own_images
from variscope.estimators.resampling import cluster_bootstrap, cluster_numbers, generator

Array = NDArray[np.float64]

# Means that are resampled together.
_AT_ONCE = 512


def inference(cluster: NDArray[Any], level: float) -> str:
    """Say what an interval over images is over: the column ``inference``.

    Args:
        cluster: of each image, ``(n,)``.
        level: of confidence.
    """
    images, clusters = len(cluster), cluster_numbers(cluster)[1]
    if clusters < 2:
        return "one source of images: no interval" if clusters else "no images"
    what = "images" if clusters == images else f"clusters of {images} images"
    return f"{100 * level:g} % interval over {clusters} {what}"


def means(
    values: NDArray[Any], cluster: NDArray[Any], *, level: float, seed: int, purpose: str
) -> list[dict[str, Any]]:
    """Return means over images with ``value``, ``low``, ``high``, ``n`` and ``inference``.

    All are of the same resamples, so that intervals of differences are those of paired means.

    Args:
        values: ``(row, image)``; an image whose value is NaN is left out of its row.
        cluster: of each image, ``(image,)``.
        level: of confidence.
        seed: of the experiment.
        purpose: what is resampled, such as the analysis' name.

    Returns:
        A mapping a row; ``n`` is the number of clusters.
    """
    values, cluster = np.asarray(values, dtype=float), np.asarray(cluster)
    rows: list[dict[str, Any]] = [{} for _ in values]
    defined = ~np.isnan(values)
    for pattern in np.unique(defined, axis=0):
        own, among = np.flatnonzero((defined == pattern).all(axis=1)), cluster[pattern]
        said = {"n": cluster_numbers(among)[1], "inference": inference(among, level)}
        for some in np.array_split(own, -(-len(own) // _AT_ONCE)):
            kept = values[some][:, pattern]
            value = low = high = np.full(len(some), np.nan)
            if pattern.any():
                value = kept.mean(axis=1)
                low, high = cluster_bootstrap(
                    lambda weights, kept=kept: (
                        weights
                        @ kept.T  # type: ignore[misc]
                        / weights.sum(axis=1, keepdims=True)
                    ),
                    among,
                    rng=generator(seed, purpose, "images"),
                    level=level,
                )
            for row, a, b, c in zip(some, value, low, high, strict=True):
                rows[row] = {"value": a, "low": b, "high": c, **said}
    return rows


def own_and_others(
    scores: Array, cluster: NDArray[Any], *, level: float, seed: int, purpose: str
) -> dict[str, Any]:
    """Return how maps of one image agree, and how those of two images do.

    Args:
        scores: of all pairs of first and second maps, ``(image, image)``, as
            `variscope.estimators.agreement.rank_correlations` gives them; NaN where undefined.
        cluster: of each image, ``(image,)``.
        level: of confidence.
        seed: of the experiment.
        purpose: what is resampled.

    Returns:
        The columns ``value``, ``low``, ``high``, ``others``, ``difference`` with its bounds, ``p``,
        ``n``, ``inference``, and ``undefined``, the number of images that were left out.
    """
    defined = np.isfinite(np.diag(scores))
    among = np.asarray(cluster)[defined]
    said = {
        "n": cluster_numbers(among)[1],
        "inference": inference(among, level),
        "undefined": int((~defined).sum()),
    }
    if not defined.any():
        return said
    found = of_own_images(
        scores[np.ix_(defined, defined)][..., None],
        among,
        rng=generator(seed, purpose, "own and others"),
        level=level,
    )
    columns = {
        "value": found.own.value, "low": found.own.low, "high": found.own.high,
        "others": found.others.value, "difference": found.difference.value,
        "difference_low": found.difference.low, "difference_high": found.difference.high,
        "p": found.p,
    }  # fmt: skip
    return {**{name: float(column[0]) for name, column in columns.items()}, **said}
