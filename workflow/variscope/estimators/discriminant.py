"""Linear discriminant analysis of maps, for many orders of the labels at once.

Samples are ``(channel, class, feature)``: every channel has one sample of each class, so classes
are of one size, in every fold that leaves out whole channels as well, and labels that are exchanged
within channels keep it so. The classifier is that of scikit-learn's
``LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")`` after ``PCA``, to rounding; here
hundreds of exchanged labels are one array, and not as many fits.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

_VALUES_AT_ONCE = 2**23


def principal_components(train: Array, other: Array, most: int) -> tuple[Array, Array]:
    """Return the scores of two arrays ``(n, feature)`` on the first principal components of one.

    Args:
        train: whose components they are.
        other: what else is projected.
        most: how many components are kept; fewer where the samples span fewer.
    """
    mean = train.mean(axis=0)
    centred = train - mean
    # The smaller of both matrices of products has the same components.
    if len(centred) < centred.shape[1]:
        values, vectors = np.linalg.eigh(centred @ centred.T)
        axes = centred.T @ vectors
    else:
        values, vectors = np.linalg.eigh(centred.T @ centred)
        axes = vectors
    kept = np.flatnonzero(values > 1e-10 * max(float(values[-1]), 0.0))[::-1][:most]
    size = np.sqrt((axes[:, kept] ** 2).sum(axis=0))
    axes = axes[:, kept] / size
    return centred @ axes, (other - mean) @ axes


def shrunk_covariance(samples: Array) -> Array:
    """Return covariances ``(..., feature, feature)`` of samples ``(..., n, feature)``, shrunk.

    Each feature is first brought to variance 1, and the covariance then shrunk as Ledoit and Wolf
    do (2004, A well-conditioned estimator for large-dimensional covariance matrices, J. Multivar.
    Anal. 88: 365-411, lemma 3.1 and section 3.2).
    """
    count, features = samples.shape[-2:]
    if not features:
        return np.zeros((*samples.shape[:-2], 0, 0))
    centred = samples - samples.mean(axis=-2, keepdims=True)
    scale = np.sqrt((centred**2).mean(axis=-2, keepdims=True))
    scale = np.where(scale > 0, scale, 1.0)
    centred /= scale
    covariance = np.matmul(np.swapaxes(centred, -1, -2), centred) / count
    mean = np.trace(covariance, axis1=-2, axis2=-1) / features
    squares = (covariance**2).sum(axis=(-2, -1))
    fourth = ((centred**2).sum(axis=-1) ** 2).sum(axis=-1)
    error = (fourth / count - squares) / (features * count)
    distance = squares / features - mean**2
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = np.where(distance > 0, np.minimum(error, distance) / distance, 0.0)
    weight = weight[..., None, None]
    shrunk = (1 - weight) * covariance + weight * mean[..., None, None] * np.eye(features)
    return shrunk * scale * np.swapaxes(scale, -1, -2)


def classify(train: Array, other: Array) -> Labels:
    """Return the class ``(..., n)`` of each sample by linear discriminant analysis.

    Args:
        train: samples by class, ``(..., class, n, feature)``, as many of each.
        other: samples to classify, ``(n, feature)``.
    """
    means = train.mean(axis=-2)
    within = shrunk_covariance(train).mean(axis=-3)
    weights = np.matmul(np.linalg.pinv(within, hermitian=True), np.swapaxes(means, -1, -2))
    offset = (means * np.swapaxes(weights, -1, -2)).sum(axis=-1) / 2
    return np.argmax(np.matmul(other, weights) - offset[..., None, :], axis=-1)


def folds_of(channels: int, folds: int, generator: np.random.Generator) -> Labels:
    """Return the fold of each channel, ``(channel,)``; folds are of one size, as far as it goes."""
    return generator.permutation(channels) % min(folds, channels)


def exchanged_labels(
    channels: int, classes: int, draws: int, generator: np.random.Generator
) -> Labels:
    """Return labels that are exchanged within each channel, ``(draw, channel, class)``."""
    return np.argsort(generator.random((draws, channels, classes)), axis=-1)


def predicted(samples: Array, labels: Labels, fold: Labels, components: int) -> Labels:
    """Return the label ``(draw, channel, class)`` that the other folds give to each sample.

    Args:
        samples: ``(channel, class, feature)``.
        labels: of the samples, one or more versions, ``(draw, channel, class)``; each channel holds
            each label once.
        fold: of each channel, ``(channel,)``.
        components: most principal components, found inside each fold.
    """
    _, classes, features = samples.shape
    found = np.empty(labels.shape, dtype=np.int64)
    place = np.argsort(labels, axis=-1)  # where the sample of each label stands in its channel
    for number in np.unique(fold):
        held, taught = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        train, other = principal_components(
            samples[taught].reshape(-1, features), samples[held].reshape(-1, features), components
        )
        train = train.reshape(len(taught), classes, -1)
        step = max(1, _VALUES_AT_ONCE // max(1, train.size))
        for start in range(0, len(labels), step):
            part = slice(start, start + step)
            by_label = np.take_along_axis(train[None], place[part][:, taught, :, None], axis=2)
            given = classify(np.swapaxes(by_label, 1, 2), other)
            found[part, held] = given.reshape(-1, len(held), classes)
    return found
