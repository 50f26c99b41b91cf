"""From design rows to layer outputs: altered batches through the network, hooked.

Which rows make up a batch depends on their blocks' numbers and the batch size alone
(`variscope.designs.cells`), never on shards, cores or how many blocks there are, so that a row's
outputs are the same to the last bit however a study is split and grows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from variscope.designs import Blocks
from variscope.designs.cells import cells
from variscope.errors import UserError
from variscope.inputs.images import ImageTable
from variscope.inputs.layers import Layer, capture
from variscope.inputs.values import MEMORY_FORMATS
from variscope.log import LOG
from variscope.responses.network.batches import blocks_at_once
from variscope.responses.network.compiled import Compiled
from variscope.responses.network.device import computing_in
from variscope.space.altering import alter
from variscope.space.space import Recipes, Space

# Images that are altered at once on a CPU take about this much: what is made of them on the way
# stays in the cache, and the memory allocator gives out the same pages again.
_CPU_BYTES = 4 * 2**20


@dataclass(frozen=True)
class Evaluated:
    """Outputs of consecutive blocks of one replicate.

    Attributes:
        start: number of the first block within its replicate.
        order: the blocks' permutations, ``(block, D)``; ``(block, 0)`` of a design that has none.
        rows: the evaluation that each row is, ``(block, row)``; rows that repeat share one.
        outputs: by layer float32 ``(evaluation, *unit)``, on the evaluator's device.
    """

    start: int
    order: NDArray[np.int64]
    rows: NDArray[np.int64]
    outputs: Mapping[str, torch.Tensor]

    @property
    def evaluations(self) -> int:
        """Forward passes that it took."""
        return int(self.rows.max()) + 1

    @property
    def same_as(self) -> NDArray[np.int64]:
        """The first row of its block that has a row's evaluation, ``(block, row)``."""
        return (self.rows[:, :, None] == self.rows[:, None, :]).argmax(axis=2)

    def of_rows(self, layer: str) -> torch.Tensor:
        """Lay a layer's outputs out row by row, ``(block, row, *unit)``."""
        return self.outputs[layer][torch.from_numpy(self.rows).to(self.outputs[layer].device)]


@dataclass(frozen=True)
class _Batch:
    """Blocks on their way to the network.

    Attributes:
        start, order, rows: as of `Evaluated`.
        recipes: of the evaluations.
        ids: the distinct images of the recipes, ascending.
    """

    start: int
    order: NDArray[np.int64]
    rows: NDArray[np.int64]
    recipes: Recipes
    ids: NDArray[np.int64]


