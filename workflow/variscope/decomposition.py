"""A study in the process: for notebooks, and for networks that are small enough."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike
from torch import nn

from variscope.designs import Design, kinds
from variscope.designs.asked import check_numbers
from variscope.designs.cells import largest_power
from variscope.errors import UserError
from variscope.estimators import Layout, Moments, merge
from variscope.indices.layer import layer_dataset
from variscope.indices.precision import OF, Course, Target, index_of, precision
from variscope.inputs.images import table_from_arrays
from variscope.inputs.layers import outputs_of_all, probe
from variscope.inputs.models import initialise, plain
from variscope.inputs.normalisation import MEAN, STD, carried_normalisation, per_channel
from variscope.inputs.spaces import auxiliary_of, entry_augmentation
from variscope.inputs.values import check_values, images_to_look_at
from variscope.log import Progress
from variscope.responses.network.batches import batch_size_for
from variscope.responses.network.device import choose_device, repeatable
from variscope.responses.network.evaluator import Evaluator
from variscope.responses.network.sums import layer_sums
from variscope.space.augmentations import Augmentation
from variscope.space.grouping import variable_groups
from variscope.space.images import ImageIndex
from variscope.space.space import Space
from variscope.space.trying import try_augmentation
from variscope.stores.results import study_tree
from variscope.study.provenance import versions


def decompose(
    model: nn.Module,
    images: ArrayLike,
    labels: ArrayLike | None = None,
    *,
    variables: Sequence[str | Mapping[str, Any] | Augmentation],
    auxiliary: Sequence[str] | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    layers: Sequence[str] | str = "auto",
    apply: str = "always",
    design: str = "cycle",
    blocks: int = 512,
    replicates: int = 16,
    seed: int = 1,
    confidence_level: float = 0.95,
    half_width: float | None = None,
    index: str = "auto",
    of: str = "layers",
    most_blocks: int = 8192,
    channels: int = 3,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    progress: bool = True,
    threads: int | None = 1,
) -> xr.DataTree:
    """Decompose the variance of every unit of a network's layers.

    Args:
        model: put into eval mode, and back into its mode at the end; its parameters keep their
            values, and are left contiguous in memory.
        images: ``(n, C, H, W)``, uint8, or float32 or float64 in [0, 1], C of 1 or 3.
        labels: the class of each image, ``(n,)``, integers from 0; None where there are none.
        variables: names of augmentations, ``{"name": ..., parameter: [low, high]}`` entries, or
            augmentations of your own.
        auxiliary: which of order, class, image are variables as well; by default all three, and
            without class where there is one class or no labels.
        groups: variables whose Shapley effects are summed, by a name of yours; all augmentations
            (without order) and image identity (class and image) are summed as well.
        layers: names of modules, or "auto" for the main stages.
        apply: "always": augmentations with parameters are always applied, those without with
            probability 0.5; "switched": all with probability 0.5.
        design: "cycle" (Shapley effects, S1, ST, S2) or "star" (S1, ST, S2).
        blocks: base points over all replicates.
        replicates: independent randomisations, at least 2; intervals are over them.
        seed: same seed and settings, same numbers, here and in the workflow.
        confidence_level: of the intervals.
        half_width: half the width that no interval exceeds, a share of variance. Blocks are doubled
            until the intervals are that narrow in two rounds in a row, so that stopping there
            leaves them their level (`variscope.indices.precision`); the tree's attribute
            ``precision`` says in JSON what was asked and reached, and which cannot narrow. By
            default ``blocks`` are evaluated, however wide the intervals are.
        index: whose intervals, "shapley", "S1" or "ST"; "auto" is Shapley effects, and S1 for the
            star, which has none.
        of: "layers", the intervals of their means, or "channels", those of each channel, feature
            or neuron of every layer.
        most_blocks: that are not exceeded, however wide the intervals are.
        channels: that the network gets, 3 or 1: one is repeated three times, three become gray.
        mean, std: of each channel, the normalisation of the model's images in [0, 1]; may be left
            out only where the model carries them as timm's do, in `pretrained_cfg`.
        batch_size: images of one forward pass; by default fewer for larger networks and images.
        device: "cpu", "cuda", or None for a GPU where there is one.
        progress: show a bar.
        threads: of torch on the CPU, for as long as this runs. One is what the workflow takes, so
            that even the last bits agree; more may be faster for large networks on many cores;
            None leaves torch's own setting.

    Returns:
        One node per layer, each with the arrays of the workflow's ``indices/<layer>.zarr``.

    Raises:
        UserError: an argument is wrong; the message says which, and what is allowed.

    Example:
        >>> import numpy as np
        >>> from torch import nn
        >>> network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 2))
        >>> study = decompose(
        ...     network,
        ...     np.random.default_rng(0).random((6, 3, 8, 8), dtype=np.float32),
        ...     labels=[0, 0, 0, 1, 1, 1],
        ...     variables=["hflip", {"name": "brightness", "factor": [0.5, 1.5]}],
        ...     layers=["0", "3"],
        ...     blocks=16,
        ...     replicates=4,
        ...     mean=[0.5, 0.5, 0.5],
        ...     std=[0.25, 0.25, 0.25],
        ...     progress=False,
        ... )
        >>> study["0"]["shapley"].dims
        ('variable', 'channel', 'y', 'x')
        >>> study["3"]["variable"].values.tolist()
        ['hflip', 'brightness', 'order', 'class', 'image']
        >>> round(float(study["3"]["shapley_layer"].sum()), 6)
        1.0
    """
    if not isinstance(model, nn.Module):
        raise UserError(f"model: found {type(model).__name__}; allowed: a torch.nn.Module")
    own = {"batch_size": batch_size, "threads": threads}
    check_numbers(
        confidence_level,
        blocks=(blocks, 2),
        replicates=(replicates, 2),
        seed=(seed, 0),
        **{name: (value, 1) for name, value in own.items() if value is not None},
    )
    target = None
    if half_width is not None:
        target = _target(half_width, design, index, of, blocks, most_blocks)
    _check_channels(mean, std, channels)
    for name, given in (("variables", variables), ("auxiliary", auxiliary)):
        if isinstance(given, str):
            raise UserError(f"{name}: found the text {given!r}; allowed: a list, [{given!r}]")
    if auxiliary is not None and "part" in auxiliary:
        raise UserError(
            "auxiliary: found 'part'; allowed: order, class, image; images have no part"
        )
    chosen = choose_device(device)
    table = table_from_arrays(images, labels, channels=channels)
    auxiliary = auxiliary_of(auxiliary, table)
    space = Space(
        augmentations=tuple(map(entry_augmentation, variables)),
        auxiliary=auxiliary,
        index=ImageIndex.of(table.label, table.part),
        size=table.size,
        channels=table.channels,
        apply=apply,
        part="train",
    )
    try:
        kinds.sums_of(design)
        first = Design(design, space.groups, blocks, replicates, seed)
    except ValueError as error:
        raise UserError(str(error)) from error
    names = [variable.name for variable in space.variables]
    identity = _digest(images, [] if labels is None else labels)
    summed = variable_groups([a.name for a in space.augmentations], auxiliary, groups or {})
    modes = [(module, module.training) for module in model.modules()]
    network = plain(model)
    normal = _normalisation(network, mean, std, channels)
    shape = (table.channels, *table.size)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # weights of lazy layers
            initialise(network, shape)
        found = probe(network, layers, shape)
        some = images_to_look_at(table)
        for augmentation in space.augmentations:
            try_augmentation(augmentation, space.bounds(augmentation), some)
        with repeatable(threads):
            memory = check_values(network, found, some, *normal)
        evaluator = Evaluator(
            network,
            found,
            space,
            table,
            mean=normal[0],
            std=normal[1],
            batch_size=batch_size or batch_size_for(outputs_of_all(network, shape), chosen),
            device=chosen,
            memory=memory,
        )

        def estimated(sums: Mapping[str, Moments]) -> dict[str, xr.Dataset]:
            return {
                layer.name: layer_dataset(
                    [sums[layer.name]],
                    names,
                    layer.dims,
                    confidence_level,
                    {
                        "experiment": "decompose",
                        "model": "" if type(model) is nn.Sequential else type(model).__name__,
                        "variable_set": "",
                        "layer": layer.name,
                        "layer_number": number,
                        "apply": apply,
                        "seed": seed,
                        "images": identity,
                        "provenance": json.dumps({"versions": versions(), "seed": seed}),
                    },
                    summed,
                    layer.tokens,
                    layer.grid,
                )
                for number, layer in enumerate(found)
            }

        with repeatable(threads), Progress(0, "images", bar=progress) as bar:
            growing = _Growing(evaluator, replicates)
            if target is None:
                return study_tree(estimated(growing.sums(first, bar)))
            return _until_narrow(first, target, growing, estimated, bar)
    finally:
        for module, mode in modes:  # one by one: some may be frozen in a mode of their own
            module.training = mode
        model.to(memory_format=torch.contiguous_format)


def _until_narrow(
    first: Design,
    target: Target,
    growing: _Growing,
    estimated: Callable[[Mapping[str, Moments]], dict[str, xr.Dataset]],
    bar: Progress,
) -> xr.DataTree:
    """Double the blocks until the intervals are as narrow as asked, or there are the most."""
    course = Course(target)
    layers: dict[str, xr.Dataset] = {}
    for blocks in target.sizes(first.blocks):
        layers = estimated(growing.sums(replace(first, blocks=blocks), bar))
        course = course.then(precision(layers.items(), target))
        bar.note(course.text())
        if course.finished:
            break
    tree = study_tree(layers)
    tree.attrs["precision"] = json.dumps(course.to_json())
    return tree


def _digest(*arrays: ArrayLike) -> str:
    """Digest what was given as images and labels: studies of the same can be compared."""
    digest = hashlib.sha256()
    for array in map(np.ascontiguousarray, arrays):
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


def _target(
    half_width: float, design: str, index: str, of: str, blocks: int, most_blocks: int
) -> Target:
    """Return what is asked of the intervals. UserError: it cannot be asked."""
    if isinstance(half_width, bool) or not isinstance(half_width, Real) or not 0 < half_width < 0.5:
        raise UserError(
            f"half_width: found {half_width!r}; allowed: above 0 and below 0.5, or None"
        )
    if of not in OF:
        raise UserError(f"of: found {of!r}; allowed: {', '.join(OF)}")
    whole = isinstance(most_blocks, Integral) and not isinstance(most_blocks, bool)
    if not whole or most_blocks < blocks:
        raise UserError(f"most_blocks: found {most_blocks!r}; allowed: at least blocks ({blocks})")
    if design in kinds.summed_names():  # what others are is said by the design itself
        index = index_of(design, index)
    return Target(half_width=float(half_width), index=index, of=of, most_blocks=int(most_blocks))


def _normalisation(
    model: nn.Module,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    channels: int,
) -> tuple[Sequence[float], Sequence[float]]:
    """Return mean and std: as given, else as the model carries them. UserError: neither says."""
    carried = carried_normalisation(model) or {}
    mean = carried.get("mean") if mean is None else mean
    std = carried.get("std") if std is None else std
    if mean is None or std is None:
        missing = " and ".join(n for n, v in (("mean", mean), ("std", std)) if v is None)
        raise UserError(
            f"{missing}: left out, and the model does not say how its images were normalised; "
            "give those of its training, most often "
            f"mean={per_channel(MEAN, channels)}, std={per_channel(STD, channels)} (ImageNet's) or "
            f"mean={[0.5] * channels}, std={[0.5] * channels} (images in [-1, 1])"
        )
    _check_channels(mean, std, channels)
    return mean, std


def _check_channels(
    mean: Sequence[float] | None, std: Sequence[float] | None, channels: int
) -> None:
    """Raise a UserError where the normalisation is not one number per channel."""
    for name, values, least in (("mean", mean, -np.inf), ("std", std, 0.0)):
        if values is not None and (
            len(values) != channels or not all(least < v < np.inf for v in values)
        ):
            allowed = "three finite numbers" if channels == 3 else "one finite number"
            allowed += " above 0" if name == "std" else ""
            if channels == 3 and len(values) == 1:
                allowed += "; channels=1 where the network takes one channel"
            raise UserError(f"{name}: found {values}; allowed: {allowed}")


class _Growing:
    """The sums of a design that grows.

    A replicate's blocks up to the last power of two are evaluated once; those beyond, of sizes that
    are no powers of two, anew each time (`variscope.designs.cells`).

    Args:
        evaluator: network, layers and space.
        replicates: of the design.
    """

    def __init__(self, evaluator: Evaluator, replicates: int) -> None:
        self._evaluator = evaluator
        self._kept: dict[str, list[Moments]] = {layer.name: [] for layer in evaluator.layers}
        self._stop = [0] * replicates

    def sums(self, design: Design, bar: Progress) -> dict[str, Moments]:
        """Return every layer's sums over a design of as many blocks as before, or more."""
        ends = [largest_power(size) for size in design.sizes]
        bar.expect(design.rows * (design.blocks - sum(self._stop)))
        rest: dict[str, list[Moments]] = {name: [] for name in self._kept}
        for number, (start, end, size) in enumerate(
            zip(self._stop, ends, design.sizes, strict=True)
        ):
            self._add(self._kept, design, number, start, end, bar)
            self._add(rest, design, number, end, size, bar)
        self._stop = ends
        self._kept = {name: [merge(parts)] for name, parts in self._kept.items()}
        return {name: merge([*parts, *rest[name]]) for name, parts in self._kept.items()}

    def _add(
        self,
        to: dict[str, list[Moments]],
        design: Design,
        replicate: int,
        start: int,
        stop: int,
        bar: Progress,
    ) -> None:
        """Evaluate blocks of a replicate, and add every layer's sums to its parts."""
        if start == stop:
            return
        layout = Layout(design.kind, len(design.groups))
        sums = {
            layer.name: layer_sums(layout, replicate, layer.shape, self._evaluator.device, start)
            for layer in self._evaluator.layers
        }
        blocks = design.part([replicate], start, stop).blocks_of(replicate)
        for evaluated in self._evaluator.replicate(blocks, bar):
            for name, outputs in evaluated.outputs.items():
                sums[name].update(outputs, evaluated.rows, evaluated.order)
            del evaluated, outputs  # before the next ones are made
        for name, parts in to.items():
            parts.extend(sums[name].moments())
