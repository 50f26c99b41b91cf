"""The plan of one study: its shards, and what its jobs take; no torch is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import ceil, prod
from pathlib import Path
from typing import Any

from variscope.designs.cells import summed_ranges
from variscope.estimators import Layout
from variscope.estimators.moments import SLAB_BYTES
from variscope.indices.precision import Target
from variscope.inputs.axes import Layer
from variscope.responses.network.batches import batch_size_for, blocks_at_once
from variscope.stores.sizes import CHUNK_BYTES
from variscope.study.config import designs_of, groups_of, targets_of
from variscope.study.controls import SELECTION, TRANSIT
from variscope.study.findings import Findings
from variscope.study.layer_groups import LayerGroup, plan_groups
from variscope.study.measured import presented, responses_of
from variscope.study.rounds import sizes_of
from variscope.study.sharding import Shard
from variscope.vocabulary import HALVES

MIB = 2**20
GIB = 2**30

# Resident sizes of a process before it holds anything of the study, in MiB, as measured: with torch
# and torchvision, with the compiled kernels that sum, with what reads and writes indices, and with
# what draws. Those of a build of torch for GPUs, which is the largest; with pandas comes pyarrow,
# 35 MiB of it.
_TORCH_MB, _KERNELS_MB, _NUMPY_MB, _DRAWING_MB = 910, 190, 185, 265

# What compiling the kernels takes on top, in the first job of a clone that sums beside a network.
_COMPILING_MB = 110

# Chunks of activations that their writer, or their reader and what cuts them into cells, hold
# beside a block: the threads of Zarr keep for the next one what they made of the last.
_CHUNKS_WRITTEN, _CHUNKS_READ = 8, 12

# Of the 64 bits of a sum or an index 35 are stored (`with_float32_bits`); the others are 0 and
# compress away.
STORED_BYTES = 5


@dataclass(frozen=True)
class StudyPlan:
    """One model, one variable set, one design.

    Attributes:
        model, variable_set, design: their names.
        variables: names of the variables.
        layers: as the preflight found them.
        blocks, replicates, rows_per_block: of the design; where it grows, blocks of the first
            round.
        evaluations: images of one pass over all layers of a group; rows that repeat an earlier
            one of their block need none. Where the design grows, those of all rounds.
        exact: whether repeats were counted in every block, or extrapolated.
        batch_size: images of one forward pass; None where it is auto.
        device: that the preflight found.
        outputs: of all modules of the network for one image.
        layer_groups: the layers that are evaluated together, with the rounds and shards of each.
        sizes: blocks of each replicate in each round; one round, unless the design grows.
        storage: ``"activations"`` or ``"moments"``, what the evaluation keeps.
        target: what is asked of the intervals, for which the design grows.
        groups: names of the groups of variables whose Shapley effects are summed.
        parameters: numbers that the network has.
        pixels: numbers of one image.
        largest_output: of a module of the network for one image.
        network: the model that is evaluated, where this is the study of its untrained twin.
        kind: of the design, where its folder is named otherwise.
        hold: the part that all images are of, whatever varies.
        stride: every so many replicates of the design are evaluated, beginning with the first.
        responses: the file of them, where they were measured elsewhere and nothing is evaluated.
        presented: presentations of such a study, repeats among them.
    """

    model: str
    variable_set: str
    design: str
    variables: tuple[str, ...]
    layers: tuple[Layer, ...]
    blocks: int
    replicates: int
    rows_per_block: int
    evaluations: int
    exact: bool
    batch_size: int | None
    device: str
    outputs: int
    layer_groups: tuple[LayerGroup, ...]
    sizes: tuple[tuple[int, ...], ...]
    storage: str
    target: Target | None = None
    groups: tuple[str, ...] = ()
    parameters: int = 0
    pixels: int = 0
    largest_output: int = 0
    network: str = ""
    kind: str = ""
    hold: str = ""
    stride: int = 1
    responses: str = ""
    presented: int = 0

    @property
    def design_kind(self) -> str:
        """The kind of its design."""
        return self.kind or self.design

    @property
    def network_of(self) -> str:
        """The model whose network it is, by its name in the configuration."""
        return self.network or self.model

    @property
    def is_control(self) -> bool:
        """Whether others are held against it, or selected by it; its outputs are never kept."""
        return bool(self.network or self.hold)

    @property
    def store(self) -> str:
        """The folder of what its evaluation keeps."""
        return TRANSIT if self.is_control else self.storage

    @property
    def sums(self) -> str:
        """The folder of its sums."""
        return TRANSIT if self.is_control else "moments"

    @property
    def cost(self) -> str:
        """The folder of what its shards cost."""
        return f"{TRANSIT}-cost" if self.is_control else "cost"

    @property
    def asked(self) -> dict[str, Any] | None:
        """What is asked of the intervals, as a parameter of a rule."""
        return None if self.target is None else asdict(self.target)

    @property
    def most_blocks(self) -> int:
        """Base points of the last round that there can be."""
        return sum(self.sizes[-1])

    @property
    def rows(self) -> int:
        """Rows of the whole design, of all rounds."""
        return self.most_blocks * self.rows_per_block

    @property
    def repeats(self) -> int:
        """Rows that are not evaluated, since they repeat an earlier row of their block."""
        return self.rows - self.evaluations

    @property
    def shards(self) -> tuple[str, ...]:
        """The jobs of the evaluation, by their folders: those of each group of layers."""
        return tuple(f"{of.name}/{shard.name}" for of in self.layer_groups for shard in of.shards)

    def group(self, name: str) -> LayerGroup:
        """Return a group of layers by its name."""
        return next(group for group in self.layer_groups if group.name == name)

    def group_of(self, layer: str) -> LayerGroup:
        """Return the group that a layer is taken from."""
        return next(
            group for group in self.layer_groups if any(read.name == layer for read in group.read)
        )

    def layer(self, name: str) -> Layer:
        """Return a layer by its name."""
        return next(layer for layer in self.layers if layer.name == name)

    @property
    def units(self) -> int:
        """Units of all layers."""
        return sum(layer.units for layer in self.layers)

    def images_at_once(self, device: str | None = None) -> int:
        """Return the images of one forward pass on a device, by default that of the preflight."""
        return self.batch_size or batch_size_for(self.outputs, device or self.device)

    @property
    def disk(self) -> dict[str, int]:
        """Bytes per stage, at most: before compression, but for the bits of the sums that are 0."""
        evaluated = sum(layer.units for of in self.layer_groups for layer in of.layers)
        stored = sum(_entries(of) * layer.units for of in self.layer_groups for layer in of.layers)
        return {
            "activations": 4 * self.rows * evaluated if self.storage == "activations" else 0,
            "moments": STORED_BYTES * self.layout.sum_rows * stored,
            "indices": STORED_BYTES * self._values * self.units + 8 * self._kept_sums,
        }

    @property
    def _values(self) -> int:
        """Values of a unit's indices.

        Estimates with two bounds, mean, variance, status, effective blocks, and a byte that says
        where a guard widened an interval.
        """
        of = self.layout
        groups = len(self.groups) if "shapley" in of.indices else 0
        estimates = len(of.indices) * of.variables + len(of.pairs)
        return 3 * (estimates + groups) + 4 + ceil(estimates / 8)

    @property
    def _kept_sums(self) -> int:
        """Sums of the layers and of their channels, kept with the indices for differences."""
        of = self.layout
        one = len(of.indices) * of.variables + len(self.groups) + 1
        channels = sum(layer.aggregates for layer in self.layers)
        return self.replicates * (one * (channels + len(self.layers)) + len(of.pairs))

    @property
    def memory_mb(self) -> dict[str, int]:
        """Memory of one job of each stage that runs, MiB: of the largest."""
        if self.responses:
            return {"indices": max(map(self.indices_mb, self.layers)), "analysis": self.analysis_mb}
        sizes = {"evaluate": max(map(self.evaluate_mb, self.layer_groups))}
        if self.storage == "activations":
            sizes["moments"] = max(map(self.moments_mb, self.layer_groups))
        sizes["indices"] = max(map(self.indices_mb, self.layers))
        return {**sizes, "analysis": self.analysis_mb}

    def evaluate_mb(self, group: LayerGroup) -> int:
        """Memory of a job that evaluates a group of layers, MiB."""
        at_once, rows = self.images_at_once(), self.rows_per_block
        # The blocks of a batch, of which there may be fewer in the largest shard.
        blocks = min(
            blocks_at_once(at_once, rows), max(shard.stop - shard.start for shard in group.shards)
        )
        images, passed = blocks * rows, min(blocks * rows, at_once)
        units = sum(layer.units for layer in group.layers)
        largest = max(layer.units for layer in group.layers)
        # Of a batch and the next one the pixels.
        held = self._network + 4 * 2 * images * self.pixels
        if self.device == "cpu":
            held += self._forward(passed) + 4 * images * units
        if self.storage == "activations":
            # A layer's outputs row by row, and what is gathered of each until it fills a chunk.
            held += 4 * images * largest + sum(map(self._chunk, group.layers))
            held += _CHUNKS_WRITTEN * min(CHUNK_BYTES, self._chunk(_largest(group)))
        elif self.device == "cpu":
            # Totals and those of a shell of all layers; one layer's as they are rounded.
            held += 8 * self.layout.sum_rows * (2 * units + largest) + _COMPILING_MB * MIB
        else:
            held += 2 * 8 * self.layout.sum_rows * largest  # as they are copied and written
        return _TORCH_MB + ceil(held / MIB)

    def moments_mb(self, group: LayerGroup) -> int:
        """Memory of a job that sums the activations of a shard of a group of layers, MiB."""
        largest = _largest(group)
        in_shard = max(map(_entries_of, group.shards))
        sums = 8 * self.layout.sum_rows * largest.units
        chunk = self._chunk(largest)
        # Totals and those of a shell, and the entries until they are written. Of a chunk the blocks
        # as they are read, by replicate, joined with those that are left, and cut.
        held = (2 + in_shard) * sums + 4 * chunk + _CHUNKS_READ * min(CHUNK_BYTES, chunk)
        return _KERNELS_MB + ceil(held / MIB)

    def indices_mb(self, layer: Layer) -> int:
        """Memory of a job that estimates a layer's indices, MiB."""
        if self.responses:
            # All regions as they are read; of one the order of its repeats, and the sums as
            # measured and without noise, with their indices.
            read = 8 * self.presented * (self.units + 3 * layer.units)
            sums = 8 * self.replicates * self.layout.sum_rows * layer.units
            found = 8 * self._values * layer.units
            return _TORCH_MB + _COMPILING_MB + ceil((read + 6 * sums + 6 * found) / MIB)
        stored = 8 * _entries(self.group_of(layer.name)) * self.layout.sum_rows * layer.units
        slab = min(stored, max(SLAB_BYTES, stored // layer.shape[0]))
        found = 8 * self._values * layer.units
        # A slab as it is read, merged and summed, beside what was found; then indices as they were
        # found, joined and rounded, beside the last slab.
        return _NUMPY_MB + ceil(max(3 * slab + found, slab + 3 * found) / MIB)

    @property
    def analysis_mb(self) -> int:
        """Memory of a job that reads all layers' indices, and draws them, MiB."""
        # Beside them one layer's maps, laid out.
        largest = max(layer.units for layer in self.layers)
        return _DRAWING_MB + self.read_mb + ceil(8 * self._values * largest / 4 / MIB)

    @property
    def read_mb(self) -> int:
        """What all layers' indices take where they are read, MiB."""
        return ceil(8 * self._values * self.units / MIB)

    def answering_mb(self, images: int) -> int:
        """Memory of a job that looks at the network's answers to so many images at once, MiB."""
        held = self._network + 3 * 4 * images * self.pixels + self._forward(images)
        return _TORCH_MB + ceil(held / MIB)

    def training_mb(self, images: int) -> int:
        """Memory of a job that trains the network, MiB, by batches of so many images."""
        # Gradients and what the optimiser keeps; every module's outputs and their gradients.
        held = self._network + 3 * 4 * self.parameters + 2 * 4 * images * self.outputs
        return _TORCH_MB + ceil((held + 3 * 4 * images * self.pixels) / MIB)

    @property
    def _network(self) -> int:
        """Bytes of the parameters as they are read, and as the network has them."""
        return 2 * 4 * self.parameters

    def _forward(self, images: int) -> int:
        """Bytes of a batch, of what a module takes and gives, and of what passes beside it."""
        return 4 * images * (self.pixels + 3 * self.largest_output)

    def _chunk(self, layer: Layer) -> int:
        """Bytes of whole blocks of a layer's outputs, about a chunk or one block."""
        block = 4 * self.rows_per_block * layer.units
        at_most = max(shard.blocks for shard in self.group_of(layer.name).shards) * block
        return min(at_most, max(CHUNK_BYTES, block))

    @property
    def main_index(self) -> str:
        """The index whose values are disjoint shares."""
        return self.layout.main_index

    @property
    def layout(self) -> Layout:
        """Return the layout of its sums."""
        return Layout(self.design_kind, len(self.variables))


def plan_study(
    config: Mapping[str, Any],
    found: Findings,
    results: Path,
    model: str,
    variable_set: str,
    kind: str,
    *,
    network: str = "",
    hold: str = "",
) -> StudyPlan:
    """Plan one study of a completed configuration with what the preflight found.

    Args:
        config: completed.
        found: by the preflight.
        results: the experiment's folder, whose shards are taken where they fit.
        model, variable_set, kind: names of its model, set and kind of design.
        network: name of the model whose network it runs, of a control that is of another one.
        hold: the part that all images come from, of a control that selects units.
    """
    of_network = found.models[network or model]
    space = found.variable_sets[variable_set]
    counted, sizes = space.designs[kind], designs_of(config)[kind]
    rows = counted.rows_per_block
    batch_size, per_pass = (config["evaluation"][key] for key in ("batch_size", "layers_per_pass"))
    # Controls do not grow: they are of the rows of the first round.
    control = bool(network or hold)
    responses = "" if control else responses_of(config["models"][model], variable_set, kind)
    target = None if control or responses else targets_of(config).get(kind)
    design, stride = (SELECTION, len(HALVES)) if hold else (kind, 1)
    in_rounds = tuple(
        of_replicates[::stride]
        for of_replicates in sizes_of(sizes["blocks"], sizes["replicates"], target)
    )
    times = sum(in_rounds[-1]) / sizes["blocks"]
    return StudyPlan(
        model,
        variable_set,
        design,
        tuple(variable.name for variable in space.variables),
        of_network.layers,
        sum(in_rounds[0]),
        len(in_rounds[0]),
        rows,
        round(counted.evaluations * times),
        counted.exact and times == 1,
        None if batch_size == "auto" else batch_size,
        found.device,
        of_network.outputs,
        ()
        if responses
        else plan_groups(
            of_network.layers,
            None if per_pass == "all" else per_pass,
            results / model / variable_set / design / (TRANSIT if control else config["storage"]),
            in_rounds,
            config["evaluation"]["rows_per_shard"] // rows,
        ),
        in_rounds,
        "moments" if control else config["storage"],
        target,
        tuple(groups_of(config["variable_sets"][variable_set])),
        of_network.parameters,
        found.dataset.summary["channels"] * prod(found.dataset.summary["size"]),
        of_network.largest_output,
        network,
        kind if design != kind else "",
        hold,
        stride,
        responses,
        presented(sum(in_rounds[0]), len(in_rounds[0]), rows, config["export"]["repeats"]),
    )


def _entries(group: LayerGroup) -> int:
    """Return how many times a unit's sums are stored: per replicate, and per later shell."""
    return sum(map(_entries_of, group.shards))


def _largest(group: LayerGroup) -> Layer:
    """Return the layer of a group that has the most units."""
    return max(group.layers, key=lambda layer: layer.units)


def _entries_of(shard: Shard) -> int:
    return len(shard.replicates) * len(summed_ranges(shard.start, shard.stop))
