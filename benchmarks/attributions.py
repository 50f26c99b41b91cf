"""Seconds an image of each attribution, beside captum's of the same on the same network.

Run it by ``python -m benchmarks.attributions``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import median
from time import process_time
from typing import Any, NamedTuple

import torch
from torch import nn
from torchvision import models
from variscope.attributions import built_in
from variscope.inputs.efficientnet import efficientnet_lite0
from variscope.inputs.layers import probe
from variscope.inputs.networks import convnet
from variscope.responses.network.device import repeatable
from variscope.responses.network.scored import Scored

from benchmarks.measuring import Row, arguments, write

NOTES = """
Initial weights, one thread, float32, {images} images; seconds of the processor an image, medians of
{repeats} turns after a warm-up, in which all are run one after another; one image and one turn of
what takes more than {many} passes an image. `passes` are the images that go through the network for
each image, counted by a hook; a gradient is one with its way back. Captum's methods are Saliency,
Occlusion, LayerGradCam and LayerGradientXActivation, at the settings of this package's: windows of
an eighth of the side, half a window apart, {at_once} at once; the layer is the last one of maps.
The others have none there that does the same. Finite differences are of a grid of {cells} x {cells}
cells; maximisation and regions run at their defaults. `times` is captum's over this package's:
above 1 this package's is faster.
"""

AT_ONCE = 32
MANY = 600  # passes an image, of which one turn is long enough


class Case(NamedTuple):
    """A network: what builds it, the side of its images, and its last layer of maps."""

    build: Callable[[], nn.Module]
    size: int
    layer: str


CASES = {
    "convnet": Case(convnet, 64, "stage3"),
    "resnet18, 64 px": Case(models.resnet18, 64, "layer4"),
    "resnet18, 224 px": Case(models.resnet18, 224, "layer4"),
    "efficientnet_lite0": Case(efficientnet_lite0, 160, "head"),
}


def main(given: Sequence[str] | None = None) -> list[Row]:
    """Run the benchmark and return its table."""
    options = arguments(__doc__ or "", given)
    images, repeats, cells = (1, 1, 2) if options.quick else (2, 3, 8)
    rows: list[Row] = []
    torch.manual_seed(1)
    with repeatable(1):
        for name, case in list(CASES.items())[: 1 if options.quick else None]:
            rows += _timed(name, case, images, repeats, cells)
    notes = NOTES.format(images=images, repeats=repeats, at_once=AT_ONCE, cells=cells, many=MANY)
    write("attributions", "Attributions beside captum's", notes, rows, options)
    return rows


def _timed(name: str, case: Case, images: int, repeats: int, cells: int) -> list[Row]:
    """Time all methods on a network, in turns."""
    network = _not_in_place(case.build().eval())
    shape = (3, case.size, case.size)
    model = Scored(network, [0.5] * 3, [0.25] * 3)
    pixels = torch.rand((images, *shape))
    with torch.no_grad():
        target = model(pixels).argmax(dim=1)
    layer = probe(network, [case.layer], shape)[0]
    settings: dict[str, dict[str, Any]] = {
        "difference": {"cells": cells, "at_once": AT_ONCE},
        "occlusion": {"at_once": AT_ONCE, "fill": 0.5},
        "grad_cam": {"layer": layer},
        "hires_cam": {"layer": layer},
    }

    def own(method: str, some: slice) -> Callable[[], object]:
        wanted = settings.get(method, {})
        return lambda: built_in()[method].maps(model, pixels[some], target[some], **wanted)

    passes = {method: _passes(network, own(method, slice(1))) for method in built_in()}
    few = {name: own(name, slice(None)) for name, (count, _) in passes.items() if count <= MANY}
    peers = _captum(model, dict(network.named_modules())[case.layer], pixels, target, case.size)
    turns: dict[tuple[str, str], list[float]] = {}
    for turn in range(repeats + 1):
        for who, them in (("own", few), ("captum", peers)):
            for method, action in them.items():
                taken = _seconds(action) / images
                if turn:
                    turns.setdefault((who, method), []).append(taken)
    rows: list[Row] = []
    for method, (count, once) in passes.items():
        ours = median(turns["own", method]) if method in few else once
        theirs = median(turns["captum", method]) if method in peers else math.nan
        rows.append(
            {
                "network": name,
                "side": case.size,
                "method": method,
                "passes": count,
                "seconds": ours,
                "captum": theirs if method in peers else "",
                "times": theirs / ours if method in peers else "",
            }
        )
    return rows


def _passes(network: nn.Module, action: Callable[[], object]) -> tuple[float, float]:
    """Count the images that go through a network in a call, and time it."""
    counted = [0]

    def count(_: nn.Module, given: Any) -> None:
        counted[0] += len(given[0])

    handle = network.register_forward_pre_hook(count)
    try:
        taken = _seconds(action)
    finally:
        handle.remove()
    return float(counted[0]), taken


def _seconds(action: Callable[[], object]) -> float:
    """Return the processor's seconds of a call, which other work on the machine changes little."""
    start = process_time()
    action()
    return process_time() - start


def _captum(
    model: nn.Module, layer: nn.Module, pixels: torch.Tensor, target: torch.Tensor, size: int
) -> dict[str, Callable[[], object]]:
    """Return captum's methods by the names of those of this package."""
    from captum import attr

    window = size // 8

    def fresh() -> torch.Tensor:
        return pixels.clone().requires_grad_()

    return {
        "gradient": lambda: attr.Saliency(model).attribute(fresh(), target).sum(1),
        "occlusion": lambda: attr.Occlusion(model).attribute(
            pixels,
            (3, window, window),
            strides=(3, window // 2, window // 2),
            target=target,
            baselines=0.5,
            perturbations_per_eval=max(1, AT_ONCE // len(pixels)),
        ),
        "grad_cam": lambda: attr.LayerGradCam(model, layer).attribute(
            fresh(), target, relu_attributions=True
        ),
        "hires_cam": lambda: (
            attr.LayerGradientXActivation(model, layer).attribute(fresh(), target).sum(1)
        ),
    }


def _not_in_place(network: nn.Module) -> nn.Module:
    """Return a network whose modules do not work in place, which captum's hooks do not bear."""
    for module in network.modules():
        if hasattr(module, "inplace"):
            module.inplace = False  # type: ignore[assignment]
    return network


if __name__ == "__main__":
    main()
