"""Train a network on a table of images, repeatably, and measure its accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from variscope.errors import UserError
from variscope.inputs.scores import IMAGES_AT_ONCE
from variscope.inputs.table import ImageTable, Progress

KEEP_IN_MEMORY = 2**29  # bytes of training images that are decoded once and kept
LABEL_SMOOTHING = 0.05
WEIGHT_DECAY = 1e-3
# Share of each auxiliary head's loss, of the papers (arXiv 1409.4842; 1512.00567 as torchvision
# trained it).
AUXILIARY = {"GoogLeNetOutputs": 0.3, "InceptionOutputs": 0.4}


def normalised(
    pixels: npt.NDArray[Any], mean: Sequence[float], std: Sequence[float], device: str = "cpu"
) -> torch.Tensor:
    """(n, C, H, W) float32 from uint8 or float32 pixels: in [0, 1], then (x - mean) / std."""
    images = torch.from_numpy(pixels).to(device)
    images = images.float().div_(255) if images.dtype == torch.uint8 else images.float()
    shape = (1, -1, 1, 1)
    centre = torch.tensor(mean, dtype=torch.float32, device=device).reshape(shape)
    scale = torch.tensor(std, dtype=torch.float32, device=device).reshape(shape)
    return (images - centre) / scale


def augmented(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Flip half of the images (n, C, H, W) and shift each by up to an eighth of its side.

    What a shift uncovers repeats the border. All draws come from `generator`, on the CPU.
    """
    n, channels, height, width = images.shape
    draws = torch.rand((3, n), generator=generator).to(images.device)
    rows = _shifted(height, draws[0])
    columns = _shifted(width, draws[1])
    columns = torch.where((draws[2] < 0.5)[:, None], columns.flip(1), columns)
    index_rows = rows[:, None, :, None].expand(n, channels, height, width)
    index_columns = columns[:, None, None, :].expand(n, channels, height, width)
    return images.gather(2, index_rows).gather(3, index_columns)


def _shifted(length: int, draw: torch.Tensor) -> torch.Tensor:
    """Positions (n, length) to read from: shifted by whole pixels and held at the borders."""
    reach = length // 8
    shift = (draw * (2 * reach + 1)).floor().long() - reach
    return (torch.arange(length, device=draw.device) + shift[:, None]).clamp_(0, length - 1)


def train(
    model: nn.Module,
    images: ImageTable,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    seed: int,
    epochs: int = 20,
    batch_size: int = 32,
    learning_rate: float = 4e-3,
    augment: bool = True,
    device: str = "cpu",
    on_progress: Progress | None = None,
) -> list[dict[str, float]]:
    """Train `model` in place on the train part; it is left in eval mode.

    AdamW with a one-cycle learning rate (Smith and Topin 2019, arXiv 1708.07120) whose peak is
    `learning_rate`. On the CPU the weights are the same bit for bit for the same seed, model,
    images and number of threads (`torch.set_num_threads`, which the caller fixes).

    Args:
        mean, std: (3,) of the normalisation, for pixels in [0, 1].
        seed: of the order of the images, the augmentation and dropout. The global generator of
            torch is left as it was.
        augment: flip and shift the images (`augmented`).
        on_progress: called with (epochs done, epochs).

    Returns:
        One dict an epoch: epoch (from 1), loss, accuracy (of the train images as they were seen).

    Raises:
        UserError: the outputs do not fit the classes, the loss stops being finite, or a setting
            is out of range.
    """
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise UserError(f"training.{name}: found {value!r}; at least 1 is needed")
    if not 0 < learning_rate < float("inf"):
        raise UserError(f"training.learning_rate: found {learning_rate!r}; it must be above 0")
    ids = images.ids("train")
    check_trainable(model, images, mean, std, device)
    height, width = images.size
    small = (
        len(ids) * images.channels * height * width * np.dtype(images.dtype).itemsize
        <= KEEP_IN_MEMORY
    )
    kept = images.load(ids) if small else None
    label = torch.from_numpy(images.label[ids]).to(device)
    steps = -(-len(ids) // batch_size)
    generator = torch.Generator().manual_seed(seed)
    history = []
    devices = [device] if str(device).startswith("cuda") else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)  # dropout draws from the global generator
        model.to(device)
        model.train()
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=learning_rate, weight_decay=WEIGHT_DECAY
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=learning_rate, total_steps=max(2, epochs * steps)
        )
        for epoch in range(1, epochs + 1):
            order = torch.randperm(len(ids), generator=generator).numpy()
            # Equal batches: a last batch of one image would break batch normalisation.
            total, correct = 0.0, 0
            for chosen in np.array_split(order, steps):
                pixels = kept[chosen] if kept is not None else images.load(ids[chosen])
                batch = normalised(pixels, mean, std, device)
                if augment:
                    batch = augmented(batch, generator)
                target = label[torch.from_numpy(chosen).to(device)]
                outputs, loss = _loss(model(batch), target)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
                total += loss.item() * len(chosen)
                correct += int((outputs.detach().argmax(1) == target).sum())
            if not np.isfinite(total):
                raise UserError(
                    f"training: the loss is not finite after epoch {epoch}; a smaller "
                    f"training.learning_rate than {learning_rate:g} is needed"
                )
            history.append(
                {"epoch": epoch, "loss": total / len(ids), "accuracy": correct / len(ids)}
            )
            if on_progress is not None:
                on_progress(epoch, epochs)
    model.eval()
    return history


