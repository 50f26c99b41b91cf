"""What changed settings have left behind in an experiment's folder, and the experiment whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

# Of every run, whatever its settings were.
KEPT_FOLDERS = ("logs", "benchmarks")


def orphans(folder: Path, kept: Iterable[Path]) -> list[Path]:
    """Return what no rule of the present settings would make.

    Args:
        folder: of the experiment.
        kept: files and folders that the rules make; all below a kept folder is kept.

    Returns:
        Files and folders, none below another, in order. `KEPT_FOLDERS` and hidden files at the
        top of the folder are never among them.
    """
    whole = {path.absolute() for path in kept}
    above = {parent for path in whole for parent in path.parents}

    def left(place: Path) -> list[Path]:
        found = []
        for path in sorted(place.iterdir()):
            if path in whole:
                continue
            found += left(path) if path in above and path.is_dir() else [path]
        return found

    if not folder.is_dir():
        return []
    top = folder.absolute()
    spared = {top / name for name in KEPT_FOLDERS}
    return [
        path
        for path in left(top)
        if path not in spared and not (path.parent == top and path.name.startswith("."))
    ]


def remove(paths: Iterable[Path]) -> int:
    """Delete files and folders, and return how many bytes they held."""
    freed = 0
    for path in paths:
        inside = [path, *path.rglob("*")] if path.is_dir() else [path]
        freed += sum(file.lstat().st_size for file in inside if not file.is_dir())
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return freed
