"""Networks from factories: names of torchvision's and our own, modules and files with callables."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from variscope.errors import UserError
from variscope.inputs.weights import (
    Weights,
    categories,
    check_weights,
    load_weights,
    preprocessing,
    resolve_weights,
)

_NO_HOOKS = (
    "which takes no hooks; build the nn.Module that it was made from, and give its state dict as "
    "weights"
)

__all__ = [
    "Weights",
    "build",
    "categories",
    "check_weights",
    "initialise",
    "load_weights",
    "open_model",
    "plain",
    "preprocessing",
    "resolve_weights",
]


def build(
    factory: str,
    *,
    arguments: Mapping[str, Any] | None = None,
    classes: int | None = None,
    channels: int = 3,
    folder: Path | str = ".",
    seed: int | None = None,
    image_shape: tuple[int, int, int] | None = None,
) -> nn.Module:
    """Build a network, without trained weights, in eval mode.

    Args:
        factory: "torchvision:resnet18", "variscope:efficientnet_lite0",
            "package.module:callable" or "path/to/file.py:callable".
        arguments: keyword arguments of the callable.
        classes: passed on as `num_classes` where the callable accepts it and `arguments` does not
            say otherwise; given where the weights are to be trained.
        channels: of the images; other than three it is passed on as `in_channels` where the
            callable names that argument and `arguments` does not say otherwise.
        folder: what a relative path is relative to; modules are looked for there, too.
        seed: of the initial weights, if they are to be repeatable. The global generator of torch
            is left as it was.

    Raises:
        UserError: the factory cannot be found or imported, fails, or gives no nn.Module.
    """
    folder = Path(folder)
    if arguments is not None and not isinstance(arguments, Mapping):
        raise UserError(f"arguments of {factory!r}: found {arguments!r}; a mapping is needed")
    keywords = dict(arguments or {})
    with _importable(_search_path(factory, folder)):
        function = _find(factory, folder)
        if classes is not None and "num_classes" not in keywords and _accepts(function, factory):
            keywords["num_classes"] = classes
        if channels != 3 and "in_channels" in _parameters(function):
            keywords.setdefault("in_channels", channels)
        with nullcontext() if seed is None else torch.random.fork_rng(devices=[]):
            if seed is not None:
                torch.manual_seed(seed)
            try:
                model = function(**keywords)
            except (Exception, SystemExit) as error:
                raise UserError(f"factory {factory!r} failed: {_line(error)}") from error
            try:
                model = plain(model)
                if image_shape is not None:
                    initialise(model, image_shape)
            except UserError as error:
                raise UserError(f"factory {factory!r}: {error}") from error
    return model


def open_model(
    factory: str,
    weights: str,
    *,
    arguments: Mapping[str, Any] | None = None,
    classes: int | None = None,
    channels: int = 3,
    folder: Path | str = ".",
    seed: int = 0,
    image_shape: tuple[int, int, int] | None = None,
) -> nn.Module:
    """`build` and `load_weights` in one: a network in eval mode, ready for a study.

    Weights "train" and "none" give the seeded initial weights, and with "train" the network has
    as many outputs as there are `classes`, where the factory takes `num_classes`.
    """
    model = build(
        factory,
        arguments=arguments,
        classes=classes if weights == "train" else None,
        channels=channels,
        folder=folder,
        seed=seed,
        image_shape=image_shape,
    )
    return load_weights(model, weights, factory, folder)


def plain(model: object) -> nn.Module:
    """Return a network whose modules take hooks, in eval mode: what wraps it is taken off.

    torch.compile's wrapper ignores hooks that come later, and DataParallel calls copies.

    Raises:
        UserError: no nn.Module, or a program of TorchScript or torch.export, which takes no hooks;
            or parameters without values, or of another type than float32; or quantized layers.
    """
    while True:
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        elif type(model).__module__ == "torch._dynamo.eval_frame":  # whose import takes a second
            model = model._orig_mod  # type: ignore[attr-defined]
        else:
            break
    kind = type(model).__name__
    if any(base.__module__.startswith("torch.export") for base in type(model).__mro__):
        raise UserError(f"the model is a program of torch.export ({kind}), {_NO_HOOKS}")
    if not isinstance(model, nn.Module):
        raise UserError(f"the model is of type {kind}; a torch.nn.Module is needed")
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            part = f"the model's {name!r}" if name else "the model"
            raise UserError(
                f"{part} is a TorchScript program ({type(module).__name__}), {_NO_HOOKS}"
            )
    for name, parameter in model.named_parameters():
        if is_lazy(parameter):
            continue
        if parameter.is_meta:
            raise UserError(f"the model's {name!r} is on the meta device and has no values")
        if parameter.is_floating_point() and parameter.dtype != torch.float32:
            found = str(parameter.dtype).removeprefix("torch.")
            raise UserError(
                f"the model's {name!r} is {found}; float32 is needed, as model.float() makes it "
                "(evaluation.precision is what a study computes in)"
            )
    for name, module in model.named_modules():
        # Dynamically quantized layers give float32; their weights alone are quantized.
        where = type(module).__module__
        packed = type(module).__name__.endswith("PackedParams")
        if where.startswith("torch.ao.nn.") and ".quantized.modules" in where and not packed:
            raise UserError(
                f"the model's {name!r} is quantized and gives quantized tensors; give the float "
                "network that it was made from, or one that is quantized dynamically"
            )
    model.eval()  # its result is not used: an overridden train() may give none
    return model


def initialise(model: nn.Module, image_shape: tuple[int, int, int]) -> None:
    """Let lazy layers take their sizes, and draw their weights, in a pass of two gray images.

    Outside of inference mode, whose tensors cannot be trained. Other networks are left alone.

    Raises:
        UserError: the model fails on images of that shape, or leaves a lazy layer as it was.
    """
    if not any(map(is_lazy, [*model.parameters(), *model.buffers()])):
        return
    try:
        with torch.no_grad():
            model(torch.full((2, *image_shape), 0.5))
    except Exception as error:
        raise UserError(
            f"the model fails on images of shape {(2, *image_shape)}: {_line(error)}"
        ) from error
    waiting = [name for name, value in model.named_parameters() if is_lazy(value)]
    if waiting:
        raise UserError(
            f"the model's {waiting[0]!r} is lazy, and no pass gives it a size: it is never called"
        )


def _split(factory: str) -> tuple[str, str]:
    module, colon, name = factory.rpartition(":") if isinstance(factory, str) else ("", "", "")
    if not colon or not module or not name.replace(".", "_").isidentifier():
        raise UserError(
            f"factory: found {factory!r}; allowed are 'torchvision:NAME', 'variscope:NAME', "
            "'package.module:callable' and 'path/to/file.py:callable'"
        )
    return module, name


def _search_path(factory: str, folder: Path) -> Path | None:
    """Where the imports of a user's factory start."""
    module, _ = _split(factory)
    if module in ("torchvision", "variscope"):
        return None
    return (folder / module).parent if module.endswith(".py") else folder


