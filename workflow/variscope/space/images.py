"""Which image a class, an image and a part coordinate name: equal coordinates, equal image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from variscope.vocabulary import PARTS


@dataclass(frozen=True)
class ImageIndex:
    """The images of a data set, sorted into cells by part and class.

    Attributes:
        order: image ids sorted by (part, class, id), ``(image,)``.
        start, count: where each cell stands in ``order``, ``(part, class)``.
    """

    order: NDArray[np.int64]
    start: NDArray[np.int64]
    count: NDArray[np.int64]

    @classmethod
    def of(cls, label: NDArray[np.integer], part: NDArray[np.integer]) -> ImageIndex:
        """Sort images by class ``label (image,)`` and ``part (image,)``, 0 train, 1 valid."""
        classes = int(label.max()) + 1
        cell = part.astype(np.int64) * classes + label
        count = np.bincount(cell, minlength=len(PARTS) * classes)
        start = np.concatenate([[0], np.cumsum(count)[:-1]])
        shape = (len(PARTS), classes)
        return cls(np.argsort(cell, kind="stable"), start.reshape(shape), count.reshape(shape))

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.count.shape[1]

    def of_class(
        self, part: NDArray[np.int64], label: NDArray[np.int64], u: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Return the image that u in [0, 1) names among those of a part and class, ``(n,)``."""
        start, count = self.start[part, label], self.count[part, label]
        return self.order[start + level(u, count)]

    def of_part(self, part: NDArray[np.int64], u: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the image that u in [0, 1) names among all of a part, ``(n,)``."""
        return self.order[self.start[part, 0] + level(u, self.count.sum(axis=1)[part])]


def level(u: NDArray[np.float64], levels: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """Return floor(u * levels), below ``levels`` also where the product rounds up.

    Example:
        >>> level(np.array([0.0, 0.5, 0.99]), 4)
        array([0, 2, 3])
    """
    return np.minimum(np.floor(u * levels).astype(np.int64), np.asarray(levels) - 1)
