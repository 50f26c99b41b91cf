"""Deletion and insertion: what is left of a score as cells go, or come, in the order of a map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray

from variscope.analyses.agreement.orders import Orders
from variscope.analyses.attributed import pixels_of
from variscope.analyses.kept_maps import Looked
from variscope.attributions.cells import cell_of_pixels
from variscope.attributions.regions import replacement
from variscope.errors import UserError
from variscope.inputs.table import ImageTable
from variscope.responses.network.opened import Network
from variscope.responses.network.scored import Scored

DELETION, INSERTION = "deletion", "insertion"
KINDS = (DELETION, INSERTION)


def counts_of(cells: int, steps: int) -> NDArray[np.int64]:
    """Return how many cells are deleted at each step, from none to all; each number once.

    Example:
        >>> counts_of(64, 4), counts_of(4, 8)
        (array([ 0, 16, 32, 48, 64]), array([0, 1, 2, 3, 4]))
    """
    return np.unique(np.round(np.linspace(0, cells, steps + 1)).astype(np.int64))


def kept_cells(rank: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which cells are as in the image, ``(kind, *order, step, cell)``.

    Deletion fills the first cells of an order, insertion brings them back to a filled image
    (Petsiuk, Das, Saenko 2018, RISE, BMVC, section 4.1).

    Args:
        rank: of each cell, ``(*order, cell)``.
        counts: cells that are deleted or inserted at each step.
    """
    first = rank[..., None, :] < counts[:, None]
    return np.stack([~first, first])


def curves(
    orders: Orders,
    looked: Looked,
    images: ImageTable,
    network: Network,
    settings: Mapping[str, Any],
) -> xr.Dataset:
    """Return the target's score as cells are deleted and inserted.

    Args:
        orders: of the cells.
        looked: the images, and their targets.
        images: of the experiment.
        network: that scores them.
        settings: of the analysis.

    Returns:
        ``score`` (image, order, kind, fill, step), NaN where there is no order, with the
        coordinates ``fraction`` (step), and ``place``, ``target`` and ``cluster`` of each image.
        The attribute ``score`` says what it is: the softmax probability of the target where the
        network gives scores of at least two classes, else its output.

    Raises:
        UserError: the image has fewer pixels than the grid has cells.
    """
    cells = orders.grid[0]
    if cells > min(images.size):
        raise UserError(
            f"analyses.agreement.cells: found {cells} cells a side for images of "
            f"{images.size[0]} x {images.size[1]} pixels; allowed: at most {min(images.size)}"
        )
    counts = counts_of(cells * cells, settings["steps"])
    of_pixel = cell_of_pixels(*images.size, cells).to(network.device)
    model, fills, at_once = Scored.of(network), settings["fills"], network.batch_size
    shape = (len(looked), len(orders.names), len(KINDS), len(fills), len(counts))
    score = np.full(shape, np.nan, dtype=np.float32)
    probability = network.scores is not None
    for i in range(len(looked)):
        known = (orders.rank[i] >= 0).all(axis=1)
        kept = kept_cells(orders.rank[i][known], counts)
        # The image itself and the filled one are in all curves, and orders that agree share more.
        distinct, back = np.unique(kept.reshape(-1, cells * cells), axis=0, return_inverse=True)
        (image,) = pixels_of(images, looked.ids[i : i + 1], network.device)
        for f, fill in enumerate(fills):
            filled = replacement(image[None], fill, cells)[0]
            outputs = torch.cat(
                [
                    _scores(model, distinct[start : start + at_once], of_pixel, image, filled)
                    for start in range(0, len(distinct), at_once)
                ]
            )
            probability &= outputs.shape[1] > 1
            if probability:
                outputs = outputs.softmax(dim=1)
            found = outputs[:, int(looked.target[i])].cpu().numpy()[back.reshape(-1)]
            score[i, known, :, f] = np.moveaxis(found.reshape(kept.shape[:-1]), 0, 1)
    names = ("image", "order", "kind", "fill", "step")
    return xr.Dataset(
        {"score": (names, score)},
        coords={
            "order": np.array(orders.names, dtype=object),
            "kind": np.array(KINDS, dtype=object),
            "fill": np.array(fills, dtype=object),
            "fraction": ("step", counts / counts[-1]),
            **{key: ("image", getattr(looked, key)) for key in ("place", "target", "cluster")},
        },
        attrs={"score": "probability" if probability else "output"},
    )


@torch.no_grad()
def _scores(
    model: Scored,
    kept: NDArray[np.bool_],
    of_pixel: torch.Tensor,
    image: torch.Tensor,
    filled: torch.Tensor,
) -> torch.Tensor:
    """Return the units' outputs of one image where cells ``(n, cell)`` are kept, ``(n, unit)``."""
    masks = torch.from_numpy(kept).to(image.device)[:, of_pixel][:, None]
    return model(torch.where(masks, image, filled)).float()
