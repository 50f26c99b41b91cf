"""Digests of code and files: what a rule depends on that Snakemake does not see.

Snakemake compares the code of a rule and of its script, not the modules that they import. A rule
with `code_digest` of its script among its params reruns when, and only when, one of the modules
changes that the script imports, or that these import, and so on.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]

# What no number depends on: messages, logs, and what jobs do around their work.
LEFT_OUT = ("__init__.py", "version.py", "errors.py", "log.py", "study/jobs.py", "study/digest.py")


@cache
def code_digest(*entries: Path) -> str:
    """Digest the modules of the package that files import, directly or through others.

    Args:
        entries: Python files: scripts, whose own text Snakemake compares, and modules.
    """
    found = sorted({file for entry in entries for file in import_closure(entry)})
    return files_digest(found, relative_to=PACKAGE)


@cache
def import_closure(entry: Path) -> frozenset[Path]:
    """Return the files of the package that a file's results depend on, without `LEFT_OUT`.

    Imports are read from the text, those inside functions too; what is imported for type checking
    alone is not followed. A name that a package's face re-exports leads to the module that defines
    it, and not to all that the face knows: an interval does not rerun an evaluation that takes
    sums from the same package. Where a face registers its modules, by importing them as modules or
    by looking for them in its folder, all of them count. Data files that a module names, such as
    templates, count with it. The entry counts itself where it is in the package.
    """
    skipped = {PACKAGE / name for name in LEFT_OUT}
    found: set[Path] = set()
    left = [entry]
    while left:
        file = left.pop()
        if file in found or file in skipped:
            continue
        found.add(file)
        left += [path for path in _depends(file) if path.suffix == ".py"]
    data = {path for file in found for path in _depends(file) if path.suffix != ".py"}
    return frozenset(path for path in found | data if path.is_relative_to(PACKAGE))


@cache
def _depends(file: Path) -> tuple[Path, ...]:
    """Return the files that one file names: modules of the package, and data beside it."""
    tree = _tree(file)
    found: list[Path] = []
    for node in _nodes(tree):
        if isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                found += _definition(str(node.module), alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                found += _module(alias.name)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found += _data(file, node.value)
    if file.name == "__init__.py" and any(
        isinstance(node, ast.Attribute) and node.attr == "iter_modules" for node in ast.walk(tree)
    ):
        found += sorted(file.parent.rglob("*.py"))
    return tuple(dict.fromkeys(found))


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes but those below ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        test = getattr(node, "test", None)
        if isinstance(node, ast.If) and isinstance(test, ast.Name) and test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from _nodes(node)


def _definition(module: str, name: str) -> list[Path]:
    """Return the files on which a name depends that is imported from a module."""
    path = _path(module)
    if path is None:
        return []
    if path.name != "__init__.py":
        return [path, *_registered(path)]
    if _path(f"{module}.{name}") is not None:
        return _module(f"{module}.{name}")
    for node in _nodes(_tree(path)):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name and node.module != module:
                    return [*_definition(str(node.module), alias.name), *_registered(path)]
    return [path]


def _module(name: str) -> list[Path]:
    """Return a module's file, or a package's face, if it is one of this package."""
    path = _path(name)
    return [] if path is None else [path, *_registered(path)]


def _registered(file: Path) -> list[Path]:
    """Return the modules that run for their effect wherever one of their package is imported."""
    face = file.parent / "__init__.py"
    if file.parent == PACKAGE or not face.is_file():
        return []
    module = ".".join(("variscope", *file.parent.relative_to(PACKAGE).parts))
    return [
        path
        for node in _nodes(_tree(face))
        if isinstance(node, ast.ImportFrom) and node.module == module
        for alias in node.names
        if (path := _path(f"{module}.{alias.name}")) is not None
    ]


def _data(file: Path, name: str) -> list[Path]:
    """Return the file beside a module, or in the schemas' folder, that a text names, if one is."""
    if not name.endswith((".html", ".css", ".txt", ".yaml")):
        return []
    places = (file.parent / name, file.parent.parent / name)
    return [path for path in places if path.is_relative_to(PACKAGE) and path.is_file()]


def _path(module: str) -> Path | None:
    first, *rest = module.split(".")
    if first != "variscope":
        return None
    base = PACKAGE.joinpath(*rest)
    for path in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
        if path.is_file() and path.is_relative_to(PACKAGE):
            return path
    return None


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def files_digest(files: Iterable[Path], relative_to: Path | None = None) -> str:
    """Digest names and contents of files.

    Of a name only what is below ``relative_to`` counts, or its last part: a folder may be moved.
    """
    digest = hashlib.sha256()
    for file in files:
        name = file.relative_to(relative_to) if relative_to else file.name
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def value_digest(value: Any) -> str:
    """Digest anything that JSON can hold.

    Example:
        >>> value_digest({"seed": 1, "blocks": 8}) == value_digest({"blocks": 8, "seed": 1})
        True
        >>> len(value_digest([]))
        16
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