class Evaluator:
    """A network, its hooked layers, and the images that a space alters.

    Args:
        model: in eval mode, on ``device``; its parameters are laid out as ``memory`` says.
        layers: whose outputs are captured, in the network's order.
        space: decodes points into recipes.
        images: where recipes' images come from.
        mean, std: the model's normalisation, of each channel.
        batch_size: images of one forward pass, at most; halved where the device's memory is short.
        device: torch device.
        precision: what the network computes in, one of `device.PRECISIONS`.
            Images are altered, and outputs handed on, in float32 all the same.
        compile: let torch.compile compile the network; a UserError says where it cannot.
        memory: "channels_last", in which convolutions are faster, or "contiguous" for a network
            that does not take it (`variscope.inputs.values.check_values`).
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
        precision: str = "float32",
        compile: bool = False,
        memory: str = "channels_last",
    ) -> None:
        volumes = any(parameter.ndim == 5 for parameter in model.parameters())
        # Channels last is of four dimensions.
        self.memory = MEMORY_FORMATS["contiguous" if volumes else memory]
        model.to(device)
        model.to(memory_format=self.memory)
        model.eval()  # its result is not used: an overridden train() may give none
        self.model = model
        self.layers = tuple(layers)
        self.space = space
        self.images = images
        self.batch_size = self._at_once = batch_size
        self.device = torch.device(device)
        self.precision = precision
        self._mean = torch.tensor(mean, dtype=torch.float32, device=device)[:, None, None]
        self._std = torch.tensor(std, dtype=torch.float32, device=device)[:, None, None]
        self._compiled = Compiled(self.model, self.layers, self.memory) if compile else None

    def blocks_at_once(self, rows: int) -> int:
        """Return how many blocks of this many rows a batch has: a power of two."""
        return blocks_at_once(self.batch_size, rows)

    def replicate(
        self, blocks: Blocks, on_rows: Callable[[int], object] | None = None
    ) -> Iterator[Evaluated]:
        """Evaluate blocks of a replicate, cell by cell.

        While the network runs on a batch, a thread reads the images of the next one, each once:
        decoders release Python's lock, so that processes would only copy more.

        Args:
            blocks: of the replicate, from 0 or a power of two on.
            on_rows: called with the number of rows done after each batch.

        Raises:
            ValueError: a layer gives outputs of another shape than it was probed with.
        """
        batches = self._batches(blocks)
        batch = next(batches, None)
        with ThreadPoolExecutor(1) as reader:
            reading = reader.submit(self.images.load, batch.ids) if batch else None
            while batch is not None and reading is not None:
                pixels = reading.result()
                following = next(batches, None)
                reading = reader.submit(self.images.load, following.ids) if following else None
                # Named by nothing here, so that who takes them can free them before the next.
                yield Evaluated(batch.start, batch.order, batch.rows, self._forward(batch, pixels))
                if on_rows is not None:
                    on_rows(batch.rows.size)
                batch = following

    def of_recipes(
        self, recipes: Recipes, ids: NDArray[np.int64], pixels: NDArray[Any]
    ) -> dict[str, torch.Tensor]:
        """Return each layer's outputs of recipes that no design made, ``(n, *unit)``.

        Args:
            recipes: ``(n,)`` of them.
            ids, pixels: as of `inputs`.
        """
        none = np.empty((0, 0), dtype=np.int64)
        return self._forward(_Batch(0, none, none, recipes, ids), pixels)

    def noise_floor(self, blocks: Blocks) -> dict[str, float]:
        """Measure what a reduced precision adds, on as many of some blocks as a batch holds.

        Returns:
            By layer the mean square of what the precision changes in the units' outputs, over
            their variance, both summed over the units: a share of variance, as the indices are.
            0 in float32.
        """
        count, rows, _ = blocks.points.shape
        batch = self._batch(blocks, 0, min(count, self.blocks_at_once(rows)))
        pixels = self.images.load(batch.ids)
        reduced, full = (self._forward(batch, pixels, p) for p in (self.precision, "float32"))
        shares = {}
        for name, outputs in full.items():
            noise = (reduced[name] - outputs).double().square().mean(dim=0).sum()
            shares[name] = float(noise / outputs.double().var(dim=0).sum())
        return shares

    def seconds_per_image(self, recipes: Recipes, about: float = 0.5) -> float:
        """Time some recipes from the images' files to the layers' outputs.

        Two of them warm up, and say how many can be timed.

        Args:
            recipes: at least two.
            about: seconds that it takes.
        """
        warm_up = recipes.take(slice(0, 2))
        self._seconds(warm_up)
        affordable = int(about * len(warm_up) / self._seconds(warm_up))
        timed = recipes.take(slice(0, max(2, min(self.batch_size, affordable))))
        return self._seconds(timed) / len(timed)

    def _seconds(self, recipes: Recipes) -> float:
        start = monotonic()
        none = np.empty((0, 0), dtype=np.int64)
        batch = _Batch(0, none, none, recipes, np.unique(recipes.image))
        outputs = self._forward(batch, self.images.load(batch.ids))
        for output in outputs.values():
            output.reshape(-1)[:1].cpu()  # waits for a GPU
        return monotonic() - start

    def inputs(
        self, recipes: Recipes, ids: NDArray[np.int64], pixels: NDArray[Any]
    ) -> torch.Tensor:
        """Return what the network is given: altered and normalised images.

        Args:
            recipes: ``(n,)`` of them.
            ids: ascending, all images of the recipes among them, ``(k,)``.
            pixels: of the ids, uint8, or float32 in [0, 1], ``(k, C, H, W)``.

        Returns:
            ``(n, C, H, W)``, in memory as the network takes it.
        """
        n, shape = len(recipes), pixels.shape[1:]
        batch = torch.empty((n, *shape), device=self.device, memory_format=self.memory)
        base = torch.from_numpy(pixels).to(self.device)
        where = torch.from_numpy(np.searchsorted(ids, recipes.image)).to(self.device)
        at_once = max(1, n)
        if self.device.type == "cpu":
            at_once = max(1, _CPU_BYTES // (4 * int(np.prod(shape))))
        for start in range(0, n, at_once):
            part = slice(start, start + at_once)
            images = base[where[part]]  # a copy
            if images.dtype == torch.uint8:
                images = images.to(torch.float32).div_(255)
            altered = alter(images, recipes.take(part), self.space.augmentations, in_place=True)
            batch[part] = altered.sub_(self._mean).div_(self._std)
        return batch

    def _batches(self, blocks: Blocks) -> Iterator[_Batch]:
        count, rows, _ = blocks.points.shape
        first = blocks.start
        for start, stop in cells(first, first + count, self.blocks_at_once(rows)):
            yield self._batch(blocks, start - first, stop - first)

    def _batch(self, blocks: Blocks, start: int, stop: int) -> _Batch:
        """Return some of the blocks, counted from the first of them."""
        points = blocks.points[start:stop]
        count, rows, factors = points.shape
        recipes = self.space.decode(points.reshape(-1, factors))
        evaluate, held_by = recipes.repeats(count)
        recipes = recipes.take(evaluate)
        return _Batch(
            blocks.start + start,
            blocks.order[start:stop],
            held_by.reshape(count, rows),
            recipes,
            np.unique(recipes.image),
        )

    @torch.inference_mode()
    def _forward(
        self, batch: _Batch, pixels: NDArray[Any], precision: str | None = None
    ) -> dict[str, torch.Tensor]:
        """Return each layer's outputs of all recipes, ``(n, *unit)``."""
        n, precision = len(batch.recipes), precision or self.precision
        outputs: dict[str, torch.Tensor] = {}
        start = 0

        def receive(name: str, output: torch.Tensor) -> None:
            shape = shapes[name]
            if output.shape[1:] != shape:
                raise ValueError(
                    f"layer {name} gave outputs of shape {tuple(output.shape[1:])}, "
                    f"but {shape} when it was probed"
                )
            if self._compiled is not None and len(output) == n:
                outputs[name] = output  # a copy already
                return
            if name not in outputs:
                outputs[name] = torch.empty((n, *shape), device=self.device)
            # Copied at once: a later layer may work in place on what this one gave.
            outputs[name][start : start + len(output)].copy_(output)

        shapes = {layer.name: layer.shape for layer in self.layers}
        with computing_in(precision, self.device):
            while start < n:
                part = batch.recipes.take(slice(start, start + self._at_once))
                try:
                    images = self.inputs(part, batch.ids, pixels)
                    if self._compiled is not None:
                        caught = self._compiled(images, self._at_once, precision)
                        for name, output in caught.items():
                            receive(name, output)
                    else:
                        with capture(self.model, self.layers, receive):
                            self.model(images)
                except torch.OutOfMemoryError as error:
                    self._take_fewer(error)
                else:
                    start += len(part)
        return {name: outputs[name] for name in shapes}

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
