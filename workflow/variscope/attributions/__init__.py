"""Attributions: which parts of an image a unit of a network looks at; one file a method.

A method is a module of this package, named as the method is, with

    ATTRIBUTION = Attribution(name="gradient", ..., attribute=gradient)

where ``gradient(model, images, target, **settings) -> maps``:

    model: a module from images ``(n, C, H, W)`` in [0, 1] to units ``(n, unit)``
        (`variscope.responses.network.scored.Scored`); its normalisation is inside.
    images: float32 in [0, 1], on the model's device.
    target: number of the unit that each image's map is of, int64 ``(n,)``.
    maps: ``(n, rows, columns)``: cells of a grid that covers the image evenly, as fine or as coarse
        as the method is. A map is as the method defines it: no image is scaled by itself.

A user's own method is such a function, named in the configuration as ``path/to/file.py:function``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import nn

from variscope.errors import UserError
from variscope.inputs.user_files import load_file

Attribute = Callable[..., torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """A method.

    Attributes:
        name: of the module.
        title: for people.
        says: what a map's values are, one sentence without its full stop.
        attribute: the function.
        signed: whether values below 0 mean something of their own.
    """

    name: str
    title: str
    says: str
    attribute: Attribute
    signed: bool = False

    def maps(
        self, model: nn.Module, images: torch.Tensor, target: torch.Tensor, **settings: object
    ) -> torch.Tensor:
        """Return the maps, ``(n, rows, columns)`` float32, on the CPU.

        Raises:
            UserError: the function gives something else, or what is not finite.
        """
        found = self.attribute(model, images, target, **settings)
        if not isinstance(found, torch.Tensor) or found.ndim != 3 or len(found) != len(images):
            got = (
                f"a tensor of the shape {tuple(found.shape)}"
                if isinstance(found, torch.Tensor)
                else type(found).__name__
            )
            raise UserError(
                f"{self.name}: its function gave {got}; allowed: a tensor of maps (n, rows, "
                f"columns), n {len(images)} here"
            )
        maps = found.detach().float().cpu()
        if not torch.isfinite(maps).all():
            raise UserError(f"{self.name}: its maps are not finite")
        return maps


@cache
def built_in() -> dict[str, Attribution]:
    """Return the methods of this package by name, in alphabetical order."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        entry = getattr(importlib.import_module(f"{__name__}.{module.name}"), "ATTRIBUTION", None)
        if entry is None:
            continue  # what several methods share
        if entry.name != module.name:
            raise ValueError(f"attributions/{module.name}.py holds the method {entry.name}")
        found[entry.name] = entry
    return dict(sorted(found.items()))


def named(name: str, folder: Path) -> Attribution:
    """Return a method by its name, or a user's own by ``path/to/file.py:function``.

    Args:
        name: as in the configuration.
        folder: what relative paths start at.

    Raises:
        UserError: there is no such method, file or function.
    """
    if name in built_in():
        return built_in()[name]
    file, colon, function = name.rpartition(":")
    if not colon:
        known = ", ".join(built_in())
        raise UserError(f"found {name!r}; allowed: {known}, or path/to/file.py:function")
    path = folder / file
    if not path.is_file():
        raise UserError(f"found {name!r}, and there is no file {file}")
    attribute = _function(path, function)
    if attribute is None:
        raise UserError(f"found {name!r}, and {file} has no function {function}")
    title = function.replace("_", " ")
    return Attribution(name=function, title=title, says=f"as {file} says", attribute=attribute)


def _function(path: Path, name: str) -> Attribute | None:
    try:
        module = load_file(path)
    except Exception as error:
        raise UserError(f"{path} cannot be run ({type(error).__name__}: {error})") from error
    found = getattr(module, name, None)
    return found if callable(found) else None
