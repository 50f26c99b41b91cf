"""What evaluation costs over the bare forward pass of the same images, step by step.

Run it by ``python -m benchmarks.evaluation``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from statistics import median

import torch
from variscope.designs import Blocks
from variscope.estimators import Layout
from variscope.inputs.layers import capture
from variscope.responses.network.device import repeatable
from variscope.responses.network.evaluator import Evaluator
from variscope.responses.network.sums import DeviceSums, HostSums, layer_sums

from benchmarks.measuring import Row, arguments, seconds, write
from benchmarks.networks import NAMES, SETS, design, evaluator, photographs

TARGET = 1.3
IMAGES = 20  # at least about this many are evaluated

NOTES = """
The published layers of each network at 224 px, initial weights, {threads} thread, float32, the
batch size that the plan chooses. `forward` is the network alone, as torchvision gives it, on the
altered, normalised images in memory, in the same batches; `channels last` is the same with images
and parameters laid out as the evaluator does; `with moments` is everything: sampling, JPEG files of
500 x 375 px, augmentation, hooks and the sums. All milliseconds are for one evaluated image (rows
that repeat are not evaluated); `over forward` is `with moments` over `forward`, target {target}.
The steps are timed one by one and need not add up: `images` decodes each base image of a batch
once, which a second thread does beside the network; `augmentation` includes the normalisation;
`hooks` copies the layers' outputs; `moments` sums them; `rest` is what remains beyond
`channels last`. Medians of {repeats} after a warm-up. `largest step` is the one beside the forward
pass that costs most.
"""


def main(given: Sequence[str] | None = None) -> list[Row]:
    """Run the benchmark and return its table."""
    options = arguments(__doc__ or "", given)
    repeats = 1 if options.quick else 3
    rows: list[Row] = []
    with photographs(*((2, 2) if options.quick else (10, 8))) as images, repeatable(1):
        for name in NAMES[:1] if options.quick else NAMES:
            for variable_set in SETS[:1] if options.quick else SETS:
                of = evaluator(name, variable_set, images)
                at_once = max(1, of.batch_size // design(of, 1).rows)
                blocks = 1 if options.quick else at_once * -(-IMAGES // of.batch_size)
                if options.quick:
                    of.batch_size = 24
                found = _steps(of, design(of, blocks).replicate(0), repeats)
                rows.append({"network": name, "set": variable_set, **found})
    notes = NOTES.format(threads=1, target=TARGET, repeats=repeats)
    write("evaluation", "Evaluation over the bare forward pass", notes, rows, options)
    return rows


def _steps(of: Evaluator, blocks: Blocks, repeats: int) -> Row:
    """Time the whole and each step on the same blocks, milliseconds an evaluated image."""
    layout = Layout("cycle", blocks.order.shape[1])
    batches = list(of._batches(blocks))
    pixels = [of.images.load(batch.ids) for batch in batches]
    with torch.inference_mode():
        ready = [
            of.inputs(batch.recipes, batch.ids, base)
            for batch, base in zip(batches, pixels, strict=True)
        ]
        plain = [batch.contiguous() for batch in ready]
    contiguous = deepcopy(of.model).to(memory_format=torch.contiguous_format)
    most = max(map(len, ready))
    kept = {layer.name: torch.zeros((most, *layer.shape), device=of.device) for layer in of.layers}

    def empty() -> dict[str, HostSums | DeviceSums]:
        return {layer.name: layer_sums(layout, 0, layer.shape, of.device) for layer in of.layers}

    def everything(with_moments: bool) -> None:
        sums = empty()
        for evaluated in of.replicate(blocks):
            if with_moments:
                for layer, outputs in evaluated.outputs.items():
                    sums[layer].update(outputs, evaluated.rows, evaluated.order)

    def forward() -> None:
        for batch in plain:
            contiguous(batch)

    def channels_last() -> None:
        for batch in ready:
            of.model(batch)

    def images() -> None:
        for batch in batches:
            of.images.load(batch.ids)

    def augmentation() -> None:
        for batch, base in zip(batches, pixels, strict=True):
            of.inputs(batch.recipes, batch.ids, base)

    def hooked() -> None:
        with capture(of.model, of.layers, _copy_to(kept)):
            channels_last()

    def moments() -> None:
        sums = empty()
        for batch in batches:
            for layer in of.layers:
                sums[layer.name].update(
                    kept[layer.name][: len(batch.recipes)], batch.rows, batch.order
                )

    evaluations = sum(map(len, ready))
    actions = {
        "forward": forward, "alone": lambda: everything(False), "whole": lambda: everything(True),
        "channels last": channels_last, "images": images, "augmentation": augmentation,
        "hooks": hooked, "moments": moments,
    }  # fmt: skip
    # In turn, so that what else the machine does falls on all alike; the first turn warms up.
    turns: dict[str, list[float]] = {name: [] for name in actions}
    with torch.inference_mode():
        for turn in range(repeats + 1):
            for name, action in actions.items():
                taken = seconds(action, repeats=1, warm_up=0)
                if turn:
                    turns[name].append(1e3 * taken / evaluations)
    medians = {name: median(taken) for name, taken in turns.items()}
    bare, alone, whole, last = (
        medians.pop(name) for name in ("forward", "alone", "whole", "channels last")
    )
    steps = {**medians, "hooks": medians["hooks"] - last}
    steps["rest"] = whole - last - sum(steps.values())
    return {
        "units": sum(layer.units for layer in of.layers),
        "batch size": of.batch_size,
        "evaluations": evaluations,
        "rows": len(blocks.points) * layout.rows,
        "forward, ms": bare,
        "channels last, ms": last,
        "evaluator, ms": alone,
        "with moments, ms": whole,
        "evaluator over forward": _ratio(turns, "alone"),
        "over forward": _ratio(turns, "whole"),
        "over channels last": _ratio(turns, "whole", "channels last"),
        **{f"{name}, ms": value for name, value in steps.items()},
        "largest step": max(steps, key=lambda name: steps[name]),
    }


def _ratio(turns: dict[str, list[float]], name: str, over: str = "forward") -> float:
    """Return the median over turns of an action's time over that of another."""
    return median(a / b for a, b in zip(turns[name], turns[over], strict=True))


def _copy_to(kept: dict[str, torch.Tensor]) -> Callable[[str, torch.Tensor], None]:
    def receive(name: str, output: torch.Tensor) -> None:
        kept[name][: len(output)].copy_(output)

    return receive


if __name__ == "__main__":
    main()
