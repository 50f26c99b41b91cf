"""Rows in, outputs out, of any function: sums of what it gives for the rows of a design.

What decodes a point need not be an image of the study: a mask over the regions of one image, or a
row of a table. Estimation is that of every study (`variscope.indices.layer.layer_dataset`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from variscope.designs import Design
from variscope.designs.cells import cells, largest_power
from variscope.estimators import Layout, Moments, merge
from variscope.estimators.spine import Spine
from variscope.space.repeats import repeated

Array = NDArray[Any]


def function_sums(
    evaluate: Callable[[Array], Array],
    design: Design,
    decode: Callable[[NDArray[np.float64]], Array],
    at_once: int = 4096,
) -> Moments:
    """Sum a function's outputs over the rows of a design, all replicates.

    Rows of a block that decode to the same are evaluated once.

    Args:
        evaluate: from what was decoded ``(n, ...)`` the outputs, ``(n, *unit)``. An output must
            depend on its own row alone.
        design: whose factors are the coordinates of a point.
        decode: from points ``(n, factor)`` in [0, 1) what is evaluated, ``(n, ...)``.
        at_once: rows that are decoded together, about; `evaluate` splits them as it likes.

    Returns:
        The sums, of which `variscope.indices.layer.layer_dataset` makes a dataset.

    Example:
        >>> from variscope.indices.layer import layer_dataset
        >>> design = Design("cycle", ((0,), (1,)), blocks=256, replicates=8, seed=1)
        >>> sums = function_sums(lambda x: 2 * x[:, :1] + x[:, 1:], design, lambda points: points)
        >>> found = layer_dataset([sums], ["a", "b"], ["neuron"], 0.95, {})
        >>> found["shapley"].values[:, 0].round(2)
        array([0.8, 0.2])
    """
    layout = Layout(design.kind, len(design.groups))
    blocks_at_once = largest_power(max(1, at_once // design.rows))
    parts: list[Moments] = []
    for replicate in range(design.replicates):
        spine: Spine | None = None
        blocks = design.replicate(replicate)
        for start, stop in cells(0, len(blocks.points), blocks_at_once):
            points = blocks.points[start:stop]
            decoded = decode(points.reshape(-1, points.shape[-1]))
            first, held_by = repeated(decoded, stop - start)
            outputs = np.asarray(evaluate(decoded[first]), dtype=np.float32)
            if len(outputs) != len(first):
                raise ValueError(f"{len(first)} rows were evaluated, and {len(outputs)} came back")
            if spine is None:
                spine = Spine(layout, replicate, outputs.shape[1:])
            spine.update(outputs, blocks.order[start:stop], held_by.reshape(stop - start, -1))
        assert spine is not None
        parts.extend(spine.moments())
    return merge(parts)