def accuracy(
    model: nn.Module,
    images: ImageTable,
    ids: Sequence[int] | npt.NDArray[np.integer],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    device: str = "cpu",
    batch_size: int = IMAGES_AT_ONCE["accuracy"],
) -> dict[str, int | None]:
    """Count the images of `ids` whose class is the highest output, or among the five highest.

    Returns:
        n (images), classes, and top1 and top5, how many are right. With five classes or fewer top5
        is None. Where the model's outputs are not one for each class, both are None and n is 0:
        the accuracy is not defined.
    """
    chosen = np.asarray(ids, dtype=np.int64)
    classes = len(images.classes)
    if classes < 2:  # one output would always be right
        return {"n": 0, "classes": classes, "top1": None, "top5": None}
    hits = {1: 0, 5: 0}
    n = 0
    model.to(device)
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(chosen), batch_size):
            some = chosen[start : start + batch_size]
            outputs = model(normalised(images.load(some), mean, std, device))
            if not _one_for_each_class(outputs, classes):
                break
            ranked = outputs.topk(min(5, classes), dim=1).indices.cpu().numpy()
            right = ranked == images.label[some][:, None]
            hits[1] += int(right[:, 0].sum())
            hits[5] += int(right.sum())
            n += len(some)
    return {
        "n": n,
        "classes": classes,
        "top1": hits[1] if n else None,
        "top5": hits[5] if n and classes > 5 else None,
    }


def _one_for_each_class(outputs: object, classes: int) -> bool:
    return isinstance(outputs, torch.Tensor) and outputs.ndim == 2 and outputs.shape[1] == classes


def check_trainable(
    model: nn.Module,
    images: ImageTable,
    mean: Sequence[float],
    std: Sequence[float],
    device: str = "cpu",
) -> None:
    """Raise a UserError where nothing is to train on, or outputs are not one for each class."""
    if len(images.classes) < 2:
        raise UserError(
            "weights: found train, but the images have no classes or only one; give images of at "
            "least two classes, or weights that are trained"
        )
    if images.ids("train").size == 0:
        raise UserError("weights: found train, but no image of the data set is of part train")
    model.to(device)
    model.eval()
    with torch.inference_mode():
        outputs = model(normalised(images.load([0, 0]), mean, std, device))
    _refuse_other_outputs(outputs, len(images.classes))


def check_training(
    model: nn.Module,
    images: ImageTable,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    batch_size: int,
) -> list[str]:
    """Try what training does, with the smallest batch that it will see, and leave no trace.

    A network may behave differently in training: auxiliary heads that need larger images, batch
    normalisation that needs two of them, values that cannot be differentiated.

    Returns:
        Notes for the plan: what is trained besides the outputs.

    Raises:
        UserError: the outputs do not fit the classes, the model fails, or nothing can be trained.
    """
    check_trainable(model, images, mean, std)
    ids = images.ids("train")
    smallest = len(ids) // -(-len(ids) // batch_size)
    some = ids[: min(2, smallest)]
    before = {key: value.clone() for key, value in _tensors(model).items()}
    try:
        with torch.random.fork_rng(devices=[]):
            model.train()
            outputs = model(normalised(images.load(some), mean, std))
            logits = _logits(outputs)
            _refuse_other_outputs(logits, len(images.classes), len(some))
            _, loss = _loss(outputs, torch.from_numpy(images.label[some]))
            loss.backward()
    except UserError:
        raise
    except Exception as error:  # a user's network may raise anything
        text = " ".join(str(error).split())[:300]
        raise UserError(
            f"training: the model fails in training mode on {len(some)} "
            f"image{'s'[: len(some) - 1]} of {images.size[0]} x {images.size[1]} px: "
            f"{type(error).__name__}: {text}"
        ) from error
    finally:
        model.eval()
        model.zero_grad(set_to_none=True)
        with torch.no_grad():
            for key, value in _tensors(model).items():
                value.copy_(before[key])
    weight = AUXILIARY.get(type(outputs).__name__)
    if weight is not None:
        return [f"trained on its logits and {weight} of the loss of each auxiliary head"]
    return [] if isinstance(outputs, torch.Tensor) else ["trained on its logits alone"]


def _tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    return dict(model.named_parameters()) | dict(model.named_buffers())


def _loss(outputs: object, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the logits, and their loss with that of torchvision's auxiliary heads."""
    logits = _logits(outputs)
    loss = functional.cross_entropy(logits, target, label_smoothing=LABEL_SMOOTHING)
    weight = AUXILIARY.get(type(outputs).__name__, 0.0)
    for head in getattr(outputs, "_fields", ()) if weight else ():
        auxiliary = getattr(outputs, head)
        if head != "logits" and auxiliary is not None:
            loss = loss + weight * functional.cross_entropy(
                auxiliary, target, label_smoothing=LABEL_SMOOTHING
            )
    return logits, loss


def _logits(outputs: object) -> torch.Tensor:
    """Return the class outputs, of a named tuple or a mapping its `logits`."""
    found = outputs.get("logits") if isinstance(outputs, Mapping) else outputs
    found = getattr(found, "logits", found)
    if not isinstance(found, torch.Tensor):
        raise UserError(
            f"training: the model gives {type(outputs).__name__} in training mode; a tensor, or "
            "something with logits, is needed"
        )
    return found


def _refuse_other_outputs(outputs: object, classes: int, n: int = 2) -> None:
    if not _one_for_each_class(outputs, classes):
        shape = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs)
        raise UserError(
            f"training: the model gives {shape} for {n} image{'s'[: n - 1]}; ({n}, {classes}), one "
            "output for each class of the data set, is needed (arguments: {num_classes: ...})"
        )
