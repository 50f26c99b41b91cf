"""What masked passes cost over the bare rest of the network, behind the first masked layer.

Run it by ``python -m benchmarks.masking``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import nn
from torchvision import models
from variscope.inputs.layers import Layer, probe
from variscope.inputs.networks import convnet
from variscope.responses.network.device import repeatable
from variscope.responses.network.masked import Change, Masked

from benchmarks.measuring import Row, arguments, seconds, write

NOTES = """
Initial weights, one thread, float32; {images} images at once and {masks} masks that set a fifth of
a layer's units to 0. A pass is one image under one mask. `masked` is everything from masks in
memory to class scores: masks laid out as the network's outputs are, outputs masked, the rest of the
network with hooks. `bare rest` is the rest of the network alone, a plain chain of its modules, on
outputs in memory, in batches of as many images. `share` is the bare rest's part of a masked pass: 1
would be masks for nothing. `whole` runs the network from the images on, hooks and masks included,
as does who keeps nothing of what comes before the masked layer; `saved` is how many times longer
that takes. Medians of {repeats} turns after a warm-up; in a turn all are run one after another.
"""

CPU_BYTES = 8 * 2**20  # of masked outputs a pass, as `variscope.analyses.masking.running` has it
WHOLE_AT_ONCE = 256  # images of a pass of the whole network


class Case(NamedTuple):
    """A network.

    Attributes:
        build: makes it.
        chain: returns the same as a chain of modules.
        size: of its images, pixels.
        masked: names of layers.
        scores: name of the layer of class scores.
    """

    build: Callable[[], nn.Module]
    chain: Callable[[Any], nn.Sequential]
    size: int
    masked: tuple[str, ...]
    scores: str


CASES = {
    "convnet": Case(
        convnet, lambda model: model, 64, ("stage1", "stage2", "stage3", "head"), "logits"
    ),
    "alexnet": Case(
        models.alexnet,
        lambda m: nn.Sequential(*m.features, m.avgpool, nn.Flatten(), *m.classifier),
        224,
        ("features.2", "features.5", "features.12", "classifier.2"),
        "classifier.6",
    ),
    "resnet18": Case(
        models.resnet18,
        lambda m: nn.Sequential(*list(m.children())[:-1], nn.Flatten(), m.fc),
        224,
        ("layer1", "layer2", "layer3", "layer4"),
        "fc",
    ),
}


def main(given: Sequence[str] | None = None) -> list[Row]:
    """Run the benchmark and return its table."""
    options = arguments(__doc__ or "", given)
    repeats = 1 if options.quick else 5
    rows: list[Row] = []
    torch.manual_seed(1)
    with repeatable(1), torch.inference_mode():
        for name, case in list(CASES.items())[: 1 if options.quick else None]:
            images, masks = (50, 40) if case.size < 224 else (10, 4)
            if options.quick:
                images, masks = 2, 3
            model = case.build().eval().to(memory_format=torch.channels_last)
            shape = (3, case.size, case.size)
            layers = list(probe(model, [*case.masked, case.scores], shape))
            pixels = torch.rand((images, *shape)).contiguous(memory_format=torch.channels_last)
            maps = [layer for layer in layers[:-1] if len(layer.shape) == 3]
            for some in [*([layer] for layer in layers[:-1]), maps]:
                found = _timed(model, case, [*some, layers[-1]], pixels, masks, repeats)
                what = some[0].name if len(some) == 1 else f"all {len(some)} layers of maps"
                rows.append({"network": name, "masked": what, **found})
    notes = NOTES.format(images="50 (at 224 px 10)", masks="40 (4)", repeats=repeats)
    write("masking", "Masked passes over the bare rest of the network", notes, rows, options)
    return rows


def _timed(
    model: nn.Module,
    case: Case,
    layers: Sequence[Layer],
    pixels: torch.Tensor,
    masks: int,
    repeats: int,
) -> Row:
    """Time masks of all layers but the last, which gives the scores, microseconds a pass."""
    images, some = len(pixels), layers[:-1]
    at_once = max(images, CPU_BYTES // (4 * max(layer.units for layer in some)))
    engine = Masked(model, some, layers[-1], at_once=WHOLE_AT_ONCE, replayed_at_once=at_once)
    changes = {
        layer.name: Change((torch.rand((masks, *layer.shape)) > 0.2).float()) for layer in some
    }
    recording = engine.record(pixels)
    engine.scores(pixels, recording, changes)  # held against the bare way
    chain, module = case.chain(model), dict(model.named_modules())[some[0].name]
    rest = chain[next(at for at, one in enumerate(chain) if one is module) + 1 :]
    outputs = recording.calls[-1].leaves[0]
    together = max(1, min(masks, at_once // images))
    batch = outputs.repeat(together, *[1] * (outputs.dim() - 1))
    if batch.dim() == 4:
        batch = batch.contiguous(memory_format=torch.channels_last)
    passes = -(-masks // together)

    def bare() -> None:
        for _ in range(passes):
            rest(batch)

    def whole() -> None:
        laid_out = {layer.name: engine._laid_out(changes[layer.name], layer) for layer in some}
        step = max(1, WHOLE_AT_ONCE // images)
        for start in range(0, masks, step):
            part = slice(start, start + step)
            engine._bare(pixels, {name: one.take(part) for name, one in laid_out.items()})

    actions: dict[str, Callable[[], object]] = {
        "masked": lambda: engine.scores(pixels, recording, changes), "bare": bare, "whole": whole,
    }  # fmt: skip
    counted = {"masked": masks, "bare": together * passes, "whole": masks}
    turns: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(repeats + 1):
        for name, action in actions.items():
            taken = seconds(action, repeats=1, warm_up=0)
            if turn:
                turns[name].append(1e6 * taken / (counted[name] * images))
    found = {name: median(taken) for name, taken in turns.items()}
    return {
        "units": sum(layer.units for layer in some),
        "masked, us": found["masked"],
        "bare rest, us": found["bare"],
        "whole, us": found["whole"],
        "passes a second": 1e6 / found["masked"],
        "share": found["bare"] / found["masked"],
        "saved": found["whole"] / found["masked"],
    }


if __name__ == "__main__":
    main()
