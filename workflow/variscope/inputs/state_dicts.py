"""Files of state dicts: read, taken out of what wraps them, and held against a network."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from variscope.errors import UserError

SHOWN = 3  # keys quoted by a message about a mismatch

# Where checkpoints of the usual training programs keep the weights, and their moving average.
NESTED = ("state_dict", "model", "model_state_dict", "net", "network", "module", "weights")
AVERAGES = (
    "model_ema", "state_dict_ema", "ema", "ema_state_dict", "model_ema_state_dict", "ema_model",
    "params_ema",
)  # fmt: skip

# What puts a word in front of each key.
WRAPPERS = {
    "module": "of DataParallel or AveragedModel",
    "_orig_mod": "of torch.compile",
    "model": "of a Lightning module or another wrapper",
    "net": "of a Lightning module or another wrapper",
}
COUNTER = "n_averaged"  # of torch.optim.swa_utils.AveragedModel


@dataclass(frozen=True)
class StateDict:
    """The tensors of a file by their names, and what was done to come by them."""

    tensors: Mapping[str, torch.Tensor]
    notes: tuple[str, ...] = ()


def read_state_dict(path: Path) -> StateDict:
    """Read a state dict, of torch.save or of safetensors, plain or in a checkpoint.

    Nothing in the file is run. Where a checkpoint holds both the weights and their moving average
    (EMA), the weights are taken, and it is said that the average is there.

    Raises:
        UserError: the file is damaged, of another kind, or holds no state dict.
    """
    content = _safetensors(path) if _is_safetensors(path) else _torch(path)
    notes: list[str] = []
    for _ in range(3):  # checkpoints in checkpoints
        inner = _nested(content, notes, path)
        if inner is None:
            break
        content = inner
    if not isinstance(content, Mapping) or not content:
        kind = "nothing" if isinstance(content, Mapping) else type(content).__name__
        raise UserError(f"weights: {path} holds {kind}; a state dict (names to tensors) is needed")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            # A quantized module's state dict holds its packed numbers beside tensors.
            raise UserError(
                f"weights: {path} holds {key!r} of type {type(value).__name__}; a state dict "
                "(names to tensors) is needed"
            )
    return StateDict(dict(content), tuple(notes))


def fitted(state: StateDict, model: nn.Module, path: Path, factory: str) -> StateDict:
    """Return a state dict whose keys are the model's: what wraps them is taken off, and said.

    Raises:
        UserError: keys are missing, unexpected, or of another shape.
    """
    wanted = model.state_dict()
    tensors, notes = dict(state.tensors), list(state.notes)
    while set(tensors) - set(wanted):
        taken = _unwrapped(tensors, wanted)
        if taken is None:
            break
        tensors, note = taken
        notes.append(note)
    # Files of before PyTorch 0.4.1 lack this counter, which eval mode does not use.
    missing = [k for k in wanted if k not in tensors and not k.endswith(".num_batches_tracked")]
    unexpected = [key for key in tensors if key not in wanted]
    shapes = [
        f"{key} is {tuple(tensors[key].shape)} and should be {tuple(value.shape)}"
        for key, value in wanted.items()
        if isinstance(value, torch.Tensor) and key in tensors and tensors[key].shape != value.shape
    ]
    complaints = [
        f"{len(keys)} {what}: {', '.join(keys[:SHOWN])}" + (" ..." if len(keys) > SHOWN else "")
        for what, keys in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("of another shape", shapes),
        )
        if keys
    ]
    if complaints:
        raise UserError(
            f"weights: {path} does not fit the model of factory {factory!r}; "
            + "; ".join(complaints)
        )
    return StateDict(tensors, tuple(notes))


def _unwrapped(
    tensors: Mapping[str, torch.Tensor], wanted: Mapping[str, Any]
) -> tuple[dict[str, torch.Tensor], str] | None:
    """Take one wrapper off the keys; None where there is none, or it is the model's own part."""
    if any("_orig_mod." in key for key in tensors) and not any("_orig_mod." in k for k in wanted):
        shorter = {key.replace("_orig_mod.", ""): value for key, value in tensors.items()}
        return shorter, "_orig_mod. taken off the weights' keys, of torch.compile"
    kept = {key: value for key, value in tensors.items() if key != COUNTER}
    first = {key.partition(".")[0] for key in kept}
    if len(first) != 1 or any("." not in key for key in kept):
        return None
    prefix = first.pop()
    if any(key.startswith(f"{prefix}.") for key in wanted):
        return None
    shorter = {key.partition(".")[2]: value for key, value in kept.items()}
    whose = WRAPPERS.get(prefix, "of a wrapper")
    if COUNTER in tensors and COUNTER not in wanted:
        whose = f"of AveragedModel, a mean of {int(tensors[COUNTER])} states"
    return shorter, f"{prefix}. taken off the weights' keys, {whose}"


def _nested(content: object, notes: list[str], path: Path) -> Mapping[str, Any] | None:
    """Return the state dict in a checkpoint, with a note where it could have been another."""
    if not isinstance(content, Mapping):
        return None
    held = [key for key in (*NESTED, *AVERAGES) if _is_group(content.get(key))]
    if not held:
        return None
    taken = held[0]
    averages = [key for key in held if key in AVERAGES]
    if taken in AVERAGES:
        notes.append(f"weights are the moving average (EMA) {taken!r} of {path.name}")
    elif averages:
        notes.append(
            f"weights are {taken!r} of {path.name}, not their moving average (EMA) "
            f"{averages[0]!r}, which is there, too; save that alone to study it"
        )
    inner: Mapping[str, Any] = content[taken]
    return inner


def _is_group(value: object) -> bool:
    return isinstance(value, Mapping) and bool(value)


def _is_safetensors(path: Path) -> bool:
    """By its name, or by its beginning: the length of a header, and the header in JSON."""
    if path.suffix == ".safetensors":
        return True
    with path.open("rb") as file:
        begin = file.read(9)
    return len(begin) == 9 and begin[8:] == b"{" and int.from_bytes(begin[:8], "little") < 10**8


def _safetensors(path: Path) -> object:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        text = " ".join(str(error).split())
        raise UserError(
            f"weights: {path} cannot be read: it is damaged or no file of safetensors ({text})"
        ) from error


def _torch(path: Path) -> object:
    program = _program(path)
    if program:
        raise UserError(
            f"weights: {path} is a program of {program}; a state dict is needed: build the "
            "nn.Module by the factory, and save its state_dict() alone"
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds on files of another format
        text = " ".join(str(error).split())
        cure = (
            "it holds more than tensors, such as a whole pickled module; save model.state_dict() "
            "alone"
            if re.search(r"(unsupported|allowed) (global|class)", text, re.IGNORECASE)
            else "it is damaged or no file of torch.save"
        )
        raise UserError(f"weights: {path} cannot be read: {cure}") from error


def _program(path: Path) -> str:
    """Name what saved a program and no state dict; empty for others."""
    if not zipfile.is_zipfile(path):
        return ""
    with zipfile.ZipFile(path) as archive:
        names = [name.partition("/")[2] for name in archive.namelist()]
    if "constants.pkl" in names or any(name.startswith("code/") for name in names):
        return "TorchScript"
    exported = ("archive_format", "serialized_exported_program.json")
    return "torch.export" if any(name in exported for name in names) else ""
