"""The package's rooms stand in the order that CONTRIBUTING.md draws; no imports form a circle."""

from __future__ import annotations

import ast
import re
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "workflow" / "variscope"
MODULES = sorted(PACKAGE.rglob("*.py"))
MAP = re.search(r"```text\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)


def rooms() -> list[tuple[str, ...]]:
    """The map's rooms, top to bottom; those of one line stand side by side."""
    assert MAP is not None
    found = [re.findall(r"(\w+)(?:/|\.py)", line.split("  ")[0]) for line in MAP[1].splitlines()]
    return [tuple(line) for line in found if line]


def room(file: Path) -> str:
    """The folder of the package that a module stands in, or the module itself."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def file_of(module: str) -> Path | None:
    """The file of a module of the package, or of a package's face."""
    first, *rest = module.split(".")
    base = PACKAGE.joinpath(*rest)
    found = (base.with_suffix(".py") if rest else base, base / "__init__.py")
    return next((path for path in found if path.is_file()), None) if first == "variscope" else None


@cache
def imported(file: Path, *, for_types: bool) -> frozenset[Path]:
    """The modules of the package that a module names, inside functions too.

    Those named below ``if TYPE_CHECKING`` are left out without `for_types`.
    """
    left: list[ast.AST] = [ast.parse(file.read_text("utf-8"))]
    found: list[Path | None] = []
    while left:
        node = left.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not for_types:
            continue
        left += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found += [file_of(alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            for alias in node.names:
                found.append(file_of(f"{node.module}.{alias.name}") or file_of(f"{node.module}"))
    return frozenset(path for path in found if path is not None)


def test_the_map_names_every_room_once():
    named = [name for line in rooms() for name in line]
    assert len(named) == len(set(named))
    assert set(named) == {room(file) for file in MODULES}


@pytest.mark.parametrize("file", MODULES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_room_imports_only_rooms_above_it(file: Path):
    height = {name: k for k, line in enumerate(rooms()) for name in line}
    below = {
        str(other.relative_to(PACKAGE))
        for other in imported(file, for_types=True)
        if room(other) != room(file) and height[room(other)] >= height[room(file)]
    }
    assert not below


def test_no_module_imports_itself_through_others():
    try:
        TopologicalSorter({file: imported(file, for_types=False) for file in MODULES}).prepare()
    except CycleError as error:
        circle = [str(file.relative_to(PACKAGE)) for file in error.args[1]]
        pytest.fail(" imports ".join(reversed(circle)))
