"""Numbers that a caller asks for: of the right kind, and in their range."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

from variscope.errors import UserError


def check_numbers(confidence_level: float, **least: tuple[Any, int]) -> None:
    """Raise a UserError for a number of the wrong kind or out of its range.

    Args:
        confidence_level: of intervals.
        least: by the name of each whole number its value, and the least that is allowed.
    """
    for name, (value, lowest) in least.items():
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        if not whole or not lowest <= value <= 2**32 - 1:
            raise UserError(f"{name}: found {value!r}; allowed: an integer of at least {lowest}")
    if not isinstance(confidence_level, Real) or not 0 < confidence_level < 1:
        raise UserError(f"confidence_level: found {confidence_level!r}; allowed: between 0 and 1")


def check_mapping(name: str, given: Any) -> None:
    """Raise a UserError where an argument is no mapping and not left out."""
    if given is not None and not isinstance(given, Mapping):
        raise UserError(f"{name}: found {given!r}; allowed: a mapping, or None")
