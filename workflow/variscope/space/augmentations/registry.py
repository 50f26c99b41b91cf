"""The registry that knows all augmentations by name, and how a user's file adds to it."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from variscope.errors import UserError
from variscope.space.augmentations.definition import Augmentation, Check, Operation, Parameter

_augmentations: dict[str, Augmentation] = {}
_files: dict[Path, tuple[str, ...]] = {}


def augmentation(
    name: str,
    *,
    parameters: Sequence[Parameter] = (),
    description: str = "",
    checks: Mapping[str, Check] | None = None,
    of_color: bool = False,
) -> Callable[[Operation], Augmentation]:
    """Register the decorated function `op(images, parameters, *, option=default, ...)`.

    The function receives images `(n, C, H, W)` in [0, 1], C of 1 or 3 (`of_color`: of 3 only), and
    parameters `(n, k)`, and returns images of the same shape and dtype. It need not clamp, nor
    handle an empty batch; it must not modify what it receives, and each image must come out the
    same whatever else is in the batch.
    The defaults of its keyword-only arguments are the options. The name of the function then stands
    for the Augmentation, which is called as `op(images, parameters)`. A notebook's cell may be run
    again: it replaces the augmentation that it defined.

    Args:
        name: the name of the variable in a study's configuration; see Augmentation for the others.

    Raises:
        UserError: if the name is taken, or the function's signature is not as above.
    """

    def register(operation: Operation) -> Augmentation:
        made = Augmentation(
            name=name,
            operation=operation,
            parameters=tuple(parameters),
            options=_options(name, operation),
            description=description,
            checks=dict(checks or {}),
            of_color=of_color,
        )
        keys = [parameter.name for parameter in made.parameters] + list(made.options)
        if len(set(keys)) < len(keys):
            raise UserError(
                f"augmentation {name}: parameters and options are {', '.join(keys)}; allowed: "
                "distinct names"
            )
        if name in _augmentations and not _is_redefinition(_augmentations[name], made):
            owner = inspect.getsourcefile(_augmentations[name].operation)
            raise UserError(
                f"augmentation {name!r} is already registered, by {owner}; allowed: a "
                "name that is not taken"
            )
        _augmentations[name] = made
        return made

    return register


def get(name: str) -> Augmentation:
    """Return the augmentation registered as `name`.

    Raises:
        UserError: if there is none; the message lists the known names.
    """
    try:
        return _augmentations[name]
    except (KeyError, TypeError):
        known = ", ".join(names())
        raise UserError(f"unknown augmentation {name!r}; known: {known}") from None


def names() -> tuple[str, ...]:
    """Return the names of all registered augmentations, sorted."""
    return tuple(sorted(_augmentations))


def load_file(path: str | Path) -> tuple[str, ...]:
    """Run a user's Python file and return the names of the augmentations that it registers.

    Loading the same file again does nothing and returns the same names.

    Raises:
        UserError: naming the file, if it is missing, cannot be run or registers nothing; whatever
            it had registered by then is taken back.
    """
    file = Path(path).resolve()
    if file in _files:
        return _files[file]
    if not file.is_file():
        raise UserError(f"augmentation file {str(path)!r}: no such file; allowed: a Python file")
    before = dict(_augmentations)
    module = types.ModuleType(f"variscope_augmentations_{len(_files)}_{file.stem}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module  # where dataclasses and pickle look a class up
    try:
        # Compiled here and not imported, because a cached .pyc can be older than an edited file.
        exec(compile(file.read_bytes(), str(file), "exec"), module.__dict__)
        registered = tuple(sorted(set(_augmentations) - set(before)))
        if not registered:
            raise UserError("it registers nothing; allowed: at least one @augmentation(...)")
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        _augmentations.clear()
        _augmentations.update(before)
        if isinstance(error, UserError):
            raise UserError(f"augmentation file {str(path)!r}: {error}") from error
        raise UserError(
            f"augmentation file {str(path)!r} cannot be run: {type(error).__name__}: {error}; "
            "allowed: a Python file that runs on its own"
        ) from error
    _files[file] = registered
    return registered


def _options(name: str, operation: Operation) -> dict[str, Any]:
    arguments = list(inspect.signature(operation).parameters.values())
    kinds = [argument.kind for argument in arguments]
    first, rest = arguments[:2], arguments[2:]
    if (
        len(first) < 2
        or any(argument.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD for argument in first)
        or any(kind is not inspect.Parameter.KEYWORD_ONLY for kind in kinds[2:])
        or any(argument.default is inspect.Parameter.empty for argument in rest)
    ):
        raise UserError(
            f"augmentation {name}: the signature is {inspect.signature(operation)}; allowed: "
            "(images, parameters, *, option=default, ...)"
        )
    return {argument.name: argument.default for argument in rest}


def _is_redefinition(old: Augmentation, new: Augmentation) -> bool:
    """Tell whether a notebook's cell, or a script, defines the same function once more."""
    return old.operation.__module__ == new.operation.__module__ == "__main__" and (
        old.operation.__qualname__ == new.operation.__qualname__
    )
