"""From design rows to layer outputs: altered batches through the network, hooked.

Which rows make up a batch depends on the design and the batch size alone, never on shards or cores,
so that a row's outputs are the same to the last bit however a study is split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from variscope.designs import Blocks
from variscope.errors import UserError
from variscope.inputs.images import ImageTable
from variscope.inputs.layers import Layer, capture
from variscope.jobs import LOG
from variscope.space.altering import alter
from variscope.space.space import Recipes, Space


@dataclass(frozen=True)
class Evaluated:
    """Outputs of consecutive blocks of one replicate.

    Attributes:
        start: number of the first block within its replicate.
        order: the cycle's permutations, ``(block, D)``.
        outputs: by layer float32 ``(block, row, *unit)``, on the evaluator's device.
        evaluations: forward passes that it took; rows that repeat took none.
    """

    start: int
    order: NDArray[np.int64]
    outputs: Mapping[str, torch.Tensor]
    evaluations: int


class Evaluator:
    """A network, its hooked layers, and the images that a space alters.

    Args:
        model: in eval mode, on ``device``.
        layers: whose outputs are captured, in the network's order.
        space: decodes points into recipes.
        images: where recipes' images come from.
        mean, std: the model's normalisation, of each channel.
        batch_size: images of one forward pass, at most; halved where the device's memory is short.
        device: torch device.
        softmax: apply softmax to the last layer's outputs.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[Layer],
        space: Space,
        images: ImageTable,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        batch_size: int,
        device: str = "cpu",
        softmax: bool = False,
    ) -> None:
        self.model = model.to(device).eval()
        self.layers = tuple(layers)
        self.space = space
        self.images = images
        self.batch_size = self._at_once = batch_size
        self.device = torch.device(device)
        self.softmax = softmax
        self._mean = torch.tensor(mean, dtype=torch.float32, device=device)[:, None, None]
        self._std = torch.tensor(std, dtype=torch.float32, device=device)[:, None, None]

    def replicate(
        self, blocks: Blocks, on_rows: Callable[[int], object] | None = None
    ) -> Iterator[Evaluated]:
        """Evaluate the blocks of a replicate, a batch of whole blocks at a time.

        Args:
            blocks: all blocks of the replicate.
            on_rows: called with the number of rows done after each batch.

        Raises:
            ValueError: a layer gives outputs of another shape than it was probed with.
        """
        count, rows, _ = blocks.points.shape
        at_once = max(1, self.batch_size // rows)
        for start in range(0, count, at_once):
            points = blocks.points[start : start + at_once]
            recipes = self.space.decode(points.reshape(-1, points.shape[-1]))
            evaluate, held_by = recipes.repeats(len(points))
            unique = self._forward(recipes.take(evaluate))
            rows_of = torch.from_numpy(held_by).to(self.device)
            yield Evaluated(
                start,
                blocks.order[start : start + at_once],
                {
                    name: values.index_select(0, rows_of).reshape(
                        len(points), rows, *values.shape[1:]
                    )
                    for name, values in unique.items()
                },
                len(evaluate),
            )
            if on_rows is not None:
                on_rows(len(recipes))

    def altered(self, recipes: Recipes) -> torch.Tensor:
        """Return the altered images, ``(n, 3, H, W)`` in [0, 1], before normalisation."""
        ids, where = np.unique(recipes.image, return_inverse=True)
        base = torch.from_numpy(self.images.load(ids)).to(self.device)
        if base.dtype == torch.uint8:
            base = base.to(torch.float32) / 255
        return alter(base[torch.from_numpy(where)], recipes, self.space.augmentations)

    @torch.inference_mode()
    def _forward(self, recipes: Recipes) -> dict[str, torch.Tensor]:
        """Return each layer's outputs of all recipes, ``(n, *unit)``."""
        n = len(recipes)
        outputs = {
            layer.name: torch.empty((n, *layer.shape), device=self.device) for layer in self.layers
        }
        start = 0

        def receive(name: str, output: torch.Tensor) -> None:
            target = outputs[name][start : start + len(output)]
            if output.shape[1:] != target.shape[1:]:
                raise ValueError(
                    f"layer {name} gave outputs of shape {tuple(output.shape[1:])}, "
                    f"but {tuple(target.shape[1:])} when it was probed"
                )
            # Copied at once: a later layer may work in place on what this one gave.
            target.copy_(output)

        with capture(
            self.model, [layer.name for layer in self.layers], receive, softmax_last=self.softmax
        ):
            while start < n:
                part = recipes.take(slice(start, start + self._at_once))
                try:
                    self.model((self.altered(part) - self._mean) / self._std)
                except torch.OutOfMemoryError as error:
                    self._take_fewer(error)
                else:
                    start += len(part)
        return outputs

    def _take_fewer(self, error: torch.OutOfMemoryError) -> None:
        """Halve the images of one forward pass, and go on with that."""
        if self._at_once == 1:
            raise UserError(
                f"evaluation: one image does not fit into the memory of {self.device} "
                f"({str(error).splitlines()[0]}); fewer layers, or another device"
            ) from error
        self._at_once //= 2
        LOG.warning("out of memory on %s: %d images at once from here", self.device, self._at_once)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
