"""The kinds of data sets: one file per kind, registered by one decorator.

A new kind is a module in this package with a function that opens it:

    @dataset_kind("my_kind", listing=my_listing)
    def open_my_kind(settings, on_progress, skipped) -> ImageTable: ...
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from variscope.errors import UserError
from variscope.inputs.settings import DatasetSettings
from variscope.inputs.table import ImageTable, Progress

Skipped: TypeAlias = tuple[tuple[str, str], ...] | None
Opener: TypeAlias = Callable[[DatasetSettings, Progress | None, Skipped], ImageTable]
Listing: TypeAlias = Callable[[DatasetSettings], Iterable[str]]


@dataclass(frozen=True)
class DatasetKind:
    """How a kind is opened, and the lines that change when its files change."""

    name: str
    open: Opener
    listing: Listing


_KINDS: dict[str, DatasetKind] = {}


def dataset_kind(name: str, *, listing: Listing) -> Callable[[Opener], Opener]:
    """Register the function below as the opener of data sets of kind `name`."""

    def register(function: Opener) -> Opener:
        if name in _KINDS:
            raise ValueError(f"the data set kind {name!r} is registered twice")
        _KINDS[name] = DatasetKind(name, function, listing)
        return function

    return register


def get(name: str) -> DatasetKind:
    """Return the kind of that name.

    Raises:
        UserError: there is none; the known kinds are listed.
    """
    known = names()
    if name not in known:
        raise UserError(f"dataset.kind: found {name!r}; allowed are {', '.join(known)}")
    return _KINDS[name]


def names() -> tuple[str, ...]:
    """Name the known kinds, in alphabetical order."""
    for module in pkgutil.iter_modules(__path__):  # only when asked, so that importing is light
        importlib.import_module(f"{__name__}.{module.name}")
    return tuple(sorted(_KINDS))
