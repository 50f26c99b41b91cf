"""Which methods are compared: checked before the first job, without torch."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from variscope.errors import UserError

AUTO, VARIANCE = "auto", "variance"

# What no method of the user's can be called, beside the built-in ones.
_TAKEN = (VARIANCE, "centre", "edges", "random")

# The folder of the methods, which importing would cost torch.
_METHODS = Path(__file__).parents[2] / "attributions"


@cache
def built_in_names() -> tuple[str, ...]:
    """Name the methods of `variscope.attributions`, from its files."""
    return tuple(
        sorted(path.stem for path in _METHODS.glob("*.py") if "ATTRIBUTION" in _names(path))
    )


def check_settings(settings: Mapping[str, Any], folder: Path) -> None:
    """Raise a `UserError` where a method is not known, or two have one name."""
    if settings["methods"] == AUTO:
        return
    seen: dict[str, str] = {}
    for method in settings["methods"]:
        _check_method(method, folder)
        name = method.rpartition(":")[2]
        if name in seen:
            raise UserError(f"methods: found {seen[name]} and {method}, both called {name}")
        seen[name] = method


def _check_method(method: str, folder: Path) -> None:
    known = ", ".join((*built_in_names(), VARIANCE))
    file, colon, function = method.rpartition(":")
    if not colon:
        if method not in (*built_in_names(), VARIANCE):
            raise UserError(
                f"methods: found {method!r}; allowed: {known}, or path/to/file.py:function"
            )
        return
    path = folder / file
    if not path.is_file():
        raise UserError(f"methods: found {method!r}, and there is no file {file}")
    try:
        names = _names(path)
    except SyntaxError as error:
        raise UserError(f"methods: {file} is no Python ({error})") from error
    if function not in names:
        raise UserError(f"methods: found {method!r}, and {file} has no function {function}")
    if function in (*built_in_names(), *_TAKEN):
        raise UserError(
            f"methods: found {method!r}, whose name is taken; name the function otherwise"
        )


def users_files(settings: Mapping[str, Any]) -> list[str]:
    """Return the files of the methods that are the user's own."""
    if settings["methods"] == AUTO:
        return []
    return [method.rpartition(":")[0] for method in settings["methods"] if ":" in method]


def _names(path: Path) -> set[str]:
    """Return what a file defines at its top level, read and not run."""
    found: set[str] = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found