@contextmanager
def _importable(folder: Path | None) -> Iterator[None]:
    """Let a user's module import its neighbours, for as long as it is imported and called."""
    if folder is None:
        yield
        return
    before = list(sys.path)
    # After the installed packages, so that a neighbour called `random.py` hides nothing.
    sys.path.append(str(folder.resolve()))
    try:
        yield
    finally:
        sys.path[:] = before


def _find(factory: str, folder: Path) -> Callable[..., Any]:
    module, name = _split(factory)
    if module == "torchvision":
        return _torchvision(factory, name)
    if module == "variscope":
        return _own(factory, name)
    loaded = _load_file(factory, folder / module) if module.endswith(".py") else _load(factory)
    found: Any = loaded
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        callables = [
            entry
            for entry, value in vars(loaded).items()
            if callable(value) and getattr(value, "__module__", None) == loaded.__name__
        ]
        what = f"no {name!r}" if found is None else f"{name!r}, which cannot be called"
        raise UserError(
            f"factory {factory!r}: {module} has {what}; it has "
            + (", ".join(callables) or "no callables of its own")
        )
    return found


def _torchvision(factory: str, name: str) -> Callable[..., Any]:
    from torchvision import models

    known = models.list_models()
    if name not in known:
        near = difflib.get_close_matches(name, known, 5, 0.4)
        raise UserError(
            f"factory {factory!r}: torchvision has no model {name!r}; "
            + (f"near it: {', '.join(near)}" if near else f"it has {', '.join(known)}")
        )
    return models.get_model_builder(name)


def _own(factory: str, name: str) -> Callable[..., Any]:
    from variscope.inputs.efficientnet import efficientnet_lite0
    from variscope.inputs.networks import convnet

    known: dict[str, Callable[..., Any]] = {
        "convnet": convnet,
        "efficientnet_lite0": efficientnet_lite0,
    }
    if name not in known:
        raise UserError(
            f"factory {factory!r}: variscope has no model {name!r}; it has {', '.join(known)}"
        )
    return known[name]


def _load(factory: str) -> ModuleType:
    module, _ = _split(factory)
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise UserError(
            f"factory {factory!r}: module {module!r} cannot be imported: {_line(error)}"
        ) from error


def _load_file(factory: str, path: Path) -> ModuleType:
    if not path.is_file():
        raise UserError(f"factory {factory!r}: {path} does not exist")
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    name = f"variscope_factory_{path.stem}_{digest}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None  # a .py file always has both
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before running it: dataclasses and pickle look it up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UserError(
            f"factory {factory!r}: {path} cannot be imported: {_line(error)}"
        ) from error
    return module


def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # a built-in without a signature
        return ()


def _accepts(function: Callable[..., Any], factory: str) -> bool:
    """Whether the callable takes `num_classes`; torchvision's builders hand it on."""
    if factory.startswith("torchvision:"):
        return True
    try:
        return "num_classes" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # callables written in C have no signature
        return False


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
